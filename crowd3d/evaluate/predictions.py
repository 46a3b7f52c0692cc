"""What was predicted, in the one form that scorers read: a stored scene, `predict.json`, or bare 2D poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crowd3d.body.arrays import SMPL_VERTICES
from crowd3d.errors import BodyError, DataError
from crowd3d.scene.scene import Scene

if TYPE_CHECKING:
    from crowd3d.body import BodyModel
    from crowd3d.export.predict_json import Predicted

FloatArray = npt.NDArray[np.float64]

SMPL = "smpl"


@dataclass(frozen=True)
class PredictedFrame:
    """The predicted people of one picture, one row each.

    Attributes:
        keypoints_px: (M, 17, 2) COCO order. Of bodies: the body's keypoints as the camera sees them.
        score: (M,); ones where the file has none.
        torso_m: (M, 3) camera frame; NaN for bare 2D poses and for who has no place, as are the following two.
        keypoints_m: (M, 17, 3); joints_m: (M, 24, 3) SMPL's joints.
        h36m_m: (M, 17, 3) Human3.6M joints, or None if the body has no regressor for them.
        body: the name of the body; empty = none. parameters: pose, betas and place of its meshes.
    """

    keypoints_px: FloatArray
    score: FloatArray
    torso_m: FloatArray
    keypoints_m: FloatArray
    joints_m: FloatArray
    h36m_m: FloatArray | None = None
    body: str = ""
    parameters: Predicted | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.keypoints_px)

    @classmethod
    def nobody(cls) -> PredictedFrame:
        """A picture in which nobody is predicted."""
        return cls.flat(np.zeros((0, 17, 2)), np.zeros(0))

    @classmethod
    def flat(cls, keypoints_px: FloatArray, score: FloatArray) -> PredictedFrame:
        """People of whom only pixels are known."""
        n = len(keypoints_px)
        nan = np.nan
        return cls(
            keypoints_px,
            score,
            torso_m=np.full((n, 3), nan),
            keypoints_m=np.full((n, 17, 3), nan),
            joints_m=np.full((n, 24, 3), nan),
        )


Source = str | Path | Scene | Mapping[str, PredictedFrame]


def read_predictions(source: Source, body: str | Path | None = None) -> dict[str, PredictedFrame]:
    """Predictions by the name of the picture.

    Args:
        source: the folder of a run (`scene.json`, `people.npz`) or a folder of those; a `predict.json`; a file
            of 2D poses that `crowd3d.data.keypoint_files` reads; a `Scene`; or what is in memory already.
        body: file of the body that the parameters belong to, if it is not the embedded one.

    Raises:
        DataError, SceneError: missing or malformed; names file and member.
        BodyError: the parameters belong to a body that is not there.
    """
    if isinstance(source, Scene):
        return {source.image_name: of_scene(source, body)}
    if isinstance(source, Mapping):
        return dict(source)
    path = Path(source)
    if not path.exists():
        raise DataError(f"there is no {path}")
    if path.is_dir():
        return _of_folder(path, body)
    from crowd3d.files.located_json import Node

    if _is_predict_json(Node.read(path)):
        from crowd3d.export import predict_json

        pictures = predict_json.read(path)
        return {name: of_parameters(p, body) for name, p in pictures.items()}
    from crowd3d.data.keypoint_files import read_poses

    return {
        name: PredictedFrame.flat(_known(found.keypoints_px), found.score)
        for name, found in read_poses(path).items()
    }


def of_scene(scene: Scene, body: str | Path | None = None) -> PredictedFrame:
    """The bodies of a scene as its own camera sees them.

    Of people without a place only the keypoints are known by which they were found.
    """
    from crowd3d.export.predict_json import Predicted, has_body

    people = scene.people.filter(has_body(scene.people) | ~scene.people.placed)
    n = len(people)
    parameters = Predicted(
        scene.camera.K, people.pose, people.betas, people.transl_m, np.ones(n),
        people.hvip_px, people.hvip_m, [scene.body] * n,
    )  # fmt: skip
    frame = of_parameters(parameters, body, people.score)
    projected = scene.camera.project(frame.keypoints_m)
    seen = np.where(people.placed[:, None, None], projected, _known(people.keypoints_px))
    return PredictedFrame(**{**vars(frame), "keypoints_px": seen})


def of_parameters(
    predicted: Predicted, body: str | Path | None = None, score: FloatArray | None = None
) -> PredictedFrame:
    """The bodies of a picture, seen with the intrinsics of their file."""
    from crowd3d.evaluate import points

    n = len(predicted)
    model = body_of(sorted(set(predicted.body)), body)
    place = points.posed(
        model, predicted.pose, predicted.betas, predicted.transl_m, predicted.scale
    )
    image = place.keypoints_m @ predicted.K.T
    depth = np.where(image[..., 2:] > 0, image[..., 2:], np.nan)
    return PredictedFrame(
        keypoints_px=image[..., :2] / depth,
        score=np.ones(n) if score is None else score,
        torso_m=place.torso_m,
        keypoints_m=place.keypoints_m,
        joints_m=place.joints_m,
        h36m_m=place.h36m_m,
        body=SMPL if model.n_vertices == SMPL_VERTICES else model.name,
        parameters=predicted,
    )


def body_of(names: list[str], file: str | Path | None) -> BodyModel:
    """The one body that parameters belong to.

    Raises:
        BodyError: they belong to several, or to one that is neither embedded nor given.
    """
    from crowd3d import body as bodies

    if len(names) > 1:
        raise BodyError(f"the people of one picture have different bodies: {', '.join(names)}")
    wanted = names[0] if names else "open"
    if wanted == "open" or (not names and file is None):
        return bodies.load("open")
    if file is None:
        raise BodyError(
            f"the predictions are of the body {wanted!r}, which is not embedded; "
            "give its file with --body FILE.npz"
        )
    model = bodies.load(file)
    if wanted not in (model.name, SMPL) or (wanted == SMPL and model.n_vertices != SMPL_VERTICES):
        raise BodyError(f"the predictions are of the body {wanted!r}, {file} is {model.name!r}")
    return model


def _of_folder(folder: Path, body: str | Path | None) -> dict[str, PredictedFrame]:
    if (folder / "scene.json").is_file():
        return read_predictions(Scene.load(folder), body)
    folders = sorted(file.parent for file in folder.glob("*/scene.json"))
    if not folders:
        raise DataError(f"{folder} holds no scene.json and no folders that do")
    scenes = {one.name: Scene.load(one) for one in folders}
    names = [scene.image_name for scene in scenes.values()]
    # Pictures of one name are told apart by the folders that their scenes lie in.
    unique = len(set(names)) == len(names)
    return {
        scene.image_name if unique else f"{name}/{scene.image_name}": of_scene(scene, body)
        for name, scene in scenes.items()
    }


def _is_predict_json(whole: object) -> bool:
    value = getattr(whole, "value", None)
    if not isinstance(value, dict):
        return False
    first: object = next(iter(value.values()), {})
    return not value or (
        isinstance(first, dict) and bool({"person_list", "Intrinsic_matrix"} & first.keys())
    )


def _known(keypoints_px: FloatArray) -> FloatArray:
    return np.where(keypoints_px[..., 2:] > 0, keypoints_px[..., :2], np.nan)
