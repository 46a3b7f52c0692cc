"""Everything that crowd3d raises on purpose. The command line turns each into one line and an exit code."""

import difflib

_MOST_LETTERS = 600  # of a message; what to do stands at its end, so the middle goes
_KEPT_AT_END = 200


def printable(text: str) -> str:
    """A text that every terminal, file and font can take: what has no letter is spelled, as in `caf\\xe9.jpg`.

    Control characters are spelled, and so are the bytes of file names that are not UTF-8.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelled(letter) for letter in text)


def one_line(text: str) -> str:
    """A message as one printable line, with the middle left out of a very long one."""
    line = printable(" ".join(text.split()))
    left_out = len(line) - _MOST_LETTERS
    if left_out <= 0:
        return line
    return f"{line[: _MOST_LETTERS - _KEPT_AT_END]} [...] {line[-_KEPT_AT_END:]}"


def _spelled(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if letter.isprintable():
        return letter
    return letter.encode("unicode_escape").decode("ascii")


class Crowd3dError(Exception):
    """Base class. The message, always one line, says what was found and what to do about it."""

    exit_code = 2

    def __str__(self) -> str:
        return one_line(super().__str__())


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
