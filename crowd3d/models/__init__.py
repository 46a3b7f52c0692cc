"""Networks by name, with their weights."""

from crowd3d.models.registry import build, from_official, shared

__all__ = ["build", "from_official", "shared"]
