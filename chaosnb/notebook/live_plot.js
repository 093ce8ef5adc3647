// The page's half of LivePlot: keeps one state per model, draws it in each view, acknowledges what was drawn.
// page → kernel   {kind: "ready", plotly, again}  send me everything (and plotly.js, if true; `again` if it did not come)
//                 {kind: "drawn", seqs, took}     plot → its frame on the screen; ms since arrival; one message for
//                                                 all plots that were drawn together
// kernel → page   {kind: "plotly"}                buffer: plotly.js, gzip; without one, it is on its way, or lost
//                 {kind: "frames", frames}        of this plot and others, each {plot, seq, base, order, patches, ops}:
//                     what became of frame base (of nothing, if -1); a buffer for each holds new values, float64.
//                     With `ask`, the page is to answer when it is drawn
// Both by the layout's model, which hears what anywidget keeps from a plot whose script came late.

const [ASK_MS, ASK_LIBRARY_MS, SILENT_MS, RECALL_MS] = [1000, 15000, 5000, 5000];
const UNHEARD = "waiting for the kernel: it has not answered yet (is it busy, or stopped?)";
const PLACE = "__array__";
// By default plotly.js offers a button that uploads the plot's data to plotly's cloud.
const NO_CLOUD = { showSendToCloud: false, plotlyServerURL: "" };
const CONFIG = { ...NO_CLOUD, displaylogo: false, responsive: false, typesetMath: false, displayModeBar: "hover" };

// Each plot has this module for itself; here is what all of the page share.
const SHARED = (globalThis.chaosnbPage ??= { libraries: {}, families: new WeakMap() });

// The plots of one kernel, that is of one manager: what brings each its frames, and which ones were drawn.
function family(model) {
  const { families } = SHARED;
  const manager = model.widget_manager;
  if (!families.has(manager)) families.set(manager, { takers: {}, drawn: null });
  return families.get(manager);
}

// plotly.js, once per page and version: every plot of the page waits for the same object.
function library(version) {
  const lib = { plotly: null, error: null, loading: false, askedAt: -Infinity, waiting: new Set() };
  return (SHARED.libraries[version] ??= lib);
}

async function load(lib, bytes) {
  if (lib.loading || lib.plotly) return;
  lib.loading = true;
  try {
    const unzipped = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const source = await new Response(unzipped).text();
    // An own `module` keeps it apart from any other plotly on the page, which `window.Plotly` would replace.
    const module = { exports: {} };
    const other = globalThis.Plotly;
    new Function("module", "exports", source)(module, module.exports);
    if (other) globalThis.Plotly = other;
    else delete globalThis.Plotly;
    lib.plotly = module.exports;
  } catch (error) {
    lib.error = `plotly.js could not be started: ${error}`;
  }
  lib.loading = false;
  for (const wake of lib.waiting) wake();
}

function floats(buffer) {
  // Copied because a message's buffers need not begin at a multiple of eight bytes.
  const bytes = new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
  return new Float64Array(bytes.slice().buffer);
}

// delta.py's Delta says what these mean.
function apply(state, { seq, base, order, patches = [], ops }, values) {
  const old = base < 0 ? [] : state.parts;
  const parts = order ? order.map((place) => old[place] ?? { spec: {}, arrays: [] }) : old;
  for (const [[number, ...path], ...value] of patches) {
    let [owner, key] = [parts[number], "spec"];
    for (const step of path) {
      owner = owner[key];
      key = step;
    }
    const [drop, keep, head, tail] = value;
    if (tail) owner[key] = [...head, ...owner[key].slice(drop, drop + keep), ...tail];
    else if (value.length) [owner[key]] = value;
    else delete owner[key];
  }
  let at = 0;
  for (const [number, place, head, drop, keep, append] of ops) {
    const { arrays } = parts[number];
    // A new array each time: that is how Plotly.react sees a change.
    const next = new Float64Array(head + keep + append);
    next.set(values.subarray(at, (at += head)));
    if (keep) next.set(arrays[place].subarray(drop, drop + keep), head);
    next.set(values.subarray(at, (at += append)), head + keep);
    arrays[place] = next;
  }
  [state.parts, state.seq] = [parts, seq];
}

// A fresh copy for each view, because plotly writes into what it is given; the arrays are shared.
function filled(value, arrays) {
  if (Array.isArray(value)) return value.map((item) => filled(item, arrays));
  if (value === null || typeof value !== "object") return value;
  if (PLACE in value) return arrays[value[PLACE]];
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, arrays)]));
}

function colours(box) {
  const style = getComputedStyle(box);
  const variable = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const [ink, grid] = [variable("--jp-ui-font-color1", style.color), variable("--jp-border-color2", "rgba(128,128,128,0.35)")];
  return { ink, grid, ground: variable("--jp-layout-color1", "rgba(128,128,128,0.1)") };
}

function themed(layout, { ink, grid, ground }, { width, height }) {
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { ...layout.font, color: ink };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: ground, bordercolor: grid, font: { color: ink } };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: "#808080", activecolor: ink, ...layout.modebar };
  for (const key of new Set([...Object.keys(layout).filter((k) => /^[xy]axis\d*$/.test(k)), "xaxis", "yaxis"]))
    layout[key] = { gridcolor: grid, linecolor: grid, zerolinecolor: grid, ...layout[key] };
  return { ...layout, autosize: false, width, height };
}

function tell(model, message) {
  try {
    model.get("layout").send(message);
  } catch {
    // The kernel is gone; what is drawn stays.
  }
}

function listen(model, state) {
  const lib = (state.lib = library(model.get("plotly_version")));
  const wake = () => state.views.forEach((schedule) => schedule());
  const ask = (always, again = false) => {
    const missing = !(lib.plotly || lib.loading || lib.error) && (again || performance.now() - lib.askedAt > ASK_LIBRARY_MS);
    if (missing) lib.askedAt = performance.now();
    if (always || missing || state.seq < 0) tell(model, { kind: "ready", plotly: missing, again });
  };
  const [{ takers }, number, post] = [family(model), model.get("number"), model.get("layout")];
  takers[number] = (frame, buffer) => {
    state.heardAt = performance.now();
    if (frame.base >= 0 && frame.base !== state.seq) return ask(true);
    apply(state, frame, floats(buffer));
    state.since ??= state.heardAt;
    state.asked ||= frame.ask;
    wake();
  };
  const take = (message, buffers) => {
    if (message.kind === "plotly") void (buffers.length ? load(lib, buffers[0]) : ask(false, true));
    else if (message.kind === "frames") message.frames.forEach((frame, place) => takers[frame.plot]?.(frame, buffers[place]));
  };
  // What was sent while the connection was broken is lost. A frame acknowledged again tells the kernel of it.
  const recall = setInterval(() => {
    if (state.seqDrawn >= 0 && performance.now() - state.heardAt > RECALL_MS && !document.hidden) acknowledge(model, state);
  }, RECALL_MS);
  state.ask = ask;
  lib.waiting.add(wake);
  post.on("msg:custom", take);
  ask(true);
  const timer = setInterval(() => {
    ask(false);
    if (performance.now() - state.bornAt > SILENT_MS) wake();
    if (state.seq >= 0 && (lib.plotly || lib.error)) clearInterval(timer);
  }, ASK_MS);
  return () => {
    clearInterval(timer);
    clearInterval(recall);
    lib.waiting.delete(wake);
    delete takers[number];
    post.off("msg:custom", take);
  };
}

// Plots are drawn at once, and each message to the kernel costs it more than a frame's numbers: so there is one for
// all, by whichever plot comes first.
function acknowledge(model, state) {
  const own = family(model);
  if (!own.drawn) setTimeout(() => (tell(model, { kind: "drawn", ...own.drawn }), (own.drawn = null)));
  own.drawn ??= { seqs: {}, took: 0 };
  own.drawn.seqs[model.get("number")] = state.seqDrawn;
  own.drawn.took = Math.max(own.drawn.took, performance.now() - (state.since ?? -Infinity));
}

function show(model, state, el) {
  el.classList.add("chaosnb-plot");
  const [box, note, problem] = ["box", "note", "problem"].map((name) => {
    const part = document.createElement("div");
    part.className = `chaosnb-plot-${name}`;
    return part;
  });
  note.textContent = "loading the plot …";
  el.append(box, note, problem);
  // Text only: it may hold what came over the network.
  const complain = () => (problem.textContent = model.get("problem"));
  model.on("change:problem", complain);
  complain();
  // The last two are looked up only when they change: that has the browser lay out the whole page.
  let [queued, gone, look, room] = [false, false, null, { width: 0, height: 0 }];
  const paint = async () => {
    queued = false;
    if (gone) return;
    if (state.lib.error) return void (note.textContent = state.lib.error);
    if (state.seq < 0 || !state.lib.plotly) {
      if (performance.now() - state.bornAt > SILENT_MS) note.textContent = UNHEARD;
      return;
    }
    // A view without size is in a hidden tab: not drawing means not acknowledging, and the kernel slows down.
    if (!room.width || !room.height) return;
    const seq = state.seq;
    try {
      const [{ layout }, ...data] = state.parts.map((part) => filled(part.spec, part.arrays));
      look ??= colours(box);
      // Given again, it would be compared by having the browser lay out the page.
      const config = box.data ? undefined : CONFIG;
      await state.lib.plotly.react(box, data, themed(layout, look, room), config);
      if (gone) return;
      el.dataset.seq = seq;
      if (note.textContent) note.textContent = "";
      if (seq <= state.seqDrawn) return;
      state.seqDrawn = seq;
      if (state.asked) acknowledge(model, state);
      state.asked = state.since = null;
    } catch (error) {
      note.textContent = `this plot could not be drawn: ${error}`;
    }
  };
  const schedule = () => {
    if (queued || gone) return;
    queued = true;
    requestAnimationFrame(paint);
  };
  const size = new ResizeObserver(([{ contentRect }]) => ((room = contentRect), schedule()));
  size.observe(box);
  // JupyterLab names its theme on <body>; its style sheets may arrive a moment later.
  const dress = () => ((look = null), schedule());
  const theme = new MutationObserver(() => (dress(), setTimeout(dress, 500)));
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  state.views.add(schedule);
  if (state.views.size > 1 || state.seq >= 0) state.ask(true);
  schedule();
  return () => {
    gone = true;
    state.views.delete(schedule);
    model.off("change:problem", complain);
    size.disconnect();
    theme.disconnect();
    if (state.lib.plotly) state.lib.plotly.purge(box);
    el.replaceChildren();
  };
}

export default () => {
  const state = { seq: -1, seqDrawn: -1, heardAt: 0, parts: [], views: new Set(), bornAt: performance.now() };
  return {
    initialize: ({ model }) => listen(model, state),
    render: ({ model, el }) => show(model, state, el),
  };
};
