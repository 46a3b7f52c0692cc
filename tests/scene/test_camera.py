"""Camera axioms: projecting and looking back along the ray are inverse to each other."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d import Camera
from crowd3d.errors import CameraError
from crowd3d.picture.camera_hint import CameraHint

cameras = st.builds(
    lambda width, aspect, fov, dx, dy, k1: Camera(
        width, max(1, int(aspect * width)), 0.5 * width / math.tan(math.radians(fov) / 2),
        (width / 2 + dx * width, aspect * width / 2 + dy * width), (k1, 0.0),
    ),
    st.integers(64, 20000), st.floats(0.2, 1.0), st.floats(15, 100),
    st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(-0.02, 0.05),
)  # fmt: skip


@given(cameras, st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 500))
def test_a_point_on_a_pixels_ray_projects_to_the_pixel(camera, u, v, distance_m):
    pixel = np.array([u * camera.width, v * camera.height])
    ray = camera.rays(pixel)
    assert math.isclose(np.linalg.norm(ray), 1.0, abs_tol=1e-12)
    np.testing.assert_allclose(
        camera.project(ray * distance_m), pixel, atol=1e-4 * camera.width / 64
    )


panoramas = st.builds(
    lambda width, fov, kind, dx: Camera(
        width, width // 4, width / math.radians(fov), (width * (0.5 + dx), width / 8),
        projection=kind,
    ),
    st.integers(400, 20000), st.floats(60, 360), st.sampled_from(["cylindrical", "equirectangular"]),
    st.floats(-0.1, 0.1),
)  # fmt: skip


@given(panoramas, st.floats(0, 0.999), st.floats(0.1, 0.9), st.floats(0.1, 500))
def test_panoramas_see_all_around(camera, u, v, distance_m):
    pixel = np.array([u * camera.width, v * camera.height])
    ray = camera.rays(pixel)
    assert math.isclose(np.linalg.norm(ray), 1.0, abs_tol=1e-12)
    found = camera.unwrapped(camera.project(ray * distance_m), pixel)
    np.testing.assert_allclose(found, pixel, atol=1e-6 * camera.width)


@pytest.mark.parametrize("kind", ["cylindrical", "equirectangular"])
def test_panoramas_agree_with_a_perspective_camera_around_their_centre(kind):
    flat = Camera(2000, 1000, 900.0, (1000.0, 500.0))
    bent = Camera(2000, 1000, 900.0, (1000.0, 500.0), projection=kind)
    points = np.array([[0.01, 0.02, 1.0], [-0.02, 0.01, 1.0]])
    np.testing.assert_allclose(bent.project(points), flat.project(points), atol=0.02)
    # A quarter turn to the right is 90 degrees of columns, wherever the row.
    np.testing.assert_allclose(bent.project([3.0, 0.0, 0.0]), [1000 + 900 * math.pi / 2, 500])
    assert bent.project([0.0, 0.0, -3.0])[0] == pytest.approx(1000 - 900 * math.pi)


def test_a_cylinder_keeps_tangents_and_a_sphere_angles():
    point = [1.0, 1.0, 1.0]
    tangent, angle = 1 / math.sqrt(2), math.atan(1 / math.sqrt(2))
    cylinder = Camera(600, 400, 100.0, (300.0, 200.0), projection="cylindrical")
    sphere = Camera(600, 400, 100.0, (300.0, 200.0), projection="equirectangular")
    assert cylinder.project(point)[1] == pytest.approx(200 + 100 * tangent)
    assert sphere.project(point)[1] == pytest.approx(200 + 100 * angle)


def test_only_a_whole_turn_has_a_seam():
    assert Camera.from_fov(3600, 900, 360, "equirectangular").turn_px == pytest.approx(3600)
    assert Camera.from_fov(3600, 900, 200, "cylindrical").turn_px is None
    assert Camera.from_fov(3600, 900, 60).turn_px is None
    with pytest.raises(CameraError, match="field of view"):
        Camera(4000, 900, 3600 / (2 * math.pi), (2000.0, 450.0), projection="equirectangular")


@given(cameras, st.floats(0.5, 2.0))
def test_projection_ignores_scale(camera, scale):
    points = np.array([[0.3, -0.2, 2.0], [-1.0, 0.5, 9.0]])
    np.testing.assert_allclose(camera.project(points * scale), camera.project(points))


def test_points_behind_the_camera_have_no_pixel():
    camera = Camera.from_fov(1000, 500, 60)
    assert np.isnan(camera.project([0.0, 0.0, -1.0])).all()


def test_field_of_view_and_focal_length_agree():
    camera = Camera.from_fov(1000, 500, 90)
    assert camera.focal_px == pytest.approx(500)
    assert math.degrees(camera.fov_rad) == pytest.approx(90)
    np.testing.assert_allclose(camera.rays([0.0, 250.0]), np.array([-1, 0, 1]) / math.sqrt(2))


def test_dictionary_round_trip():
    camera = Camera(4000, 3000, 3100.5, (1990.0, 1502.0), (-0.05, 0.01))
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "has no 'width'"),
        ("[1]", "one JSON object"),
        ("{not json", "not JSON"),
        ('{"width": 10, "height": 10, "focal_px": "x"}', "malformed"),
        ('{"width": 10, "height": 10, "focal_px": NaN}', "NaN is no JSON number"),
        ('{"width": 10, "height": 10, "focal_px": 1e9}', "field of view"),
        ('{"width": 10, "height": 10, "focal_px": 9, "projection": "pinhole"}', "pinhole"),
        ('{"width": 10, "height": 10, "focal_px": 1, "projection": "fisheye"}', "field of view"),
    ],
)
def test_malformed_camera_files(tmp_path, content, message):
    path = tmp_path / "camera.json"
    path.write_text(content)
    with pytest.raises(CameraError, match=message):
        Camera.from_json(path)


def test_hints():
    assert CameraHint().resolve(100, 50).camera is None
    assert CameraHint(focal_px=80.0).resolve(100, 50).camera.focal_px == 80.0
    camera = CameraHint(fov_deg=40.0).resolve(100, 50).camera
    assert math.degrees(camera.fov_rad) == pytest.approx(40)
    with pytest.raises(CameraError, match="not positive"):
        CameraHint(focal_px=-1.0).resolve(100, 50)
    with pytest.raises(CameraError, match="between 0 and 180"):
        CameraHint(fov_deg=180.0).resolve(100, 50)
    with pytest.raises(CameraError, match="not supported; use one of auto"):
        CameraHint(projection="pinhole").resolve(100, 50)
    with pytest.raises(CameraError, match=r"give it with --fov .* --focal-px or --camera"):
        CameraHint(projection="fisheye").resolve(100, 50)


def test_a_camera_file_for_another_picture_is_refused(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(Camera.from_fov(640, 480, 60).to_dict()))
    known = CameraHint(camera_json=path).resolve(640, 480)
    assert known.camera.width == 640 and known.center_is_known
    with pytest.raises(CameraError, match="640 x 480"):
        CameraHint(camera_json=path).resolve(1280, 720)
    twice = CameraHint(camera_json=path).resolve(1280, 960)
    assert twice.camera.focal_px == pytest.approx(2 * known.camera.focal_px)
    assert "scaled to 1280 x 960" in twice.notes[0] and not known.notes
    with pytest.raises(CameraError, match="projection given is cylindrical"):
        CameraHint(camera_json=path, projection="cylindrical").resolve(640, 480)


def test_panoramas_without_metadata():
    sphere = CameraHint(projection="equirectangular").resolve(4000, 2000)
    assert sphere.camera.turn_px == pytest.approx(4000) and sphere.center_is_known
    with pytest.raises(CameraError, match="twice as wide as high"):
        CameraHint(projection="equirectangular").resolve(4000, 1500)
    cylinder = CameraHint(projection="cylindrical").resolve(4000, 1500)
    assert cylinder.camera is None and cylinder.projection == "cylindrical"
    camera = CameraHint(fov_deg=200.0, projection="cylindrical").resolve(4000, 1500).camera
    assert math.degrees(camera.fov_rad) == pytest.approx(200)


XMP = b"""<x:xmpmeta><rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"
 GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="8000"
 GPano:FullPanoHeightPixels="4000" GPano:CroppedAreaImageWidthPixels="4000"
 GPano:CroppedAreaTopPixels="1500"/></x:xmpmeta>"""


def test_pictures_that_say_they_are_panoramas():
    known = CameraHint().resolve(2000, 500, XMP)  # shrunk to half since it was stitched
    assert known.projection == "equirectangular" and "GPano" in known.source
    assert math.degrees(known.camera.fov_rad) == pytest.approx(180)
    assert known.camera.center_px == pytest.approx((1000.0, 250.0))
    elements = XMP.replace(b'GPano:ProjectionType="equirectangular"', b"") + (
        b"<GPano:ProjectionType>cylindrical</GPano:ProjectionType>"
    )
    assert CameraHint().resolve(2000, 500, elements).projection == "cylindrical"
    assert CameraHint(projection="perspective").resolve(2000, 500, XMP).camera is None
    for broken in (b"GPano:", XMP.replace(b"equirect", b"fish")):
        assert CameraHint().resolve(2000, 500, broken).projection == "perspective"
    with pytest.raises(CameraError, match="metadata cannot be right"):
        CameraHint().resolve(2000, 500, XMP.replace(b"8000", b"1000"))


BENT = (
    Camera(2000, 1400, 1500.0, (1010.0, 690.0), (-0.28, 0.08, 0.001, -0.0007, -0.01), pixel_aspect=1.01),
    Camera(2000, 1400, 600.0, (1010.0, 690.0), (0.02, 0.01, 0.0, 0.0), "fisheye"),
)  # fmt: skip


@pytest.mark.parametrize("camera", BENT)
def test_a_lens_that_bends_is_inverse_too(camera):
    pixels = np.stack(np.meshgrid(np.linspace(0, 2000, 21), np.linspace(0, 1400, 15)), axis=-1)
    np.testing.assert_allclose(camera.project(5 * camera.rays(pixels)), pixels, atol=1e-6)
    assert Camera.from_dict(json.loads(json.dumps(camera.to_dict()))) == camera
    ends = camera.rays([[10.0, 690.0], [2010.0, 690.0]])  # as far left of the middle as right of it
    assert camera.fov_rad == pytest.approx(math.acos(ends[0] @ ends[1]), abs=2e-3)


@pytest.mark.parametrize("camera", BENT)
def test_the_same_picture_at_another_size_has_the_same_rays(camera):
    pixels = np.array([[0.0, 0.0], [700.0, 900.0], [2000.0, 1400.0]])
    half = camera.scaled(1000, 701)  # rounded up
    np.testing.assert_allclose(half.rays(pixels * [0.5, 701 / 1400]), camera.rays(pixels))


def test_straightened_pixels_are_those_of_a_plain_camera():
    camera = BENT[0]
    points = np.array([[0.3, -0.2, 2.0], [-1.0, 0.5, 2.5]])
    plain = Camera(2000, 1400, 1500.0, (1010.0, 690.0))
    np.testing.assert_allclose(camera.straight_px(camera.project(points)), plain.project(points))
    assert plain.straight_px([[3.0, 4.0]]).tolist() == [[3.0, 4.0]] and plain.has_ideal_lens
    assert camera.K[1, 1] == pytest.approx(1515.0) and not camera.has_ideal_lens


def test_a_fisheye_may_see_more_than_half_of_everything():
    wide = Camera(2000, 2000, 2000 / math.radians(220), (1000.0, 1000.0), (0.0,) * 4, "fisheye")
    assert math.degrees(wide.fov_rad) == pytest.approx(220)
    np.testing.assert_allclose(wide.project([1.0, 0.0, 0.0]), [1000 + 2000 * 90 / 220, 1000])
    assert wide.rays([0.0, 1000.0])[2] < 0
    with pytest.raises(CameraError, match="field of view"):
        Camera(2000, 2000, 2000 / math.radians(320), (1000.0, 1000.0), (0.0,) * 4, "fisheye")


def gpano(prefix: str = "GPano", uri: str = "http://ns.google.com/photos/1.0/panorama/", **entries):
    """An XMP packet with entries under a prefix."""
    said = " ".join(f"{prefix}:{name}='{value}'" for name, value in entries.items())
    return f"<rdf:Description xmlns:{prefix}='{uri}' {said}/>".encode()


def test_a_projection_alone_is_a_whole_sphere_or_says_what_is_missing():
    alone = gpano(ProjectionType="equirectangular")
    known = CameraHint().resolve(4000, 2000, alone)
    assert known.camera.turn_px == pytest.approx(4000) and known.camera.center_px == (
        2000.0,
        1000.0,
    )
    with pytest.raises(CameraError, match=r"FullPanoWidthPixels.*3000 x 1000 px.*--fov"):
        CameraHint().resolve(3000, 1000, alone)
    # Of a cylinder any part may be shown; people tell which.
    cylinder = CameraHint().resolve(3000, 1000, gpano(ProjectionType="Cylindrical"))
    assert cylinder.projection == "cylindrical" and cylinder.camera is None
    # A user who knows better is believed.
    assert CameraHint(fov_deg=70.0).resolve(3000, 1000, alone).camera.fov_rad == pytest.approx(
        math.radians(70)
    )
    assert CameraHint(projection="perspective").resolve(3000, 1000, alone).camera is None


def test_any_prefix_of_the_namespace_is_read_and_no_other():
    said = {"ProjectionType": "equirectangular"}
    assert CameraHint().resolve(4000, 2000, gpano("pano", **said)).camera is not None
    assert CameraHint().resolve(4000, 2000, gpano("g.x-1", **said)).camera is not None
    other = gpano("pano", "http://example.com/", **said)
    assert CameraHint().resolve(4000, 2000, other).projection == "perspective"
    assert CameraHint().resolve(4000, 2000, gpano("xGPano", "u", **said)).camera is None


def test_a_crop_that_is_larger_than_the_sphere_keeps_its_horizon():
    sphere = {"ProjectionType": "equirectangular", "FullPanoWidthPixels": 4000}
    above = gpano(**sphere, FullPanoHeightPixels=2000, CroppedAreaTopPixels=-100)
    camera = CameraHint().resolve(4000, 2200, above).camera
    assert camera.center_px == (2000.0, 1100.0) and camera.turn_px == pytest.approx(4000)
    wider = gpano(
        **sphere,
        FullPanoHeightPixels=2000,
        CroppedAreaTopPixels=-20,
        CroppedAreaLeftPixels=-50,
        CroppedAreaImageWidthPixels=4100,
    )
    camera = CameraHint().resolve(4100, 2000, wider).camera
    assert camera.turn_px == pytest.approx(4100) and camera.center_px == (2050.0, 1020.0)


SIZES = (
    "FullPanoWidthPixels",
    "FullPanoHeightPixels",
    "CroppedAreaImageWidthPixels",
    "CroppedAreaTopPixels",
)


@pytest.mark.parametrize("value", ["1e9", "1e300", "-1e300", "inf", "nan", "", "wide", "0x10"])
@pytest.mark.parametrize("name", SIZES)
def test_impossible_sizes_are_ignored_with_a_word(name, value):
    right = dict(zip(SIZES, (4000, 2000, 4000, 0), strict=True))
    packet = gpano(ProjectionType="equirectangular", **(right | {name: value}))
    known = CameraHint().resolve(4000, 2000, packet)
    assert known.camera == Camera.from_fov(4000, 2000, 360, "equirectangular")
    assert name in known.notes[0] and "ignored" in known.notes[0]
    assert (
        CameraHint().resolve(4000, 2000, gpano(ProjectionType="equirectangular", **right)).notes
        == ()
    )


@given(
    st.sampled_from(["cylindrical", "equirectangular"]),
    st.tuples(*[st.one_of(st.none(), st.floats(), st.integers(-10_000, 10**9))] * 4),
)
def test_no_numbers_break_the_camera_of_a_panorama(kind, values):
    said = {name: value for name, value in zip(SIZES, values, strict=True) if value is not None}
    try:
        known = CameraHint().resolve(4000, 2000, gpano(ProjectionType=kind, **said))
    except CameraError as error:
        assert "--projection and --fov" in str(error)
    else:
        camera = known.camera
        assert camera is None or abs(camera.rays([2000.0, 1000.0])[1]) <= 1.0
        assert camera is None or np.isfinite(camera.project([0.0, 0.0, 1.0])).all()
