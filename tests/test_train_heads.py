"""The 3D heads and their training: what they start as, what they learn, how a run goes on."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from crowd3d import body, lift, models
from crowd3d.body.tree import COCO_MIRROR
from crowd3d.cli import main
from crowd3d.errors import ConfigError, DataError, ModelError
from crowd3d.lift_rig import pose_rig, rig_of
from crowd3d.models import heads
from crowd3d.training.augment import AugmentRecipe
from crowd3d.training.head_data import HeadData, held_out_seeds, tile_seeds
from crowd3d.training.head_keep import KeepRecipe, keep_loss, varied_people
from crowd3d.training.head_loss import HeadLossWeights, distillation, head_loss
from crowd3d.training.head_metrics import measure
from crowd3d.training.head_recipe import HeadRecipe, NetworkRecipe, find_recipe, read_recipe
from crowd3d.training.head_steps import FrozenSteps, Students, TrunkSteps, new_students
from crowd3d.training.head_train import Clock, fit, learning_share
from crowd3d.training.run_folder import RunFolder
from crowd3d.training.tile_looks import Targets
from crowd3d.training.tiles import TileRecipe, TileStream

CPU = torch.device("cpu")
SMALL = HeadRecipe(
    loss=HeadLossWeights(kept=0.0),
    steps=30,
    batch=16,
    learning_rate=3e-3,
    warmup=5,
    no_appearance=0.0,
    log_every=10,
    check_every=15,
    network=NetworkRecipe(appearance=4, hidden=16, width=32, depth=1, dropout=0.1),
)
PLAIN = AugmentRecipe(
    mirror=0,
    zoom=(1, 1),
    gain_sd=0,
    contrast_sd=0,
    saturation=(1, 1),
    tint_sd=0,
    gamma_sd=0,
    grey=0,
    blur=0,
    noise=0,
    jpeg=0,
)
TINY_PAGE = """
steps: 4
batch: 8
views: 1
log_every: 2
network: {hidden: 8, width: 16, depth: 1}
keep: {people: 50, everyday: 100}
tiles: {count: 1, held_out: 1, side_px: 256, people: [3, 3], person_px: [90, 110]}
"""


@pytest.fixture(scope="module")
def rig():
    return rig_of(body.load("open", level="crowd"))


@pytest.fixture(scope="module")
def data(rig) -> HeadData:
    """People whose heading shows in their features and in nothing else: the lift guesses it wrong by half."""
    generator = torch.Generator().manual_seed(1)
    count = 32
    turned = torch.arange(count) % 2 == 0
    rotations = torch.eye(3).repeat(count, 24, 1, 1)
    rotations[:, 0] = torch.diag(torch.tensor([1.0, -1, -1]))
    rotations[turned, 0] = torch.diag(torch.tensor([-1.0, -1, 1]))
    betas = 0.3 * torch.randn(count, 10, generator=generator)
    points = pose_rig(rig, rotations, betas).points[:, :17] + torch.tensor([0.0, 0.4, 8.0])
    front = points[:, list(COCO_MIRROR)]
    seen = torch.where(turned[:, None, None], front, points)  # left and right of backs are confused
    keypoints = torch.cat([seen[..., :2] / seen[..., 2:], torch.full((count, 17, 1), 0.8)], dim=2)
    truth = Targets(
        keypoints,
        torch.zeros(count),
        rotations,
        betas,
        torch.full((count,), 5.0),
        torch.full((count,), 0.65),
        torch.zeros(count, 2),
        torch.tensor([0.0, 0.13]).repeat(count, 1),
    )
    samples = torch.randn(count, 18, 144, generator=generator)
    samples[turned, :, 0] += 3
    seen_by_lift = heads.hypotheses(lift.load(), truth.keypoints, truth.elevation_rad)
    return HeadData(samples.half(), truth, seen_by_lift)


def students_of(recipe: HeadRecipe) -> tuple[Students, Students]:
    students, averages = new_students(recipe, CPU), new_students(recipe, CPU)
    averages.net.eval()
    return students, averages


def test_untrained_heads_change_nothing(data: HeadData) -> None:
    net = new_students(SMALL, CPU).net.eval()
    result = net.correct(data.seen, net.encode(data.samples.float()))
    for field in dataclasses.fields(data.seen.lifted):
        before, after = (getattr(r, field.name) for r in (data.seen.lifted, result.lifted))
        assert torch.equal(before, after), field.name


def test_appearance_is_bounded_and_has_its_length(data: HeadData) -> None:
    net = new_students(SMALL, CPU).net.eval()
    appearance = net.encode(1000 * data.samples.float())
    assert appearance.shape == (len(data), 4) and appearance.abs().max() <= 1


def test_the_other_hypothesis_has_left_and_right_exchanged(data: HeadData) -> None:
    swapped = data.truth.keypoints[:, list(COCO_MIRROR)]
    expected = lift.load()(swapped, data.truth.elevation_rad).fisher
    assert torch.equal(data.seen.fisher_swapped, expected)
    assert not torch.allclose(expected, data.seen.lifted.fisher, atol=0.1)


def test_the_loss_is_least_at_the_truth(data: HeadData, rig) -> None:
    scale, weights = data.seen.scale, HeadLossWeights()

    def loss_of(turn: float, shift: float) -> dict[str, torch.Tensor]:
        c, s = np.cos(turn), np.sin(turn)
        about_y = torch.tensor([[c, 0.0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float32)
        rotations = data.truth.rotations.clone()
        rotations[:, 0] = about_y @ rotations[:, 0]
        lifted = dataclasses.replace(
            data.seen.lifted,
            rotations=rotations,
            fisher=20 * rotations,
            betas=data.truth.betas + shift,
            range_statures=data.truth.range_statures * np.exp(shift),
            torso_height_statures=data.truth.torso_height_statures + shift,
        )
        spread = torch.zeros(len(data))
        result = heads.HeadResult(
            lifted, data.truth.torso_uv + shift, data.truth.hvip_uv - shift, spread, spread
        )
        return head_loss(result, data.truth, scale, rig, weights)[1]

    best, turned, moved = loss_of(0, 0), loss_of(0.4, 0), loss_of(0, 0.1)
    assert best["joints"] < 1e-5
    for name in ("rotation", "joints"):
        assert best[name] < turned[name]
    for name in ("betas", "depth", "height", "torso", "hvip"):
        assert best[name] < moved[name], name


def test_heads_learn_what_keypoints_cannot_tell(data: HeadData, rig) -> None:
    recipe = dataclasses.replace(SMALL, steps=150, learning_rate=6e-3)
    students, averages = students_of(recipe)
    before = measure(averages.net, data, rig)
    assert fit(students, averages, FrozenSteps(data, data.seen, recipe, rig, CPU), recipe) == 150
    after = measure(students.net, data, rig)
    assert before["heading_over_90_percent"] == 50
    assert after["heading_over_90_percent"] == 0
    assert after["mpjpe_mm"] < 0.5 * before["mpjpe_mm"]


def test_a_resumed_run_has_the_bytes_of_one_that_was_not_stopped(
    data: HeadData, rig, tmp_path
) -> None:
    def run(folder: str, *stops: int) -> tuple[Students, list[dict]]:
        for stop in stops:
            students, averages = students_of(SMALL)
            here = RunFolder(tmp_path / folder, {}, {"a": 1})
            steps = FrozenSteps(data, data.seen, SMALL, rig, CPU)
            fit(students, averages, steps, SMALL, here, clock=_StopAt(stop))
        return averages, here.rows()

    whole, log = run("whole", 30)
    parts, log_of_parts = run("parts", 11, 17, 30)
    for name, tensor in whole.net.state_dict().items():
        assert torch.equal(tensor, parts.net.state_dict()[name]), name

    def numbers(rows: list[dict]) -> list[dict]:
        return [{k: v for k, v in r.items() if k != "seconds"} for r in rows if r["step"] % 10 == 0]

    assert numbers(log) == numbers(log_of_parts) and len(numbers(log)) == 3


class _StopAt(Clock):
    """A clock that is over after so many steps of the whole run."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def is_over(self, done: int) -> bool:
        return done >= self.steps


def test_people_of_all_kinds_are_left_alone(data: HeadData, rig) -> None:
    others = varied_people(KeepRecipe(people=64, everyday=200), None, rig, lift.load(), 5)
    net = new_students(SMALL, CPU).net.eval()
    appearance = net.encode(data.samples.float()).repeat(2, 1)
    assert keep_loss(net.correct(others, appearance), others) == 0
    recipe = dataclasses.replace(SMALL, loss=HeadLossWeights(kept=3.0), steps=60)

    def moved(steps: FrozenSteps) -> float:
        students, averages = students_of(SMALL)
        fit(students, averages, steps, steps.recipe)
        with torch.no_grad():
            encoded = students.net.eval().encode(data.samples.float()).repeat(2, 1)
            return float(keep_loss(students.net.correct(others, encoded), others))

    free = dataclasses.replace(recipe, loss=HeadLossWeights(kept=0.0))
    held, loose = (FrozenSteps(data, others, r, rig, CPU) for r in (recipe, free))
    assert moved(held) < 0.5 * moved(loose)


def test_a_checkpoint_of_another_recipe_or_a_damaged_one_is_refused(tmp_path) -> None:
    module = torch.nn.Linear(2, 2)
    RunFolder(tmp_path, {"m": module}, {"seed": 1}).save(3)
    assert RunFolder(tmp_path, {"m": module}, {"seed": 1}).restore() == 3
    with pytest.raises(DataError, match="another recipe"):
        RunFolder(tmp_path, {"m": module}, {"seed": 2}).restore()
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(DataError, match="delete it"):
        RunFolder(tmp_path, {"m": module}, {"seed": 1}).restore()


def test_distillation_is_nothing_for_equal_maps_and_reaches_the_trunk() -> None:
    teacher = models.build()
    student = models.build()
    rgb = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        wanted = teacher(rgb)
    assert distillation(student(rgb), wanted)[0] == 0
    with torch.no_grad():
        student.trunk.smooth4.pointwise.bias += 0.1
    total, terms = distillation(student(rgb), wanted)
    assert total > 0 and all(torch.isfinite(t) for t in terms.values())
    torch.autograd.backward(total)
    assert student.trunk.stem.weight.grad.abs().sum() > 0


def test_the_whole_network_trains_and_its_loss_falls(data, rig, tmp_path) -> None:
    recipe = dataclasses.replace(
        SMALL,
        steps=8,
        warmup=1,
        train_trunk=True,
        trunk_learning_rate=2e-6,
        tiles_per_step=1,
        tiles=TileRecipe(
            count=1, side_px=256, people=(4, 4), person_px=(90, 110), presets=("plaza",)
        ),
        augment=PLAIN,
        network=dataclasses.replace(SMALL.network, dropout=0.0),
        feature_noise=0.0,
    )
    students, averages = students_of(recipe)
    teacher, losses = models.build(), []
    with TileStream(tmp_path, recipe.tiles) as stream:
        steps = TrunkSteps(stream, lift.load(), teacher, data.seen, recipe, rig, CPU)

        def recorded(step: int, students: Students):
            total, terms = steps(step, students)
            losses.append(total.item())
            return total, terms

        fit(students, averages, recorded, recipe)
    assert losses[-1] < losses[0] - 0.5
    assert losses[-1] < min(losses[:3])
    changed = students.trunk.state_dict()
    assert any(not torch.equal(v, changed[k]) for k, v in teacher.state_dict().items())


def test_weights_are_kept_in_half_precision_and_read(tmp_path) -> None:
    net = new_students(SMALL, CPU).net
    path = tmp_path / "heads.safetensors"
    heads.save(net, vars(SMALL.network), {"a": 1}, path)
    read = heads.load(path)
    assert not read.training and read.appearance == 4
    weight = net.stem.weight
    torch.testing.assert_close(read.stem.weight, weight.half().float())
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="heads"):
        heads.load(path)


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [learning_share(SMALL, s) for s in range(SMALL.steps)]
    assert shares[0] < shares[4] == max(shares) == 1 and shares[-1] < 0.02


def test_training_and_held_out_tiles_never_meet() -> None:
    recipe = dataclasses.replace(SMALL, tiles=TileRecipe(count=40_000, held_out=5000))
    assert not set(tile_seeds(recipe)) & set(held_out_seeds(recipe))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("step: 3", "did you mean 'steps'"),
        ("tiles: {person: [1, 2]}", "did you mean 'person_px'"),
        ("tiles: {people: 3}", "people must be a list"),
        ("tiles: {people: [3, many]}", "must be int"),
        ("steps: many", "steps must be int"),
        ("steps: 0", "at least 1"),
        ("tiles: {side_px: 500}", "multiple of 32"),
        ("loss: 3", "loss must hold keys"),
        ("- 3", "keys and values"),
        ("a: [", "cannot read"),
    ],
)
def test_wrong_recipes_say_what_is_wrong(page: str, message: str, tmp_path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(page)
    with pytest.raises(ConfigError, match=message):
        read_recipe(path)


def test_the_shipped_recipes_are_read() -> None:
    short = read_recipe(find_recipe("heads_cpu"), steps=7, tile_count=12)
    assert (short.steps, short.tiles.count, short.tiles.held_out) == (7, 12, 3)
    assert not short.train_trunk
    assert read_recipe(find_recipe("heads_gpu")).train_trunk
    with pytest.raises(ConfigError, match="did you mean 'heads_cpu'"):
        find_recipe("head_cpu")


def test_the_command_trains_refuses_and_goes_on(tmp_path) -> None:
    page, out = tmp_path / "r.yaml", tmp_path / "out"
    page.write_text(TINY_PAGE)
    args = ["train", str(page), "-o", str(out), "--device", "cpu"]
    first = CliRunner().invoke(main, args)
    assert first.exit_code == 0, first.output
    assert "PA-MPJPE" in first.output
    assert heads.load(out / "heads.safetensors").appearance == 16
    facts = json.loads((out / "heads.json").read_text())
    assert facts["steps"] == 4 and facts["recipe"]["tiles"]["count"] == 1
    assert "<svg" in (out / "train.html").read_text()
    assert len((out / "train_log.jsonl").read_text().splitlines()) == 3
    again = CliRunner().invoke(main, args)
    assert again.exit_code == 2 and "--resume" in again.output
    weights = (out / "heads.safetensors").read_bytes()
    resumed = CliRunner().invoke(main, [*args, "--resume", "--quiet"])
    assert resumed.exit_code == 0 and not resumed.output
    other = CliRunner().invoke(main, [*args, "--resume", "--steps", "9"])
    assert other.exit_code == 2 and "another recipe" in other.output
    changed = json.loads((out / "heads.json").read_text())
    assert changed["with_heads"] == facts["with_heads"]
    assert (out / "heads.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "heads_cpux", "-o", "x"], "did you mean 'heads_cpu'"),
        (["train", "heads_cpu"], "--out"),
        (["train", "heads_cpu", "-o", "x", "--steps", "0"], "--steps"),
        (["train", "heads_cpu", "-o", "x", "--minutes", "0"], "--minutes"),
        (["train", "heads_cpu", "-o", "x", "--resume"], "no checkpoint"),
        (["train", "heads_cpu", "-o", "x", "--motion", "nowhere"], "--motion"),
    ],
)
def test_wrong_commands_end_with_code_2(args, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2 and message in result.output
    assert not list(tmp_path.iterdir())
