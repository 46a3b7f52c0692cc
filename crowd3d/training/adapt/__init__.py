"""Crowd3DNet fitted to one place without labels."""
