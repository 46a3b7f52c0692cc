"""The member `ground` of `scene.json`: the ground's kind and shape in numbers, and as triangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crowd3d.files.arrays import FloatArray, checked
from crowd3d.files.strict_json import typed
from crowd3d.scene.frames import ExportFrame
from crowd3d.scene.ground import Ground
from crowd3d.scene.ground_mesh import ground_meshes
from crowd3d.scene.people import People
from crowd3d.scene.plane import Plane
from optim.ground.relief import OF_HINGE, Relief
from optim.ground.surface import LEVEL, LEVELS, SLOPE, STANDS, TERRAIN, Surface

OF_SURFACE = (SLOPE, STANDS, TERRAIN)
_PARTS = ("tilt", "hinges", "bumps", "centers", "mean", "information")  # arrays of a relief
_MOST_ROWS = 1000  # hinges or bumps
_MOST = 1e6  # camera heights, or height by place
_LEAST_REACH = 1e-3
_SAME = 1e-6  # of numbers that are told twice
_MESH_DIGITS = 4


def ground_to_dict(ground: Ground, frame: ExportFrame, people: People) -> dict[str, Any]:
    """The ground's kind, gravity, the numbers of its surface if it has one, and its mesh; camera frame."""
    surface = ground.surface
    told = None
    if surface is not None and surface.relief is not None:
        relief = surface.relief
        told = {
            "offset_m": surface.offset_m,
            **{name: getattr(relief, name) for name in _PARTS},
            "reach": relief.reach,
            "bump_sd": relief.bump_sd,
            "covariance": surface.covariance,
        }
    vertices, faces, count = [], [], 0
    for mesh in ground_meshes(ground, frame, people).values():
        vertices.append(np.round(mesh.vertices_m.reshape(-1, 3), _MESH_DIGITS) + 0.0)
        faces.append(mesh.faces + count)
        count += len(vertices[-1])
    return {
        "kind": ground.kind,
        "gravity": -(ground.normal if surface is None else surface.normal),
        "surface": told,
        "mesh": {"vertices_m": np.concatenate(vertices), "faces": np.concatenate(faces)},
    }


def surface_from_dict(values: Any, planes: Sequence[Plane]) -> Surface | None:
    """The surface that `ground_to_dict` told of; None where the ground is made of levels.

    Raises:
        KeyError, TypeError, ValueError, DataError: something is missing, malformed or beyond any ground.
    """
    if not planes:
        if values is not None:
            raise ValueError("there is a ground, but no plane")
        return None
    kind = typed(typed(values, dict)["kind"], str)
    gravity = checked(values["gravity"], (3,), "gravity of the ground")
    told = values["surface"]
    if np.abs(gravity + planes[0].normal).max() > _SAME:
        raise ValueError("gravity of the ground does not point against the first plane's normal")
    if told is not None:
        kinds: tuple[str, ...] = OF_SURFACE if len(planes) == 1 else ()
    else:
        kinds = (LEVEL if len(planes) == 1 else LEVELS,)
    if kind not in kinds:
        raise ValueError(
            f"ground of the kind {kind!r} is not told by {len(planes)} planes and "
            f"{'no surface' if told is None else 'a surface'}"
        )
    return None if told is None else _surface(typed(told, dict), kind, -gravity, planes[0])


def _surface(told: dict[str, Any], kind: str, normal: FloatArray, plane: Plane) -> Surface:
    offset_m = _number(told, "offset_m")
    if offset_m <= 0 or abs(offset_m - plane.offset_m) > _SAME * offset_m:
        raise ValueError("offset_m of the ground's surface is not that of the first plane")
    relief = Relief(
        tilt=_array(told, "tilt", -1),
        hinges=_array(told, "hinges", -1, OF_HINGE),
        bumps=_array(told, "bumps", -1),
        centers=_array(told, "centers", -1, 2),
        reach=_number(told, "reach"),
        bump_sd=_number(told, "bump_sd"),
    )
    if len(relief.tilt) not in (0, 2) or len(relief.bumps) != len(relief.centers):
        raise ValueError("the ground's tilt has not two numbers, or not every bump has its center")
    if max(len(relief.hinges), len(relief.bumps)) > _MOST_ROWS:
        raise ValueError(f"the ground has more than {_MOST_ROWS} hinges or bumps")
    if relief.reach < _LEAST_REACH or relief.bump_sd < 0:
        raise ValueError("reach and bump_sd of the ground are no lengths")
    count = len(relief.numbers)
    if not count or max(np.abs(relief.numbers).max(), relief.reach, relief.bump_sd) > _MOST:
        raise ValueError(f"the ground's surface has no numbers, or some beyond {_MOST:g}")
    if np.abs(relief.centers).max(initial=0.0) > _MOST:
        raise ValueError(f"centers of the ground are beyond {_MOST:g}")
    relief = replace(
        relief,
        mean=_array(told, "mean", count),
        information=_array(told, "information", count, count),
    )
    covariance = _array(told, "covariance", 4 + count, 4 + count)
    if (np.diag(covariance) < 0).any():
        raise ValueError("a variance in the covariance of the ground is negative")
    return Surface(kind, normal, offset_m, np.array([offset_m]), relief, covariance=covariance)


def _number(told: dict[str, Any], name: str) -> float:
    return float(checked(told[name], (), f"{name} of the ground"))


def _array(told: dict[str, Any], name: str, *shape: int) -> FloatArray:
    """Numbers of that shape (-1 = any length); an empty list is of any number of columns."""
    values = typed(told[name], list)
    if not values:
        values = np.zeros((0, *shape[1:]))
    return checked(values, shape, f"{name} of the ground")
