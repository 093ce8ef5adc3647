"""JupyterLab's settings for ``make demo``: copied notebooks, a clean workspace, notebook 01 run by itself."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent / "build" / "demo"

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.ServerApp.root_dir = str(ROOT)
c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0
c.LabApp.default_url = "/lab/tree/01_live_stream.ipynb"
c.LabApp.workspaces_dir = str(ROOT / ".jupyter" / "workspaces")
c.LabApp.extra_labextensions_path = [str(HERE / "labextensions")]

# No calls home while a newcomer watches; the extension's package.json switches off the question about news.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
