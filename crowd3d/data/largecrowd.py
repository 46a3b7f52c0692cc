"""LargeCrowd as published: `annotations/SCENE.json` in ratios, `params/SCENE/` with camera and planes.

    {"image_shape": {"height", "width"},
     "frame_info": {IMAGE: [{"bbox": [l, t, r, b], "keypoints": [x1, y1 .. x17, y17] | null,
                             "type": "normal" | "severe_occlusion" | "truncation" | "ghost",
                             "hvip2d": [x, y] | null, "hvip3d": [3] | null, "torso_center": [3] | null}]}}

2D values are fractions of width and height, 3D values metres in the camera frame. Three members are ours and
optional: `visibility` (17 COCO flags), `id`, `ignore`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crowd3d.data.folders import SPLITS, natural_key
from crowd3d.data.scene_params import SceneParams, read_params
from crowd3d.data.truth import DataSet, FrameTruth
from crowd3d.errors import DataError
from crowd3d.files.arrays import FloatArray
from crowd3d.files.located_json import Node, begins_with

KINDS = ("normal", "severe_occlusion", "truncation", "ghost")
# A limb may leave the picture by so many of its sides; more is pixels where ratios belong.
_FAR_OUTSIDE = 4.0


def recognises(path: Path) -> bool:
    """Whether a path looks like LargeCrowd."""
    return any(begins_with(file, '"frame_info"') for file in _annotation_files(path))


def load(path: str | Path, split: str | None = None) -> DataSet:
    """All annotated frames of a LargeCrowd folder, or of one of its JSON files.

    Raises:
        DataError: names file, line and member of the first mistake.
    """
    path = Path(path)
    files = _annotation_files(path)
    if split is not None:
        files = [file for file in files if file.stem in SPLITS.get(split, ())]
    if not files:
        raise DataError(f"{path} has no annotations/SCENE.json" + (f" of {split}" if split else ""))
    frames: dict[str, FrameTruth] = {}
    for file in files:
        for name, frame in _read_scene(file).items():
            if name in frames:
                raise DataError(f"{file}: {name} is annotated in {frames[name].scene} already")
            frames[name] = frame
    return DataSet("largecrowd", frames)


def _annotation_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    folder = path / "annotations" if (path / "annotations").is_dir() else path
    return sorted(folder.glob("*.json"), key=lambda file: natural_key(file.name))


def _read_scene(file: Path) -> dict[str, FrameTruth]:
    whole = Node.read(file)
    shape = whole["image_shape"]
    size = (shape["width"].integer(1), shape["height"].integer(1))
    params = _params_of(file)
    if params is not None and params.size not in (None, size):
        shape.fail(f"it says {size} px, params/{file.stem} says {params.size}")
    frames = {}
    for name, people in sorted(whole["frame_info"].items(), key=lambda kv: natural_key(kv[0])):
        frames[name] = _read_frame(name, file.stem, list(people), size, params)
    return frames


def _params_of(file: Path) -> SceneParams | None:
    folder = file.parent.parent / "params" / file.stem
    return read_params(folder) if folder.is_dir() else None


def _read_frame(
    name: str, scene: str, people: list[Node], size: tuple[int, int], params: SceneParams | None
) -> FrameTruth:
    frame = FrameTruth.unknown(name, scene, len(people))
    frame.size = size
    scale = np.array(size, dtype=np.float64)
    for i, person in enumerate(people):
        box = person["bbox"]
        frame.boxes_px[i] = (_ratios(box, 2, 2) * scale).ravel()
        if (frame.boxes_px[i, 2:] < frame.boxes_px[i, :2]).any():
            box.fail("right or bottom lies before left or top; expected [left, top, right, bottom]")
        frame.kind[i] = person["type"].one_of(*KINDS)
        if (keypoints := person.get("keypoints")) is not None:
            frame.keypoints_px[i, :, :2] = _ratios(keypoints, 17, 2) * scale
            frame.keypoints_px[i, :, 2] = 2
            if (flags := person.get("visibility")) is not None:
                frame.keypoints_px[i, :, 2] = flags.array(17)
        if (hvip := person.get("hvip2d")) is not None:
            frame.hvip_px[i] = _ratios(hvip, 1, 2)[0] * scale
        for key, rows in (("hvip3d", frame.hvip_m), ("torso_center", frame.torso_m)):
            if (point := person.get(key)) is not None:
                rows[i] = point.array(3)
                if rows[i, 2] <= 0:
                    point.fail(f"it lies behind the camera (z = {rows[i, 2]:g} m)")
        frame.is_ignored[i] = bool(ignore.value) if (ignore := person.get("ignore")) else False
    if params is not None:
        frame.K, frame.planes = params.K, params.planes()
    return frame


def _ratios(node: Node, rows: int, columns: int) -> FloatArray:
    """Flat ratios as (rows, columns)."""
    flat = node.array(rows * columns).reshape(rows, columns)
    if np.abs(flat).max() > _FAR_OUTSIDE:
        node.fail(f"{np.abs(flat).max():g} is no ratio of the picture's size; are these pixels?")
    return flat
