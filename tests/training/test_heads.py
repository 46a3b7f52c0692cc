"""Training of heads-s: crops, labels, loss, going on after a stop, and decoding what it tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from crowd3d.errors import ConfigError
from crowd3d.models.crowd3ds import STRIDE, Maps
from crowd3d.models.crowd3ds_decode import decode
from crowd3d.models.heads_s import CHANNELS, LIMBS
from crowd3d.training.common.renders import Render, halvings
from crowd3d.training.common.run_folder import RunFolder
from crowd3d.training.common.textures import made_up
from crowd3d.training.heads import fit as heads_fit
from crowd3d.training.heads.crops import Crop, Scene, crop, scene_of
from crowd3d.training.heads.fit import Batch, batch_of, loss_of
from crowd3d.training.heads.recipe import CropRecipe, Recipe, read_recipe

SIDE = 64


def limbs_of(middle: np.ndarray, head: float) -> np.ndarray:
    """(12, 3) limbs of somebody who stands, all seen."""
    down = np.repeat([1.0, 2.2, 3.1, 3.3, 5.0, 6.6], 2)
    across = np.tile([0.8, -0.8], 6)
    flag = np.full(12, 2.0)
    return np.stack([middle[0] + across * head, middle[1] + down * head, flag], axis=1)


def scene(seed: int = 0, people: int = 8) -> Scene:
    """Heads are white discs on grey."""
    rng = np.random.default_rng(seed)
    picture = np.full((200, 260, 3), 110, np.uint8)
    middle = np.stack([rng.uniform(15, 245, people), rng.uniform(15, 110, people)], axis=1)
    head = rng.uniform(8, 14, people)
    v, u = np.mgrid[:200, :260] + 0.5
    for (x, y), size in zip(middle, head, strict=True):
        picture[np.hypot(u - x, v - y) < size / 2] = 250
    limbs = np.stack([limbs_of(m, h) for m, h in zip(middle, head, strict=True)])
    return Scene(halvings(picture, 4), middle, head, np.ones(people), limbs)


@pytest.fixture(scope="module")
def textures() -> list[np.ndarray]:
    return made_up(4, 96, 0)


def small(**changes) -> Recipe:
    crops = CropRecipe(side_px=SIDE, texture_px=96, textures=4, reduced=0, marked=0)
    return Recipe(**({"crops": crops, "batch": 3, "warmup": 2, "judged": 6} | changes))


def test_a_crop_depends_on_its_numbers_alone(textures):
    once, again = (crop([scene()], textures, small(), np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, b)
    other = crop([scene()], textures, small(), np.random.default_rng(6))
    assert (once.pixels != other.pixels).any()


def test_heads_and_limbs_lie_where_the_crop_shows_them(textures):
    quiet = replace(small().light, **dict.fromkeys(
        ("gain_sd", "gamma_sd", "contrast_sd", "tint_sd", "grey", "shadow", "haze", "dim", "bright",
         "blur", "sharpen", "noise", "jpeg"), 0.0), saturation=(1.0, 1.0))  # fmt: skip
    recipe = small(crops=replace(small().crops, made_up=0.0), light=quiet)
    seen = 0
    for seed in range(40):
        made = crop([scene()], textures, recipe, np.random.default_rng(seed))
        inside = ((made.middle_px > 2) & (made.middle_px < SIDE - 2)).all(axis=1)
        u, v = made.middle_px[inside].astype(int).T
        assert (made.pixels[v, u] > 200).all()
        seen += int(inside.sum())
        shoulders = made.limbs_px[:, :2, :2] - made.middle_px[:, None]
        np.testing.assert_allclose(shoulders[..., 1], made.head_px[:, None] * [1.0, 1.0])
        np.testing.assert_allclose(shoulders[:, 0, 0], 0.8 * made.head_px)  # left stays left
    assert seen > 40


def test_a_head_is_seen_as_far_as_nobody_else_is_there():
    who = np.zeros((60, 60), np.uint16)
    who[:, :30] = 1
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, :, :2], keypoints[0, :, 2] = (30.0, 30.0), 2.0
    truth = FakeTruth(keypoints)
    seen = scene_of(Render(np.zeros((60, 60, 3), np.uint8), who, truth))
    assert seen.head_px[0] == pytest.approx(100 * 0.135 * 1.7 / 1.0, rel=1e-6)
    assert seen.seen[0] == pytest.approx(0.5, abs=0.08)


class FakeTruth:
    """The part of a truth that is read."""

    def __init__(self, keypoints_px: np.ndarray) -> None:
        self.keypoints_px = keypoints_px
        self.keypoints_m = np.ones((1, 17, 3))
        self.stature_m = np.array([1.7])
        self.focal_px = np.array(100.0)
        self.id = np.array([0])


def one_head(**changes) -> Crop:
    middle = np.array([[21.0, 18.0]])
    fields = {
        "pixels": np.zeros((SIDE, SIDE, 3), np.uint8),
        "middle_px": middle,
        "head_px": np.array([10.0]),
        "seen": np.array([1.0]),
        "limbs_px": limbs_of(middle[0], 10.0)[None],
    }
    return Crop(**(fields | changes))


def test_what_is_wanted_of_a_crop():
    batch = batch_of(
        [one_head(), one_head(seen=np.array([0.3])), one_head(seen=np.array([0.05]))], small()
    )
    cell = (int(18 // STRIDE), int(21 // STRIDE))
    assert np.argwhere(batch.is_peak.numpy()).tolist() == [[0, *cell]]
    assert batch.peak[0].max() == 1 and batch.told[0][cell] == 1
    assert torch.exp(batch.log_px[0][cell]) == pytest.approx(10.0, rel=1e-5)
    middle = (np.array(cell[::-1]) + 0.5) * STRIDE
    expected = (limbs_of(np.array([21.0, 18.0]), 10.0)[:, :2] - middle) / 10.0
    np.testing.assert_allclose(batch.limbs[0, :, :, cell[0], cell[1]], expected, atol=1e-5)
    # Half seen: neither here nor there. Hidden: nobody.
    assert batch.aside[1][cell] and not batch.aside[2].any() and not batch.is_peak[1:].any()


def answer(batch: Batch, logit: float, at: tuple[int, int]) -> torch.Tensor:
    told = torch.zeros(len(batch.rgb), CHANNELS, SIDE // STRIDE, SIDE // STRIDE)
    told[:, 0] = -6.0
    told[:, 0, at[0], at[1]] = logit
    told[:, 1] = batch.log_px
    told[:, 2:] = batch.limbs.flatten(1, 2)
    return told


def test_the_loss_wants_the_head_and_silence_elsewhere():
    batch, cell = batch_of([one_head()], small()), (4, 5)
    right, silent, wrong = (
        float(loss_of(answer(batch, *what), batch, small()))
        for what in ((6.0, cell), (-6.0, cell), (6.0, (12, 12)))
    )
    assert right < 0.1 < silent < wrong
    bad = answer(batch, 6.0, cell)
    bad[:, 1] += 0.5
    assert float(loss_of(bad, batch, small())) > right + 0.3
    bad = answer(batch, 6.0, cell)
    bad[:, 2:] += 0.5
    assert float(loss_of(bad, batch, small())) > right + 0.1


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, textures):
    recipe, scenes = small(steps=4), [scene(0), scene(1)]
    whole = heads_fit.fit(scenes, textures, recipe).state_dict()

    class Stopped(Exception):
        pass

    def stop_after(run: RunFolder) -> None:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1
            run.save(count)
            if count == 2:
                raise Stopped

        heads_fit.fit(scenes, textures, recipe, run, step)

    with pytest.raises(Stopped):
        stop_after(RunFolder(tmp_path, "heads-s"))
    again = heads_fit.fit(scenes, textures, recipe, RunFolder(tmp_path, "heads-s", resume=True))
    for name, tensor in again.state_dict().items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=0)


def test_people_are_read_off_their_heads():
    """Two heads, with shoulders that the heat map shows a little beside where they are expected."""
    count, size = SIDE // STRIDE, 2 * STRIDE
    shape = {"center": 1, "box_size": 2, "box_offset": 2, "keypoint_heat": 17}
    maps = {name: torch.zeros(1, c, count, count) for name, c in shape.items()}
    maps |= {
        name: torch.zeros(1, 34, count, count)
        for name in ("keypoint_regression", "keypoint_offset")
    }
    heads = torch.zeros(1, CHANNELS, count, count)
    heads[:, 0] = -8.0
    for cell in ((2, 3), (2, 11)):
        heads[0, 0, cell[0], cell[1]] = 2.0
        heads[0, 1] = np.log(size)
        heads[0, 2:, cell[0], cell[1]] = torch.tensor([[0.0, 1.0]] * len(LIMBS)).flatten()
        maps["keypoint_heat"][0, 5, cell[0] + 2, cell[1] + 1] = 0.9
    found = decode(Maps(**maps, heads=heads), 0.2, 0.5)
    assert len(found.score) == 2
    np.testing.assert_allclose(found.score, torch.sigmoid(torch.tensor([2.0, 2.0])))
    np.testing.assert_allclose(found.head_px, size, rtol=1e-5)
    nose = found.keypoints_px[:, 0]
    np.testing.assert_allclose(nose[:, :2], [[14.0, 10.0], [46.0, 10.0]], atol=1e-4)
    assert (nose[:, 2] >= 0.15).all()
    np.testing.assert_allclose(found.keypoints_px[:, 5, 0], [16.0, 48.0])  # the cell of the heat
    np.testing.assert_allclose(found.keypoints_px[:, 5, 2], 0.9, rtol=1e-5)
    assert not len(decode(Maps(**maps, heads=heads), 0.2).score)  # heads are not asked for


def test_recipes_are_checked(tmp_path):
    page = tmp_path / "page.yaml"
    page.write_text("scenes: {plaza: {seeds: [1-1]}}\n")
    with pytest.raises(ConfigError, match="held_out names no picture"):
        read_recipe(page)
    page.write_text(
        "scenes: {plaza: {seeds: [1-1]}}\nheld_out: {plaza: {seeds: [2-2]}}\ncrops: {side_px: 50}\n"
    )
    with pytest.raises(ConfigError, match="side_px"):
        read_recipe(page)
    assert read_recipe().scenes
