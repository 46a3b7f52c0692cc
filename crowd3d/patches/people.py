"""Join what Crowd3DNet saw in overlapping patches: from one row per look to one row per person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import is_body_part
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import N_BETAS, N_JOINTS, N_KEYPOINTS, UNKNOWN, People
from crowd3d.scene.plane import Plane
from optim.geometry import normal_from_pitch_roll, pitch_roll_from_normal
from tiling import Tile, merge_detections, view_quality

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Two looks show the same person if their torso centres are nearer than this share of the height of their boxes.
# The published system uses a tenth of the patch's side, and people are about half as tall as the patch.
_TWIN_SHARE = 0.2
# Assumed standard deviation of a ground point in pixels, as a share of the height of the box.
_HVIP_SD = 0.02
_STEP = 1e-4  # of numerical derivatives


@dataclass
class PatchLooks:
    """One row per look, that is, a person as seen in one patch; the same person may have several.

    Attributes:
        tile: (N,) index of the patch; score: (N,) 0..1; box_px: (N, 4) xyxy around the body.
        keypoints_px: (N, 17, 2) COCO keypoints of the body.
        pose, betas, transl_m, torso_m, hvip_px, stature_m: as in `People`.
        is_cut: (N,) whether the box reaches an inner border of its patch.
    """

    tile: npt.NDArray[np.int64]
    score: FloatArray
    box_px: FloatArray
    keypoints_px: FloatArray
    pose: FloatArray
    betas: FloatArray
    transl_m: FloatArray
    torso_m: FloatArray
    hvip_px: FloatArray
    stature_m: FloatArray
    is_cut: BoolArray

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_finite(self) -> BoolArray:
        """(N,) whether all numbers of a row are finite."""
        good = np.ones(len(self), bool)
        for f in fields(self):
            values = getattr(self, f.name)
            good &= np.isfinite(values).reshape(len(self), int(np.prod(values.shape[1:]))).all(1)
        return good

    @classmethod
    def empty(cls) -> PatchLooks:
        """Nobody."""
        rows = {
            "tile": np.zeros(0, np.int64),
            "is_cut": np.zeros(0, bool),
            "box_px": np.zeros((0, 4)),
            "keypoints_px": np.zeros((0, N_KEYPOINTS, 2)),
            "pose": np.zeros((0, N_JOINTS, 3)),
            "betas": np.zeros((0, N_BETAS)),
            "hvip_px": np.zeros((0, 2)),
            "score": np.zeros(0),
            "stature_m": np.zeros(0),
        }
        return cls(**rows, transl_m=np.zeros((0, 3)), torso_m=np.zeros((0, 3)))

    def filter(self, keep: BoolArray | npt.NDArray[np.int64]) -> PatchLooks:
        """The looks that a mask or an index array selects, in that order."""
        return PatchLooks(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    @classmethod
    def cat(cls, parts: Sequence[PatchLooks]) -> PatchLooks:
        """All looks of several structs, in order."""
        parts = [cls.empty(), *parts]
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


def one_row_each(looks: PatchLooks, tiles: Sequence[Tile], fitted: Fitted) -> People:
    """One row for each person: the best look at them, sorted from top to bottom of the picture."""
    looks = looks.filter(~looks.is_cut)
    if len(looks) == 0:
        return People.empty()
    where = np.array([[t.x, t.y, t.side_w, t.side_h] for t in tiles])[looks.tile]
    trust = view_quality(looks.box_px, where)
    points = np.concatenate([looks.keypoints_px, np.ones((len(looks), N_KEYPOINTS, 1))], axis=2)
    merged = merge_detections(points, looks.box_px, looks.score, trust, looks.tile)
    shown = [set(looks.tile[merged.labels == k]) for k in range(len(merged.order))]
    order = merged.order[~_is_twin(looks.filter(merged.order), shown)]
    best, rank = looks.filter(order), (looks.score * trust)[order]
    best = best.filter(~is_body_part(best.box_px, rank))
    best = best.filter(np.lexsort((best.box_px[:, 0], best.box_px[:, 1])))
    return _to_people(best, fitted)


def _is_twin(people: PatchLooks, shown: Sequence[set[int]]) -> BoolArray:
    """(N,) whether a torso nearly coincides in the picture with that of a better person.

    Args:
        people: one row per person, the best first.
        shown: patches in which each is seen. Two people seen in the same patch are not twins, because the
            network found both.
    """
    torso_px = people.keypoints_px[:, list(TORSO_KEYPOINTS)].mean(axis=1)
    reach = _TWIN_SHARE * (people.box_px[:, 3] - people.box_px[:, 1])
    pairs = cKDTree(torso_px).query_pairs(float(reach.max()), output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    twin = np.zeros(len(people), bool)
    for better, worse in pairs:
        apart = float(np.linalg.norm(torso_px[better] - torso_px[worse]))
        near = apart < min(reach[better], reach[worse])
        twin[worse] |= not twin[better] and near and shown[better].isdisjoint(shown[worse])
    return twin


def _to_people(looks: PatchLooks, fitted: Fitted) -> People:
    camera, plane = fitted.camera, fitted.planes[0]
    n = len(looks)
    hvip_m = plane.foot_m(looks.torso_m)
    scores = np.repeat(looks.score[:, None, None], N_KEYPOINTS, axis=1)
    height_px = looks.box_px[:, 3] - looks.box_px[:, 1]
    hvip_px = camera.project(hvip_m)
    return replace(
        People.empty(n),
        id=np.arange(n),
        score=looks.score,
        box_px=looks.box_px,
        keypoints_px=np.concatenate([looks.keypoints_px, scores], axis=2),
        pose=looks.pose,
        betas=looks.betas,
        transl_m=looks.transl_m,
        torso_px=camera.project(looks.torso_m),
        torso_m=looks.torso_m,
        hvip_px=hvip_px,
        hvip_m=hvip_m,
        stature_m=looks.stature_m,
        footing=np.full(n, UNKNOWN),
        position_cov_m2=ground_covariance(hvip_px, _HVIP_SD * height_px, fitted),
    )


def ground_covariance(hvip_px: FloatArray, sd_px: FloatArray, fitted: Fitted) -> FloatArray:
    """(N, 3, 3) covariance of ground points in m^2, from errors of their pixels and of camera and ground.

    The derivatives of the point where the ray meets the plane are central differences: by the pixel and by the
    four unknowns of `Fitted.covariance`.

    Args:
        hvip_px: (N, 2) pixels of the ground points; sd_px: (N,) standard deviations of these pixels.
    """
    camera, plane = fitted.camera, fitted.planes[0]
    half = np.array([0.5, 0.0]), np.array([0.0, 0.5])
    by_pixel = [_meet(camera, plane, hvip_px + h) - _meet(camera, plane, hvip_px - h) for h in half]
    J = np.stack(by_pixel, axis=-1) * sd_px[:, None, None]
    by_camera = [
        (_meet(*_moved(camera, plane, k, _STEP), hvip_px) - _meet(*_moved(camera, plane, k, -_STEP), hvip_px))
        / (2 * _STEP)
        for k in range(4)
    ]  # fmt: skip
    C = np.stack(by_camera, axis=-1)
    covariance = J @ J.transpose(0, 2, 1) + C @ fitted.covariance @ C.transpose(0, 2, 1)
    return np.asarray(np.nan_to_num(covariance))


def _meet(camera: Camera, plane: Plane, pixel: FloatArray) -> FloatArray:
    return plane.intersect_m(camera.rays(pixel))


def _moved(camera: Camera, plane: Plane, parameter: int, step: float) -> tuple[Camera, Plane]:
    """Camera and plane after a step in unknown 0..3: log focal, pitch, roll or log offset."""
    if parameter == 0:
        return replace(camera, focal_px=camera.focal_px * float(np.exp(step))), plane
    if parameter == 3:
        return camera, replace(plane, offset_m=plane.offset_m * float(np.exp(step)))
    pitch, roll = pitch_roll_from_normal(plane.normal)
    turned = (pitch + step, roll) if parameter == 1 else (pitch, roll + step)
    return camera, replace(plane, normal=normal_from_pitch_roll(*turned))
