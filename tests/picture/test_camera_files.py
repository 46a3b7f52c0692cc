"""Cameras as other programs write them become the same camera, fit pictures of other sizes, or are refused."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd3d.errors import CameraError
from crowd3d.picture.camera_files import read
from crowd3d.picture.camera_hint import CameraHint

SIZE = (1280, 720)
K = np.array([[1000.0, 0, 644.5], [0, 1010, 355.5], [0, 0, 1]])
FIVE = [-0.28, 0.07, 0.0002, 0.00002, -0.01]


@pytest.fixture
def resolved(tmp_path):
    """What is known of a picture's camera from a file of that content."""

    def resolve(content, name="camera.json", size=SIZE, **hint):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return CameraHint(camera_json=path, **hint).resolve(*size)

    return resolve


def _stored(path, coefficients, **more):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", SIZE[0])
    storage.write("image_height", SIZE[1])
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", np.array(coefficients).reshape(-1, 1))
    for name, value in more.items():
        storage.write(name, value)
    storage.release()
    return path


@pytest.mark.parametrize("ending", ["yml", "yaml", "json"])
@pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
def test_what_opencv_stores_projects_as_opencv_does(tmp_path, ending, count):
    coefficients = (*FIVE, 0.01, 0.002, 0.0, 0.001, 0.0, 0.0, 0.0005, 0.0, 0.0)[:count]
    path = _stored(tmp_path / f"calibration.{ending}", coefficients)
    camera = CameraHint(camera_json=path).resolve(*SIZE).camera
    points = np.random.default_rng(0).uniform([-2, -1, 4], [2, 1, 20], (50, 3))
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(coefficients))[0]
    # OpenCV counts from the middle of the first pixel, we from its corner.
    np.testing.assert_allclose(camera.project(points), theirs[:, 0] + 0.5, atol=1e-8)


def test_its_fisheye_too(tmp_path):
    coefficients = [0.05, -0.01, 0.002, 0.0]
    path = _stored(tmp_path / "fisheye.yml", coefficients, fisheye_model=1)
    camera = CameraHint(camera_json=path).resolve(*SIZE).camera
    assert camera.projection == "fisheye"
    points = np.random.default_rng(0).uniform([-9, -9, 2], [9, 9, 9], (50, 1, 3))
    theirs = cv2.fisheye.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(coefficients))[
        0
    ]
    np.testing.assert_allclose(camera.project(points), theirs + 0.5, atol=1e-8)


def test_ros_and_plain_names_are_read(resolved):
    ros = (
        "image_width: 1280\nimage_height: 720\ncamera_name: left\n"
        "camera_matrix: {rows: 3, cols: 3, data: [1000, 0, 644.5, 0, 1010, 355.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        f"distortion_coefficients: {{rows: 1, cols: 5, data: {FIVE}}}\n"
    )
    plain = {"K": K.tolist(), "dist_coeffs": [FIVE], "image_size": [1280, 720]}
    one, other = resolved(ros, "left.yaml").camera, resolved(plain).camera
    assert one == other and one.distortion == tuple(FIVE) and one.pixel_aspect == 1.01
    assert one.center_px == (645.0, 356.0)
    bent = resolved(
        ros.replace("plumb_bob", "equidistant").replace(", -0.01]", "]"), "l.yaml"
    ).camera
    assert bent.projection == "fisheye" and bent.distortion == tuple(FIVE[:4])


COLMAP = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 1
3 {}
"""


@pytest.mark.parametrize(
    ("line", "distortion", "projection", "aspect"),
    [
        ("SIMPLE_PINHOLE 1280 720 1000 640 360", (0.0, 0.0), "perspective", 1.0),
        ("PINHOLE 1280 720 1000 1010 640 360", (0.0, 0.0), "perspective", 1.01),
        ("SIMPLE_RADIAL 1280 720 1000 640 360 0.1", (0.1, 0.0), "perspective", 1.0),
        ("RADIAL 1280 720 1000 640 360 0.1 0.01", (0.1, 0.01), "perspective", 1.0),
        ("OPENCV 1280 720 1000 1010 640 360 .1 .01 .001 .002", (0.1, 0.01, 0.001, 0.002), "perspective", 1.01),
        (
            "FULL_OPENCV 1280 720 1000 1010 640 360 .1 .01 .001 .002 .003 .004 .005 .006",
            (0.1, 0.01, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006),
            "perspective",
            1.01,
        ),
        ("SIMPLE_RADIAL_FISHEYE 1280 720 1000 640 360 .1", (0.1, 0.0, 0.0, 0.0), "fisheye", 1.0),
        ("OPENCV_FISHEYE 1280 720 1000 1010 640 360 .1 .2 0 0", (0.1, 0.2, 0.0, 0.0), "fisheye", 1.01),
    ],
)  # fmt: skip
def test_colmaps_models(resolved, line, distortion, projection, aspect):
    camera = resolved(COLMAP.format(line), "cameras.txt").camera
    assert (camera.focal_px, camera.center_px) == (1000.0, (640.0, 360.0))
    assert (camera.distortion, camera.projection) == (distortion, projection)
    assert camera.pixel_aspect == pytest.approx(aspect)


def test_of_several_cameras_that_of_the_picture_is_taken(resolved):
    two = COLMAP.format("PINHOLE 640 480 500 500 320 240") + "7 PINHOLE 1280 720 999 999 640 360\n"
    assert resolved(two, "cameras.txt").camera.focal_px == 999
    assert resolved(two, "cameras.txt", (1920, 1080)).camera.focal_px == pytest.approx(1498.5)
    with pytest.raises(CameraError, match=r"holds 2 cameras \(camera 3, camera 7\), 0 of them"):
        resolved(two, "cameras.txt", (1000, 1000))
    twins = two + "8 PINHOLE 1280 720 1001 1001 640 360\n"
    with pytest.raises(CameraError, match=r"holds 3 cameras.*2 of them.*leave only its own"):
        resolved(twins, "cameras.txt")


KALIBR = """cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.28, 0.07, 0.0002, 2.0e-05]
  distortion_model: {}
  intrinsics: [1000.0, 1010.0, 644.5, 355.5]
  resolution: [1280, 720]
  rostopic: /cam0/image_raw
"""


@pytest.mark.parametrize(
    ("model", "projection"), [("radtan", "perspective"), ("equidistant", "fisheye")]
)
def test_kalibrs_camchain(resolved, model, projection):
    camera = resolved(KALIBR.format(model), "camchain.yaml").camera
    assert camera.projection == projection and camera.distortion == (-0.28, 0.07, 0.0002, 2e-05)
    assert camera.center_px == (645.0, 356.0) and camera.focal_px == 1000.0


@pytest.mark.parametrize("kind", ["json", "members", "txt", "npy"])
def test_a_matrix_alone_is_for_this_picture(resolved, tmp_path, kind):
    matrix = [[1961.9, 0, 540], [0, 1969.2, 960], [0, 0, 1]]
    if kind == "npy":
        np.save(tmp_path / "K.npy", np.array(matrix))
        known = CameraHint(camera_json=tmp_path / "K.npy").resolve(1080, 1920)
    elif kind == "txt":
        text = "\n".join(" ".join(map(str, row)) for row in matrix)
        known = resolved(text, "K.txt", (1080, 1920))
    else:
        known = resolved(
            {"cam_intrinsics": matrix} if kind == "members" else matrix, size=(1080, 1920)
        )
    assert known.camera.K[1, 1] == pytest.approx(1969.2)
    assert known.camera.center_px == pytest.approx((540, 960), abs=0.51)
    assert "tells no size of its picture" in known.notes[0]
    with pytest.raises(CameraError, match="far from the middle"):
        resolved(matrix, "far.json", (4000, 3000))


OWN = {"width": 1280, "height": 720, "focal_px": 1000.0}


def test_a_file_for_another_size_is_scaled_in_words_or_refused(resolved):
    half = resolved(OWN | {"distortion": FIVE, "center_px": [644, 350]}, size=(640, 360))
    assert half.camera.focal_px == 500 and half.camera.center_px == (322, 175)
    assert half.camera.distortion == tuple(FIVE)
    assert "for a picture of 1280 x 720 px" in half.notes[0] and "640 x 360" in half.notes[0]
    assert resolved(OWN).notes == ()
    rounded = resolved(OWN, size=(427, 240)).camera  # 426.7
    np.testing.assert_allclose(rounded.rays([[427, 240]]), resolved(OWN).camera.rays([[1280, 720]]))
    for other in ((720, 1280), (1280, 960), (1280, 736)):
        with pytest.raises(
            CameraError, match="a crop or a turned picture needs a camera of its own"
        ):
            resolved(OWN, size=other)


def test_a_lens_whose_model_ends_inside_the_picture_says_so(resolved):
    (note,) = resolved(OWN | {"distortion": [-0.9, 0.0]}).notes
    assert "bend the picture back on itself from" in note


@pytest.mark.parametrize(
    ("members", "gravity", "height"),
    [
        ({"gravity": [0, 2, 0], "height_m": 5}, (0, 1, 0), 5.0),
        ({"gravity": [0, 3, 4]}, (0, 0.6, 0.8), None),
        ({"height_m": 2.5}, None, 2.5),
        ({"plane": [0, -2, 0, 8]}, (0, 1, 0), 4.0),
        ({"plane": [0, 1, 0, -4]}, (0, 1, 0), 4.0),
        ({"plane": {"normal": [0, -1, 0], "offset_m": 4, "region": None}}, (0, 1, 0), 4.0),
        # 3 m above the ground, looking along the world's y axis.
        ({"R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "t": [0, 3, 0]}, (0, 1, 0), 3.0),
        ({"R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "t": [[0], [3], [-20]]}, (0, 1, 0), 3.0),
        ({"R": [1, 0, 0, 0, 0, -1, 0, 1, 0]}, (0, 1, 0), None),
        ({"R": None, "t": None, "height_m": None}, None, None),
    ],
)
def test_what_our_file_tells_of_the_ground_is_known(resolved, members, gravity, height):
    ground = resolved(OWN | members).ground
    assert ground.height_m == height
    assert (ground.gravity is None) == (gravity is None)
    if gravity is not None:
        assert ground.gravity == pytest.approx(gravity)


def test_a_pose_gives_the_ground_of_its_world(resolved):
    """A camera 7 m up, turned and tilted: the plane is z = 0 of the world."""
    turn = cv2.Rodrigues(np.array([1.9, 0.3, -0.2]))[0]
    center = np.array([12.0, -3.0, 7.0])
    ground = resolved(OWN | {"R": turn.tolist(), "t": (-turn @ center).tolist()}).ground
    on_ground = np.array([[1.0, 2, 0], [-5, 30, 0], [8, 8, 0]])
    seen = (on_ground - center) @ turn.T
    np.testing.assert_allclose(ground.plane.signed_height_m(seen), 0, atol=1e-12)
    assert ground.height_m == pytest.approx(7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OWN | {"focal": 3}, "unknown 'focal'; did you mean 'focal_px'"),
        (OWN | {"hieght_m": 3}, "unknown 'hieght_m'; did you mean 'height_m'"),
        (OWN | {"gravty": [0, 1, 0]}, "did you mean 'gravity'"),
        (OWN | {"R": np.eye(3).tolist(), "t": [0, 0, 0]}, "looking 90 degrees up; they must be"),
        (OWN | {"R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "t": [0, -3, 0]}, "-3 m above the ground"),
        (OWN | {"R": [[1, 0, 0], [0, 0, 1], [0, 1, 0]]}, "not a rotation"),
        (OWN | {"R": [[1, 0], [0, 1]]}, "R must be"),
        (OWN | {"t": [0, 0, 0]}, "t without R"),
        (OWN | {"plane": [0, -1, 0, 4], "height_m": 4}, "tells the ground twice"),
        (OWN | {"plane": [0, 0, 0, 4]}, "goes through the camera or has no normal"),
        (OWN | {"plane": [0, -1, 0, 0]}, "goes through the camera"),
        (OWN | {"plane": "flat"}, "a plane is nx, ny, nz, d"),
        (OWN | {"gravity": [0, 1]}, "3 finite numbers"),
        (OWN | {"gravity": [0, 0, 0]}, "a direction"),
        (OWN | {"gravity": [0, -1, 0]}, "points up in the picture"),
        (OWN | {"height_m": -2}, "not above the ground"),
        (OWN | {"height_m": "high"}, "must be a number"),
        (OWN | {"distortion": [1, 2, 3]}, "2 or 4 or 5 or 8 or 12 coefficients"),
        (OWN | {"distortion": 1}, "must be a list"),
        (OWN | {"projection": "fisheye", "distortion": [0.1, 0]}, "fisheye picture has 4"),
        (OWN | {"lens": "prism"}, "unknown 'lens'"),
        (OWN | {"pixel_aspect": 0}, "check fx and fy"),
        (OWN | {"projection": "cylindrical", "pixel_aspect": 1.1}, "has no lens"),
        ({"K": K.tolist(), "R": np.eye(3).tolist()}, r"tells a pose \(R\)"),
        ({"K": [[1000, 5, 640], [0, 1000, 360], [0, 0, 1]]}, "skew of 5"),
        ({"K": [[1000, 0, 640], [0, 1000, 360]]}, "must be 9 numbers"),
        ({"K": [[1000, 0, 640], [0, 1000, 360], [0, 0, "1"]]}, "finite numbers"),
        ({"K": K.tolist(), "dist": [1, 2, 3]}, "has 3 coefficients"),
        ({"K": K.tolist(), "dist": [0.0] * 12 + [0.1, 0]}, "has 14 coefficients"),
        ({"K": K.tolist(), "model": "omnidir"}, "'omnidir' is not read"),
        ({"K": K.tolist(), "image_size": [0, 720]}, "cannot be"),
        ([[1, 2], [3, 4]], "must be 9 numbers"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"K": NaN}', "NaN is no JSON number"),
        ("7", "is none of camera.json"),
        ("a: [", "is not YAML"),
        ("a: &x [1]\nb: [*x, *x]", "anchors and aliases"),
        ("a: !!python/object:os.system []", "is not YAML"),
        ("<?xml version='1.0'?>", "write the calibration as YAML or JSON"),
        (KALIBR.format("fov"), "pinhole-fov, which is not read"),
        (KALIBR.replace("pinhole", "omni").format("radtan"), "omni-radtan, which is not read"),
        (KALIBR.format("radtan").replace("-0.28, ", ""), "cam0: distortion_coeffs must be 4"),
        (COLMAP.format("FOV 1280 720 1000 1000 640 360 0.9"), "model 'FOV' is not read"),
        (COLMAP.format("OPENCV 1280 720 1000 1000 640 360 0.9"), "must be 10 numbers, not 7"),
        (COLMAP.format("PINHOLE 1280 720 1000 1000 640 x"), "not a number"),
        (COLMAP.format("PINHOLE 1280 720 0 1000 640 360"), "not positive"),
    ],
)
def test_what_is_no_camera_is_refused_in_one_line(resolved, content, message):
    with pytest.raises(CameraError, match=message) as caught:
        resolved(content, "file")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_what_is_no_text_file_is_refused(tmp_path):
    with pytest.raises(CameraError, match="No such file"):
        read(tmp_path / "missing.json")
    with pytest.raises(CameraError, match="it is a folder"):
        read(tmp_path)
    (tmp_path / "cameras.bin").write_bytes(b"\x01\x00\xff\xfe" * 9)
    with pytest.raises(CameraError, match="output_type TXT"):
        read(tmp_path / "cameras.bin")
    (tmp_path / "large.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(CameraError, match="more than 4 MB"):
        read(tmp_path / "large.json")
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CameraError):
        read(tmp_path / "object.npy")


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_no_bytes_end_otherwise(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "camera"
    path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    with pytest.raises(CameraError):
        read(path)


def test_hints_that_say_a_thing_twice_are_refused(resolved):
    with pytest.raises(CameraError, match="tells the ground already"):
        resolved(OWN | {"height_m": 3}, height_m=3.0)
    with pytest.raises(CameraError, match="either it or those"):
        CameraHint(plane=(0, -1, 0, 3), height_m=3.0).resolve(*SIZE)
    with pytest.raises(CameraError, match="only one of"):
        CameraHint(camera=resolved(OWN).camera, fov_deg=50.0).resolve(*SIZE)
    known = resolved(OWN, gravity=(0, 1, 0), height_m=3.0)
    assert known.is_complete and known.ground.plane.offset_m == 3.0
    assert not CameraHint(gravity=(0, 1, 0), height_m=3.0, fov_deg=50.0).resolve(*SIZE).is_complete
