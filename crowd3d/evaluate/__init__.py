"""Scores of a scene against its truth."""
