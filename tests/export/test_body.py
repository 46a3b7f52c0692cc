"""`crowd3d export`: a stored scene told again in another body of the SMPL layout."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.scenes import two_level_scene

from crowd3d import body as bodies
from crowd3d.body.arrays import BodyArrays, read_npz
from crowd3d.body.model import BodyModel
from crowd3d.body.refit import refit_betas
from crowd3d.body.tree import PARENTS
from crowd3d.cli import main
from crowd3d.errors import BodyError
from crowd3d.export import FILES, predict_json
from crowd3d.export.rebody import rebody
from crowd3d.scene.people import People
from crowd3d.scene.scene import Scene

OPEN = Path(bodies.__file__).with_name("open_crowd.npz")
LIMBS = [(16, 18), (18, 20), (1, 4), (4, 7), (17, 19), (19, 21), (2, 5), (5, 8)]


def official(path: Path, *, regressor: bool = False) -> Path:
    """A body that is not ours: other shape basis, other template, other vertices, own regressors."""
    ours = read_npz(OPEN)
    order = np.random.default_rng(0).permutation(10)
    signs = np.where(np.arange(10) % 2, -1.0, 1.0)
    template = 1.04 * ours.v_template + 0.3 * ours.shapedirs[:, :, 3] + [0.0, 0.25, 0.03]
    keep = np.arange(len(template) + 1) % len(template)  # one vertex twice: another count
    j_regressor = np.concatenate([ours.j_regressor, np.zeros((24, 1))], axis=1)
    values = {
        "v_template": template[keep],
        "shapedirs": (ours.shapedirs[:, :, order] * signs * 0.7)[keep],
        "J_regressor": j_regressor,
        "weights": ours.weights[keep],
        "kintree_table": np.array([PARENTS, range(24)]),
        "f": ours.faces,
    }
    if regressor:
        values["coco_regressor"] = np.concatenate([ours.coco_regressor, np.zeros((17, 1))], axis=1)
    np.savez(path, **values)
    return path


def tiny(path: Path) -> Path:
    """Eight vertices, two each at the left shoulder, elbow, wrist and hand; beta 0 stretches the arm."""
    place = np.zeros((8, 3))
    place[:, 0] = np.repeat([0.2, 0.5, 0.7, 0.8], 2)
    place[:, 1] = np.tile([0.05, -0.05], 4)
    regressor, weights = np.full((24, 8), 1 / 8), np.zeros((8, 24))
    for k, j in enumerate((16, 18, 20, 22)):
        regressor[j] = 0
        regressor[j, [2 * k, 2 * k + 1]] = 0.5
        weights[[2 * k, 2 * k + 1], j] = 1.0
    shapedirs = np.zeros((8, 3, 10))
    shapedirs[:, 0, 0] = 0.1 * place[:, 0]
    np.savez(
        path,
        v_template=place,
        shapedirs=shapedirs,
        J_regressor=regressor,
        weights=weights,
        kintree_table=np.array([PARENTS, range(24)]),
        f=np.array([[0, 1, 2], [1, 3, 2]]),
    )
    return path


def posed(body: BodyModel, people: People) -> tuple[np.ndarray, np.ndarray]:
    rows = (torch.from_numpy(v).float() for v in (people.pose, people.betas, people.transl_m))
    out = body(*rows)
    return out.vertices.double().numpy(), out.joints.double().numpy()


def bone_lengths(body: BodyModel, betas: torch.Tensor) -> torch.Tensor:
    joints = body.rest_joints(betas)
    return torch.stack([(joints[:, a] - joints[:, b]).norm(dim=-1) for a, b in LIMBS], dim=1)


@pytest.fixture(scope="module")
def source() -> BodyModel:
    return bodies.load("open", "crowd")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    return bodies.load(official(tmp_path_factory.mktemp("b") / "SMPL_FEMALE.npz"))


def test_refitted_shapes_keep_stature_and_bones(source: BodyModel, target: BodyModel) -> None:
    betas = torch.randn(40, 10, generator=torch.Generator().manual_seed(1))
    other = refit_betas(source, target, betas)
    gap = (target.stature_m(other) - source.stature_m(betas)).abs()
    assert float(gap.max()) < 0.005
    bones = (bone_lengths(target, other) - bone_lengths(source, betas)).abs()
    assert float(bones.max()) < 0.02 and float(bones.mean()) < 0.006
    # Control: the same numbers read as the other body's betas are other people.
    assert float((target.stature_m(betas) - source.stature_m(betas)).abs().mean()) > 0.05


def test_refitting_to_the_same_body_changes_no_bone(source: BodyModel) -> None:
    betas = torch.randn(20, 10, generator=torch.Generator().manual_seed(2)).double()
    again = refit_betas(source, source, betas)
    assert again.dtype == torch.float64
    bones = bone_lengths(source, again.float()) - bone_lengths(source, betas.float())
    assert float(bones.abs().max()) < 0.01 and float(bones.abs().mean()) < 0.003


def test_everybody_stays_on_their_feet(source: BodyModel, target: BodyModel) -> None:
    scene = two_level_scene()
    told = rebody(scene, source, target)
    np.testing.assert_array_equal(told.people.pose, scene.people.pose)
    before, joints_before = posed(source, scene.people)
    after, joints_after = posed(target, told.people)
    for i, k in enumerate(scene.people.plane):
        plane = scene.planes[k]
        lowest = [plane.signed_height_m(v[i]).min() for v in (before, after)]
        assert lowest == pytest.approx([0, 0], abs=1e-4)
        feet = [
            plane.foot_m(j[i, [7, 8, 10, 11]].mean(axis=0)) for j in (joints_before, joints_after)
        ]
        np.testing.assert_allclose(*feet, atol=1e-4)
        foot = plane.foot_m(told.people.torso_m[i])
        np.testing.assert_allclose(told.people.hvip_m[i], foot, atol=1e-9)
    # The torso moves by centimetres: two bodies stand alike, but not exactly alike.
    assert np.linalg.norm(told.people.torso_m - scene.people.torso_m, axis=1).max() < 0.12
    np.testing.assert_allclose(told.people.stature_m, scene.people.stature_m, atol=0.005)
    np.testing.assert_allclose(told.people.torso_px, told.camera.project(told.people.torso_m))
    assert told.body == "SMPL_FEMALE.npz" and scene.body == "open"


def test_torso_with_and_without_a_regressor(source: BodyModel, tmp_path: Path) -> None:
    scene = two_level_scene()
    plain = rebody(scene, source, bodies.load(official(tmp_path / "a.npz")))
    known = rebody(scene, source, bodies.load(official(tmp_path / "b.npz", regressor=True)))
    gap = np.linalg.norm(plain.people.torso_m - known.people.torso_m, axis=1)
    assert 0 < gap.max() < 0.08


def test_who_has_no_place_stays_without(source: BodyModel, target: BodyModel) -> None:
    scene = two_level_scene()
    scene.people.transl_m[2] = np.nan
    scene.people.betas[3] = np.nan
    told = rebody(scene, source, target).people
    assert np.isnan(told.transl_m[2]).all() and np.isnan(told.betas[3]).all()
    others = [0, 1, 4, 5]
    assert np.isfinite(told.torso_m[others]).all() and np.isfinite(told.betas[others]).all()


def test_nobody_and_no_ground(source: BodyModel, target: BodyModel) -> None:
    scene = two_level_scene()
    scene.people = scene.people.filter(np.zeros(6, dtype=bool))
    assert len(rebody(scene, source, target).people) == 0
    bare = two_level_scene()
    bare.planes = []
    told = rebody(bare, source, target)
    np.testing.assert_array_equal(told.people.hvip_m, bare.people.hvip_m)


def test_a_body_that_did_not_make_the_scene_is_refused(
    source: BodyModel, target: BodyModel
) -> None:
    with pytest.raises(BodyError, match="open"):
        rebody(two_level_scene(), target, source)


@pytest.mark.parametrize(
    ("name", "gender"),
    [
        ("SMPL_FEMALE.npz", "female"),
        ("SMPL_MALE.npz", "male"),
        ("basicmodel_m_lbs_10_207_0_v1.1.0.npz", "male"),
        ("basicModel_f_lbs_10_207_0_v1.0.0.npz", "female"),
        ("SMPL_NEUTRAL.npz", "neutral"),
        ("open", "neutral"),
        ("formal.npz", "neutral"),
    ],
)
def test_gender_is_in_the_name(name: str, gender: str) -> None:
    assert predict_json.gender_of(name) == gender


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    two_level_scene().save(tmp_path / "scene")
    return tmp_path / "scene"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["export", *map(str, arguments)])
    return result.exit_code, result.output


def test_all_files_with_a_users_body(stored: Path, tmp_path: Path) -> None:
    path = official(tmp_path / "SMPL_MALE.npz", regressor=True)
    code, text = run(stored, "-o", tmp_path / "out", "--body", path)
    assert code == 0, text
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    persons = json.loads((tmp_path / "out" / "predict.json").read_text())["square.jpg"][
        "person_list"
    ]
    assert {(p["body"], p["gender"]) for p in persons} == {("SMPL_MALE.npz", "male")}
    # What the file says, put through the official body, stands on the ground.
    predicted = predict_json.read(tmp_path / "out" / "predict.json")["square.jpg"]
    rows = (
        torch.from_numpy(v).float() for v in (predicted.pose, predicted.betas, predicted.transl_m)
    )
    vertices = bodies.load(path)(*rows).vertices.double().numpy()
    scene = Scene.load(tmp_path / "out")
    for mesh, k in zip(vertices, scene.people.plane, strict=True):
        assert scene.planes[k].signed_height_m(mesh).min() == pytest.approx(0, abs=1e-4)
    assert scene.body == "SMPL_MALE.npz"
    for name in ("scene.glb", "people.geojson", "report.html"):
        assert b"SMPL_MALE.npz" in (tmp_path / "out" / name).read_bytes(), name
    # And again, from what was written, with the same body: nothing is fitted twice.
    code, _ = run(tmp_path / "out", "-o", tmp_path / "again", "--body", path)
    assert code == 0
    first, second = ((tmp_path / d / "predict.json").read_bytes() for d in ("out", "again"))
    assert first == second


def test_the_smallest_body(stored: Path, tmp_path: Path) -> None:
    code, text = run(stored, "-o", tmp_path / "out", "--body", tiny(tmp_path / "tiny.npz"))
    assert code == 0, text
    people = Scene.load(tmp_path / "out").people
    assert np.isfinite(people.betas).all() and np.isfinite(people.transl_m).all()


def test_without_a_body_the_same_scene_is_written(stored: Path, tmp_path: Path) -> None:
    code, text = run(stored, "-o", tmp_path / "out", "--quiet")
    assert code == 0 and text == ""
    assert (tmp_path / "out" / "people.npz").read_bytes() == (stored / "people.npz").read_bytes()


def test_the_photograph_lies_under_the_overlay(stored: Path, tmp_path: Path) -> None:
    photo = np.full((500, 900, 3), (20, 180, 40), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    assert run(stored, "-o", tmp_path / "out", "--image", tmp_path / "photo.png")[0] == 0
    corner = cv2.imread(str(tmp_path / "out" / "overlay.jpg"))[2, 2].astype(int)
    assert np.abs(corner - (20, 180, 40)).max() < 12
    cv2.imwrite(str(tmp_path / "other.png"), photo[:100])
    code, text = run(stored, "-o", tmp_path / "o2", "--image", tmp_path / "other.png")
    assert code == 2 and "900 x 100" in text


def test_mistakes_are_one_line(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "SMPL.pkl").write_bytes(pickle.dumps({}))
    (tmp_path / "broken.npz").write_bytes(b"PK")
    for arguments, word in (
        ([stored, "-o", tmp_path / "o", "--body", tmp_path / "SMPL.pkl"], "convert-smpl"),
        ([stored, "-o", tmp_path / "o", "--body", tmp_path / "broken.npz"], "broken.npz"),
        ([stored, "-o", tmp_path / "o", "--body", tmp_path / "none.npz"], "none.npz"),
        ([tmp_path / "nowhere", "-o", tmp_path / "o"], "scene.json"),
        ([stored, "-o", stored], "another folder"),
        ([stored, "-o", tmp_path / "o", "--image", tmp_path / "none.jpg"], "none.jpg"),
    ):
        code, text = run(*arguments)
        assert code == 2 and word in text and len(text.splitlines()) == 1, text
    assert not (tmp_path / "o").exists()
    path = official(tmp_path / "mine.npz")
    assert run(stored, "-o", tmp_path / "mine", "--body", path, "--quiet")[0] == 0
    code, text = run(tmp_path / "mine", "-o", tmp_path / "back")
    assert code == 2 and "mine.npz" in text


def test_shapes_out_of_range_are_a_warning(source: BodyModel, target: BodyModel) -> None:
    scene = two_level_scene()
    scene.people.betas[0, 0] = -2.5  # a child of a metre
    ours = read_npz(OPEN)
    stiff = BodyModel(
        BodyArrays(**{**vars(ours), "shapedirs": 0.2 * ours.shapedirs, "stature": None}), "stiff"
    )
    assert any("stiff" in w for w in rebody(scene, source, stiff).diagnostics["warnings"])
    assert not rebody(two_level_scene(), source, target).diagnostics["warnings"]
