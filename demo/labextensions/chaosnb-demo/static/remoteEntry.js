// A JupyterLab extension in the form JupyterLab loads ("federated"), written by hand so that nothing needs building.
// It runs all cells of one notebook as soon as that notebook is shown and its kernel is idle: once for each kernel,
// so that reloading the page runs nothing again.
(() => {
  const NOTEBOOK = "01_live_stream.ipynb";
  const MEMORY = "chaosnb-demo:kernel";
  const LOOK_EVERY_MS = 200;
  const GIVE_UP_AFTER_MS = 120_000;

  const isReady = (widget) =>
    widget?.context?.path === NOTEBOOK &&
    widget.context.isReady &&
    widget.sessionContext?.isReady &&
    widget.sessionContext.session?.kernel?.status === "idle";

  // 'Run All' ends at the last cell, and who watches a demo wants to see what moves.
  const showDashboard = (notebook) => {
    const place = notebook.widgets.findIndex((cell) => cell.model.sharedModel.getSource().includes(".dashboard()"));
    if (place >= 0) {
      notebook.activeCellIndex = place;
      notebook.scrollToItem(place, "start");
    }
  };

  const runOnceReady = async (app) => {
    await app.restored;
    const started = Date.now();
    const timer = setInterval(() => {
      const widget = app.shell.currentWidget;
      if (isReady(widget)) {
        clearInterval(timer);
        const { id } = widget.sessionContext.session.kernel;
        if (localStorage.getItem(MEMORY) !== id) {
          localStorage.setItem(MEMORY, id);
          app.commands.execute("notebook:run-all-cells").then(() => showDashboard(widget.content));
        }
      } else if (Date.now() - started > GIVE_UP_AFTER_MS) {
        clearInterval(timer);
        console.warn(`chaosnb-demo: ${NOTEBOOK} did not become ready; use Run > Run All Cells`);
      }
    }, LOOK_EVERY_MS);
  };

  const plugin = {
    id: "chaosnb-demo:run-all",
    description: `Runs all cells of ${NOTEBOOK}, once for each kernel.`,
    autoStart: true,
    activate: (app) => void runOnceReady(app),
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["chaosnb-demo"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
