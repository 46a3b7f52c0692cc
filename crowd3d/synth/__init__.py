"""Photographs of crowds with exact truth, drawn by rule on the CPU.

`render_scene` gives a picture and its truth in memory, `synthesize` writes them into a folder and stays within
bounded memory at any size. The same seed gives the same bytes on the same machine.
"""

from crowd3d.scene.camera import Camera
from crowd3d.synth.make import render_scene, synthesize, write_picture
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.presets import PRESETS, with_camera
from crowd3d.synth.place.world import View
from crowd3d.synth.truth import Truth

__all__ = [
    "PRESETS",
    "Camera",
    "Preset",
    "Truth",
    "View",
    "render_scene",
    "synthesize",
    "with_camera",
    "write_picture",
]
