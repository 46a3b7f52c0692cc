"""Training of glance-s: crops, labels, loss, batch norm that goes, and going on after a stop."""

import cv2
import numpy as np
import pytest
import torch

from crowd3d.errors import ConfigError, DataError, OutputError
from crowd3d.models.glance_s import STRIDE, GlanceS
from crowd3d.progress import Progress
from crowd3d.training.common.light import relit
from crowd3d.training.common.norm import folded, normed
from crowd3d.training.common.run_folder import RunFolder, claim
from crowd3d.training.common.textures import made_up
from crowd3d.training.glance import fit as glance_fit
from crowd3d.training.glance import scenes as glance_scenes
from crowd3d.training.glance.crops import Crop, Material, crop
from crowd3d.training.glance.fit import Batch, batch_of, best, loss_of, told
from crowd3d.training.glance.recipe import CropRecipe, LightRecipe, Recipe, Scenes
from crowd3d.training.glance.scenes import Scene

NO_LIGHT = LightRecipe(
    **{name: 0.0 for name in ("gain_sd", "gamma_sd", "contrast_sd", "tint_sd", "grey", "shadow")},
    **{name: 0.0 for name in ("haze", "dim", "bright", "blur", "sharpen", "noise", "jpeg")},
    saturation=(1.0, 1.0),
)


def scene(seed=0, people=12):
    """People are red boxes 40 px high on a grey ground with green ones, which are nobody."""
    rng = np.random.default_rng(seed)
    picture = np.full((240, 320, 3), 120, np.uint8)
    corner = np.stack([rng.integers(0, 300, 2 * people), rng.integers(0, 195, 2 * people)], axis=1)
    for i, (x, y) in enumerate(corner):
        picture[y : y + 40, x : x + 14] = (30, 160, 60) if i < people else (200, 30, 30)
    boxes = np.hstack([corner, corner + np.array([14, 40])])[people:].astype(float)
    levels = [picture]
    for _ in range(3):
        half = (levels[-1].shape[1] // 2, levels[-1].shape[0] // 2)
        levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
    cut_out = np.full((40, 14, 4), (200, 30, 30, 255), np.uint8)
    return Scene(levels, boxes, np.ones(people), [cut_out])


@pytest.fixture(scope="module")
def material():
    return Material([scene(0), scene(1)], made_up(6, 96, 0))


def small(**changes):
    """A recipe whose crops are small."""
    crops = CropRecipe(side_px=64, texture_px=96, textures=6)
    return Recipe(**({"crops": crops, "batch": 4, "warmup": 2, "judged": 40} | changes))


def test_a_crop_depends_on_its_numbers_alone(material):
    once, again = (crop(material, small(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(once.pixels, again.pixels)
    np.testing.assert_array_equal(once.boxes_px, again.boxes_px)
    other = crop(material, small(), np.random.default_rng(6))
    assert once.pixels.shape == other.pixels.shape == (64, 64, 3)
    assert (once.pixels != other.pixels).any()


@pytest.mark.parametrize("pasted", [0.0, 1.0])
def test_boxes_lie_on_the_people(material, pasted):
    """Windows of a scene, and cut-outs: mirrored or not, the red is where the boxes say."""
    crops = CropRecipe(side_px=96, made_up=pasted, pasted=pasted, covered=0, blend=0)
    recipe, seen = Recipe(crops=crops, light=NO_LIGHT), 0
    for seed in range(40):
        made = crop(material, recipe, np.random.default_rng(seed))
        red = made.pixels[..., 0] > 2.0 * made.pixels[..., 1:].max(axis=2) + 1
        claimed = np.zeros_like(red)
        for box, is_meant in zip(made.boxes_px, made.is_meant, strict=True):
            x0, y0, x1, y1 = np.clip(np.round(box), 0, 96).astype(int)
            claimed[y0 - min(y0, 2) : y1 + 2, x0 - min(x0, 2) : x1 + 2] = True
            if (
                is_meant and x1 - x0 > 8 and not pasted
            ):  # pasted ones have tints and hide each other
                assert red[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].mean() > 0.9
                seen += 1
        if not pasted:
            assert not (red & ~claimed).any()
        else:
            seen += int(made.is_meant.sum())
    assert seen > 40


def test_people_who_are_too_small_too_tall_or_hidden_need_not_be_found(material):
    one = scene()._replace(visibility=np.zeros(12))
    recipe = small(crops=CropRecipe(side_px=64, made_up=0, pasted=0, covered=0))
    rng = np.random.default_rng
    assert not any(
        crop(Material([one], []), recipe, rng(seed)).is_meant.any() for seed in range(20)
    )
    for seed in range(60):
        made = crop(material, small(), rng(seed))
        height = made.boxes_px[:, 3] - made.boxes_px[:, 1]
        low, high = small().crops.meant_px
        assert not made.is_meant[(height < low) | (height > high)].any()


def test_light_keeps_the_size_and_no_light_the_picture():
    picture = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    kept = relit(picture, NO_LIGHT, np.random.default_rng(1))
    assert np.abs(kept / 255.0 - picture).max() < 0.01
    many = [relit(picture, LightRecipe(), np.random.default_rng(seed)) for seed in range(20)]
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in many)
    assert np.std([one.mean() for one in many]) > 20


def test_textures_are_made_of_their_seed():
    a, b, c = made_up(3, 64, 1), made_up(3, 64, 1), made_up(3, 64, 2)
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any((x != y).any() for x, y in zip(a, c, strict=True))


def one_person():
    """A crop with one who must be found, and one who need not."""
    boxes = np.array([[12.0, 8, 24, 48], [46.0, 10, 60, 62]])
    return Crop(np.zeros((64, 64, 3), np.uint8), boxes, np.array([True, False]))


def test_cells_are_somebodys_nobodys_or_neither():
    batch = batch_of([one_person(), one_person()])
    assert batch.row.tolist() == [0, 1] and batch.core.shape == (2, 8, 8)
    rows, columns = np.nonzero(batch.core[0].numpy())
    assert set(columns) == {1, 2} and set(rows) == {1, 2, 3}  # 11.6..24.4 and 8.8..32 px
    assert not (batch.core.any(dim=0) & batch.nobody[0]).any()
    assert batch.nobody[0, :, 4].all() and not batch.nobody[0, 2:, 6].any()


def test_the_loss_wants_one_good_cell_a_person_and_silence_elsewhere():
    batch = batch_of([one_person()])
    recipe = Recipe(every_cell=0.0)
    silent = torch.full((1, 1, 8, 8), -6.0)
    right = silent.clone()
    right[0, 0, 2, 2] = 6.0
    wrong = silent.clone()
    wrong[0, 0, 2, 4] = 6.0
    neither = right.clone()
    neither[0, 0, 4, 6] = 6.0  # on whoever need not be found
    losses = [float(loss_of(logits, batch, recipe)) for logits in (right, silent, wrong, neither)]
    assert losses[0] < 0.02 < losses[1] < losses[2] and losses[3] == losses[0]
    assert best(right, batch).tolist() == [6.0]
    empty = Batch(batch.rgb, batch.row[:0], batch.core[:0], torch.zeros_like(batch.nobody))
    assert float(loss_of(right, empty, recipe)) == 0.0


def test_batch_norm_goes_into_the_weights():
    torch.manual_seed(0)
    network = normed(GlanceS(), ("tell",)).train()
    rgb = torch.rand(4, 3, 64, 64) * 255
    for _ in range(3):
        network(rgb)
    expected = network.eval()(rgb)
    plain = folded(network)
    assert plain.state_dict().keys() == GlanceS().state_dict().keys()
    torch.testing.assert_close(plain(rgb), expected, rtol=1e-4, atol=1e-4)


def test_it_learns_to_tell_people_from_things(material):
    plain = CropRecipe(side_px=64, texture_px=96, made_up=0, pasted=0, covered=0)
    recipe = Recipe(crops=plain, light=NO_LIGHT, steps=50, batch=8, warmup=5, judged=60)
    network = glance_fit.fit(material, recipe)
    others = Material([scene(7)], material.textures)
    assert told(network, others, recipe)["0.95"]["blocks"] < 0.2
    assert told(GlanceS().eval(), others, recipe)["0.95"]["blocks"] > 0.5


def test_a_stopped_fit_goes_on_exactly(material, tmp_path, monkeypatch):
    """The averages of batch norm too."""
    monkeypatch.setattr(glance_fit, "_SAVE_EVERY", 2)
    recipe = small(steps=5)
    whole = glance_fit.fit(material, recipe).state_dict()
    steps = []

    def stop_in_the_fourth():
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        glance_fit.fit(material, recipe, RunFolder(tmp_path, "glance-s"), stop_in_the_fourth)
    done = []
    run = RunFolder(tmp_path, "glance-s", resume=True)
    resumed = glance_fit.fit(material, recipe, run, lambda: done.append(1)).state_dict()
    assert len(done) == 1 and all(torch.equal(whole[name], resumed[name]) for name in whole)
    other = Material(material.scenes[:1], material.textures)
    with pytest.raises(OutputError, match="data"):
        glance_fit.fit(other, recipe, RunFolder(tmp_path, "glance-s", resume=True))


def test_scenes_of_another_recipe_or_damaged_ones_are_not_used(tmp_path):
    group = {"phone": Scenes(("1-1",), 320, 240, 3)}
    quiet = Progress(enabled=False)
    claim(tmp_path / "phone-1", {"preset": "phone", "seed": 1, "size": [320, 240], "people": 9})
    with pytest.raises(OutputError, match="phone-1 is of another recipe"):
        glance_scenes.load_scenes(group, tmp_path, quiet)
    with pytest.raises(ConfigError, match="phone"):  # before anything is rendered
        glance_scenes.load_scenes({"fone": group["phone"]}, tmp_path, quiet)
    found = glance_scenes.load_scenes(group, tmp_path / "new", quiet)[0]
    assert found.levels[0].shape == (240, 320, 3) and len(found.levels) == 4
    (tmp_path / "new" / "phone-1" / "image.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError, match="made again"):
        glance_scenes.load_scenes(group, tmp_path / "new", quiet)


assert STRIDE == 8  # the numbers of cells above
