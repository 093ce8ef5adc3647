"""What the package offers by name: every name is there, documented, and errors have one root."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import chaosnb
from chaosnb import errors


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(chaosnb.__path__, "chaosnb.")]
    return [chaosnb, *(importlib.import_module(name) for name in names if not name.endswith("__main__"))]


def test_every_name_in_every_all_exists_once() -> None:
    for module in modules():
        names = module.__all__
        assert len(set(names)) == len(names), f"{module.__name__}.__all__ names something twice"
        missing = [name for name in names if not hasattr(module, name)]
        assert not missing, f"{module.__name__}.__all__ names what is not there: {missing}"


def test_every_public_function_class_and_module_has_a_docstring() -> None:
    for name in chaosnb.__all__:
        thing = getattr(chaosnb, name)
        if inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing):
            assert (thing.__doc__ or "").strip(), f"chaosnb.{name} has no docstring"


def test_dir_shows_every_public_name() -> None:
    assert set(chaosnb.__all__) <= set(dir(chaosnb))


@pytest.mark.parametrize(
    ("module", "wrong", "right"),
    [
        (chaosnb, "strem", "stream"),
        (chaosnb.analysis, "aproval_rate", "approval_rate"),
        (chaosnb.figures, "approval_rate", "approval_by"),
    ],
)
def test_a_name_that_is_none_is_an_error_that_says_which_there_are(
    module: ModuleType, wrong: str, right: str
) -> None:
    with pytest.raises(AttributeError, match=rf"{module.__name__} has no '{wrong}'") as caught:
        getattr(module, wrong)
    assert f"did you mean '{right}'?" in str(caught.value)
    assert all(name in str(caught.value) for name in module.__all__)


def test_every_error_is_a_chaosnb_error_and_drawn_in_the_tree() -> None:
    rooms: dict[type[BaseException], set[str]] = {}
    for module in modules():
        for thing in vars(module).values():
            if (
                inspect.isclass(thing)
                and issubclass(thing, BaseException)
                and thing.__module__.startswith("chaosnb")
            ):
                rooms.setdefault(thing, set()).add(".".join(module.__name__.split(".")[:2]))
    assert rooms
    for error, seen_in in rooms.items():
        if issubclass(error, errors.ChaosnbError):
            assert error.__module__ == "chaosnb.errors", f"{error.__name__} belongs in errors.py"
            assert error.__name__ in (errors.__doc__ or ""), f"{error.__name__} is not drawn in errors.py"
        else:
            # A signal, which is caught in the room that raises it.
            where = f"{error.__module__}.{error.__name__}"
            assert not error.__name__.endswith("Error"), f"{where} is not a ChaosnbError"
            assert len(seen_in) == 1, f"{where} leaves its room: {sorted(seen_in)}"
