"""The Binder image, as far as it can be built without Binder: its install steps in a clean environment."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BINDER = ROOT / "binder"


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Those that apply to this Python, by name."""
    parsed = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in parsed if r.marker is None or r.marker.evaluate()}


def pins() -> dict[str, str]:
    """The pinned version of each package; every line must be an exact pin."""
    found = requirements((BINDER / "requirements.txt").read_text().splitlines())
    versions = {}
    for name, requirement in found.items():
        assert re.fullmatch(r"==[0-9.]+", str(requirement.specifier)), f"not an exact pin: {requirement}"
        versions[name] = str(requirement.specifier).removeprefix("==")
    return versions


def wanted() -> dict[str, Requirement]:
    """What pyproject.toml asks of a user with JupyterLab."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return requirements([*project["dependencies"], *project["optional-dependencies"]["jupyter"]])


def test_every_dependency_is_pinned_to_a_version_that_pyproject_allows() -> None:
    pinned = pins()
    for name, requirement in wanted().items():
        assert name in pinned, f"binder/requirements.txt does not pin {name}"
        assert requirement.specifier.contains(pinned[name]), f"{name} {pinned[name]} is not {requirement}"
    assert set(pinned) == set(wanted()), "binder/requirements.txt pins what nobody asks for"


def test_the_image_has_a_python_that_pyproject_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version)


@pytest.mark.timeout(900)
def test_the_install_steps_give_a_working_chaosnb(tmp_path: Path) -> None:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "CHAOSNB_URL")
    }
    environment["PATH"] = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{environment['PATH']}"

    def run(*command: str | Path, cwd: Path = ROOT) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-compile", "--quiet", "-r", BINDER / "requirements.txt")
    run(BINDER / "postBuild")
    run(python, "-m", "pip", "check")

    code = "import os, chaosnb, jupyterlab; print(os.environ['CHAOSNB_URL'], chaosnb.__file__)"
    url, file = run(BINDER / "start", "python", "-c", code, cwd=tmp_path).split()
    assert url == "devnet"
    assert Path(file).is_relative_to(tmp_path), "the image must hold an installed chaosnb, not this checkout"
