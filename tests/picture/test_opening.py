"""Errors of the packages below come out as errors of this one."""

import numpy as np
import pytest

import optim
import tiling
from crowd3d import errors
from crowd3d.picture.opening import translated_errors


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
