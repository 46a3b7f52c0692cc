"""`predict.json`: the file format of the LargeCrowd and GigaCrowd benchmarks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from crowd3d.body.model import PEOPLE_AT_ONCE
from crowd3d.body.tree import TORSO_KEYPOINTS
from crowd3d.errors import BodyError, DataError, SceneError
from crowd3d.files import atomic, strict_json
from crowd3d.files.located_json import Node
from crowd3d.scene.people import N_BETAS, N_JOINTS, N_KEYPOINTS, People
from crowd3d.scene.scene import Scene
from optim.ground.surface import SLOPE

if TYPE_CHECKING:
    from crowd3d.body import BodyModel

FloatArray = npt.NDArray[np.float64]

_HANDS = slice(22, 24)


@dataclass(frozen=True)
class Predicted:
    """What the file says of one picture.

    Attributes:
        K: (3, 3) intrinsic matrix, pixels.
        pose: (N, 24, 3) axis-angle; betas: (N, 10); transl_m: (N, 3) added to the raw body.
        scale: (N,) the raw body is enlarged by this before it is moved.
        hvip_px, hvip_m: (N, 2) and (N, 3) feet of the torso centres; NaN where the file has none.
        body: name of the body the betas belong to, per person; "smpl" where the file is silent.
    """

    K: FloatArray
    pose: FloatArray
    betas: FloatArray
    transl_m: FloatArray
    scale: FloatArray
    hvip_px: FloatArray
    hvip_m: FloatArray
    body: list[str]

    def __len__(self) -> int:
        return len(self.pose)


@dataclass(frozen=True)
class Posed:
    """The bodies of one picture in the camera frame, metres.

    Attributes:
        vertices_m: (N, V, 3); joints_m: (N, 24, 3); keypoints_m: (N, 17, 3) COCO order.
        keypoints_px: (N, 17, 2) seen with the file's own intrinsics; NaN behind the camera.
        torso_m: (N, 3) mean of both shoulders and both hips.
    """

    vertices_m: FloatArray
    joints_m: FloatArray
    keypoints_m: FloatArray
    keypoints_px: FloatArray
    torso_m: FloatArray


def to_predict(scene: Scene, minimal: bool = False) -> dict[str, Any]:
    """One picture's entry, keyed by its file name.

    People without a place in 3D are left out, because the format has no word for them; hands are
    straight. The member "body" is an addition: it names the body that pose, shape and trans_cam
    belong to; "gender" is that of this body. Of ground that is not one level but planes, "planes" are
    its rows [nx, ny, nz, d], as in LargeCrowd's ground.npy, and everybody's "plane" counts them.

    Args:
        minimal: leave out hvip2d and hvip3d, as GigaCrowd submissions do, and the planes.
    """
    people = scene.people
    planes = [] if minimal else _planes(scene)
    persons = []
    for i in np.flatnonzero(has_body(people)):
        person = {
            "pose": _without_hands(people.pose[i]).reshape(-1),
            "shape": people.betas[i],
            "trans_cam": people.transl_m[i],
            "gender": gender_of(scene.body),
            "scale_smpl": 1.0,
            "body": scene.body,
        }
        if not minimal and np.isfinite([*people.hvip_px[i], *people.hvip_m[i]]).all():
            person |= {"hvip2d": people.hvip_px[i], "hvip3d": people.hvip_m[i]}
        if planes:
            person["plane"] = int(people.plane[i])
        persons.append(person)
    entry = {"Intrinsic_matrix": scene.camera.K, "person_list": persons}
    if planes:
        entry["planes"] = planes
    plain: dict[str, Any] = strict_json.plain({scene.image_name: entry})
    return plain


def _planes(scene: Scene) -> list[list[float]]:
    """Several levels, or one slope, as rows n, d of n.X + d = 0; none of one level and of bent ground."""
    ground = scene.ground
    if ground.kind == "levels":
        return [[*plane.normal.tolist(), plane.offset_m] for plane in ground.planes]
    if ground.kind != SLOPE:
        return []
    below = -ground.planes[0].offset_m * ground.normal[None]
    tangent = ground.tangents(below, np.zeros(1, np.int64))
    return [[*tangent.normals[0].tolist(), float(tangent.offsets_m[0])]]


def _without_hands(pose: FloatArray) -> FloatArray:
    """(..., 24, 3) with the last two rotations zero, as the format has it; no keypoint depends on them."""
    closed = np.array(pose, dtype=np.float64)
    closed[..., _HANDS, :] = 0.0
    return closed


def has_body(people: People) -> npt.NDArray[np.bool_]:
    """(N,) who has a body and a place."""
    finite = np.isfinite(people.pose).all(axis=(1, 2)) & np.isfinite(people.betas).all(axis=1)
    return np.asarray(finite & np.isfinite(people.transl_m).all(axis=1))


def gender_of(body: str) -> str:
    """ "female", "male" or "neutral", from the file name of a body; official names say which."""
    words = re.split(r"[^a-z]+", body.lower())
    for gender in ("female", "male"):
        if gender in words or ("basicmodel" in words and gender[0] in words):
            return gender
    return "neutral"


def write(scene: Scene, path: Path, minimal: bool = False) -> None:
    """Write the file of one picture; raises OutputError."""
    atomic.write_text(path, strict_json.dumps(to_predict(scene, minimal)))


def read(path: Path) -> dict[str, Predicted]:
    """All pictures of a file, by name, in the order of the file.

    Raises:
        SceneError: the file is missing, no JSON, or a member is missing or has the wrong size; it names the
            line and the member.
    """
    try:
        return {name: _entry(entry) for name, entry in Node.read(path).items()}
    except DataError as error:
        raise SceneError(str(error)) from None


def posed(predicted: Predicted, body: BodyModel) -> Posed:
    """The bodies of a picture where the file puts them.

    Args:
        body: that the parameters belong to.

    Raises:
        BodyError: some of them belong to another body, whose shapes mean something else.
    """
    strangers = sorted({name for name in predicted.body if name != body.name})
    if strangers:
        raise BodyError(
            f"the predictions are of the body {strangers[0]!r}, not of {body.name!r}; "
            "betas of one body mean nothing to another"
        )
    n = len(predicted)
    vertices = np.zeros((n, body.n_vertices, 3))
    keypoints = np.zeros((n, N_KEYPOINTS, 3))
    joints = np.zeros((n, N_JOINTS, 3))
    for start in range(0, n, PEOPLE_AT_ONCE):
        part = slice(start, start + PEOPLE_AT_ONCE)
        with torch.inference_mode():
            raw = body(
                *(torch.from_numpy(a[part]).float() for a in (predicted.pose, predicted.betas))
            )
            found = (raw.vertices, body.keypoints(raw.vertices), raw.joints)
        place, scale = predicted.transl_m[part, None], predicted.scale[part, None, None]
        for rows, values in zip((vertices, keypoints, joints), found, strict=True):
            rows[part] = scale * values.double().numpy() + place
    image = keypoints @ predicted.K.T
    depth = np.where(image[..., 2:] > 0, image[..., 2:], np.nan)
    torso = keypoints[:, TORSO_KEYPOINTS].mean(axis=1)
    return Posed(vertices, joints, keypoints, image[..., :2] / depth, torso)


def _entry(entry: Node) -> Predicted:
    K = entry["Intrinsic_matrix"].array(3, 3)
    if min(K[0, 0], K[1, 1]) <= 0 or K[2].tolist() != [0, 0, 1]:
        entry["Intrinsic_matrix"].fail("it is not of the form [[f, 0, cx], [0, f, cy], [0, 0, 1]]")
    people = list(entry["person_list"])
    flat = np.array([_person(person) for person in people]).reshape(-1, sum(_SIZES))
    pose, betas, transl, scale, hvip_px, hvip_m = np.split(flat, _CUTS, axis=1)
    pose = pose.reshape(-1, N_JOINTS, 3)
    names = [body.text() if (body := p.get("body")) else "smpl" for p in people]
    return Predicted(K, pose, betas, transl, scale[:, 0], hvip_px, hvip_m, names)


_SIZES = (3 * N_JOINTS, N_BETAS, 3, 1, 2, 3)
_CUTS = np.cumsum(_SIZES[:-1])


def _person(person: Node) -> FloatArray:
    def maybe(key: str, silent: FloatArray) -> FloatArray:
        node = person.get(key)
        return silent if node is None else node.array(len(silent))

    if (gender := person.get("gender")) is not None:
        gender.one_of("neutral", "male", "female")
    scale = 1.0
    if (node := person.get("scale_smpl")) is not None:
        scale = node.number()
        if scale <= 0:
            node.fail(f"{scale:g} is no scale")
    needed = [person[key].array(n) for key, n in (("pose", 72), ("shape", 10), ("trans_cam", 3))]
    hvip = [maybe("hvip2d", np.full(2, np.nan)), maybe("hvip3d", np.full(3, np.nan))]
    return np.concatenate([*needed, [scale], *hvip])
