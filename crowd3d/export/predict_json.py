"""`predict.json`: the file format of the LargeCrowd and GigaCrowd benchmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.errors import SceneError
from crowd3d.export import atomic, strict_json
from crowd3d.people import N_BETAS, N_JOINTS
from crowd3d.scene import Scene

FloatArray = npt.NDArray[np.float64]


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


def to_predict(scene: Scene, minimal: bool = False) -> dict[str, Any]:
    """One picture's entry, keyed by its file name.

    People without a place in 3D are left out, because the format has no word for them. The member
    "body" is an addition: it names the body that pose, shape and trans_cam belong to.

    Args:
        minimal: leave out hvip2d and hvip3d, as GigaCrowd submissions do.
    """
    people = scene.people
    finite = np.isfinite(people.pose).all(axis=(1, 2))
    finite &= np.isfinite(people.betas).all(axis=1) & np.isfinite(people.transl_m).all(axis=1)
    persons = []
    for i in np.flatnonzero(finite):
        person = {
            "pose": people.pose[i].reshape(-1),
            "shape": people.betas[i],
            "trans_cam": people.transl_m[i],
            "gender": "neutral",
            "scale_smpl": 1.0,
            "body": scene.body,
        }
        if not minimal and np.isfinite([*people.hvip_px[i], *people.hvip_m[i]]).all():
            person |= {"hvip2d": people.hvip_px[i], "hvip3d": people.hvip_m[i]}
        persons.append(person)
    entry = {"Intrinsic_matrix": scene.camera.K, "person_list": persons}
    plain: dict[str, Any] = strict_json.plain({scene.image_name: entry})
    return plain


def write(scene: Scene, path: Path, minimal: bool = False) -> None:
    """Write the file of one picture; raises OutputError."""
    atomic.write_text(path, strict_json.dumps(to_predict(scene, minimal)))


def read(path: Path) -> dict[str, Predicted]:
    """All pictures of a file, by name.

    Raises:
        SceneError: the file is missing, no JSON, or a member is missing or has the wrong size.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SceneError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SceneError(f"{path} must map names of pictures to predictions")
    return {name: _entry(entry, f"{path}, {name}") for name, entry in content.items()}


def _entry(entry: Any, where: str) -> Predicted:
    try:
        K = _array(entry["Intrinsic_matrix"], (3, 3), "Intrinsic_matrix")
        rows = [_person(person) for person in entry["person_list"]]
        bodies = [str(person.get("body", "smpl")) for person in entry["person_list"]]
    except KeyError as error:
        raise SceneError(f"{where}: there is no {error.args[0]!r}") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise SceneError(f"{where}: {error}") from None
    flat = np.array(rows, dtype=np.float64).reshape(-1, sum(_SIZES))
    pose, betas, transl, scale, hvip_px, hvip_m = np.split(flat, _CUTS, axis=1)
    pose = pose.reshape(-1, N_JOINTS, 3)
    return Predicted(K, pose, betas, transl, scale[:, 0], hvip_px, hvip_m, bodies)


_SIZES = (3 * N_JOINTS, N_BETAS, 3, 1, 2, 3)
_CUTS = np.cumsum(_SIZES[:-1])


def _person(person: dict[str, Any]) -> FloatArray:
    nowhere = [np.nan] * 3
    return np.concatenate(
        [
            _array(person["pose"], (72,), "pose"),
            _array(person["shape"], (10,), "shape"),
            _array(person["trans_cam"], (3,), "trans_cam"),
            _array([person.get("scale_smpl", 1.0)], (1,), "scale_smpl"),
            _array(person.get("hvip2d", nowhere[:2]), (2,), "hvip2d"),
            _array(person.get("hvip3d", nowhere), (3,), "hvip3d"),
        ]
    )


def _array(values: Any, shape: tuple[int, ...], name: str) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, expected {shape}")
    return array
