"""Recipes: the shipped ones are read, and every mistake in a page is named."""

import json
from pathlib import Path

import pytest
from helpers.paths import ROOT, WEIGHTS

from crowd3d.config import pages
from crowd3d.errors import ConfigError
from crowd3d.training.common.recipe import read_page
from crowd3d.training.crops import recipe as crops
from crowd3d.training.facing import recipe as facing
from crowd3d.training.glance import recipe as glance
from crowd3d.training.heads import recipe as heads
from crowd3d.training.lift import recipe as lift

READERS = {
    "lift": lift.read_recipe,
    "crowdnet_s": crops.read_recipe,
    "facing": facing.read_recipe,
    "glance": glance.read_recipe,
    "heads": heads.read_recipe,
}


def test_every_page_is_the_recipe_of_a_training():
    assert set(pages("recipes")) == {*READERS, "chance"}  # which has no steps: test_chance.py


@pytest.mark.parametrize("name", READERS)
def test_shipped_pages_are_read_and_say_how_to_use_them(name):
    page = ROOT / "configs" / "recipes" / f"{name}.yaml"
    assert READERS[name](name) == READERS[name](page) == READERS[name]()
    assert READERS[name](name, steps=7).steps == 7
    head = page.read_text(encoding="utf-8").split("seed:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for word in ("crowd3d/weights/", "crowd3d train ", "Data: ", "Time: "):
        assert word in head


@pytest.mark.parametrize(
    ("name", "weights"), [("lift", "lift"), ("crowdnet_s", "crowdnet-s"), ("glance", "glance-s")]
)
def test_the_embedded_weights_come_from_the_shipped_page(name, weights):
    from dataclasses import asdict

    stored = json.loads((WEIGHTS / f"{weights}.json").read_text())["recipe"]
    assert json.loads(json.dumps(asdict(READERS[name]()))) == stored


def test_the_embedded_readout_comes_from_the_shipped_page():
    recipe, stored = facing.read_recipe(), json.loads((WEIGHTS / "facing.json").read_text())
    assert {key: getattr(recipe, key) for key in stored["recipe"]} == stored["recipe"]
    for scenes in stored["scenes"]:
        mine = recipe.scenes[scenes["preset"]]
        assert mine.numbers() == scenes["seeds"] and mine.people == scenes["people"]
        assert [mine.width, mine.height] == scenes["size"]
    assert len(stored["scenes"]) == len(recipe.scenes)


MISTAKES = {
    "noise: {scater: 1}": "did you mean 'scatter'",
    "- 1": "keys and values",
    "steps: [": "not valid YAML",
    "steps: many": "whole number",
    "steps: 0": "at least 1",
    "batch: -3": "at least 1",
    "learning_rate: fast": "a number",
    "network: {widht: 3}": "width, depth",
    "network: 3": "a table",
    "network: {width: wide}": "whole number",
    "poses: {weights: {everyday: often}}": "everyday must be a number",
    "camera: {elevation_deg: [1]}": "a list like",
    "camera: 3": "keys and values",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, text: str):
    page = tmp_path / "r.yaml"
    page.write_text(text + "\n")
    with pytest.raises(ConfigError, match=MISTAKES[text]):
        read_page(lift.Recipe, page)


def test_mistakes_deep_in_a_page_are_named(tmp_path):
    (tmp_path / "r.yaml").write_text("groups: {plain: {scene: {peple: 3}}}\n")
    with pytest.raises(ConfigError, match="peple"):
        crops.read_recipe(tmp_path / "r.yaml")
    for text, what in (
        ("scenes: {phone: {seeds: [3]}}", "a word"),
        ("scenes: {phone: {seeds: [3 to 4]}}", "910-915"),
        ("scenes: {phone: {seeds: [3-5]}}", "3 pictures"),
    ):
        (tmp_path / "r.yaml").write_text(text + "\n")
        with pytest.raises(ConfigError, match=what):
            facing.read_recipe(tmp_path / "r.yaml")
    scenes = "scenes: {phone: {seeds: [1-1]}}"
    for text, what in (
        (scenes, "held_out names no picture"),
        (f"{scenes}\nheld_{scenes.replace('scenes', 'out')}\ncrops: {{side_px: 40}}", "side_px"),
    ):
        (tmp_path / "r.yaml").write_text(text + "\n")
        with pytest.raises(ConfigError, match=what):
            glance.read_recipe(tmp_path / "r.yaml")


def test_unknown_names_and_files_are_told(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'facing'"):
        facing.read_recipe("faceing")
    for missing in (tmp_path / "none.yaml", str(tmp_path / "none"), "none.yml"):
        with pytest.raises(ConfigError, match="cannot read"):
            lift.read_recipe(missing)


def test_fewer_steps_are_those_of_both_networks_on_crops():
    recipe = crops.read_recipe(steps=7)
    assert recipe.steps == recipe.rootnet.steps == 7
    assert recipe.groups["plain"].scene.fov_deg == (35, 75)
