"""Every parser of a file that somebody else may have written, with good files of its kind to begin with."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import mutation, seeds


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        good: files that it accepts.
        mutate: how they are spoiled.
        read: reads the content, for which it may write files into a folder of its own.
    """

    name: str
    good: Sequence[bytes]
    mutate: mutation.Mutation
    read: Callable[[bytes, Path], Any]


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _settings(content: bytes, folder: Path) -> None:
    from crowd3d import config

    config.load(_file(folder, "mine.yaml", content))


def _recipe(content: bytes, folder: Path) -> None:
    from crowd3d.training.common.recipe import read_page
    from crowd3d.training.facing.recipe import Recipe

    read_page(Recipe, _file(folder, "mine.yaml", content))


def _camera(content: bytes, folder: Path) -> None:
    from crowd3d.picture.camera_hint import CameraHint

    CameraHint(camera_json=_file(folder, "camera.json", content)).resolve(640, 480)


def _regions(content: bytes, folder: Path) -> None:
    from crowd3d.scene import level_regions

    path = _file(folder, "regions.geojson", content)
    level_regions.read(path).level_at(np.array([[10.0, 20.0], [900.0, -3.0]]))
    level_regions.read(path, (640, 480))


def _scene_files(folder: Path, json: bytes, people: bytes) -> None:
    from crowd3d.evaluate.predictions import read_predictions
    from crowd3d.export import tables
    from crowd3d.export.topview import draw_topview
    from crowd3d.scene import storage
    from crowd3d.scene.scene import Scene
    from crowd3d.scene.summary import closing_line

    _file(folder, "scene.json", json)
    _file(folder, "people.npz", people)
    scene = Scene.load(folder)
    closing_line(scene, folder)
    with np.errstate(all="ignore"):  # undefined numbers of odd people are left empty
        storage.to_dict(scene)
        tables.to_csv(scene)
        draw_topview(scene, 700)
        if scene.body == "open":
            read_predictions(scene)


def _scene(content: bytes, folder: Path) -> None:
    _scene_files(folder, content, seeds.PEOPLE_NPZ)


def _people(content: bytes, folder: Path) -> None:
    _scene_files(folder, seeds.SCENE_JSON, content)


def _predict(content: bytes, folder: Path) -> None:
    from crowd3d.evaluate.check import check_predict
    from crowd3d.evaluate.predictions import read_predictions

    path = _file(folder, "predict.json", content)
    with np.errstate(all="ignore"):
        read_predictions(path)
    check_predict(path)


def _poses(content: bytes, folder: Path) -> None:
    from crowd3d.data.keypoint_files import read_poses

    read_poses(_file(folder, "a_keypoints.json", content))


def _data_set(content: bytes, folder: Path) -> None:
    from crowd3d import data

    # Of an unknown format once it is spoiled, then it is read as each.
    path = _file(folder, "annotations.json", content)
    named = next((name for name, mark in _MARKS.items() if mark in content), "coco")
    data.load(path, named)


_MARKS = {
    "mupots": b"intrinsic",
    "threedpw": b"cam_param",
    "agora": b"gt_joints_2d",
    "panda": b"objects list",
    "rootnet": b"root_cam",
}


def _largecrowd(content: bytes, folder: Path) -> None:
    from crowd3d import data

    data.load(_file(folder, "annotations/here_00.json", content), "largecrowd")


def _panoptic(content: bytes, folder: Path) -> None:
    from crowd3d.data import panoptic

    is_camera = b"distCoef" in content
    calibration = content if is_camera else seeds.as_json(seeds.PANOPTIC_CALIBRATION)
    poses = seeds.as_json(seeds.PANOPTIC_POSES) if is_camera else content
    _file(folder, "calibration_x.json", calibration)
    _file(folder, "hdPose3d_stage1_coco19/body3DScene_00000168.json", poses)
    with np.errstate(all="ignore"):
        panoptic.load(folder)


_PLANE, _K = (
    np.array([-0.02, -0.98, -0.17, 16.0]),
    np.array([[2e4, 0, 960], [0, 2e4, 540], [0, 0, 1]]),
)


def _params(content: bytes, folder: Path) -> None:
    from crowd3d.data.scene_params import read_fitted

    is_camera = b"(3, 3)" in content[:100]
    _file(folder, "ground.npy", seeds.as_npy(_PLANE) if is_camera else content)
    _file(folder, "cam_para.npy", content if is_camera else seeds.as_npy(_K))
    read_fitted(folder, (1920, 1080))


def _mat_files() -> list[bytes]:
    import scipy.io

    person = {
        "annot2": np.ones((2, 17)),
        "annot3": np.ones((3, 17)),
        "univ_annot3": np.ones((3, 17)),
        "isValidFrame": 1,
    }
    cells = np.empty((1, 1), object)
    cells[0, 0] = person
    buffers = []
    for packed in (False, True):
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"annotations": cells}, do_compression=packed)
        buffers.append(buffer.getvalue())
    return buffers


def _mat(content: bytes, folder: Path) -> None:
    from crowd3d.data import mupots

    mupots.load(_file(folder, "TS1/annot.mat", content))


def _records(content: bytes, folder: Path) -> None:
    from crowd3d.batch.plan import Task
    from crowd3d.batch.records import table

    _file(folder, "a/batch.json", content)
    table([Task(folder / "a.jpg", "a.jpg", folder / "a")], "s", folder)


def _frames(content: bytes, folder: Path) -> None:
    from crowd3d.batch.frame_journal import FrameJournal

    journal = FrameJournal(folder / "predict.json", resume=True)
    _file(journal.folder, "frames/a.jpg.json", content)
    journal.get("a.jpg", "key")


def _frame_file() -> bytes:
    head = seeds.as_json({"key": "key", "people": 1, "warnings": ["w"]})
    return head + b"\n" + seeds.as_json({"person_list": [1], "Intrinsic_matrix": []}) + b"\n"


def _tiles_file() -> bytes:
    """Both files of a journal of tiles in one."""
    import tempfile

    from tiling import Journal

    with tempfile.TemporaryDirectory() as folder:
        with Journal(folder, sync=False) as journal:
            for key in ("one", "two"):
                journal.put(key, {"a": np.arange(5.0), "b": np.ones((2, 3), np.int32)})
        return _CUT.join(
            (Path(folder) / name).read_bytes() for name in ("index.jsonl", "arrays.bin")
        )


_CUT = b"=====cut====="


def _tiles(content: bytes, folder: Path) -> None:
    import zlib

    from tiling import Journal

    index, _, arrays = content.partition(_CUT)
    # With good checksums, as somebody would have who means harm.
    lines = [line.rpartition(b"\t")[0] for line in index.split(b"\n") if line]
    _file(
        folder, "index.jsonl", b"".join(b"%s\t%08x\n" % (line, zlib.crc32(line)) for line in lines)
    )
    _file(folder, "arrays.bin", arrays)
    with Journal(folder, sync=False) as journal:
        for key in ("one", "two"):
            journal.get(key)


def _weights_file() -> bytes:
    import torch
    from safetensors.torch import save

    tensors = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(2, dtype=torch.float16)}
    return bytes(save(tensors, {"facts": '{"steps": 3}', "network": "lift"}))


def _weights(content: bytes, folder: Path) -> None:
    import torch

    from crowd3d.errors import ModelError
    from crowd3d.files.weights import metadata_of, read_weights

    path = _file(folder, "mine.safetensors", content)
    metadata_of(path)
    stored = read_weights(path)
    _ = stored.facts
    try:
        torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 2)}).load_state_dict(stored.tensors)
    except RuntimeError as error:  # as `build` does
        raise ModelError(str(error)) from None


def _checkpoint_file() -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({"network": {"module.a": torch.ones(2, 3), "module.b": torch.zeros(4)}}, buffer)
    return buffer.getvalue()


def _checkpoint(content: bytes, folder: Path) -> None:
    from crowd3d.models.importing import read_checkpoint

    read_checkpoint(_file(folder, "published.pth", content))


def _run_file() -> bytes:
    import torch

    buffer = io.BytesIO()
    parts = {"network": torch.nn.Linear(3, 2).state_dict(), "random": torch.Generator().get_state()}
    torch.save(parts | {"step": 4, "identity": "key"}, buffer)
    return buffer.getvalue()


def _training(content: bytes, folder: Path) -> None:
    import torch

    from crowd3d.training.common.run_folder import RunFolder

    is_log = not content.startswith(b"PK")
    _file(folder, "run.checkpoint", _RUN if is_log else content)
    _file(folder, "run.log.jsonl", content if is_log else b'{"step": 1}\n')
    parts = {"network": torch.nn.Linear(3, 2), "random": torch.Generator()}
    RunFolder(folder, "run", resume=True).begin("key", parts)


_RUN = _run_file()


def _body(content: bytes, folder: Path) -> None:
    from crowd3d import body

    path = _file(folder, "mine.npz", content)
    import torch

    body.load(path)(torch.zeros(1, 24, 3), torch.zeros(1, 10))


def _pickle(content: bytes, folder: Path) -> None:
    from crowd3d.body.convert import convert_smpl_pickle
    from crowd3d.data.pickles import convert_pickle

    path = _file(folder, "old.pkl", content)
    try:
        convert_pickle(path)
    finally:
        convert_smpl_pickle(path, folder / "body.npz")


def _panorama(content: bytes, folder: Path) -> None:
    from crowd3d.picture import gpano

    found = gpano.parse(content)
    if found is not None:
        gpano.camera(found, 4000, 1000)


_ASF = b""":units
  length 0.45
:bonedata
  begin
     id 1
     name lfemur
     direction 0.342 -0.94 0
     length 7.2
     axis 0 0 20  XYZ
    dof rx ry rz
  end
:hierarchy
  begin
    root lfemur
  end
"""
_AMC = (
    b"#!OML:ASF\n:DEGREES\n1\nroot 1 2 3 4 5 6\nlfemur 1 2 3\n2\nroot 1 2 3 4 5 6\nlfemur 1 2 3\n"
)
_CLIP = seeds.as_json({"Loop": "wrap", "Frames": [[0.03, 0, 1, 0, *([1, 0, 0, 0] * 10)]] * 3})


def _motion(content: bytes, folder: Path) -> None:
    from crowd3d.data import cmu, deepmimic

    if b"Frames" in content:
        deepmimic.deepmimic_clip(_file(folder, "humanoid3d_a.txt", content), _REST)
        return
    is_motion = b":bonedata" not in content
    bones = cmu.read_asf(_file(folder, "01.asf", _ASF if is_motion else content))
    motion = cmu.read_amc(_file(folder, "01_01.amc", content if is_motion else _AMC))
    cmu.cmu_world(bones, motion)


_REST = {joint: np.array([0.0, -1.0, 0.1]) / 1.005 for joint in (1, 2, 4, 5)}


def _truth_file() -> bytes:
    n = 2
    shapes = {
        "keypoints_px": (17, 3),
        "boxes_px": (4,),
        "torso_m": (3,),
        "hvip_m": (3,),
        "hvip_px": (2,),
    }
    shapes |= {"pose": (24, 3), "betas": (10,), "transl_m": (3,), "joints_m": (24, 3)}
    arrays: dict[str, Any] = {name: np.ones((n, *shape)) for name, shape in shapes.items()}
    arrays |= {
        "image_size": np.array([640, 480]),
        "focal_px": np.array(700.0),
        "visibility": np.ones(n),
    }
    arrays |= {"center_px": np.array([320.0, 240]), "normals": np.array([[0, -1.0, 0]])}
    return seeds.as_npz(**arrays, offsets_m=np.array([5.0]))


def _truth(content: bytes, folder: Path) -> None:
    from crowd3d.evaluate.truth import read_truth

    read_truth(_file(folder, "truth.npz", content))


def targets() -> list[Target]:
    """All of them."""
    both = _either(mutation.of_json, mutation.of_bytes)
    return [
        Target(
            "settings",
            [seeds.CONFIG, seeds.shipped("presets", "fast")],
            mutation.of_bytes,
            _settings,
        ),
        Target("recipe", [seeds.shipped("recipes", "facing")], mutation.of_bytes, _recipe),
        Target("camera", [seeds.as_json(seeds.CAMERA)], mutation.of_json, _camera),
        Target("regions", [seeds.as_json(seeds.REGIONS)], mutation.of_json, _regions),
        Target("scene", [seeds.SCENE_JSON, *seeds.SURFACES], mutation.of_json, _scene),
        Target("people", [seeds.PEOPLE_NPZ], mutation.of_arrays, _people),
        Target("predict", [seeds.PREDICT_JSON], mutation.of_json, _predict),
        Target("poses", [*map(seeds.as_json, seeds.POSES.values())], mutation.of_json, _poses),
        Target(
            "data-sets",
            [*map(seeds.as_json, seeds.DATA_SETS.values())],
            mutation.of_json,
            _data_set,
        ),
        Target("largecrowd", [seeds.as_json(seeds.LARGECROWD)], mutation.of_json, _largecrowd),
        Target(
            "panoptic",
            [seeds.as_json(seeds.PANOPTIC_CALIBRATION), seeds.as_json(seeds.PANOPTIC_POSES)],
            mutation.of_json,
            _panoptic,
        ),
        Target("params", [seeds.as_npy(_PLANE), seeds.as_npy(_K)], mutation.of_array, _params),
        Target("mat", _mat_files(), mutation.of_bytes, _mat),
        Target("records", [seeds.as_json(seeds.RECORD)], mutation.of_json, _records),
        Target("frames", [_frame_file()], mutation.of_bytes, _frames),
        Target("tiles", [_tiles_file()], mutation.of_bytes, _tiles),
        Target("weights", [_weights_file()], mutation.of_bytes, _weights),
        Target("checkpoint", [_checkpoint_file()], mutation.of_bytes, _checkpoint),
        Target(
            "training",
            [_RUN, b'{"step": 1, "loss": 0.5}\n{"step": 9}\n'],
            mutation.of_bytes,
            _training,
        ),
        Target(
            "body",
            [seeds.as_npz(**seeds.body_arrays()), seeds.sparse_body()],
            mutation.of_arrays,
            _body,
        ),
        Target("pickle", seeds.pickles(), mutation.of_bytes, _pickle),
        Target("panorama", [seeds.XMP], mutation.of_bytes, _panorama),
        Target("motion", [_ASF, _AMC, _CLIP], _either(mutation.of_bytes, both), _motion),
        Target("truth", [_truth_file()], mutation.of_arrays, _truth),
    ]


def _either(first: mutation.Mutation, second: mutation.Mutation) -> mutation.Mutation:
    """One of two, where a target has good files of several kinds."""

    def mutate(seed: bytes, rng: random.Random) -> bytes:
        chosen = first if rng.random() < 0.5 else second
        try:
            return chosen(seed, rng)
        except ValueError:  # this one is no JSON
            return mutation.of_bytes(seed, rng)

    return mutate
