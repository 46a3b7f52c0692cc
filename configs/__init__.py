"""Presets of runs and recipes of trainings; `crowd3d.config.pages` finds them."""
