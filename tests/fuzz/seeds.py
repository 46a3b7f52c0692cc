"""One good file of every kind, as small as it can be."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from helpers.grounds import scene_on
from helpers.scenes import scattered_scene

from crowd3d.body.tree import COCO_NAMES, PARENTS
from crowd3d.export import predict_json
from crowd3d.files import strict_json
from crowd3d.scene import storage
from crowd3d.scene.scene import Scene


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def as_npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def body_arrays(n: int = 30) -> dict[str, Any]:
    """A random body in SMPL's layout."""
    rng = np.random.default_rng(0)
    weights = rng.random((n, 24))
    return {
        "v_template": rng.normal(size=(n, 3)),
        "shapedirs": rng.normal(size=(n, 3, 10)),
        "J_regressor": rng.random((24, n)) / n,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "kintree_table": np.array([(2**32 - 1, *PARENTS[1:]), range(24)], dtype=np.int64),
        "f": rng.integers(0, n, (20, 3)).astype(np.uint32),
    }


def sparse_body() -> bytes:
    """The same with its regressor in compressed columns."""
    from scipy.sparse import csc_matrix

    values = body_arrays()
    sparse = csc_matrix(values.pop("J_regressor"))
    parts = {
        "data": sparse.data,
        "indices": sparse.indices,
        "indptr": sparse.indptr,
        "shape": sparse.shape,
    }
    return as_npz(**values, **{f"J_regressor_{key}": part for key, part in parts.items()})


def pickles() -> list[bytes]:
    """Tables of numbers, and a body with a sparse matrix."""
    from scipy.sparse import csc_matrix

    table = {
        "poses": [np.ones((3, 72)), np.arange(6.0).reshape(2, 3)],
        "name": "a",
        "n": np.float64(2),
    }
    body = body_arrays() | {"J_regressor": csc_matrix(body_arrays()["J_regressor"])}
    objects = {"rows": np.array([{"a": 1}, [2, "x"]], dtype=object)}
    return [pickle.dumps(value, protocol=p) for value in (table, body, objects) for p in (0, 2, 5)]


def scene_json(scene: Scene) -> bytes:
    """Without the triangles of its ground, of which there are thousands and nobody reads any."""
    values = storage.to_dict(scene)
    values["ground"].pop("mesh")
    return as_json(strict_json.plain(values))


SCENE = scattered_scene(4)
SCENE_JSON = scene_json(SCENE)
# With the people of the one on a level.
SURFACES = [scene_json(scene_on(kind, 4)) for kind in ("slope", "stands", "terrain")]
PEOPLE_NPZ = storage.people_bytes(SCENE.people)
PREDICT_JSON = as_json(predict_json.to_predict(SCENE))


def members(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


_IMAGE = {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}
_PERSON = {
    "id": 5,
    "image_id": 1,
    "category_id": 1,
    "bbox": [10, 20, 30, 60],
    "iscrowd": 0,
    "area": 9.5,
}
_CATEGORY = {"id": 1, "name": "person", "keypoints": list(COCO_NAMES)}
_POINTS = [v for k in range(17) for v in (10 + k, 20 + k, 2)]
_CORNERS = {"tl": {"x": 0.1, "y": 0.1}, "br": {"x": 0.2, "y": 0.3}}

# Annotations of data sets, each in one file, by the format that reads it.
DATA_SETS: dict[str, Any] = {
    "coco": {
        "images": [_IMAGE],
        "annotations": [_PERSON | {"keypoints": _POINTS}, _PERSON | {"id": 6}],
        "categories": [_CATEGORY],
    },
    "mupots": {
        "images": [_IMAGE | {"intrinsic": [1500, 1500, 1024, 1024]}],
        "annotations": [
            _PERSON
            | {"keypoints_cam": [[1.0, 2, 3000]] * 17, "keypoints_img": [[1.0, 2]] * 17}
            | {"keypoints_vis": [1] * 17, "is_valid": 1}
        ],
    },
    "threedpw": {
        "images": [
            _IMAGE
            | {"sequence": "courtyard_dancing_00"}
            | {"cam_param": {"focal": [1900, 1900], "princpt": [540, 960]}}
        ],
        "annotations": [
            _PERSON
            | {
                "smpl_param": {
                    "pose": [0.1] * 72,
                    "shape": [0.2] * 10,
                    "trans": [0, 1, 5],
                    "gender": "male",
                }
            }
            | {"joint_cam": [[0, 0, 5]] * 24, "openpose_result": [1.0] * 54}
        ],
    },
    "agora": {
        "imgPath": {"0": "ag.png"},
        "gt_joints_2d": {"0": [[[5.0, 6.0]] * 45]},
        "gt_joints_3d": {"0": [[[1.0, 2.0, 9.0]] * 45]},
        "gender": {"0": ["male"]},
        "kid": {"0": [False]},
        "occlusion": {"0": [5.0]},
        "isValid": {"0": [True]},
    },
    "panda": {
        "A/a.jpg": {
            "image id": 1,
            "image size": {"height": 1000, "width": 2000},
            "objects list": [
                {"category": "person", "rects": {"full body": _CORNERS, "visible body": _CORNERS}},
                {"category": "crowd", "rect": _CORNERS},
            ],
        }
    },
    "rootnet": [
        {"image_id": 1, "bbox": [1, 2, 30, 40], "root_cam": [0, 1, 3000], "score": 0.5, "ann_id": 3}
    ],
}
LARGECROWD = {
    "image_shape": {"height": 1000, "width": 2000},
    "frame_info": {
        "here_00_000010.jpg": [
            {
                "bbox": [0.1, 0.2, 0.15, 0.4],
                "keypoints": [v for k in range(17) for v in (0.1 + 0.002 * k, 0.2 + 0.01 * k)],
                "type": "normal",
                "hvip2d": [0.12, 0.4],
                "hvip3d": [-1.0, 5.0, 40.0],
                "torso_center": [-1.0, 4.0, 40.0],
                "visibility": [2] * 17,
            }
        ]
    },
}
PANOPTIC_CALIBRATION = {
    "cameras": [
        {
            "name": "00_16",
            "resolution": [1920, 1080],
            "K": [[1400, 0, 960], [0, 1400, 540], [0, 0, 1]],
            "distCoef": [-0.2, 0.1, 0, 0, 0],
            "R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            "t": [[0], [0], [300]],
        }
    ]
}
PANOPTIC_POSES = {
    "bodies": [{"id": 4, "joints19": [v for k in range(19) for v in (9.0 * k, k, 0, 0.5)]}]
}
_ALPHAPOSE = {
    "image_id": "a.jpg",
    "category_id": 1,
    "keypoints": [float(v) for v in _POINTS],
    "score": 2.5,
}
POSES: dict[str, Any] = {
    "alphapose": [_ALPHAPOSE, _ALPHAPOSE | {"box": [1, 2, 3, 4]}],
    "openpose": {"version": 1.3, "people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}]},
    "3dcrowdnet": {"a.jpg": [[[1.0, 2.0, 0.5]] * 17]},
    "coco": DATA_SETS["coco"],
    "results": [
        {"image_id": 1, "category_id": 1, "keypoints": _POINTS, "score": 0.5, "bbox": [1, 2, 3, 4]}
    ],
}
CAMERA = {
    "width": 640,
    "height": 480,
    "focal_px": 700.0,
    "center_px": [320, 240],
    "distortion": [0.1, 0],
}
_SQUARE = [[0, 0], [300, 0], [300, 480], [0, 480], [0, 0]]
_REST = [[400, 0], [640, 0], [640, 480], [400, 480], [400, 0]]
_HOLE = [[500, 100], [600, 100], [600, 200], [500, 200], [500, 100]]
REGIONS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"level": "plaza", "height_m": 0.0},
            "geometry": {"type": "Polygon", "coordinates": [_SQUARE]},
        },
        {
            "type": "Feature",
            "properties": {"level": 1},
            "geometry": {"type": "MultiPolygon", "coordinates": [[_REST, _HOLE]]},
        },
    ],
}
RECORD = {
    "picture": "a.jpg",
    "settings": "s",
    "image": "i",
    "people": 3,
    "error": "",
    "seconds": 1.5,
}
CONFIG = (
    b"# a page\ntile_px: 512\nmin_trust: 0.04\nengine: auto\nrefine_scene: false\nstature_m: 1.7\n"
)
XMP = (
    b'<x:xmpmeta><rdf:Description GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="8000" '
    b'GPano:FullPanoHeightPixels="4000" GPano:CroppedAreaImageWidthPixels="4000" '
    b'GPano:CroppedAreaTopPixels="1000" GPano:CroppedAreaLeftPixels="0"/></x:xmpmeta>'
)


def shipped(kind: str, name: str) -> bytes:
    """A page of settings that ships with the package."""
    from crowd3d.config import pages

    return Path(pages(kind)[name]).read_bytes()
