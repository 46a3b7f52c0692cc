"""glance-s: its shapes, and what the embedded weights keep and leave out."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from crowd3d import models
from crowd3d.models.glance_s import PERSON_PX, POSSIBLE, STRIDE, GlanceS
from crowd3d.synth import render_scene

BLOCK = 4  # cells: 32 px


def logits(*pictures):
    """(B, H/8, W/8) of the embedded network."""
    rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return models.shared("glance-s", "cpu", "embedded")(rgb)[:, 0]


def share_possible(found):
    """Of blocks of 32 px, those that would be looked at."""
    return float((F.max_pool2d(found[:, None], BLOCK) > POSSIBLE).double().mean())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 160), (112, 48)])
def test_an_answer_for_every_cell(height, width):
    rgb = torch.rand(2, 3, height, width) * 255
    network = models.build("glance-s", None)
    with torch.inference_mode():
        found = network(rgb)
        assert found.shape == (2, 1, height // STRIDE, width // STRIDE)
        assert torch.equal(found, network(rgb))
        torch.testing.assert_close(network(rgb[1:]), found[1:])


def test_it_is_small():
    assert sum(p.numel() for p in GlanceS().parameters()) < 80_000
    assert models.shared("glance-s") is models.shared("glance-s")


@pytest.fixture(scope="module")
def crowd():
    """A picture of people of 30-48 px, and the boxes of those who are seen."""
    picture, truth = render_scene(31, size=(768, 512), n_people=40, preset_name="largecrowd")
    height = truth.boxes_px[:, 3] - truth.boxes_px[:, 1]
    seen = (truth.visibility > 0.4) & (truth.inside > 0.8) & (height > 25) & (height < 50)
    assert seen.sum() > 15
    return picture, truth.boxes_px[seen]


def kept(found, boxes):
    """(N,) whether anything in a box is possible."""
    return np.array(
        [
            bool((found[y0 : y1 + 1, x0 : x1 + 1] > POSSIBLE).any())
            for x0, y0, x1, y1 in (boxes / STRIDE).astype(int)
        ]
    )


def changed(picture, kind):
    x = picture.astype(np.float32)
    rng = np.random.default_rng(0)
    x = {
        "plain": x,
        "dark": 0.3 * x,
        "hazy": 0.3 * x + 140,
        "grey": np.repeat(x.mean(axis=2, keepdims=True), 3, axis=2),
        "noisy": x + rng.normal(0, 8, x.shape),
    }[kind]
    return x.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["plain", "dark", "hazy", "grey", "noisy"])
def test_the_embedded_weights_lose_nobody(crowd, kind):
    picture, boxes = crowd
    found = logits(changed(picture, kind))[0]
    assert kept(found, boxes).all()
    # The negative control: where nobody is, much is left out.
    assert share_possible(found[None]) < 0.7


def test_a_generated_person_is_found_wherever_they_stand(crowd):
    picture, boxes = crowd
    x0, y0, x1, y1 = boxes[np.argmax(boxes[:, 3] - boxes[:, 1])].astype(int)
    around = picture[max(y0 - 40, 0) : y1 + 40, max(x0 - 40, 0) : x1 + 40]
    around = cv2.resize(around, (112, 112), interpolation=cv2.INTER_AREA)
    both = logits(around, around[:, ::-1].copy())
    assert (both.flatten(1).amax(dim=1) > POSSIBLE).all()


def test_pictures_of_nothing_are_left_out():
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 1, 256)[None, :, None] * np.ones((256, 1, 3))
    nothing = [np.full((256, 256, 3), v) for v in (0, 60, 128, 200, 255)]
    nothing += [60 + 120 * ramp, 200 - 150 * ramp.transpose(1, 0, 2)]
    nothing += [rng.normal(m, sd, (256, 256, 3)) for m in (50, 130, 200) for sd in (4, 12, 25)]
    pictures = [x.clip(0, 255).astype(np.uint8) for x in nothing]
    assert share_possible(logits(*pictures)) < 0.02


def test_it_says_for_whom_it_answers():
    low, high = PERSON_PX
    assert high >= 2 * low  # an octave: every height is seen at some halving
