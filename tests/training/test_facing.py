"""Fitting the readout of headings: its likelihood, its calibration, its data, and going on after a stop."""

import numpy as np
import pytest
import torch
from scipy.stats import vonmises

from crowd3d.detect import facing
from crowd3d.errors import ConfigError, OutputError
from crowd3d.progress import Progress
from crowd3d.training.common.run_folder import RunFolder, claim
from crowd3d.training.facing import data as facing_data
from crowd3d.training.facing import fit as facing_fit
from crowd3d.training.facing.data import People
from crowd3d.training.facing.recipe import Recipe, Scenes, WindowRecipe


def test_the_loss_is_the_von_mises_likelihood():
    rng = np.random.default_rng(0)
    mode, kappa = rng.uniform(-3, 3, 50), np.exp(rng.uniform(-3, 5, 50))
    heading = rng.uniform(-3, 3, 50)
    answer = torch.from_numpy(kappa[:, None] * np.stack([np.sin(mode), np.cos(mode)], axis=1))
    expected = -vonmises.logpdf(heading, kappa, loc=mode).mean()
    found = facing_fit.likelihood_loss(answer, torch.from_numpy(heading))
    np.testing.assert_allclose(float(found), expected, rtol=1e-9)
    nothing = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    loss = facing_fit.likelihood_loss(nothing, torch.zeros(3))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2 * np.pi))
    assert torch.isfinite(nothing.grad).all()


def _people(count: int, noise_rad: float, seed: int) -> People:
    """Whose features hold the heading, blurred, in a few places; mirrored as a mirror would."""
    rng = np.random.default_rng(seed)
    heading = rng.uniform(-np.pi, np.pi, count)
    read = heading + rng.normal(0, noise_rad, count)
    seen = rng.normal(0, 0.3, (count, 2, facing.N_FEATURES))
    for i, sign in enumerate((1, -1)):
        seen[:, i, :20] += sign * np.sin(read)[:, None]
        seen[:, i, 20:40] += np.cos(read)[:, None]
    is_poor = torch.arange(count) % 2 == 1
    return People(torch.from_numpy(seen).float(), torch.from_numpy(heading).float(), is_poor)


def test_a_readout_knows_how_sure_it_is():
    recipe = Recipe(steps=300, batch=128)
    readout = facing_fit.fit(_people(2000, 0.2, 1), recipe)
    told = facing_fit.told(readout, _people(1000, 0.2, 2))
    for quality in ("sharp", "poor"):
        assert 5 < told[f"{quality} median_deg"] < 11  # 0.67 * 0.2 radians, and what features blur
        assert 0.8 < told[f"{quality} holds_90"] < 0.97
    nonsense = _people(1000, 0.2, 3)
    nonsense = nonsense._replace(heading=nonsense.heading.flip(0))
    assert facing_fit.told(readout, nonsense)["sharp median_deg"] > 60  # the negative control


def test_fitting_twice_gives_the_same_numbers():
    people, recipe = _people(200, 0.3, 4), Recipe(steps=20, batch=32)
    a, b = (facing_fit.fit(people, recipe).state_dict() for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_other_light_and_poor_copies_keep_the_size():
    pixels = np.random.default_rng(0).integers(0, 255, (256, 160, 3), np.uint8)
    for change in (facing_data.relit, facing_data.poor_copy):
        once, again = (change(pixels, WindowRecipe(), np.random.default_rng(7)) for _ in range(2))
        assert once.shape == pixels.shape and once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        assert (once != pixels).mean() > 0.5


def test_a_stopped_fit_goes_on_exactly(tmp_path, monkeypatch):
    """Dropout too draws the numbers that it would have drawn."""
    monkeypatch.setattr(facing_fit, "_SAVE_EVERY", 4)
    people, recipe = _people(200, 0.3, 4), Recipe(steps=10, batch=32)
    whole = facing_fit.fit(people, recipe).state_dict()
    steps = []

    def stop_in_the_seventh():
        steps.append(1)
        if len(steps) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        facing_fit.fit(people, recipe, RunFolder(tmp_path, "facing"), stop_in_the_seventh)
    torch.rand(5)  # whatever else happened since
    done = []
    run = RunFolder(tmp_path, "facing", resume=True)
    resumed = facing_fit.fit(people, recipe, run, lambda: done.append(1)).state_dict()
    assert len(done) == 6 and all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(OutputError, match="data"):
        facing_fit.fit(_people(200, 0.3, 5), recipe, RunFolder(tmp_path, "facing", resume=True))


def test_scenes_of_another_recipe_are_not_used(tmp_path):
    scenes = Scenes(("1-1",), 320, 240, 3)
    claim(tmp_path / "phone-1", {"preset": "phone", "seed": 1, "size": [320, 240], "people": 9})
    with pytest.raises(OutputError, match="phone-1 is of another recipe"):
        facing_data.render(tmp_path / "phone-1", "phone", 1, scenes)
    quiet = Progress(enabled=False)
    with pytest.raises(ConfigError, match="phone"):  # before anything is rendered
        facing_data.load_scenes(Recipe(scenes={"fone": scenes}), tmp_path, "cpu", quiet)
