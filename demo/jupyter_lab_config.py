"""JupyterLab's settings for ``make demo``: a copy of the notebooks, a clean workspace, and notebook 01 running."""

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

# No questions and no calls home while a newcomer watches.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
