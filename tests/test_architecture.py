"""The rules of the house, read from the source: who may import whom, and what no module may hold.

`ROOMS` is the table of CONTRIBUTING.md in a form that can be checked; a new top-level module needs a line.
"""

import ast
import importlib
import inspect
import json
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "chaosnb"
MAX_LINES = 400
MAX_EXTRA_IMPORT_S = 0.5


@dataclass(frozen=True)
class Room:
    """What a part of the package may import of the others: always, or only inside functions."""

    always: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()


def room(always: str = "", lazily: str = "") -> Room:
    return Room(frozenset(always.split()), frozenset(lazily.split()))


PIPELINE = "text errors amounts widths protocol runtime ingest tables store"
ROOMS = {
    "text": room(),
    "errors": room("text"),
    "amounts": room(),
    "widths": room(),
    "protocol": room("text errors"),
    "runtime": room("errors"),
    "ingest": room("text errors amounts protocol"),
    "tables": room("text errors amounts widths protocol ingest"),
    "store": room("text errors protocol ingest tables"),
    "analysis": room("text errors amounts widths protocol.schema protocol.iso8601"),
    "figures": room("text errors protocol.schema analysis"),
    "devnet": room("errors protocol"),
    "endpoint": room("errors protocol ingest", lazily="devnet"),
    "pump": room(PIPELINE, lazily="notebook"),
    "live": room(f"{PIPELINE} pump", lazily="notebook figures"),
    "playback": room(f"{PIPELINE} pump live"),
    "opening": room(f"{PIPELINE} endpoint pump live playback", lazily="notebook"),
    "recording": room(f"{PIPELINE} endpoint opening"),
    "serving": room("text errors protocol ingest tables store devnet"),
    "iterator": room("errors text protocol ingest endpoint"),
    "reporting": room("text errors protocol.schema store analysis figures", lazily="__init__"),
    "notebook": room(f"{PIPELINE} analysis figures live"),
    "cli": room(
        f"{PIPELINE} analysis figures live opening recording serving playback notebook devnet __init__"
    ),
    "__main__": room("cli"),
    "__init__": room(
        f"{PIPELINE} analysis devnet live opening playback iterator", lazily="notebook figures reporting"
    ),
}

# Foreign modules that a path must not import, not even inside a function.
FORBIDDEN = {
    "text.py": "pandas html asyncio",
    "errors.py": "*",
    "protocol/*.py": "pandas asyncio socket websockets time",
    "ingest/*.py": "pandas ipywidgets anywidget plotly IPython pathlib io shutil tempfile",
    "ingest/session.py": "asyncio time socket",
    "ingest/ordering.py": "asyncio time socket",
    "ingest/gaps.py": "asyncio time socket",
    "ingest/chain.py": "asyncio time socket",
    "ingest/progress.py": "asyncio time socket",
    "analysis/*.py": "plotly ipywidgets pathlib io time random scipy",
    "figures/*.py": "ipywidgets anywidget pathlib io time",
}
# Foreign modules that only these paths may import.
RESERVED = {
    "websockets": ("ingest/transport*.py", "devnet/*.py"),
    "picows": ("ingest/transport*.py", "devnet/*.py"),
}
VAGUE_NAMES = {"utils", "util", "helpers", "misc", "common"}
# Heavy packages that `import chaosnb` must leave alone.
LOADED_LATER = {
    "plotly",
    "ipywidgets",
    "anywidget",
    "duckdb",
    "polars",
    "IPython",
    "ipykernel",
    "jupyter_client",
    "jupyterlab",
}


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy` inside a function or for type checkers only."""

    target: str
    line: int
    lazy: bool


@dataclass
class Module:
    """A source file of the package, parsed."""

    path: Path
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text(), str(self.path))

    @property
    def relative(self) -> Path:
        return self.path.relative_to(PACKAGE)

    @property
    def room(self) -> str:
        return self.relative.parts[0].removesuffix(".py")

    def at(self, line: int) -> str:
        return f"chaosnb/{self.relative}:{line}"

    def matches(self, *patterns: str) -> bool:
        return any(self.relative.match(pattern) for pattern in patterns)

    def imports(self) -> Iterator[Import]:
        package = ("chaosnb", *self.relative.parts[:-1])
        yield from _imports(self.tree, package, lazy=False)


def _imports(node: ast.AST, package: tuple[str, ...], lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            start = package[: len(package) - child.level + 1] if child.level else ()
            base = ".".join([*start, *([child.module] if child.module else [])])
            for alias in child.names:
                yield Import(f"{base}.{alias.name}", child.lineno, lazy)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            yield from _imports(child, package, lazy or inner)


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def internal(imported: Import) -> str | None:
    """The part of the package that is imported, as `protocol.schema`; None for a foreign module."""
    top, _, rest = imported.target.partition(".")
    if top != "chaosnb":
        return None
    first = rest.split(".")[0]
    is_part = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file()
    return rest if first and is_part else "__init__"


def fail_on(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_imports_between_the_rooms_point_one_way() -> None:
    problems = []
    for module in MODULES:
        if module.room not in ROOMS:
            problems.append(
                f"{module.at(1)}: the room '{module.room}' is not in ROOMS; say there what it may import"
            )
            continue
        allowed = ROOMS[module.room]
        for imported in module.imports():
            part = internal(imported)
            if part is None or part.split(".")[0] == module.room or imported.target == "chaosnb.__version__":
                continue
            names = allowed.always | allowed.lazily if imported.lazy else allowed.always
            if not any(f"{part}.".startswith(f"{name}.") for name in names):
                when = "" if imported.lazy else " at its top"
                problems.append(f"{module.at(imported.line)}: {module.room} may not import {part}{when}")
    fail_on(problems)


def test_each_room_keeps_away_from_foreign_modules_that_are_not_its_business() -> None:
    problems = []
    for module in MODULES:
        for imported in module.imports():
            top = imported.target.split(".")[0]
            for pattern, names in FORBIDDEN.items():
                if module.matches(pattern) and ((names == "*" and top != "chaosnb") or top in names.split()):
                    problems.append(f"{module.at(imported.line)}: {pattern} must not import {top}")
            if top in RESERVED and not module.matches(*RESERVED[top]):
                problems.append(
                    f"{module.at(imported.line)}: only {' and '.join(RESERVED[top])} import {top}"
                )
    fail_on(problems)


def test_what_a_module_imports_at_its_top_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {Requirement(text).name.replace("-", "_") for text in project["dependencies"]}
    known = (
        declared | {"nacl", "traitlets", "IPython"} | sys.stdlib_module_names
    )  # the last two come with ipywidgets
    fail_on(
        [
            f"{module.at(imported.line)}: import {imported.target} inside the function that needs it"
            for module in MODULES
            for imported in module.imports()
            if not imported.lazy and internal(imported) is None and imported.target.split(".")[0] not in known
        ]
    )


def test_modules_are_short_named_after_one_thing_documented_and_say_what_is_public() -> None:
    problems = []
    for module in MODULES:
        lines = len(module.path.read_text().splitlines())
        if lines > MAX_LINES:
            problems.append(f"{module.at(lines)}: {lines} lines, at most {MAX_LINES}")
        if module.path.stem in VAGUE_NAMES or module.path.parent.name in VAGUE_NAMES:
            problems.append(f"{module.at(1)}: a module is a noun with one concept, not '{module.path.stem}'")
        if not ast.get_docstring(module.tree):
            problems.append(f"{module.at(1)}: no docstring")
        if module.path.stem != "__main__" and not any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for statement in module.tree.body
            if isinstance(statement, ast.Assign | ast.AnnAssign)
            for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
        ):
            problems.append(f"{module.at(1)}: no __all__")
    fail_on(problems)


def test_no_module_takes_the_name_of_a_public_function() -> None:
    chaosnb = importlib.import_module("chaosnb")
    functions = {name for name in chaosnb.__all__ if inspect.isroutine(getattr(chaosnb, name))}
    taken = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    fail_on([f"chaosnb.{name} is a public function and a module" for name in sorted(functions & taken)])


class UnderscoreVisitor(ast.NodeVisitor):
    """Collects uses of another object's underscore attributes."""

    # namedtuple's public methods; names like _repr_html_ are a protocol of IPython or enum.
    PUBLIC = frozenset({"_replace", "_asdict", "_fields", "_make"})

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self.classes: list[str] = []
        self.own: list[set[str]] = [set()]

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.classes.append(node.name)
        self.own.append({"self", "cls", node.name})
        self.generic_visit(node)
        self.classes.pop()
        self.own.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.own.append(self.own[-1] | set(self._of_own_class(node)))
        self.generic_visit(node)
        self.own.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = node.attr
        if name.startswith("_") and not name.endswith("_") and name not in self.PUBLIC:
            value = node.value
            of_super = isinstance(value, ast.Call) and ast.unparse(value.func) == "super"
            of_own = isinstance(value, ast.Name) and value.id in self.own[-1]
            if not of_super and not of_own:
                self.found.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def _of_own_class(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
        """Names in a method that stand for an instance of its own class."""
        if not self.classes:
            return
        kinds = {self.classes[-1], "Self", "cls"}
        for argument in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]:
            annotation = ast.unparse(argument.annotation).strip("'\"") if argument.annotation else ""
            if annotation in kinds or re.fullmatch(r"__\w+__", function.name):
                yield argument.arg
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                made_by = ast.unparse(node.value.func)
                if made_by in kinds or made_by.endswith(".__new__"):
                    yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_nobody_touches_another_objects_underscore_name() -> None:
    problems = []
    for module in MODULES:
        visitor = UnderscoreVisitor()
        visitor.visit(module.tree)
        problems += [f"{module.at(line)}: {text}" for line, text in visitor.found]
        for imported in module.imports():
            last = imported.target.rpartition(".")[2]
            if last.startswith("_") and not last.startswith("__") and imported.target != "__future__":
                problems.append(f"{module.at(imported.line)}: imports {imported.target}")
    fail_on(problems)


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(
        r"\bTODO\b|\bFIXME\b|\bXXX\b|raise NotImplementedError|doctest: *\+SKIP"
        r"|pytest\.(?:mark\.)?(?:skip|xfail)|\bimportorskip\b|unittest\.skip|\bSkipTest\b"
    )
    folders = ("chaosnb", "tests", "benchmarks", "fuzz", "demo", "docs", "notebooks", "binder")
    files = [
        p
        for folder in folders
        for p in (ROOT / folder).rglob("*")
        if p.suffix in {".py", ".ipynb", ".js", ".md"}
    ]
    fail_on(
        [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for path in sorted(files)
            if path != Path(__file__).resolve() and ".ipynb_checkpoints" not in path.parts
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if marks.search(line)
        ]
    )


def test_notebooks_are_committed_without_outputs() -> None:
    problems = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        for number, cell in enumerate(notebook["cells"], 1):
            if cell.get("outputs") or cell.get("execution_count") is not None:
                problems.append(
                    f"{path.name}: cell {number} has outputs; clear them (Edit > Clear Outputs of All Cells)"
                )
        if "widgets" in notebook["metadata"]:
            problems.append(f"{path.name}: holds the state of widgets")
    fail_on(problems)


def printed_by(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_chaosnb_loads_no_plotting_or_notebook_package(tmp_path: Path) -> None:
    code = (
        "import sys, pandas; before = {*sys.modules}; import chaosnb; chaosnb.figures; "
        "print(*({*sys.modules} - before))"
    )
    loaded = {name.split(".")[0] for name in printed_by(code, tmp_path).split()}
    assert "chaosnb" in loaded
    assert not loaded & LOADED_LATER


def test_importing_chaosnb_alone_loads_no_analysis(tmp_path: Path) -> None:
    code = "import sys, chaosnb; print(*sys.modules); chaosnb.analysis; print(*sys.modules)"
    before, after = printed_by(code, tmp_path).splitlines()
    assert not {"narwhals", "chaosnb.analysis"} & {*before.split()}
    assert {"narwhals", "chaosnb.analysis"} <= {*after.split()}


def test_importing_chaosnb_takes_little_longer_than_importing_pandas(tmp_path: Path) -> None:
    # CPU time in one process, after pandas: a busy machine stretches the clock on the wall, hardly this.
    code = (
        "import pandas, time; start = time.process_time(); import chaosnb; print(time.process_time() - start)"
    )
    extra_s = statistics.median(float(printed_by(code, tmp_path)) for _ in range(5))
    assert extra_s < MAX_EXTRA_IMPORT_S
