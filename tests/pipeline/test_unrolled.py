"""Everybody is found around the point below a fisheye that looks anywhere, and below a steep camera."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from helpers.crowds_seen import SIDES, Eyes, blank

from crowd3d import Camera, Plane
from crowd3d.config import Config
from crowd3d.picture.unrolled import UnrolledPicture
from crowd3d.pipeline import find, search, unrolled
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from optim.anthropometry import HEIGHT_FRACTION
from tiling import Band, Tile

SIZE = 1800
UPRIGHT = np.cos(np.radians(35))  # nobody who leans more is found


def _around(camera: Camera, plane: Plane, n: int, away_m: tuple[float, float]) -> np.ndarray:
    """(N, 17, 3) joints of people around the point below a camera, in its frame, all in the picture."""
    rng = np.random.default_rng(3)
    one = np.cross(plane.normal, [1.0, 0.0, 0.0])
    one /= np.linalg.norm(one)
    other = np.cross(plane.normal, one)
    bearing = np.arange(n) * 2.39996  # the golden angle: nobody hides anybody
    away = np.sqrt(np.linspace(away_m[0] ** 2, away_m[1] ** 2, n))
    out = np.cos(bearing)[:, None] * one + np.sin(bearing)[:, None] * other
    aside = np.cross(out, plane.normal)
    tall = rng.normal(1.7, 0.06, n)[:, None, None]
    shape = (
        np.nan_to_num(HEIGHT_FRACTION, nan=0.94)[:, None] * plane.normal
        + SIDES[:, None] * aside[:, None]
    )
    joints = (away[:, None] * out - plane.offset_m * plane.normal)[:, None] + tall * shape
    pixels = camera.project(joints)
    inside = ((pixels > 0) & (pixels < (camera.width, camera.height))).all(axis=(1, 2))
    return joints[inside]


class TurningEyes(Eyes):
    """Sees people who are upright in whatever is shown: the picture, or a panorama of it."""

    def __init__(self, camera: Camera, joints: np.ndarray) -> None:
        self.camera, self.joints = camera, joints
        super().__init__(Detections.empty())

    def look_at(self, source: object) -> None:
        pixels = self.camera.project(self.joints)
        if isinstance(source, UnrolledPicture):
            pixels = source.unrolled.to_panorama(pixels)
        stick = pixels[:, [5, 6]].mean(axis=1) - pixels[:, [15, 16]].mean(axis=1)
        upright = -stick[:, 1] > UPRIGHT * np.linalg.norm(stick, axis=1)
        pixels = pixels[upright]
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        margin = 0.04 * (high - low)
        margin[:, 0] += 0.08 * (high - low)[:, 1]
        n = len(pixels)
        score = np.full(n, 0.8)
        self.people = Detections(
            score, score, np.concatenate([low - margin, high + margin], axis=1),
            np.concatenate([pixels, np.full((n, 17, 1), 0.6)], axis=2),
            np.zeros(n, bool), np.zeros(n, np.int64),
        )  # fmt: skip

    def each(self, reading, tiles: Sequence[Tile], view: object, stage: str = "") -> Iterator:
        self.look_at(reading.source)
        return super().each(reading, tiles, view, stage)

    def glance(self, reading, bands: Sequence[Band], *_: object) -> None:
        self.look_at(reading.source)
        super().glance(reading, bands)


@pytest.fixture
def run(monkeypatch):
    """Find everybody in a blank picture."""

    def everybody(eyes: TurningEyes, known: KnownCamera, fixed: Fitted | None = None) -> find.Seen:
        monkeypatch.setattr(search, "glance", eyes.glance)
        config = Config(second_look=False, straight_edges=False)
        picture = blank(eyes.camera.width, eyes.camera.height)
        return unrolled.find_everybody(picture, eyes, known, config, fixed)

    return everybody


def _share(eyes: TurningEyes, people: Detections) -> float:
    """Share of the people who were found where they are in the picture, each once."""
    truth = eyes.camera.project(eyes.joints).mean(axis=1)
    seen = people.keypoints_px[..., :2].mean(axis=1)
    away = np.linalg.norm(truth[:, None] - seen, axis=2)
    assert len(people) <= len(truth)
    return float((away.min(axis=1) < 4.0).mean())


def _up(pitch_deg: float) -> np.ndarray:
    return np.array([0.0, -np.cos(np.radians(pitch_deg)), -np.sin(np.radians(pitch_deg))])


@pytest.mark.parametrize("kind", ["fisheye", "fisheye-equisolid"])
@pytest.mark.parametrize("pitch_deg", [90.0, 55.0, 5.0])
def test_a_fisheye_that_looks_anywhere(run, kind: str, pitch_deg: float):
    camera = Camera.from_fov(SIZE, SIZE, 180, kind)
    plane = Plane(_up(pitch_deg), 4.0)
    eyes = TurningEyes(camera, _around(camera, plane, 60, (2.0, 9.0)))
    assert len(eyes.joints) > 25
    seen = run(eyes, KnownCamera.of(camera))
    assert _share(eyes, seen.people) > 0.9
    assert seen.fitted is not None and seen.fitted.camera == camera
    assert np.degrees(np.arccos(min(1.0, seen.fitted.normal @ plane.normal))) < 0.7
    assert seen.fitted.planes[0].offset_m == pytest.approx(4.0, rel=0.05)


def test_a_known_ground_stays_as_it_is(run):
    camera = Camera.from_fov(SIZE, SIZE, 180, "fisheye")
    plane = Plane(_up(80), 4.0)
    eyes = TurningEyes(camera, _around(camera, plane, 40, (2.0, 8.0)))
    fixed = Fitted(camera, [plane], np.zeros((4, 4)), {"focal": "given"})
    seen = run(eyes, KnownCamera.of(camera), fixed)
    assert seen.is_fixed and _share(eyes, seen.people) > 0.9
    np.testing.assert_allclose(seen.fitted.normal, plane.normal, atol=1e-12)
    assert seen.fitted.planes[0].offset_m == 4.0 and seen.fitted.camera == camera


def test_below_a_steep_camera_nobody_has_to_stand_upright_in_the_picture(run):
    camera = Camera.from_fov(SIZE, SIZE, 70)
    plane = Plane(_up(78), 12.0)
    eyes = TurningEyes(camera, _around(camera, plane, 70, (2.5, 11.0)))
    eyes.look_at(None)
    assert len(eyes.people) < 0.6 * len(eyes.joints)  # as many a flat look can find
    seen = run(eyes, KnownCamera((SIZE, SIZE), camera))
    assert _share(eyes, seen.people) > 0.9
    # These eyes do not lengthen people as the network does.
    assert seen.fitted.planes[0].offset_m == pytest.approx(12.0, rel=0.08)
    assert np.degrees(np.arccos(min(1.0, seen.fitted.normal @ plane.normal))) < 0.7
