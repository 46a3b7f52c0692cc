"""Everything that optim raises on purpose."""


class OptimError(Exception):
    """Base class. The message says what was found and what to do about it."""


class NotEnoughPeople(OptimError):
    """Too few people stand upright for camera and ground to be determined."""


class BadInput(OptimError):
    """Arrays of the wrong shape, or given values that contradict each other."""
