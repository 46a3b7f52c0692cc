"""Everything that optim raises on purpose."""


class OptimError(Exception):
    """Base class. The message says what was found and what to do about it."""


class BadInput(OptimError):
    """An argument has the wrong shape, or contradicts another one."""


class NotEnoughPeople(OptimError):
    """Too few people are seen well enough to say anything about the camera."""


class FitFailed(OptimError):
    """No camera explains the people seen."""
