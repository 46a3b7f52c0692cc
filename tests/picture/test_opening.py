"""Errors of the packages below come out as errors of this one; what is doubtful about pixels is told."""

from types import SimpleNamespace

import numpy as np
import pytest
import pyvips

import optim
import tiling
from crowd3d import errors
from crowd3d.config import Config
from crowd3d.picture.opening import opened, pixel_doubts, translated_errors
from tiling.damage import Damage


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (tiling.ImageError("x"), errors.ImageError),
        (tiling.ResourceError("x"), errors.EnvironmentProblem),
        (tiling.JournalError("x"), errors.OutputError),
        (optim.BadInput("x"), errors.CameraError),
        (optim.FitFailed("x"), errors.CameraError),
        (np.linalg.LinAlgError("x"), errors.CameraError),
        (errors.DataError("x"), errors.DataError),
    ],
)
def test_every_error_of_a_run_is_of_this_package(raised, kind):
    with pytest.raises(kind, match="x"), translated_errors():
        raise raised


@pytest.mark.parametrize(
    ("missing", "words"),
    [(0.245, "up to 24 % of it"), (1.0, "up to 100 %"), (0.002, ": less than 1 %")],
)
def test_the_share_that_is_missing_is_told(missing, words):
    source = SimpleNamespace(damage=Damage("43 of 176 tiles", missing), remarks=["scaled"])
    told, remark = pixel_doubts(source)
    assert "damaged (43 of 176 tiles)" in told and words in told and remark == "scaled"
    assert pixel_doubts(SimpleNamespace(damage=None, remarks=["scaled"])) == ["scaled"]


def test_damaged_is_a_setting_of_the_run(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    whole = pyvips.Image.new_from_array(noise).jpegsave_buffer()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.ImageError, match=r"truncated or damaged .* read on with --damaged"):
        with opened(tmp_path / "a.jpg", Config()) as source:
            source.prepare()
    with opened(tmp_path / "a.jpg", Config(damaged=True)) as source:
        assert "the picture is damaged" in pixel_doubts(source)[0]
