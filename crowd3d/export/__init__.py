"""Scenes as files: one module a format, and `write_all` for everything that a run leaves in its folder."""

from crowd3d.export.all import FILES, REGIONS, write_all

__all__ = ["FILES", "REGIONS", "write_all"]
