"""rootnet-s: depth from what a crop shows, where a constant gamma is wrong; and the geometry around it.

`tests/data/rootnet_people.npz` is made by `benchmarks/held_out_crops.py` from pictures that training never saw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.paths import DATA

from crowd3d import models
from crowd3d.config import Config
from crowd3d.errors import ConfigError
from crowd3d.lift import depths as depth_module
from crowd3d.lift.depths import depths_of_rootnet_s
from crowd3d.models.rootnet_s import Extent, RootNetS
from crowd3d.picture import person_windows
from crowd3d.picture.crops import Crops
from crowd3d.pipeline import networks
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from crowd3d.training.crops.data import read_shard
from crowd3d.training.crops.examples import as_examples
from crowd3d.training.crops.fit import extent_loss, fit_extents, measure_extents
from crowd3d.training.crops.recipe import Learning
from crowd3d.training.crops.scene import PictureArray

FILE = DATA / "rootnet_people.npz"


@pytest.fixture(scope="module")
def people():
    return as_examples([read_shard(FILE)])


def test_a_learned_gamma_beats_a_constant_one_by_a_third(people):
    """Errors of log depth of those who sit, are small, or are cut by the picture's border; and of everybody.

    The constant is the one that is best for all of these people together, by the truth.
    """
    found = measure_extents(models.build("rootnet-s"), people)
    assert (people.unusual > 0).sum() >= 30
    assert found["unusual_rootnet_s"] < 0.7 * found["unusual_best_constant"], found
    assert found["rootnet_s"] < 0.7 * found["best_constant"], found
    # The control: the gammas of other people.
    assert found["shuffled"] > found["best_constant"]
    assert found["unusual_shuffled"] > 0.7 * found["unusual_best_constant"]


def test_its_scale_tells_its_errors(people):
    network = models.build("rootnet-s")
    rows = people.rows(slice(None))
    with torch.inference_mode():
        told = network(rows.maps, rows.keypoints, rows.elevation)
        sure = extent_loss(network, rows)[0]
    z = ((told.log_m - rows.window_m.log()) / told.log_sd).abs()
    assert 0.45 < (z < 1).float().mean() < 0.85 and (z < 4).float().mean() > 0.95
    spread = told.log_sd.median()
    constant = replace_scale(network, spread)
    with torch.inference_mode():
        assert (
            sure < extent_loss(constant, rows)[0] + 0.02
        )  # its own scales explain as well as one for all


def replace_scale(network, log_sd):
    class Constant(torch.nn.Module):
        def forward(self, *args):
            return network(*args)._replace(log_sd=log_sd)

    return Constant()


def test_a_fresh_network_knows_only_what_is_usual_and_can_learn(people):
    fresh = RootNetS().eval()
    rows = people.rows(slice(0, 6))
    with torch.inference_mode():
        told = fresh(rows.maps, rows.keypoints, rows.elevation)
    assert told.log_m.exp().unique().numel() == 1 and 1.5 < float(told.log_m[0].exp()) < 2.5
    recipe = Learning(steps=40, batch=32, warmup=5, average=0.8)
    learned = fit_extents(people, recipe)
    before, after = (measure_extents(network, people) for network in (fresh, learned))
    assert after["nll"] < before["nll"] and after["rootnet_s"] < before["rootnet_s"]


def test_small_and_nobody_hears_of_the_others(people):
    network = models.build("rootnet-s")
    assert sum(p.numel() for p in network.parameters()) < 4e5
    rows = people.rows(slice(0, 5))
    order = torch.tensor([3, 1, 4, 0, 2])
    turned = rows.picked(order)
    with torch.inference_mode():
        a = network(rows.maps, rows.keypoints, rows.elevation)
        b = network(turned.maps, turned.keypoints, turned.elevation)
    torch.testing.assert_close(a.log_m[order], b.log_m, atol=1e-4, rtol=1e-4)


SIZE = (2000, 1200)


def standing(camera, up, places_m):
    """Stick figures 1.7 m tall about `places_m` (N, 3), as keypoints and boxes."""
    rng = np.random.default_rng(0)
    sticks = rng.uniform(-0.3, 0.3, (len(places_m), 17, 3)) * [1, 0, 1]
    sticks += np.linspace(-0.85, 0.85, 17)[:, None] * up
    pixels = camera.project(sticks + places_m[:, None])
    box = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    n = len(places_m)
    poses = np.concatenate([pixels, np.full((n, 17, 1), 0.8)], axis=2)
    one, none = np.ones(n), np.zeros(n, np.int64)
    return Detections(one, one, box, poses, none > 0, none)


@pytest.mark.parametrize("pitch_deg", [0.0, 25.0])
def test_what_a_window_measures_gives_the_depth_anywhere_in_the_picture(pitch_deg, monkeypatch):
    """A network that knows what the windows measure places everybody; one that errs by a tenth, a tenth off."""
    camera = Camera.from_fov(*SIZE, 70.0)
    tilt = np.deg2rad(pitch_deg)
    up = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
    fitted = Fitted(camera, [Plane(up, 3.0)], np.zeros((4, 4)), {})
    x, y = np.meshgrid([-0.55, 0.0, 0.5], [-0.25, 0.2])
    depth = np.linspace(6, 40, 6)
    places = np.stack([x.ravel(), y.ravel(), np.ones(6)], axis=1) * depth[:, None]
    people = standing(camera, up, places)
    view = person_windows.window_of(fitted, 0)
    tiles = [person_windows.tile_of_pose(pose) for pose in people.keypoints_px]
    true_m = [view.height_m(tile, place) for tile, place in zip(tiles, places, strict=True)]

    class Knows(torch.nn.Module):
        factor = 1.0

        def forward(self, maps, keypoints, elevation):
            assert len(keypoints) == len(true_m) and (keypoints[..., 2] > 0).all()
            log_m = torch.tensor(true_m).mul(self.factor).log()
            return Extent(log_m, torch.full_like(log_m, 0.1))

    knows, shared = Knows(), models.shared
    monkeypatch.setattr(
        depth_module.models, "shared", lambda name: knows if name == "rootnet-s" else shared(name)
    )
    crops = Crops(PictureArray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)))
    found = depths_of_rootnet_s(people, fitted, crops)
    np.testing.assert_allclose(found.over_focal * camera.focal_px, depth, rtol=0.03)
    assert found.is_new and (found.log_sd == pytest.approx(0.129))
    knows.factor = 1.1
    larger = depths_of_rootnet_s(people, fitted, crops)
    np.testing.assert_allclose(larger.over_focal, 1.1 * found.over_focal)


def test_nothing_is_said_of_who_is_hardly_seen_or_outside():
    camera = Camera.from_fov(*SIZE, 70.0)
    up = np.array([0.0, -1.0, 0.0])
    fitted = Fitted(camera, [Plane(up, 3.0)], np.zeros((4, 4)), {})
    places = np.array([[0.0, 0, 9], [1.0, 0, 9], [90.0, 0, 9]])
    people = standing(camera, up, places)
    poses = people.keypoints_px.copy()
    poses[1, 3:, 2] = 0.01
    people = replace(people, keypoints_px=poses)
    crops = Crops(PictureArray(np.zeros((SIZE[1], SIZE[0], 3), np.uint8)))
    found = depths_of_rootnet_s(people, fitted, crops)
    assert np.isfinite(found.over_focal).tolist() == [True, False, False]
    nobody = people.filter(np.zeros(0, np.int64))
    assert len(depths_of_rootnet_s(nobody, fitted, crops).over_focal) == 0


def test_it_can_be_asked_for_by_name():
    config = Config(depth_prior="rootnet-s")
    networks.check_weights(config)
    with pytest.raises(ConfigError, match="rootnet-s looks at the picture"):
        networks.check_crops(config, None)
