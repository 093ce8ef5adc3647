// A JupyterLab extension in the form JupyterLab loads ("federated"), written by hand so that nothing needs building.
// It runs all cells of one notebook, once, as soon as that notebook is shown and its kernel is idle.
(() => {
  const NOTEBOOK = "01_live_stream.ipynb";
  const LOOK_EVERY_MS = 200;
  const GIVE_UP_AFTER_MS = 120_000;

  const isReady = (widget) =>
    widget?.context?.path === NOTEBOOK &&
    widget.context.isReady &&
    widget.sessionContext?.isReady &&
    widget.sessionContext.session?.kernel?.status === "idle";

  const runOnceReady = async (app) => {
    await app.restored;
    const started = Date.now();
    const timer = setInterval(() => {
      if (isReady(app.shell.currentWidget)) {
        clearInterval(timer);
        app.commands.execute("notebook:run-all-cells");
      } else if (Date.now() - started > GIVE_UP_AFTER_MS) {
        clearInterval(timer);
        console.warn(`chaosnb-demo: ${NOTEBOOK} did not become ready; use Run > Run All Cells`);
      }
    }, LOOK_EVERY_MS);
  };

  const plugin = {
    id: "chaosnb-demo:run-all",
    description: `Runs all cells of ${NOTEBOOK} once.`,
    autoStart: true,
    activate: (app) => void runOnceReady(app),
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["chaosnb-demo"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
