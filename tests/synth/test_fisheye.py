"""Crowds rendered through a fisheye or from straight above: drawn where the truth says, on all sides."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from crowd3d.cli import main
from crowd3d.errors import ConfigError
from crowd3d.synth import Truth, with_camera
from crowd3d.synth.draw.render import Renderer, Setting, sample_setting
from crowd3d.synth.place.presets import preset
from crowd3d.synth.truth import truth_of

SIZE = (360, 360)
KINDS = ["fisheye", "fisheye-equisolid"]


def scene(seed: int = 4, people: int = 14, **camera: object) -> Setting:
    chosen = with_camera(preset("plaza"), **camera)
    return sample_setting(seed, SIZE, people, chosen)


@pytest.fixture(scope="module", params=[*KINDS, "perspective"])
def drawn(request: pytest.FixtureRequest) -> tuple[Setting, np.ndarray, np.ndarray]:
    """A scene from above with the picture and who is seen in each of its pixels."""
    pitch = 88.0 if request.param == "perspective" else 80.0
    setting = scene(projection=request.param, pitch_deg=pitch, height_m=6.0)
    (_, pixels, who), *more = Renderer(setting).tiles()
    assert not more
    return setting, pixels, who


def test_people_are_drawn_where_the_truth_says(drawn):
    setting, pixels, who = drawn
    truth = truth_of(setting)
    assert len(truth) >= 8 and pixels.std() > 10
    u, v, flag = np.moveaxis(truth.keypoints_px, -1, 0)
    person, joint = np.nonzero(flag == 2)
    row, column = (np.clip(x[person, joint].astype(int), 0, 359) for x in (v, u))
    near = np.stack([who[np.clip(row + i, 0, 359), np.clip(column + j, 0, 359)]
                     for i in (-1, 0, 1) for j in (-1, 0, 1)])  # fmt: skip
    assert (near == person).any(axis=0).mean() > 0.97


def test_people_are_on_all_sides_and_stand_on_the_ground(drawn):
    setting, _, _ = drawn
    x, z = setting.cast.position_m.T
    assert (z > 0).any() and (z < 0).any() and (x > 0).any() and (x < 0).any()
    truth = truth_of(setting)
    height = truth.hvip_m @ truth.normals[0] + truth.offsets_m[0]
    np.testing.assert_allclose(height, 0, atol=1e-9)
    seen = setting.world.view.camera.project(truth.torso_m)
    np.testing.assert_allclose(seen, truth.torso_px)
    assert ((seen > 0) & (seen < 360)).all()


def test_outlines_miss_nothing():
    """Only pixels in the outlines of somebody are asked what they show; asking all gives the same picture."""
    setting = scene(people=8, projection="fisheye", pitch_deg=70.0, height_m=3.0)
    few, everything = Renderer(setting), Renderer(setting)
    stage = everything._stage
    stage.hulls, stage.shadows = [None] * len(stage.hulls), [None] * len(stage.shadows)
    (_, one, who_one), (_, other, who_other) = next(few.tiles()), next(everything.tiles())
    assert (who_one == who_other).mean() > 0.9999
    assert (np.abs(one.astype(int) - other).max(axis=2) > 8).mean() < 2e-3


def test_limits_of_the_camera_are_told():
    fisheye = with_camera(preset("plaza"), projection="fisheye")
    assert fisheye.fov_deg == (180.0, 180.0) and fisheye.projection == "fisheye"
    assert with_camera(preset("plaza"), pitch_deg=90.0).pitch_deg == (90.0, 90.0)
    for wrong, message in (
        ({"projection": "fisheye", "fov_deg": 250.0}, "fov_deg must be from 60 to 220"),
        ({"projection": "perspective", "fov_deg": 180.0}, "fov_deg must be from 15 to 110"),
        ({"projection": "cylindrical"}, "cannot be rendered; use one of perspective, fisheye"),
        ({"pitch_deg": 91.0}, "pitch_deg must be from -5 to 90"),
    ):
        with pytest.raises(ConfigError, match=message):
            with_camera(preset("plaza"), **wrong)


@pytest.mark.parametrize("name", ["plaza", "festival", "stadium", "stairs", "gigapixel"])
def test_every_kind_of_place_has_a_fisheye(name: str):
    chosen = with_camera(preset(name), projection="fisheye", pitch_deg=60.0)
    setting = sample_setting(2, SIZE, 6, chosen)
    assert len(setting.cast) > 0
    assert np.isfinite(truth_of(setting).boxes_px).all()


def test_the_command(tmp_path):
    options = ["--projection", "fisheye", "--pitch", "90", "--height", "5", "--size", "200x200"]
    run = CliRunner().invoke(main, ["synth", "-o", str(tmp_path), "--people", "5", *options])
    assert run.exit_code == 0, run.output
    camera = json.loads((tmp_path / "camera.json").read_text())
    assert camera["projection"] == "fisheye"
    assert camera["focal_px"] == pytest.approx(200 / math.pi)
    truth = Truth.load(tmp_path / "truth.npz")
    np.testing.assert_allclose(truth.normals, [[0, 0, -1]], atol=1e-9)
    wrong = CliRunner().invoke(main, ["synth", "-o", str(tmp_path), "--pitch", "95"])
    assert wrong.exit_code == 2 and "pitch_deg must be from -5 to 90" in wrong.output
