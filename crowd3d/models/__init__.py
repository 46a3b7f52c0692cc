"""Networks by name, with their weights."""

from crowd3d.models.registry import build

__all__ = ["build"]
