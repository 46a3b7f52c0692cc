"""Small text files from outside, read so that nothing in them can hurt: JSON, YAML, numbers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from crowd3d.errors import CameraError

_MOST_BYTES = 4 << 20
_OPENCV_HEAD = re.compile(r"^%YAML:?\s*\d.*\n")  # no YAML directive, though it looks like one


def text_of(path: Path) -> str:
    """The whole file; raises CameraError if it is missing, no regular file, too large or no UTF-8."""
    try:
        if not path.is_file():
            raise CameraError(
                f"cannot read {path}: {'not a file' if path.exists() else 'there is none'}"
            )
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise CameraError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise CameraError(f"{path} is over {_MOST_BYTES >> 20} MB, which no camera's file is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CameraError(
            f"{path} is no text; of COLMAP's binary files make text by `colmap model_converter "
            "--output_type TXT`"
        ) from None


def json_of(text: str) -> Any:
    """Plain values; raises CameraError."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CameraError(f"is not JSON: {_one_line(error)}") from None


def yaml_of(text: str) -> Any:
    """Plain values, OpenCV's matrices as the mappings they are written as; raises CameraError."""
    try:
        return yaml.load(_OPENCV_HEAD.sub("", text), Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CameraError(f"is not YAML: {_one_line(error)}") from None


def numbers(values: Any, name: str, *counts: int) -> tuple[float, ...]:
    """Finite numbers of a list, of lists in a list, or of a mapping with `data`; raises CameraError.

    Args:
        counts: how many there may be; any number if none is named.
    """
    if isinstance(values, dict):
        values = values.get("data")
    flat: list[Any] = []
    for value in values if isinstance(values, list) else [None]:
        flat += value if isinstance(value, list) else [value]
    is_number = [isinstance(v, int | float) and not isinstance(v, bool) for v in flat]
    if not all(is_number) or not all(math.isfinite(v) for v in flat):
        raise CameraError(f"{name} must be finite numbers")
    if counts and len(flat) not in counts:
        wanted = " or ".join(map(str, counts))
        raise CameraError(f"{name} must be {wanted} numbers, not {len(flat)}")
    return tuple(float(value) for value in flat)


class _PlainLoader(yaml.SafeLoader):
    """YAML without references, which can stand for more values than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not read")
        return super().compose_node(parent, index)


def _matrix(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    return loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]


# 2e-05 is a number to everybody but YAML 1.1.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.\d+|\d+\.?\d*)[eE][-+]?\d+$"),
    [*"-+.0123456789"],
)
for _tag in ("opencv-matrix", "opencv-nd-matrix"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _matrix)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else f"{text[:117]}..."
