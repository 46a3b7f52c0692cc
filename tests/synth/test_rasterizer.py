"""The rasterisers: PyTorch3D's is asked for what Embree would find, in PyTorch3D's own conventions."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from crowd3d.errors import ConfigError
from crowd3d.maths.raycast import RayCaster
from crowd3d.synth.draw.rasterizer import Embree, PyTorch3D, choose_rasterizer
from crowd3d.synth.draw.render import Setting, sample_setting
from crowd3d.synth.draw.shading import Shader
from crowd3d.synth.draw.stage import Stage
from crowd3d.synth.place.presets import preset

AREA = (40, 30, 160, 96)  # not square, and off the picture's centre


@dataclass
class Meshes:
    verts: list[torch.Tensor]
    faces: list[torch.Tensor]


@dataclass
class PerspectiveCameras:
    focal_length: tuple
    principal_point: tuple
    image_size: tuple
    in_ndc: bool
    device: str


@dataclass
class RasterizationSettings:
    image_size: tuple[int, int]
    blur_radius: float
    faces_per_pixel: int
    perspective_correct: bool
    cull_backfaces: bool
    z_clip_value: float


@dataclass
class MeshRasterizer:
    """Stands for the real one: x points left, y up, z forward; screen pixels start at the top left."""

    cameras: PerspectiveCameras
    raster_settings: RasterizationSettings

    def __call__(self, meshes: Meshes) -> SimpleNamespace:
        assert not self.cameras.in_ndc
        assert self.cameras.image_size[0] == self.raster_settings.image_size
        height, width = self.raster_settings.image_size
        (focal, _), (u0, v0) = self.cameras.focal_length[0], self.cameras.principal_point[0]
        v, u = np.mgrid[:height, :width] + 0.5
        ways = np.stack([-(u - u0) / focal, -(v - v0) / focal, np.ones_like(u)], axis=-1)
        hits = RayCaster(meshes.verts[0].numpy(), meshes.faces[0].numpy()).hits(ways.reshape(-1, 3))
        return SimpleNamespace(
            pix_to_face=torch.as_tensor(hits.face).reshape(1, height, width, 1),
            bary_coords=torch.as_tensor(hits.barycentric).reshape(1, height, width, 1, 3),
        )


FAKE = SimpleNamespace(
    PerspectiveCameras=PerspectiveCameras,
    RasterizationSettings=RasterizationSettings,
    MeshRasterizer=MeshRasterizer,
    Meshes=Meshes,
)


@pytest.fixture(scope="module")
def setting() -> Setting:
    return sample_setting(3, (320, 180), 12, preset("street"))


def stage_of(setting: Setting) -> Stage:
    return Stage(setting.world, setting.bodies, setting.outfits, setting.cast)


def test_both_find_the_same(setting: Setting) -> None:
    stage = stage_of(setting)
    mesh = stage.mesh(stage.touching(AREA, with_shadows=False))
    assert mesh is not None
    wanted = np.zeros(AREA[2] * AREA[3], bool)
    wanted[::3] = True
    ours = Embree().first(mesh, setting.world.view, AREA, wanted)
    theirs = PyTorch3D(FAKE, FAKE, "cpu").first(mesh, setting.world.view, AREA, wanted)
    assert len(ours.face) == wanted.sum()
    same = ours.face == theirs.face
    assert same.mean() > 0.995 and (ours.face >= 0).any()
    hit = same & (ours.face >= 0)
    assert np.allclose(ours.distance_m[hit], theirs.distance_m[hit], rtol=1e-3)
    assert np.isinf(theirs.distance_m[theirs.face < 0]).all()


def test_the_same_picture_comes_out(setting: Setting) -> None:
    tiles = [
        Shader(stage_of(setting), drawer).tile(AREA)
        for drawer in (Embree(), PyTorch3D(FAKE, FAKE, "cpu"))
    ]
    assert (tiles[0][1] == tiles[1][1]).mean() > 0.995
    assert np.abs(tiles[0][0] - tiles[1][0]).mean() < 0.01


def test_the_choice_is_by_name_and_by_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_rasterizer("embree"), Embree)
    with pytest.raises(ConfigError, match="povray"):
        choose_rasterizer("povray")
    monkeypatch.setitem(sys.modules, "pytorch3d", None)  # as if it were not installed
    assert isinstance(choose_rasterizer("auto"), Embree)
    with pytest.raises(ConfigError, match="embree"):
        choose_rasterizer("pytorch3d")
    there = types.ModuleType("pytorch3d")
    there.renderer, there.structures = FAKE, FAKE  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch3d", there)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert isinstance(choose_rasterizer("auto"), PyTorch3D)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert isinstance(choose_rasterizer("auto"), Embree)
