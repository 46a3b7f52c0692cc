"""The focal length that the camera wrote into the picture's EXIF tags."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crowd3d.picture.sensors import sensor_width_mm

_FULL_FRAME_DIAGONAL_MM, _FULL_FRAME_WIDTH_MM = math.hypot(36.0, 24.0), 36.0
# Standard deviations of the logarithm. Makers round the 35 mm equivalent and correct their lenses; some measure
# across the picture and some along its diagonal (CIPA DCG-001 leaves it open). A focal length and a sensor in
# millimetres are nominal values: lenses are a few percent shorter or longer, and breathe when they focus.
_EQUIVALENT_LOG_SD, _NOMINAL_LOG_SD = 0.04, 0.05
_MOST_ASPECT = 2.0  # wider pictures are stitched, and carry the focal length of a single shot
_SAME_ASPECT = 0.02  # largest difference of log aspect ratios that still counts as the same shape
_SAME_SIDE = 0.002  # of the length of a side
_MM_PER_UNIT = {
    2.0: 25.4,
    3.0: 10.0,
    4.0: 1.0,
    5.0: 0.001,
}  # of FocalPlaneResolutionUnit; 4 and 5 by TIFF/EP
_SENSORS_MM = (3.0, 60.0)  # widths there are
_EQUIVALENTS_MM = (4.0, 2000.0)
_MOST_ZOOM = 20.0


def focal_prior(
    tags: Mapping[str, float], width: int, height: int, model: str = ""
) -> tuple[float, float] | None:
    """Focal length in pixels and the standard deviation of its logarithm; None if the tags do not give it.

    By the first of these that is there: the 35 mm equivalent, the resolution in the focal plane, the sensor's
    width by the camera's model. A digital zoom and a crop afterwards are counted in as far as the tags tell.

    Args:
        tags: EXIF numbers: FocalLengthIn35mmFilm, FocalLength, FocalPlaneXResolution, PixelXDimension, ...
        width, height: of the picture in pixels, upright or not.
        model: maker and model of the camera.
    """
    taken = tags.get("PixelXDimension", 0.0), tags.get("PixelYDimension", 0.0)
    if not min(taken) >= 1:
        taken = float(width), float(height)
    if max(_aspect(*taken), _aspect(width, height)) > _MOST_ASPECT:
        return None
    told = _of_shot(tags, max(taken), math.hypot(*taken), model)
    kept = _kept(taken, width, height)
    if told is None or kept is None:
        return None
    return told[0] * kept[0], math.hypot(told[1], kept[1])


def _of_shot(
    tags: Mapping[str, float], width_px: float, diagonal_px: float, model: str
) -> tuple[float, float] | None:
    """Focal length and spread for the picture as the camera took it, of that longer side and diagonal."""
    zoom = _digital_zoom(tags)
    equivalent_mm = tags.get("FocalLengthIn35mmFilm", 0.0)
    if _within(equivalent_mm, _EQUIVALENTS_MM):
        # Some makers count the digital zoom in and some do not: half of it, and the doubt about it.
        along_px = diagonal_px / _FULL_FRAME_DIAGONAL_MM
        either_way = math.log(along_px * _FULL_FRAME_WIDTH_MM / width_px)
        log_sd = math.hypot(_EQUIVALENT_LOG_SD, either_way, math.log(zoom) / 2)
        return equivalent_mm * along_px * math.sqrt(zoom), log_sd
    sensor = _sensor_mm(tags, model)
    if sensor is None:
        return None
    sensor_mm, log_sd = sensor
    share = tags.get("FocalLength", 0.0) / sensor_mm
    if not _within(share * _FULL_FRAME_WIDTH_MM, _EQUIVALENTS_MM):
        return None
    return share * zoom * width_px, math.hypot(_NOMINAL_LOG_SD, log_sd)


def _sensor_mm(tags: Mapping[str, float], model: str) -> tuple[float, float] | None:
    """Width of the sensor along the picture's longer side, and the spread of its logarithm."""
    per_unit = tags.get("FocalPlaneXResolution", 0.0)
    unit_mm = _MM_PER_UNIT.get(tags.get("FocalPlaneResolutionUnit", 2.0), 0.0)
    sides = tags.get("PixelXDimension", 0.0), tags.get("PixelYDimension", 0.0)
    if per_unit > 0 and min(sides) > 0:
        width_mm = max(sides) / per_unit * unit_mm
        if _within(width_mm, _SENSORS_MM):
            return width_mm, 0.0
    return sensor_width_mm(model)


def _digital_zoom(tags: Mapping[str, float]) -> float:
    """1 where there was none; the tag says 0 then, or nothing."""
    zoom = tags.get("DigitalZoomRatio", 1.0)
    return zoom if 1.0 < zoom <= _MOST_ZOOM else 1.0


def _kept(taken: tuple[float, float], width: int, height: int) -> tuple[float, float] | None:
    """How much the picture was scaled after it was taken, and the spread of the logarithm; None if unknown.

    Of the same shape it was scaled. Of another it was cropped: if it kept a whole longer side it was not
    scaled; if both sides are shorter it may have been, down to where a whole side is left.
    """
    long, short = max(width, height) / max(taken), min(width, height) / min(taken)
    if abs(math.log(long / short)) <= _SAME_ASPECT:
        return math.hypot(width, height) / math.hypot(*taken), 0.0
    least = max(long, short)
    if least > 1 + _SAME_SIDE:
        return None  # larger than it was taken: nothing of the tags is about this picture
    doubt = -math.log(min(least, 1.0))
    return math.exp(-doubt / 2), doubt / 2


def _aspect(width: float, height: float) -> float:
    return max(width, height) / min(width, height)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
