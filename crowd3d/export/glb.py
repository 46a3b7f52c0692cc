"""The crowd as one binary glTF 2.0 file: a node a person, the ground, the camera. y up, metres."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from crowd3d.export.bodies import CrowdMesh, LocalBodies
from crowd3d.export.ground_photo import ground_photo
from crowd3d.export.normals import vertex_normals
from crowd3d.export.palette import color_index, linear_palette
from crowd3d.export.report import encode
from crowd3d.files import atomic, strict_json
from crowd3d.scene.camera import Camera
from crowd3d.scene.frames import ExportFrame, export_frame
from crowd3d.scene.ground_mesh import GroundMesh, ground_meshes
from crowd3d.scene.scene import Scene
from crowd3d.version import __version__

FloatArray = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125
_VERTEX_BUFFER, _INDEX_BUFFER = {"byteStride": 12, "target": 34962}, {"target": 34963}
_PLACE_BUFFER, _IMAGE_BUFFER = {"byteStride": 8, "target": 34962}, dict[str, int]()
_CLAMPED = 33071
_GROUND_RGB = np.array([0.35, 0.35, 0.34])
_FLIP_YZ = np.diag([1.0, -1.0, -1.0])  # a glTF camera looks along -z with y up


def write(scene: Scene, mesh: CrowdMesh, path: Path, photo_rgb: Picture | None = None) -> None:
    """Write the file; raises OutputError."""
    atomic.write_parts(path, glb_parts(scene, mesh, photo_rgb))


def glb_parts(scene: Scene, mesh: CrowdMesh, photo_rgb: Picture | None = None) -> Iterator[bytes]:
    """The bytes of the file (Khronos glTF 2.0, binary container), part by part.

    All people share one index accessor and a palette of materials. Each person's vertices are
    relative to its node, which stands at the foot of the torso.

    Args:
        photo_rgb: (H, W, 3) the photograph, of any size, to lie on the ground; None leaves that grey.
    """
    frame = export_frame(scene.camera, scene.planes)
    parts = _Parts()
    nodes = _people(parts, scene, mesh, frame)
    nodes += _ground(parts, scene, frame, photo_rgb)
    nodes.append(_camera_node(scene.camera, frame))
    asset = {
        "version": "2.0",
        "generator": f"crowd3d {__version__}",
        "extras": {
            "image_name": scene.image_name,
            "body": scene.body,
            "units": "metres",
            "frame": "x right, y up, z backward, origin on the ground below the camera",
        },
    }
    document = {
        "asset": asset,
        "scene": 0,
        "scenes": [{"name": "crowd", "nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "cameras": [_lens(scene.camera)],
        **parts.document(),
    }
    yield from _container(strict_json.plain(document), parts)


class _Parts:
    """Arrays, meshes and materials of a file that grows; arrays are made when they are written."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.contents: list[Callable[[], Iterable[npt.NDArray[Any]]]] = []
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.meshes: list[dict[str, Any]] = []
        self.materials: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []

    def view(self, array: npt.NDArray[Any], use: dict[str, int]) -> int:
        """Append an array of vertices, indices or the bytes of a picture; its buffer view."""
        return self.view_of(array.nbytes, lambda: [array], use)

    def view_of(
        self, n_bytes: int, make: Callable[[], Iterable[npt.NDArray[Any]]], use: dict[str, int]
    ) -> int:
        """Append an array of so many bytes that is made in parts; its buffer view."""
        view = {"buffer": 0, "byteOffset": self.n_bytes, "byteLength": n_bytes}
        self.views.append({**view, **use})
        self.contents.append(make)
        self.n_bytes += n_bytes + -n_bytes % 4
        return len(self.views) - 1

    def binary(self) -> Iterator[bytes]:
        """The contents of all views, each filled up to four bytes."""
        for view, make in zip(self.views, self.contents, strict=True):
            for array in make():
                yield np.ascontiguousarray(array).tobytes()
            yield bytes(-int(view["byteLength"]) % 4)

    def accessor(
        self, view: int, offset: int, count: int, kind: int, type_: str, **more: Any
    ) -> int:
        self.accessors.append(
            {
                "bufferView": view,
                "byteOffset": offset,
                "componentType": kind,
                "count": count,
                "type": type_,
                **more,
            }
        )
        return len(self.accessors) - 1

    def indices(self, faces: npt.NDArray[np.int64]) -> int:
        """(F, 3) triangles as the smallest type that holds them."""
        small = faces.max(initial=0) < 65535  # the largest value restarts primitives
        kind, dtype = (_UNSIGNED_SHORT, "<u2") if small else (_UNSIGNED_INT, "<u4")
        view = self.view(faces.astype(dtype).reshape(-1), _INDEX_BUFFER)
        return self.accessor(view, 0, faces.size, kind, "SCALAR")

    def texture(self, name: str, picture: Picture) -> dict[str, Any]:
        """A material of nothing but this picture, which is kept as a JPEG."""
        content = np.frombuffer(encode(picture, ".jpg"), np.uint8)
        view = self.view(content, _IMAGE_BUFFER)
        self.images.append({"name": name, "bufferView": view, "mimeType": "image/jpeg"})
        material = _material(name, np.ones(3), 1.0)
        source = {"index": len(self.images) - 1}
        material["pbrMetallicRoughness"]["baseColorTexture"] = source
        return material

    def document(self) -> dict[str, Any]:
        """The members of the document that exist; glTF forbids empty lists."""
        members = {
            "meshes": self.meshes,
            "materials": self.materials,
            "accessors": self.accessors,
            "bufferViews": self.views,
            "images": self.images,
            "textures": [{"source": k, "sampler": 0} for k in range(len(self.images))],
            "samplers": [{"wrapS": _CLAMPED, "wrapT": _CLAMPED}] if self.images else [],
            "buffers": [{"byteLength": self.n_bytes}] if self.n_bytes else [],
        }
        return {name: value for name, value in members.items() if value}


def _people(
    parts: _Parts, scene: Scene, mesh: CrowdMesh, frame: ExportFrame
) -> list[dict[str, Any]]:
    if not len(mesh.index):
        return []
    bodies = LocalBodies.of(scene, mesh, frame)
    feet = bodies.feet_m
    n_vertices, n_bytes = mesh.vertices_m.shape[1], mesh.vertices_m.nbytes

    def positions() -> Iterator[npt.NDArray[np.float32]]:
        return (part.astype("<f4") for part in bodies.parts())

    def normals() -> Iterator[npt.NDArray[np.float32]]:
        return (vertex_normals(part, mesh.faces).astype("<f4") for part in positions())

    indices = parts.indices(mesh.faces)
    position_view = parts.view_of(n_bytes, positions, _VERTEX_BUFFER)
    normal_view = parts.view_of(n_bytes, normals, _VERTEX_BUFFER)
    spans = [(part.min(axis=1), part.max(axis=1)) for part in positions()]
    low, high = (np.concatenate(ends).astype(float) for ends in zip(*spans, strict=True))
    colors = color_index(scene.people.id[mesh.index])
    used, material = np.unique(colors, return_inverse=True)
    parts.materials += [_material(f"person_{c:02d}", linear_palette()[c], 0.75) for c in used]
    nodes = []
    for k, i in enumerate(mesh.index):
        at = k * n_vertices * 12
        attributes = {
            "POSITION": parts.accessor(
                position_view, at, n_vertices, _FLOAT, "VEC3", min=low[k], max=high[k]
            ),
            "NORMAL": parts.accessor(normal_view, at, n_vertices, _FLOAT, "VEC3"),
        }
        id_ = int(scene.people.id[i])
        primitive = {"attributes": attributes, "indices": indices, "material": int(material[k])}
        name = f"person_{id_:04d}"
        parts.meshes.append({"name": name, "primitives": [primitive]})
        extras = {
            "id": id_,
            "stature_m": round(float(scene.people.stature_m[i]), 4),
            "score": round(float(scene.people.score[i]), 4),
        }
        nodes.append({"name": name, "mesh": k, "translation": feet[k], "extras": extras})
    return nodes


def _ground(
    parts: _Parts, scene: Scene, frame: ExportFrame, photo_rgb: Picture | None
) -> list[dict[str, Any]]:
    """One mesh a level, or one of the surface."""
    if not scene.planes:
        return []
    nodes = []
    if photo_rgb is None:
        parts.materials.append(_material("ground", _GROUND_RGB, 1.0))
    for k, mesh in ground_meshes(scene.ground, frame, scene.people).items():
        name = f"ground_{k}"
        if photo_rgb is not None:
            photo = ground_photo(mesh, scene.camera, photo_rgb)
            parts.materials.append(parts.texture(name, photo))
        nodes.append({"name": name, "mesh": len(parts.meshes)})
        parts.meshes.append(_ground_mesh(parts, name, mesh, frame, photo_rgb is not None))
    return nodes


def _ground_mesh(
    parts: _Parts, name: str, mesh: GroundMesh, frame: ExportFrame, has_photo: bool
) -> dict[str, Any]:
    """A mesh of the last material."""
    vertices = frame.y_up(mesh.vertices_m.reshape(-1, 3)).astype("<f4")
    normals = (mesh.normals.reshape(-1, 3) @ frame.R_yup_cam.T).astype("<f4")
    low, high = vertices.min(axis=0).astype(float), vertices.max(axis=0).astype(float)
    position, shading = (parts.view(array, _VERTEX_BUFFER) for array in (vertices, normals))
    n = len(vertices)
    attributes = {
        "POSITION": parts.accessor(position, 0, n, _FLOAT, "VEC3", min=low, max=high),
        "NORMAL": parts.accessor(shading, 0, n, _FLOAT, "VEC3"),
    }
    if has_photo:
        right, ahead = mesh.shares.reshape(-1, 2).T
        places = parts.view(np.stack([right, 1 - ahead], axis=1).astype("<f4"), _PLACE_BUFFER)
        attributes["TEXCOORD_0"] = parts.accessor(places, 0, n, _FLOAT, "VEC2")
    primitive = {
        "attributes": attributes,
        "indices": parts.indices(mesh.faces),
        "material": len(parts.materials) - 1,
    }
    return {"name": name, "primitives": [primitive]}


def _material(name: str, rgb: FloatArray, roughness: float) -> dict[str, Any]:
    surface = {
        "baseColorFactor": [*np.round(rgb, 4), 1.0],
        "metallicFactor": 0.0,
        "roughnessFactor": roughness,
    }
    return {"name": name, "pbrMetallicRoughness": surface, "doubleSided": True}


def _lens(camera: Camera) -> dict[str, Any]:
    """The camera's field of view; what glTF cannot express is in the extras."""
    perspective = {
        "yfov": camera.fov_down_rad,
        "aspectRatio": camera.width / camera.height,
        "znear": 0.1,
    }
    return {
        "name": "camera",
        "type": "perspective",
        "perspective": perspective,
        "extras": camera.to_dict(),
    }


def _camera_node(camera: Camera, frame: ExportFrame) -> dict[str, Any]:
    rotation = Rotation.from_matrix(frame.R_yup_cam @ _FLIP_YZ).as_quat()
    place = frame.y_up(np.zeros(3))
    return {"name": "camera", "camera": 0, "translation": place, "rotation": rotation}


def _container(document: dict[str, Any], parts: _Parts) -> Iterator[bytes]:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + (8 + parts.n_bytes if parts.n_bytes else 0)
    yield struct.pack("<4sII", b"glTF", 2, size)
    yield struct.pack("<I4s", len(text), b"JSON") + text
    if parts.n_bytes:
        yield struct.pack("<I4s", parts.n_bytes, b"BIN\0")
        yield from parts.binary()
