"""Breadths of bodies tell the camera, whatever the proportions, and do not claim more than they know."""

import math

import numpy as np
import pytest

import optim.ground.fitter as fitter
from optim.ground.breadth_likelihood import MEAN, TURN, Axes, Seen, likelihood
from tests.helpers.ground import SCENES, World, other_people

TELEPHOTO = {"fov": 22, "pitch": 9, "height": 22.0, "size": (26000, 15000)}
LEVEL = {"fov": 65, "pitch": -3, "height": 8.0, "size": (12000, 9000)}


def _errors(world, seeds, people=120, **options):
    """(S, 2) errors of the log focal length, and the same over the standard deviation that the fit claims."""
    fits = [world.fit(other_people(world, people, seed, **options)) for seed in seeds]
    error = np.array([math.log(fit.focal_px / world.focal_px) for fit in fits])
    claimed = np.array([math.sqrt(fit.covariance[0, 0]) for fit in fits])
    return np.stack([error, error / claimed], axis=1)


def _rms(values):
    return np.sqrt(np.mean(np.square(values), axis=0))


@pytest.mark.parametrize("view", [TELEPHOTO, LEVEL])
def test_people_of_other_proportions_tell_the_focal_length_better_than_their_sticks(
    view, monkeypatch
):
    world = World(**view)
    error, claimed = _rms(_errors(world, range(24)))
    monkeypatch.setattr(fitter, "breadth_evidence", lambda *_: None)
    of_sticks, _ = _rms(_errors(world, range(24)))
    assert error < 0.85 * of_sticks
    assert 0.4 < claimed < 1.5


@pytest.mark.parametrize("facing", [0.0, 4.0])
@pytest.mark.parametrize(("name", "away"), [("tower", (2.2, 8.8)), ("steep", (0.2, 1.2))])
def test_intervals_hold_where_people_face_the_camera_and_where_it_looks_down(name, away, facing):
    crowds = _errors(World(**SCENES[name]), range(12), people=80, facing=facing, away=away)
    _, claimed = _rms(crowds)
    assert claimed < 1.7


def test_derivatives_are_those_of_the_likelihood():
    rng, n, step = np.random.default_rng(0), 4, 1e-6
    seen = Seen(
        rng.normal(0, 0.2, (n, 3, 2)),
        np.full((n, 1), 1e-4),
        rng.random((n, 3)) > 0.2,
        rng.random((n, 1, 1)) + TURN,
    )
    axes = Axes(*rng.normal(0, 1, (3, n, 3, 2)))
    crowd = MEAN + rng.normal(0, 0.2, 13)

    def density(crowd, axes):
        return likelihood(crowd, seen, axes)[0]

    _, by_crowd, by_axes = likelihood(crowd, seen, axes)
    for k, moved in enumerate(np.eye(13) * step):
        slope = (density(crowd + moved, axes) - density(crowd - moved, axes)) / (2 * step)
        np.testing.assert_allclose(by_crowd[:, k], slope, atol=1e-5)
    moved = rng.normal(0, step, (3, n, 3, 2))
    ahead, behind = (Axes(*(np.stack(axes) + s * moved)) for s in (1, -1))
    slope = (density(crowd, ahead) - density(crowd, behind)) / 2
    np.testing.assert_allclose(np.sum(np.stack(by_axes) * moved, axis=(0, 2, 3)), slope, atol=1e-9)


def test_joints_on_the_axis_and_joints_unseen_are_no_breadths():
    world = World(**LEVEL)
    people = other_people(world, 60, 1)
    pairs = [(5, 6), (11, 12), (15, 16)]
    thin, half = people.copy(), people.copy()
    rng = np.random.default_rng(0)
    for left, right in pairs:
        middle = (people[:, left] + people[:, right]) / 2
        thin[:, left] = thin[:, right] = middle
        half[:, left, 2] = 0.0
    thin[..., :2] += rng.normal(0, 3.0, thin[..., :2].shape)
    for crowd in (thin, half):
        fit = world.fit(crowd)
        assert np.isfinite(fit.covariance).all()
        assert fit.covariance[0, 0] > world.fit(people).covariance[0, 0]


def test_detected_people_are_judged_by_their_sticks_alone(monkeypatch):
    """Networks draw shoulders too level."""
    world = World(**TELEPHOTO)
    people = other_people(world, 60, 2)
    exact, detected = world.fit(people), world.fit(people, lean_shrinkage=(0.0, 1e-9))
    monkeypatch.setattr(fitter, "breadth_evidence", lambda *_: None)
    of_sticks = world.fit(people)
    assert detected.focal_px == of_sticks.focal_px != exact.focal_px
