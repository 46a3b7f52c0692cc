"""Everyday poses and gestures made by rule."""
