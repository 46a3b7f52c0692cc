"""Everything that tiling raises on purpose."""


class TilingError(Exception):
    """Base class. The message says what was found and what to do about it."""


class ImageError(TilingError):
    """The picture cannot be read, or is outside the limits."""


class ResourceError(TilingError):
    """The machine lacks memory or temporary space for the picture."""


class PlanError(TilingError):
    """No tiles can be planned from the given numbers."""


class MergeError(TilingError):
    """Detections to be merged are not finite, or their arrays disagree in length."""


class JournalError(TilingError):
    """The journal cannot be read, written or locked."""
