"""What other people's scripts rely on: names, signatures, fields, options of commands.

If a change is meant, write the list anew, and say it in CHANGELOG.md:

    python tests/test_api_surface.py --write
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from crowd3d.cli import main

LIST = Path(__file__).with_name("api_surface.json")
AGAIN = "python tests/test_api_surface.py --write"

# Packages that say themselves, in __all__, what is public.
PACKAGES = (
    *("crowd3d", "crowd3d.body", "crowd3d.data", "crowd3d.evaluate", "crowd3d.export"),
    *("crowd3d.lift", "crowd3d.models", "crowd3d.posterior", "crowd3d.scene", "crowd3d.synth"),
    *("tiling", "optim"),
)
OURS = ("crowd3d", "tiling", "optim")
# Names of other modules that users need to call those.
PROMISED = {
    "crowd3d.config": ("Config", "load", "pages", "preset_names"),
    "crowd3d.picture.camera_hint": ("CameraHint",),
    "crowd3d.progress": ("Progress", "Reporter"),
}


def surface() -> dict[str, Any]:
    """Everything public, as plain JSON values."""
    names = {package: importlib.import_module(package).__all__ for package in PACKAGES}
    found: dict[str, Any] = {}
    homes: dict[int, str] = {}  # where a thing was described first
    for package, public in {**names, **PROMISED}.items():
        module = importlib.import_module(package)
        found[package] = {}
        for name in sorted(set(public) - {"__version__"}):
            thing = getattr(module, name)
            home = homes.setdefault(id(thing), f"{package}.{name}") if callable(thing) else ""
            is_twin = home not in ("", f"{package}.{name}")
            found[package][name] = f"is {home}" if is_twin else _described(thing)
    errors = vars(importlib.import_module("crowd3d.errors"))
    found["crowd3d.errors"] = {
        name: f"{error.__base__.__name__}, exit code {error.exit_code}"
        for name, error in sorted(errors.items())
        if inspect.isclass(error)
    }
    found["command line"] = dict(_commands("crowd3d", main))
    return found


def _described(thing: Any) -> Any:
    if inspect.isclass(thing):
        return _class(thing)
    if callable(thing):
        return _signature(thing)
    if isinstance(thing, dict):
        return sorted(map(str, thing))
    if isinstance(thing, str | int | float | tuple):
        return repr(thing)
    return type(thing).__name__


def _class(kind: type) -> dict[str, Any]:
    """Constructor, fields and whatever else it offers, also from base classes of ours; of errors the bases."""
    if issubclass(kind, BaseException):
        return {"bases": [base.__name__ for base in kind.__mro__[1:-2]]}
    found: dict[str, Any] = {}
    bases = [base for base in kind.__mro__ if base.__module__.split(".")[0] in OURS]
    if not getattr(kind, "_is_protocol", False):
        found["()"] = _signature(kind)
    for base in reversed(bases):
        for name, value in vars(base).items():
            if not name.startswith("_") or name in ("__call__", "__len__", "__enter__"):
                found[name] = _member(value)
        for name, annotation in inspect.get_annotations(base).items():
            if not name.startswith("_"):
                found[name] = f"attribute: {_text(annotation)}"
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            found[field.name] = f"field: {_text(field.type)}"
    return dict(sorted(found.items()))


def _member(value: Any) -> str:
    if isinstance(value, staticmethod | classmethod):
        return f"{type(value).__name__} {_signature(value.__func__)}"
    if isinstance(value, property):
        return f"property {_signature(value.fget)}"
    if hasattr(value, "func"):  # cached_property
        return f"property {_signature(value.func)}"
    return _signature(value) if callable(value) else f"attribute: {type(value).__name__}"


def _signature(function: Any) -> str:
    """As it stands in the source; the same for every version of Python and NumPy."""
    signature = inspect.signature(function)
    parts, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
        elif parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        part = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        part += parameter.name
        if parameter.annotation is not parameter.empty:
            part += f": {_text(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            part += f" = {_default(parameter.default)}"
        parts.append(part)
    result = signature.return_annotation
    end = "" if result in (signature.empty, None) else f" -> {_text(result)}"
    return f"({', '.join(parts)}){end}"


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(value: Any) -> str:
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def _commands(path: str, command: click.Command) -> list[tuple[str, Any]]:
    """Every command with its arguments and options."""
    described = {_spelled(parameter): _option(parameter) for parameter in command.params}
    found: list[tuple[str, Any]] = [(path, described)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += _commands(f"{path} {name}", inner)
    return found


def _spelled(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return str(parameter.metavar or parameter.name).upper()
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def _option(parameter: click.Parameter) -> str:
    kind = parameter.type
    text = "|".join(kind.choices) if isinstance(kind, click.Choice) else kind.name
    if isinstance(parameter, click.Option):
        text = "flag" if parameter.is_flag else text
        if parameter.show_default:
            text += f" = {parameter.get_default(click.Context(click.Command('any')))!r}"
    return text + (", required" if parameter.required else "")


def _written(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1) + "\n"


def test_the_public_names_and_signatures_are_those_of_the_list() -> None:
    listed, found = LIST.read_text(encoding="utf-8"), _written(surface())
    changes = difflib.unified_diff(
        listed.splitlines(), found.splitlines(), "promised", "found", lineterm="", n=2
    )
    if listed != found:  # an assertion would show all of both
        pytest.fail("\n".join(["the public API has changed; if that is meant:", AGAIN, *changes]))


def test_the_list_is_whole() -> None:
    found = surface()
    for package, name in (
        ("crowd3d", "reconstruct"),
        ("crowd3d.body", "load"),
        ("crowd3d.models", "from_official"),
        ("crowd3d.evaluate", "scene_metrics"),
        ("tiling", "open_image"),
        ("optim", "fit_ground_camera"),
    ):
        assert str(found[package][name]).startswith("("), name
    assert found["crowd3d"]["Camera"]["focal_px"] == "field: float"
    assert "points_m: npt.ArrayLike" in found["crowd3d"]["Camera"]["project"]
    assert found["crowd3d"]["People"]["fisher"].startswith("field: ")
    assert {"--fov", "--overwrite", "-o / --out"} <= set(
        found["command line"]["crowd3d reconstruct"]
    )


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(f"usage: {AGAIN}")
    sys.path[0] = str(LIST.parents[1])  # `tests` itself has folders called like packages
    LIST.write_text(_written(surface()), encoding="utf-8")
