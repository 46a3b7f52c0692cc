"""A miniature LargeCrowd: scenes of a few small frames each, in the published folders and formats.

The camera of a scene stands still; between two frames some people walk on and the others shift a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowd3d.data.scene_params import SceneParams, write_params
from crowd3d.errors import ConfigError, OutputError
from crowd3d.progress import Reporter
from crowd3d.scene.camera import Camera
from crowd3d.synth.cast import poses
from crowd3d.synth.cast.crowd import free_of_boxes, in_view
from crowd3d.synth.cast.everyone import Cast
from crowd3d.synth.cast.people import make_bodies
from crowd3d.synth.draw.render import Setting, sample_setting
from crowd3d.synth.make import write_picture
from crowd3d.synth.place.preset import Preset
from crowd3d.synth.place.world import View, World
from crowd3d.synth.truth import annotation, truth_of, write_json

FloatArray = npt.NDArray[np.float64]

_PLACE = Preset(activities=(0.5, 0.25, 0.25, 0.0, 0.0), front=1.6, person_px=60.0, sunny=0.5)
# Name of the scene, and field of view, height and pitch of its camera.
SCENES = (("square0_00", 42.0, 8.0, 15.0), ("square1_00", 36.0, 6.5, 12.0))
_WALKING = 0.5  # share of people who walk
_STEP_M = (0.4, 1.3)  # how far they get between two frames
_SWAY_M, _SWAY_RAD = 0.02, 0.06  # of people who stand


def synthesize_largecrowd(
    out: str | Path,
    *,
    seed: int = 0,
    frames: int = 6,
    size: tuple[int, int] = (1280, 720),
    n_people: int = 40,
    progress: Reporter | None = None,
) -> list[Path]:
    """Write `images/`, `annotations/`, `params/` and `truth/` of two scenes into a folder.

    `truth/` holds one `.npz` a frame with what LargeCrowd does not publish: poses, keypoints in 3D, visibility.

    Returns:
        The pictures.

    Raises:
        ConfigError: a number out of range.
        OutputError: the folder cannot be written.
    """
    if frames < 1 or n_people < 1 or seed < 0:
        raise ConfigError("a miniature needs at least one frame, one person and a seed from 0")
    if min(size) < 64:
        raise ConfigError(f"a picture of {size[0]}x{size[1]} px is too small for people")
    if progress is not None:
        progress.start("render", frames * len(SCENES))
    pictures = []
    try:
        for index, (name, fov_deg, height_m, pitch_deg) in enumerate(SCENES):
            view = View.of_angles(Camera.from_fov(*size, fov_deg), height_m, pitch_deg)
            start = sample_setting(1000 * seed + index, size, n_people, _PLACE, view)
            write_params(Path(out) / "params" / name, _params(view))
            shown: dict[str, Any] = {}
            for k, setting in enumerate(moments(start, frames)):
                picture = f"{name}_{k:06d}.jpg"
                truth = truth_of(setting)
                folder, truths = Path(out) / "images" / name, Path(out) / "truth" / name
                folder.mkdir(parents=True, exist_ok=True)
                truths.mkdir(parents=True, exist_ok=True)
                write_picture(setting, folder / picture)
                truth.save((truths / picture).with_suffix(".npz"))
                pictures.append(folder / picture)
                shown |= annotation(truth, picture)["frame_info"]
                if progress is not None:
                    progress.advance()
            shape = {"height": size[1], "width": size[0]}
            annotations = Path(out) / "annotations"
            annotations.mkdir(parents=True, exist_ok=True)
            write_json(annotations / f"{name}.json", {"image_shape": shape, "frame_info": shown})
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}") from None
    return pictures


def moments(start: Setting, count: int) -> Iterator[Setting]:
    """The setting, and how it goes on: same camera, place, people and clothes."""
    rng = np.random.default_rng([start.seed, 7])
    walks = ~start.cast.seated & (rng.random(len(start.cast)) < _WALKING)
    cast = start.cast
    for k in range(count):
        if k:
            cast = _moved(rng, cast, walks, start.world)
        # The same stream as in `sample_setting` gives the same bodies.
        shapes = np.random.default_rng([start.seed, 3])
        bodies = make_bodies(shapes, cast, start.world, start.outfits.sole_m)
        # Only the noise of the sensor depends on the seed by now.
        yield replace(start, cast=cast, bodies=bodies, seed=start.seed + 100_000 * k)


def _moved(
    rng: np.random.Generator, cast: Cast, walks: npt.NDArray[np.bool_], world: World
) -> Cast:
    """Everybody a moment later; who would leave the picture or run into somebody turns round."""
    places, yaw, pose = cast.position_m.copy(), cast.yaw_rad.copy(), cast.pose.copy()
    for i in range(len(cast)):
        if walks[i]:
            step = rng.uniform(*_STEP_M) * np.array([np.sin(yaw[i]), np.cos(yaw[i])])
            pose[i] = poses.walking(rng)
        else:
            step = rng.normal(0, 0 if cast.seated[i] else _SWAY_M, 2)
            yaw[i] += rng.normal(0, _SWAY_RAD)
        there = places[i] + step
        gaps = np.linalg.norm(np.delete(places, i, axis=0) - there, axis=1)
        clear = free_of_boxes(world, *there) or cast.seated[i]
        if clear and in_view(world, *there) and gaps.min(initial=np.inf) >= _PLACE.clearance_m:
            places[i] = there
        elif walks[i]:
            yaw[i] += np.pi
    return replace(cast, position_m=places, yaw_rad=yaw, pose=pose)


def _params(view: View) -> SceneParams:
    plane, camera = view.plane(), view.camera
    size = (camera.width, camera.height)
    return SceneParams(camera.K, plane.normal[None], np.array([plane.offset_m]), size=size)
