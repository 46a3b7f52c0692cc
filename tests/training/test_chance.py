"""The probability of a candidate: the fit, what is measured of it, and who counts as a person in a render."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.crowds_seen import with_heads
from helpers.paths import ROOT
from scipy.special import expit

from crowd3d.config import Config
from crowd3d.detect.chance import Chance, Clues, least_for, load, offset
from crowd3d.errors import ConfigError
from crowd3d.scene.detections import Detections
from crowd3d.synth import Truth, synthesize
from crowd3d.training.chance.data import Examples, _labelled, fitted_of
from crowd3d.training.chance.fit import fit, told
from crowd3d.training.chance.recipe import read_recipe


def _made_up(chance: Chance, count: int, seed: int, crowd: float) -> Examples:
    rng = np.random.default_rng(seed)
    clues = Clues(rng.normal(-1.0, 1.0, count), np.full(count, np.log1p(crowd)))
    return Examples(clues, rng.random(count) < chance(clues), missed=0)


def test_the_fit_finds_what_made_the_candidates():
    true = Chance(weight=2.0, bias=-0.5)
    found = fit([_made_up(true, 40_000, seed, crowd) for seed, crowd in enumerate((3, 30, 300))])
    np.testing.assert_allclose([found.weight, found.bias], [2.0, -0.5], atol=0.06)


def test_pictures_count_alike_however_many_candidates_they_have():
    many, few = (_made_up(Chance(2.0, bias), 20_000, 1, 5) for bias in (1.0, -1.0))
    few = Examples(Clues(*(part[:2000] for part in few.clues)), few.is_person[:2000], 0)
    assert abs(fit([many, few]).bias) < 0.25


def test_what_is_told_of_right_probabilities():
    true = Chance(weight=2.5, bias=0.0)
    table = told(true, [_made_up(true, 60_000, 2, 20)])
    for name, row in table.items():
        if "-" in name:
            assert row["said"] == pytest.approx(row["people"], abs=0.03), name
    shares = [table[f"precision {p:g}"] for p in (0.8, 0.9, 0.95)]
    assert shares[0]["recall"] > shares[1]["recall"] > shares[2]["recall"] > 0
    assert shares[0]["threshold"] < shares[1]["threshold"] < shares[2]["threshold"]


def test_odds_are_a_logistic_curve_of_the_evidence():
    clues = Clues(np.log([0.5, 1.0, 2.0]), np.zeros(3))
    chance = Chance(weight=2.0, bias=0.3)
    np.testing.assert_allclose(chance(clues), expit(0.3 + 2.0 * clues.seen))
    assert (offset(clues) == 0).all()
    assert Chance.of(chance.to_dict()) == chance


@pytest.mark.parametrize("has_ground", [True, False])
def test_the_embedded_probabilities_are_sane(has_ground):
    chance = load(has_ground)
    clues = Clues(np.log([0.1, 0.6, 2.5]), np.full(3, np.log1p(20)))
    low, middle, high = chance(clues)
    assert low < 0.15 < middle < 0.85 < 0.9 < high


def test_more_precision_asks_for_more():
    least = [least_for(p) for p in (0.8, 0.9, 0.95, 0.99)]
    assert (np.diff(least) > 0).all()
    assert least_for(0.9) == pytest.approx(Config().min_probability)


def _seen(truth: Truth) -> Detections:
    """Everybody as the network would see them at best."""
    n = len(truth)
    keypoints = truth.keypoints_px.copy()
    keypoints[..., 2] = 0.7
    full, no = np.full(n, 0.9), np.zeros(n, bool)
    people = Detections(full, full.copy(), truth.boxes_px, keypoints, no, np.zeros(n, np.int64))
    clear = (truth.visibility > 0.9) & np.isfinite(keypoints).all(axis=(1, 2))
    return with_heads(people.filter(clear))


def test_candidates_of_a_render_are_people_where_people_are(tmp_path: Path):
    synthesize(tmp_path, seed=3, size=(640, 416), n_people=12, preset_name="plaza")
    truth = Truth.load(tmp_path / "truth.npz")
    seen = _seen(truth)
    nobody = seen.shifted(np.full(len(seen), 5000.0))
    both = Detections.cat([seen, replace(nobody, tile=nobody.tile + 1)])
    for fitted in (fitted_of(truth), None):
        examples = _labelled(both, fitted, truth, Config())
        people = len(seen) // 2
        assert examples.is_person.sum() == people > 3
        assert len(examples.is_person) >= people
        assert examples.missed <= len(truth) - people


def test_recipes_are_checked(tmp_path: Path):
    page = tmp_path / "mine.yaml"
    page.write_text("scenes: {plaza: {seeds: [1-1]}}\nheld_out: {plaza: {seeds: [2-2]}}\n")
    with pytest.raises(ConfigError, match="sparse names no picture"):
        read_recipe(page)
    recipe = read_recipe()
    shipped = ROOT / "configs" / "recipes" / "chance.yaml"
    assert recipe == read_recipe(shipped)
    head = shipped.read_text(encoding="utf-8").split("min_center_score:")[0]
    for word in ("crowd3d/weights/", "crowd3d train ", "Data: ", "Time: "):
        assert word in head
    learned = {
        (n, s) for n, g in [*recipe.scenes.items(), *recipe.sparse.items()] for s in g.numbers()
    }
    measured = {(n, s) for n, g in recipe.held_out.items() for s in g.numbers()}
    assert measured and not learned & measured
