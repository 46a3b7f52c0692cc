"""Everything that crowd3d raises on purpose. The command line turns each into one line and an exit code."""

import difflib


class Crowd3dError(Exception):
    """Base class. The message says what was found and what to do about it."""

    exit_code = 2


class ImageError(Crowd3dError):
    """The picture cannot be read, or is outside the limits."""


class CameraError(Crowd3dError):
    """A given camera contradicts itself or the picture."""


class ConfigError(Crowd3dError):
    """A preset or an option is unknown or out of range."""


class OutputError(Crowd3dError):
    """The result cannot be written where it was asked for."""


class SceneError(Crowd3dError):
    """A stored scene is incomplete, damaged or of an unknown version."""


class DataError(Crowd3dError):
    """A data set's file is missing or malformed; the message names the file, the line and the member."""


class BodyError(Crowd3dError):
    """A body model file is missing, damaged or not in the SMPL layout."""


class ModelError(Crowd3dError):
    """A network's weights are missing, damaged or of another architecture."""


class EnvironmentProblem(Crowd3dError):
    """The machine lacks something: an optional package, a device, memory, disk."""

    exit_code = 3


def nearest_name(name: str, known: list[str] | tuple[str, ...]) -> str:
    """How a message about an unknown name ends: with the nearest known one, or with nothing if none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""
