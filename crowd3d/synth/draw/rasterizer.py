"""What the centre of each pixel sees first: by Embree on the CPU, or by PyTorch3D on a GPU that has it.

Shadows, edges and silhouettes stay with the ray caster; only the first, largest question may go to the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from crowd3d.errors import ConfigError
from crowd3d.maths.raycast import Hits
from crowd3d.synth.draw.stage import Area, TileMesh
from crowd3d.synth.place.view import View

BoolArray = npt.NDArray[np.bool_]

_NEAREST_M = 0.05


class Rasterizer(Protocol):
    """Anything that finds the first triangle behind pixels."""

    def first(self, mesh: TileMesh, view: View, area: Area, wanted: BoolArray) -> Hits:
        """Hits of the wanted pixels, in reading order.

        Args:
            mesh: triangles in the ground frame.
            area: x, y, width, height in pixels; it may leave the picture.
            wanted: (width * height,) of the area's pixels in reading order.
        """
        ...


class Embree:
    """One ray through the centre of each pixel."""

    def first(self, mesh: TileMesh, view: View, area: Area, wanted: BoolArray) -> Hits:
        x, y, w, _ = area
        row, column = np.divmod(np.flatnonzero(wanted), w)
        centers = np.stack([x + column + 0.5, y + row + 0.5], axis=1)
        return mesh.caster.hits(view.rays(centers).astype(np.float32), view.eye_m)


@dataclass
class PyTorch3D:
    """PyTorch3D's mesh rasteriser; perspective pictures only.

    Args:
        renderer: the module `pytorch3d.renderer`; structures: `pytorch3d.structures`.
        device: where it works.
    """

    renderer: Any
    structures: Any
    device: str = "cuda"

    def first(self, mesh: TileMesh, view: View, area: Area, wanted: BoolArray) -> Hits:
        import torch

        if not view.camera.is_perspective:
            raise ConfigError(
                f"PyTorch3D cannot rasterise a {view.camera.projection} picture; use embree"
            )
        x, y, w, h = area
        in_camera = view.to_camera(mesh.vertices)
        # PyTorch3D's camera looks along +z too, but its x points left and its y up.
        corners = torch.as_tensor(in_camera * [-1.0, -1.0, 1.0], dtype=torch.float32)
        meshes = self.structures.Meshes(
            verts=[corners.to(self.device)], faces=[torch.as_tensor(mesh.faces).to(self.device)]
        )
        focal, center = view.camera.focal_px, view.camera.center_px
        cameras = self.renderer.PerspectiveCameras(
            focal_length=((focal, focal),),
            principal_point=((center[0] - x, center[1] - y),),
            image_size=((h, w),),
            in_ndc=False,
            device=self.device,
        )
        settings = self.renderer.RasterizationSettings(
            image_size=(h, w),
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=True,
            cull_backfaces=False,
            z_clip_value=_NEAREST_M,
        )
        with torch.inference_mode():
            found = self.renderer.MeshRasterizer(cameras=cameras, raster_settings=settings)(meshes)
        face = found.pix_to_face.reshape(-1).cpu().numpy()[wanted]
        hit = face >= 0
        weights = found.bary_coords.reshape(-1, 3).cpu().numpy()[wanted] * hit[:, None]
        points = np.einsum("nk,nkc->nc", weights, in_camera[mesh.faces[face]])
        away = np.where(hit, np.linalg.norm(points, axis=1), np.inf)
        return Hits(face.astype(np.int64), away.astype(np.float32), weights.astype(np.float32))


def choose_rasterizer(name: str = "embree") -> Rasterizer:
    """A rasteriser by name: embree, pytorch3d, or auto = PyTorch3D where it and a GPU can be used.

    Raises:
        ConfigError: an unknown name, or a PyTorch3D that is not there.
    """
    if name not in ("embree", "pytorch3d", "auto"):
        raise ConfigError(f"no rasteriser is called {name!r}; known: embree, pytorch3d, auto")
    if name == "embree":
        return Embree()
    import torch

    try:
        # The import of the renderer fails where only the Python part is installed.
        from pytorch3d import renderer, structures

        if torch.cuda.is_available():
            return PyTorch3D(renderer, structures)
        missing = "there is no CUDA device"
    except ImportError as error:
        missing = f"its compiled part cannot be loaded ({error})"
    if name == "auto":
        return Embree()
    raise ConfigError(f"PyTorch3D cannot rasterise here: {missing}; use embree")
