"""Replaces the body model of a scene; everybody keeps pose, stature and place of the feet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body import BodyModel
from crowd3d.body.model import PEOPLE_AT_ONCE
from crowd3d.body.refit import refit_betas
from crowd3d.errors import BodyError
from crowd3d.scene.scene import Scene

FloatArray = npt.NDArray[np.float64]

_FEET = (7, 8, 10, 11)  # ankles and balls of the feet
_TORSO = (1, 2, 16, 17)  # hips and shoulders, for a mesh whose keypoints are not known
_FAR_BETA = 5.0  # standard deviations at which a shape is worth a warning


@dataclass(frozen=True)
class _Standing:
    """Posed bodies: feet and torso (N, 3), and (N,) height of the lowest point along `up`; metres."""

    feet: FloatArray
    torso: FloatArray
    lowest: FloatArray


def rebody(scene: Scene, source: BodyModel, target: BodyModel) -> Scene:
    """The scene with `target` in place of the body it was made with.

    The 24 rotations stay; the shape is fitted to stature and bone lengths (`refit_betas`); the middle
    of the feet stays where it was along the ground, and the lowest point of the body at its height
    above it. Torso, HVIP and stature are those of the new body. Who has no place changes only the shape.

    Raises:
        BodyError: `source` is not the body that the scene names.
    """
    if source.name != scene.body:
        raise BodyError(
            f"the scene was made with the body {scene.body!r}, not with {source.name!r}; "
            "its betas mean nothing to another one"
        )
    people = scene.people
    up = _up(scene)
    known = np.isfinite(people.betas).all(axis=1)
    betas = np.full_like(people.betas, np.nan)
    betas[known] = refit_betas(source, target, torch.from_numpy(people.betas[known])).numpy()
    before = _stand(source, people.pose, people.betas, up)
    after = _stand(target, people.pose, betas, up)
    along = before.feet - after.feet
    along += (before.lowest - after.lowest - (along * up).sum(axis=1))[:, None] * up
    transl = people.transl_m + along
    torso = after.torso + transl
    hvip = _feet_of(scene, torso)
    warnings = list(scene.diagnostics.get("warnings", [])) + _doubts(betas, target.name)
    stature = target.stature_m(torch.from_numpy(betas).float()).double().numpy()
    told = replace(
        people,
        betas=betas,
        transl_m=transl,
        torso_m=torso,
        torso_px=np.where(people.placed[:, None], scene.camera.project(torso), people.torso_px),
        hvip_m=hvip,
        hvip_px=scene.camera.project(hvip),
        stature_m=np.where(people.placed, stature, np.nan),
    )
    diagnostics = scene.diagnostics | {"warnings": warnings, "body_before": scene.body}
    return replace(scene, people=told, body=target.name, diagnostics=diagnostics)


def _up(scene: Scene) -> FloatArray:
    """(N, 3) upward direction where each person stands; the camera's own without a ground.

    Of people without a place it is that of any plane: their places are NaN whatever is up.
    """
    if not scene.planes:
        return np.tile([0.0, -1.0, 0.0], (len(scene.people), 1))
    return np.stack([plane.normal for plane in scene.planes])[scene.people.plane]


def _feet_of(scene: Scene, torso_m: FloatArray) -> FloatArray:
    """(N, 3) where each torso stands on the ground; unchanged without one."""
    if not scene.planes:
        return scene.people.hvip_m
    if scene.surface is not None:
        return scene.ground.feet_m(torso_m, scene.people.plane)
    planes = [scene.planes[i] for i in scene.people.plane]
    feet = [plane.foot_m(point) for plane, point in zip(planes, torso_m, strict=True)]
    return np.array(feet).reshape(-1, 3)


def _stand(body: BodyModel, pose: FloatArray, betas: FloatArray, up: FloatArray) -> _Standing:
    """Everybody posed at the origin."""
    parts = [np.zeros((0, 7))]
    for start in range(0, len(pose), PEOPLE_AT_ONCE):
        at = slice(start, start + PEOPLE_AT_ONCE)
        with torch.inference_mode():
            out = body(torch.from_numpy(pose[at]).float(), torch.from_numpy(betas[at]).float())
            torso = out.joints[:, list(_TORSO)].mean(dim=1)
            if body.has_keypoints:
                torso = body.torso(out.vertices)
            heights = torch.einsum("nvx,nx->nv", out.vertices, torch.from_numpy(up[at]).float())
        feet = out.joints[:, list(_FEET)].mean(dim=1)
        parts.append(
            torch.cat([feet, torso, heights.amin(1, keepdim=True)], dim=1).double().numpy()
        )
    feet, torso, lowest = np.split(np.concatenate(parts), [3, 6], axis=1)
    return _Standing(feet, torso, lowest[:, 0])


def _doubts(betas: FloatArray, name: str) -> list[str]:
    far = int((np.abs(betas) > _FAR_BETA).any(axis=1).sum())
    if not far:
        return []
    return [
        f"{far} people have shapes more than {_FAR_BETA:.0f} standard deviations from the mean of "
        f"{name}: it was made for other statures (children, say)"
    ]
