"""What a synthetic picture shows, exactly: arrays without pickles, and LargeCrowd's annotation format."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d import body
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.data.truth import GHOST_BELOW
from crowd3d.errors import DataError
from crowd3d.files.arrays import load_arrays
from crowd3d.maths.raycast import RayCaster
from crowd3d.synth.cast.people import in_camera_frame
from crowd3d.synth.draw.render import Setting
from crowd3d.synth.place.world import BOX_FACES

FloatArray = npt.NDArray[np.float64]

_SELF_M = 0.13  # a keypoint lies inside its limb; the own surface so far before it does not hide it
_ABOVE_ALL_M = 60.0  # higher than any ground is above a point that is asked for
_SAMPLES = 8  # every so many vertices of the coarse body test its visibility
_OCCLUDED_BELOW, _TRUNCATED_ABOVE = 0.45, 0.10


@dataclass
class Truth:
    """One row a person; metres in the camera frame, pixels of the full picture.

    Attributes:
        id: (N,); plane: (N,) index of the plane; stature_m: (N,); child, seated: (N,) bool. Who sits, sits on
            a seat whose top is at the underside of the thighs and has the feet on the surface, or on somebody's
            shoulders.
        pose: (N, 24, 3), betas: (N, 10), transl_m: (N, 3) of the body `open`.
        joints_m: (N, 24, 3); torso_m, hvip_m: (N, 3); torso_px, hvip_px: (N, 2). The hvip is the point of the
            surface straight below the torso, along gravity; of raised levels, of the person's own.
        keypoints_px: (N, 17, 3) u, v, and COCO's visibility: 0 outside, 1 hidden, 2 seen.
        keypoints_m: (N, 17, 3).
        boxes_px: (N, 4) xyxy of the whole body, clipped to the picture.
        visibility: (N,) share of the body's front that no other body hides and the picture shows.
        inside: (N,) share of the body's box that lies in the picture.
        normals: (P, 3), offsets_m: (P,): the planes; of smooth terrain, the one that fits it best.
        focal_px, center_px, image_size: the camera.
        gravity: (3,) unit vector that points down.
        height_m: (N,) of the lowest point above the surface of who is on another's shoulders; 0 for the others:
            a stage is a part of the surface, and who sits has the feet on it.
        surface_vertices_m: (V, 3), surface_faces: (F, 3): all that people may walk on, as triangles that face
            up; treads without risers. Exact, as bodies stand on these triangles. (0, 3) in old files.
    """

    id: npt.NDArray[np.int64]
    plane: npt.NDArray[np.int64]
    stature_m: FloatArray
    child: npt.NDArray[np.bool_]
    seated: npt.NDArray[np.bool_]
    pose: FloatArray
    betas: FloatArray
    transl_m: FloatArray
    joints_m: FloatArray
    torso_m: FloatArray
    hvip_m: FloatArray
    torso_px: FloatArray
    hvip_px: FloatArray
    keypoints_px: FloatArray
    keypoints_m: FloatArray
    boxes_px: FloatArray
    visibility: FloatArray
    inside: FloatArray
    normals: FloatArray
    offsets_m: FloatArray
    focal_px: FloatArray
    center_px: FloatArray
    image_size: npt.NDArray[np.int64]
    gravity: FloatArray = field(default_factory=lambda: np.full(3, np.nan))
    height_m: FloatArray = field(default_factory=lambda: np.zeros(0))
    surface_vertices_m: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))
    surface_faces: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))

    def __post_init__(self) -> None:
        """Fills what files of version 0.4 and before lack, where their planes say it."""
        if np.isnan(self.gravity).any() and len(self.normals):
            self.gravity = -np.asarray(self.normals[0], np.float64)
        if len(self.height_m) != len(self.id):
            self.height_m = np.zeros(len(self.id))

    def __len__(self) -> int:
        return len(self.id)

    def above_surface_m(self, points_m: npt.ArrayLike) -> FloatArray:
        """(N, 3) points, camera frame -> (N,) their heights above the surface along gravity; NaN beyond it."""
        points = np.asarray(points_m, np.float64).reshape(-1, 3)
        caster = RayCaster(self.surface_vertices_m, self.surface_faces)
        ways = np.tile(self.gravity, (len(points), 1))
        face, away_m = caster.cast(ways, points - _ABOVE_ALL_M * self.gravity)
        return np.where(face >= 0, away_m - _ABOVE_ALL_M, np.nan)

    def save(self, path: str | Path) -> None:
        """Write every array into an `.npz` that needs no pickles."""
        with open(path, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **vars(self))

    @classmethod
    def load(cls, path: str | Path) -> Truth:
        """Read what `save` wrote, now or when there was no surface yet; raises DataError."""
        arrays = load_arrays(Path(path))
        needed = [f.name for f in fields(cls) if f.default_factory is MISSING]
        if missing := [name for name in needed if name not in arrays]:
            raise DataError(f"{path} has no {missing[0]!r}; is it the truth of `crowd3d synth`?")
        return cls(**{f.name: arrays[f.name] for f in fields(cls) if f.name in arrays})


def truth_of(setting: Setting) -> Truth:
    """Everything that is known about the people of a setting, without drawing it."""
    world, bodies, cast = setting.world, setting.bodies, setting.cast
    view, count = world.view, len(cast)
    pose, transl_m = in_camera_frame(bodies, world)
    keypoints_m = view.to_camera(bodies.keypoints_m)
    torso_m = keypoints_m[:, TORSO_KEYPOINTS].mean(axis=1)
    planes = [view.plane(level) for level in world.levels_m]
    hvip_m = _feet_m(setting, torso_m)
    vertices = view.to_camera(bodies.crowd_vertices_m)
    boxes, inside = _boxes(view.camera.project(vertices), setting.size)
    flags, visibility = _visibility(setting, vertices, keypoints_m)
    keypoints_px = view.camera.project(keypoints_m)
    return Truth(
        id=np.arange(count),
        plane=cast.level,
        stature_m=_statures(bodies.betas),
        child=cast.child,
        seated=cast.seated,
        pose=pose,
        betas=bodies.betas,
        transl_m=transl_m,
        joints_m=view.to_camera(bodies.joints_m),
        torso_m=torso_m,
        hvip_m=hvip_m,
        torso_px=view.camera.project(torso_m),
        hvip_px=view.camera.project(hvip_m),
        keypoints_px=np.concatenate([keypoints_px, flags[..., None]], axis=-1),
        keypoints_m=keypoints_m,
        boxes_px=boxes,
        visibility=visibility,
        inside=inside,
        normals=np.array([p.normal for p in planes]),
        offsets_m=np.array([p.offset_m for p in planes]),
        focal_px=np.array(view.camera.focal_px),
        center_px=np.array(view.camera.center_px),
        image_size=np.array(setting.size),
        gravity=-view.rotation[:, 1],
        height_m=_heights_m(setting),
        surface_vertices_m=view.to_camera(world.surface.vertices_m),
        surface_faces=world.surface.faces,
    )


def _feet_m(setting: Setting, torso_m: FloatArray) -> FloatArray:
    """(N, 3) the point of the surface straight below each torso, camera frame; of a level, its plane's."""
    world = setting.world
    up, rows = world.view.rotation[:, 1], []
    below = setting.bodies.keypoints_m[:, TORSO_KEYPOINTS].mean(axis=1)
    for (x, _, z), level, torso in zip(below, setting.cast.level, torso_m, strict=True):
        floor = world.floor(float(x), float(z), level)
        away = world.view.plane(floor).signed_height_m(torso) / floor.normal[1]
        rows.append(torso - away * up)
    return np.array(rows, np.float64).reshape(-1, 3)


def _heights_m(setting: Setting) -> FloatArray:
    """(N,) of the lowest point of everybody who is carried above the surface; 0 of who is on it."""
    cast, world = setting.cast, setting.world
    found = np.zeros(len(cast))
    for i in np.flatnonzero(cast.carrier >= 0):
        x, _, z = setting.bodies.joints_m[i, 0]
        found[i] = setting.bodies.bounds_m[i, 0, 1] - world.floor_m(
            float(x), float(z), cast.level[i]
        )
    return found


def _statures(betas: FloatArray) -> FloatArray:
    import torch

    model = body.load("open", "full")
    return np.asarray(model.stature_m(torch.as_tensor(betas, dtype=torch.float32)), np.float64)


def _boxes(points_px: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Boxes (N, 4) around (N, V, 2) points, clipped, and the share of each inside the picture."""
    low, high = points_px.min(axis=1), points_px.max(axis=1)
    clipped = np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)], axis=1)
    area = np.prod(high - low, axis=1)
    kept = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
    return clipped, np.asarray(kept / np.maximum(area, 1e-9))


def _visibility(
    setting: Setting, vertices_m: FloatArray, keypoints_m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """COCO flags (N, 17) and the visible share (N,), by rays from the camera against all bodies."""
    count, per_body = vertices_m.shape[:2]
    if not count:
        return np.zeros((0, 17)), np.zeros(0)
    faces = body.load("open", "crowd").faces.numpy()
    all_faces = (faces[None] + per_body * np.arange(count)[:, None, None]).reshape(-1, 3)
    world = setting.world
    solid = world.view.to_camera(world.boxes.corners_m()).reshape(-1, 3)
    solid_faces = (BOX_FACES[None] + 8 * np.arange(len(solid) // 8)[:, None, None]).reshape(-1, 3)
    if world.land is not None:  # of planes, none hides who stands on it
        land = world.land.surface
        solid_faces = np.concatenate([solid_faces, land.faces + len(solid)])
        solid = np.concatenate([solid, world.view.to_camera(land.vertices_m)])
    everything = np.concatenate([vertices_m.reshape(-1, 3), solid])
    caster = RayCaster(everything, np.concatenate([all_faces, solid_faces + count * per_body]))
    owners = np.concatenate(
        [np.repeat(np.arange(count), len(faces)), np.full(len(solid_faces), -1)]
    )

    def first(
        points_m: FloatArray, margin_m: float
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """For (N, K, 3) points: hidden by another, hidden by the own body."""
        who = np.repeat(np.arange(count), points_m.shape[1])
        flat = points_m.reshape(-1, 3)
        face, distance = caster.cast(flat)
        before = (face >= 0) & (distance < np.linalg.norm(flat, axis=1) - margin_m)
        own = owners[face] == who
        other = before & ~own
        return other.reshape(count, -1), (before & own).reshape(count, -1)

    size = np.array(setting.size)
    camera = setting.world.view.camera

    def shown(points_m: FloatArray) -> npt.NDArray[np.bool_]:
        pixels = camera.project(points_m)
        return np.asarray(((pixels >= 0) & (pixels < size)).all(axis=-1))

    by_other, by_self = first(keypoints_m, _SELF_M)
    flags = np.where(shown(keypoints_m), np.where(by_other | by_self, 1.0, 2.0), 0.0)
    samples = vertices_m[:, ::_SAMPLES]
    by_other, by_self = first(samples, 0.01)
    front = ~by_self
    clear = front & ~by_other & shown(samples)
    return flags, np.asarray(clear.sum(axis=1) / np.maximum(front.sum(axis=1), 1))


def annotation(truth: Truth, image_name: str) -> dict[str, Any]:
    """LargeCrowd's annotation of one picture: 2D values as ratios of its width and height, 3D in metres.

    `crowd3d.data.largecrowd` describes and reads it. `visibility`, COCO's flag of each keypoint, is added.
    """
    width, height = (int(v) for v in truth.image_size)
    size = np.array([width, height], np.float64)
    people = []
    for i in range(len(truth)):
        seen = truth.visibility[i]
        kind = "normal"
        if seen < GHOST_BELOW:
            kind = "ghost"
        elif truth.inside[i] < 1 - _TRUNCATED_ABOVE:
            kind = "truncation"
        elif seen < _OCCLUDED_BELOW:
            kind = "severe_occlusion"
        people.append(
            {
                "bbox": (truth.boxes_px[i].reshape(2, 2) / size).ravel().tolist(),
                "keypoints": (truth.keypoints_px[i, :, :2] / size).ravel().tolist(),
                "type": kind,
                "hvip2d": (truth.hvip_px[i] / size).tolist(),
                "hvip3d": truth.hvip_m[i].tolist(),
                "torso_center": truth.torso_m[i].tolist(),
                "visibility": truth.keypoints_px[i, :, 2].astype(int).tolist(),
            }
        )
    return {"image_shape": {"height": height, "width": width}, "frame_info": {image_name: people}}


def write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Plain JSON, the same bytes for the same values."""
    Path(path).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
