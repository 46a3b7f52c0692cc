"""Crowd3DNet adapted to one place without labels, as `crowd3d adapt` does."""
