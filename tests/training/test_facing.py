"""Fitting the readout of headings: its likelihood, its calibration, and a command that really trains."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import vonmises

from crowd3d.detect import facing
from crowd3d.training.facing import train as facing_train
from crowd3d.training.facing.train import People, Recipe


def test_the_loss_is_the_von_mises_likelihood():
    rng = np.random.default_rng(0)
    mode, kappa = rng.uniform(-3, 3, 50), np.exp(rng.uniform(-3, 5, 50))
    heading = rng.uniform(-3, 3, 50)
    answer = torch.from_numpy(kappa[:, None] * np.stack([np.sin(mode), np.cos(mode)], axis=1))
    expected = -vonmises.logpdf(heading, kappa, loc=mode).mean()
    found = facing_train.likelihood_loss(answer, torch.from_numpy(heading))
    np.testing.assert_allclose(float(found), expected, rtol=1e-9)
    nothing = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    loss = facing_train.likelihood_loss(nothing, torch.zeros(3))
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
    readout = facing_train.fit(_people(2000, 0.2, 1), recipe)
    told = facing_train.told(readout, _people(1000, 0.2, 2))
    for quality in ("sharp", "poor"):
        assert 5 < told[f"{quality} median_deg"] < 11  # 0.67 * 0.2 radians, and what features blur
        assert 0.8 < told[f"{quality} holds_90"] < 0.97
    nonsense = _people(1000, 0.2, 3)
    nonsense = nonsense._replace(heading=nonsense.heading.flip(0))
    assert facing_train.told(readout, nonsense)["sharp median_deg"] > 60  # the negative control


def test_fitting_twice_gives_the_same_numbers():
    people, recipe = _people(200, 0.3, 4), Recipe(steps=20, batch=32)
    a, b = (facing_train.fit(people, recipe).state_dict() for _ in range(2))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_other_light_and_poor_copies_keep_the_size():
    pixels = np.random.default_rng(0).integers(0, 255, (256, 160, 3), np.uint8)
    for change in (facing_train.relit, facing_train.poor_copy):
        once, again = (change(pixels, np.random.default_rng(7)) for _ in range(2))
        assert once.shape == pixels.shape and once.dtype == np.uint8
        np.testing.assert_array_equal(once, again)
        assert (once != pixels).mean() > 0.5


@pytest.mark.slow
def test_the_command_trains(tmp_path, monkeypatch):
    scenes = tuple(("phone", (s,), (1200, 900), 10) for s in (1, 2, 3, 4))
    monkeypatch.setattr(facing_train, "SCENES", scenes)
    monkeypatch.setattr(facing_train, "Recipe", lambda seed: Recipe(seed, steps=5))
    arguments = ["--out", str(tmp_path), "--renders", str(tmp_path / "renders")]
    result = CliRunner().invoke(facing_train.main, arguments)
    assert result.exit_code == 0, result.output
    first = (tmp_path / "facing.safetensors").read_bytes()
    readout = facing.load(tmp_path / "facing.safetensors")
    assert readout.network == facing.network("cpu")[1]
    facts = json.loads((tmp_path / "facing.json").read_text())
    assert facts == readout.facts and facts["windows"] > 0
    assert CliRunner().invoke(facing_train.main, arguments).exit_code == 0
    assert (tmp_path / "facing.safetensors").read_bytes() == first
