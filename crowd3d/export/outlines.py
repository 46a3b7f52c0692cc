"""Dashed boxes in the photograph around people without a place, and why they have none."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from crowd3d.scene.scene import Scene
from crowd3d.scene.unplaced import reasons

Picture = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PEN = 1 if cv2.__version__ >= "5" else 2  # OpenCV 4 draws letters as thin strokes
_GREY, _SHADE, _INK, _PAPER = (225, 225, 225), (60, 60, 60), (40, 40, 40), (235, 235, 235)
_SMALL_PX, _LINE_PX = 11, 1200  # height of a label's letters and longest side per pixel of a line
_MOST_LETTERS = 60


def draw_unplaced(scene: Scene, picture: Picture) -> None:
    """Draw into a picture of any size a box around everybody who has no place.

    A reason stands once, at the highest box of those it holds for.
    """
    notes = reasons(scene.people, scene.diagnostics)
    height, width = picture.shape[:2]
    scale = np.array([width / scene.camera.width, height / scene.camera.height] * 2)
    boxes = scene.people.box_px * scale
    lost = np.flatnonzero(~scene.people.placed & np.isfinite(boxes).all(axis=1))
    for i in lost:
        _dashed(picture, boxes[i])
    highest = lost[np.argsort(boxes[lost, 1], kind="stable")]
    sizes = {note: notes.count(note) for note in notes}
    labelled: set[str] = set()
    for i in highest:
        if notes[i] not in labelled:
            labelled.add(notes[i])
            _label(picture, boxes[i], _text(notes[i], sizes[notes[i]]))


def _text(reason: str, n: int) -> str:
    short = reason if len(reason) <= _MOST_LETTERS else reason[: _MOST_LETTERS - 3] + "..."
    # OpenCV's letters are ASCII.
    return short.encode("ascii", "replace").decode() + (f" ({n} people)" if n > 1 else "")


def _pen_px(picture: Picture) -> int:
    return int(max(1, round(max(picture.shape[:2]) / _LINE_PX)))


def _dashed(picture: Picture, box: FloatArray) -> None:
    """A light dashed rectangle on a dark one, so that it shows on any ground."""
    pen = _pen_px(picture)
    dash = 5.0 * pen
    left, top, right, bottom = np.clip(box, -30000, 30000)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    outline = [np.rint(corners).astype(np.int32)]
    cv2.polylines(picture, outline, False, _SHADE, pen, cv2.LINE_AA)
    for a, b in pairwise(corners):
        length = float(np.linalg.norm(b - a))
        for start in np.arange(0.0, length, 2 * dash):
            ends = [a + (b - a) * at / length for at in (start, min(start + dash, length))]
            first, second = (tuple(int(v) for v in np.rint(end)) for end in ends)
            cv2.line(picture, first, second, _GREY, pen, cv2.LINE_AA)


def _label(picture: Picture, box: FloatArray, text: str) -> None:
    """Small letters on a light slip above a box, or wherever the picture has room next to that."""
    height, width = picture.shape[:2]
    pen = _pen_px(picture)
    size = _SMALL_PX * pen / 22  # letters of this font are 22 px high at size 1
    (wide, high), below = cv2.getTextSize(text, _FONT, size, pen)
    wide, high = wide + 6 * pen, high + below + 4 * pen
    left = int(np.clip(box[0], 0, max(0, width - wide)))
    top = int(np.clip(box[1] - high - pen, 0, max(0, height - high)))
    picture[top : top + high, left : left + wide] = _PAPER
    origin = (left + 3 * pen, top + high - below - 2 * pen)
    cv2.putText(picture, text, origin, _FONT, size, _INK, _PEN * pen, cv2.LINE_AA)
