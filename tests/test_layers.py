"""Who may import whom: the house has rooms on floors, and data flows one way through it."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from helpers.paths import ROOT

# From the ground floor up. A room is a package with all that is in it, or one file. It may import from the
# floors below its own, and from no other room of its own floor.
FLOORS = (
    ("tiling", "optim", "crowd3d.errors", "crowd3d.progress", "crowd3d.version"),
    ("crowd3d.maths", "crowd3d.files", "crowd3d.config"),
    ("crowd3d.scene", "crowd3d.body"),
    ("crowd3d.ground", "crowd3d.models", "crowd3d.export", "crowd3d.data"),
    ("crowd3d.picture", "crowd3d.synth", "crowd3d.evaluate"),
    ("crowd3d.detect", "crowd3d.lift", "crowd3d.patches"),
    ("crowd3d.refine",),
    ("crowd3d.pipeline",),
    ("crowd3d.api", "crowd3d.posterior"),
    # `crowd3d.__init__` names what users import; nothing in the house imports it.
    ("crowd3d.batch", "crowd3d.training", "crowd3d.__init__"),
    ("crowd3d.commands", "crowd3d.cli", "crowd3d.__main__", "crowd3d.configs", "benchmarks"),
)
MOST_FLOORS = 11
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}

# Neighbours on one floor that may meet, in this direction.
NEIGHBOURS = {
    ("crowd3d.__main__", "crowd3d.cli"),
    ("crowd3d.config", "crowd3d.files"),  # settings are a file
}

# The stages of a run meet in `pipeline`; between them only these arrows are allowed, whatever the floors.
STAGES = {
    "crowd3d.picture": set(),
    "crowd3d.ground": set(),
    "crowd3d.export": set(),
    "crowd3d.detect": {"crowd3d.picture"},
    "crowd3d.lift": {"crowd3d.picture"},
    "crowd3d.patches": {"crowd3d.picture"},
    "crowd3d.refine": {"crowd3d.picture", "crowd3d.lift"},
}

# These two are of use without the rest, and `tiling` without a network.
FOREIGN = {"tiling": {"torch"}, "optim": set()}

# Arrows that are still to be straightened, as (file, imported module). The list can only shrink: one that
# is no longer there fails the test.
KNOWN: set[tuple[str, str]] = set()

MOST_FILES_AT_THE_ROOT = 9


class Import(NamedTuple):
    """One name that a file imports: which module of ours it is, or of which foreign package."""

    file: str
    line: int
    importer: str
    imported: str


def _files() -> dict[str, Path]:
    """Module -> file; a package's own file is PACKAGE.__init__."""
    found = {}
    for top in ("tiling", "optim", "crowd3d", "benchmarks"):
        for path in (ROOT / top).rglob("*.py"):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    found["crowd3d.configs.__init__"] = ROOT / "configs" / "__init__.py"
    return found


FILES = _files()


def _module(name: str) -> str | None:
    """Our module of that dotted name; scripts of `benchmarks` import each other without that prefix."""
    for candidate in (name, f"{name}.__init__", f"benchmarks.{name}"):
        if candidate in FILES:
            return candidate
    return None


def _imports_of(importer: str, text: str) -> Iterator[Import]:
    """All that a file imports, also inside functions and only for type checkers."""
    file = FILES[importer].relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = importer.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            # `from package import name` is of the module `package.name`, if there is one.
            names = [
                inner if _module(inner := f"{base}.{alias.name}") else base for alias in node.names
            ]
        for name in names:
            yield Import(file, node.lineno, importer, _module(name) or name.split(".")[0])


def _room(module: str) -> str | None:
    return next((room for room in FLOOR if f"{module}.".startswith(f"{room}.")), None)


ALL = [
    one
    for module, path in sorted(FILES.items())
    for one in _imports_of(module, path.read_text(encoding="utf-8"))
]


def _is_allowed(source: str, target: str) -> bool:
    """Whether one room may import from another."""
    if source == target or (source, target) in NEIGHBOURS:
        return True
    if source in STAGES and target in STAGES and target not in STAGES[source]:
        return False
    return FLOOR[target] < FLOOR[source]


def _circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way from something back to itself; empty if there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_file_has_a_room_and_every_room_a_file() -> None:
    rooms = {module: _room(module) for module in FILES}
    homeless = sorted(module for module, room in rooms.items() if room is None)
    assert not homeless, f"give them a room in FLOORS: {homeless}"
    assert not set(FLOOR) - set(rooms.values()), "rooms that are empty"
    assert len(FLOORS) <= MOST_FLOORS


def test_imports_go_down_only() -> None:
    wrong = [
        one
        for one in ALL
        if one.imported in FILES and not _is_allowed(_room(one.importer), _room(one.imported))
    ]
    new = [
        f"{one.file}:{one.line} imports {one.imported}"
        for one in wrong
        if (one.file, one.imported) not in KNOWN
    ]
    assert not new, "\n".join(["may not (see FLOORS and STAGES):", *new])
    straightened = KNOWN - {(one.file, one.imported) for one in wrong}
    assert not straightened, f"take them out of KNOWN: {sorted(straightened)}"


def test_there_is_no_circle_of_rooms_or_files() -> None:
    rooms: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for one in ALL:
        if one.imported in FILES and one.importer != one.imported:
            files.setdefault(one.importer, set()).add(one.imported)
            source, target = _room(one.importer), _room(one.imported)
            if source != target and (one.file, one.imported) not in KNOWN:
                rooms.setdefault(source, set()).add(target)
    for arrows in (rooms, files):
        circle = _circle(arrows)
        assert not circle, f"a circle: {' <- '.join(circle)}"


def test_tiling_and_optim_stand_alone() -> None:
    ours = {room.split(".")[0] for room in FLOOR}
    for one in ALL:
        top = one.importer.split(".")[0]
        if top in FOREIGN:
            used = one.imported.split(".")[0]
            assert used not in (ours - {top}) | FOREIGN[top], (
                f"{one.file}:{one.line} imports {used}"
            )


def test_imports_are_found_wherever_they_stand() -> None:
    text = """
import os, tiling.merge as merge
from . import plane
from ..maths import box
from .people import People
if TYPE_CHECKING:
    from crowd3d import api
def late():
    from crowd3d.body import BodyModel
"""
    found = [one.imported for one in _imports_of("crowd3d.scene.camera", text)]
    assert sorted(found) == [
        "crowd3d.api",
        "crowd3d.body.__init__",
        "crowd3d.maths.box",
        "crowd3d.scene.people",
        "crowd3d.scene.plane",
        "os",
        "tiling.merge",
    ]


def test_rules_can_be_broken() -> None:
    assert _is_allowed("crowd3d.refine", "crowd3d.lift")
    assert not _is_allowed("crowd3d.refine", "crowd3d.detect")  # below it, but another stage
    assert not _is_allowed("crowd3d.picture", "crowd3d.ground")
    assert not _is_allowed("crowd3d.scene", "crowd3d.body")  # on one floor
    assert not _is_allowed("crowd3d.files", "crowd3d.scene")  # upwards
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) and not _circle({"a": {"b"}, "b": {"c"}})
    assert _room("crowd3d.scene.plane") == "crowd3d.scene" and _room("crowd3d.stray") is None


def test_few_files_stand_at_the_root() -> None:
    files = sorted(path.name for path in (ROOT / "crowd3d").glob("*.py"))
    assert len(files) <= MOST_FILES_AT_THE_ROOT, files


def test_the_wheel_has_the_packages_that_are_on_the_disk() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    on_disk = {
        module.rpartition(".")[0] for module in FILES if module.split(".")[0] != "benchmarks"
    }
    assert sorted(listed) == sorted(on_disk)
    bare = [name for name in on_disk if f"{name}.__init__" not in FILES]
    assert not bare, f"folders without __init__.py: {bare}"
