"""Reads the recipe of a training, one YAML page, into dataclasses whose defaults say what kind a value is."""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from crowd3d.config import pages
from crowd3d.errors import ConfigError
from crowd3d.files import strict_yaml

T = TypeVar("T")

_AT_LEAST_ONE = ("steps", "batch")  # keys of numbers that a training cannot do without
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    dict: "a table",
}


def read_page(kind: type[T], page: str | Path, **changes: Any) -> T:
    """A recipe from YAML; `changes` that are not None override its top level.

    Args:
        kind: the dataclass, every field of which has a default; it may hold further ones, and
            dictionaries of them or of numbers.
        page: a YAML file, or the name of a recipe that ships with the package.

    Raises:
        ConfigError: no such page, or it cannot be read, or holds an unknown key or a value of the wrong kind.
    """
    values = strict_yaml.read(_source(page))
    changed = {key: value for key, value in changes.items() if value is not None}
    recipe: T = _build(kind, _mapping(values, f"the recipe {page}") | changed, str(page))
    return recipe


def _source(page: str | Path) -> Any:
    """The file of a page: whatever looks like one, or what ships under that name."""
    if isinstance(page, Path) or page.endswith((".yaml", ".yml")) or "/" in page:
        return Path(page)
    shipped = pages("recipes")
    if page not in shipped:
        near = difflib.get_close_matches(page, shipped, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no recipe is called {page!r}; known: {', '.join(shipped)}{hint}")
    return shipped[page]


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must hold keys and values")
    return values


def _build(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    """A dataclass from nested plain values."""
    defaults, kinds = kind(), get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
        place = f"{where}, {key}"
        inner: Any = (kinds[key], *get_args(kinds[key]))[-1]  # of a dictionary, its values
        is_recipe = dataclasses.is_dataclass(inner)
        if not is_recipe:
            made[key] = _checked(value, getattr(defaults, key), f"{where}: {key}")
            if key in _AT_LEAST_ONE and made[key] < 1:
                raise ConfigError(f"{where}: {key} must be at least 1, not {value!r}")
        elif inner is kinds[key]:
            made[key] = _build(inner, _mapping(value or {}, place), place)
        else:
            made[key] = {
                name: _build(inner, _mapping(page or {}, f"{place}, {name}"), f"{place}, {name}")
                for name, page in _mapping(value or {}, place).items()
            }
    return kind(**made)


def _checked(value: Any, default: Any, where: str) -> Any:
    """The value as the kind of the default: a number, a word, a dictionary, or as many numbers or any words."""
    if isinstance(default, tuple):
        items = list(value) if isinstance(value, (list, tuple)) else None
        words = not default or isinstance(default[0], str)
        if items is None or (not words and len(items) != len(default)):
            raise ConfigError(f"{where} must be a list like {list(default)}, not {value!r}")
        return tuple(_checked(item, default[0] if default else "", where) for item in items)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise ConfigError(f"{where} must be {_KINDS[type(default)]}, not {value!r}")
    return _checked_numbers(value, default, where) if isinstance(default, dict) else value


def _checked_numbers(values: Any, default: dict[str, Any], where: str) -> dict[str, Any]:
    """Numbers by name, of the kind of the default's. Whole ones are sizes, which have fixed names."""
    kind = next(iter(default.values()))
    if isinstance(kind, int) and set(values) - set(default):
        raise ConfigError(f"{where} has {', '.join(default)}, not {', '.join(map(str, values))}")
    return {name: _checked(value, kind, f"{where}, {name}") for name, value in values.items()}
