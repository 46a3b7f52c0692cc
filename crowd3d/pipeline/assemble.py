"""From the people found in a picture to a Scene: bodies on the ground, diagnostics and warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from crowd3d import body as bodies
from crowd3d import lift
from crowd3d.config import Config
from crowd3d.ground.fit import assume_camera, fit_again, typical_camera
from crowd3d.lift.depths import Depths
from crowd3d.lift.people import (
    estimated_depths,
    lift_above,
    lift_people,
    lift_without_place,
)
from crowd3d.lift.scale import scaled_by_bodies
from crowd3d.patches import reader as patch_reader
from crowd3d.patches.reader import PatchReader
from crowd3d.picture.crops import Crops
from crowd3d.picture.reading import Reading
from crowd3d.pipeline.find import Seen
from crowd3d.pipeline.networks import check_crops
from crowd3d.pipeline.self_check import contradictions, doubts, doubts_of_steep_view
from crowd3d.refine.crops import refine_crops
from crowd3d.refine.whole_scene import refine_people
from crowd3d.scene.detections import Detections
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.known import KnownCamera
from crowd3d.scene.people import People
from crowd3d.scene.scene import Scene
from crowd3d.version import __version__

BODY, LEVEL = "open", "crowd"
_OTHERS = "seen clearly, but not of the size that camera and ground predict there"
_MOST_ABOVE = 0.1  # of the people on the ground
_NO_GROUND = "seen where there is no ground to stand on"


def to_scene(
    image_name: str,
    seen: Seen,
    known: KnownCamera,
    config: Config,
    crops: Crops | None = None,
) -> Scene:
    """Lift everybody onto the ground, with warnings about everything that had to be assumed.

    Args:
        image_name: name of the picture, for the scene.
        seen: people, camera and ground found in the picture.
        known: what was known about the camera before.
        crops: the picture; needed by components that look at people's crops.

    Raises:
        ConfigError: a component of `config` needs the picture, and there are no crops.
    """
    check_crops(config, crops)
    fitted, warnings = _camera(seen, known, config)
    if fitted is None:
        return _empty(image_name, seen, known, warnings)
    body, lifter = bodies.load(BODY, LEVEL), lift.load()
    fitted, depths = _with_depths(fitted, seen, known, config, crops)
    people = lift_people(seen.people, fitted, body, lifter, config, crops, depths)
    if seen.is_unrolled and seen.was_fitted:
        if known.ground.height_m is None:
            fitted = scaled_by_bodies(people, fitted, config)
            people = lift_people(seen.people, fitted, body, lifter, config, crops, depths)
        warnings += doubts_of_steep_view(fitted.camera, known)
    stands = np.isin(np.arange(len(seen.people)), people.id)
    people, others = _with_others_above(people, seen.others, fitted, config, crops)
    groups = {_OTHERS: others, _NO_GROUND: seen.people.filter(~stands)}
    if config.refine_crops != "none" and crops is not None:
        people = refine_crops(people, crops.source, fitted, body, config, config.refine_crops)
    if config.refine_scene:
        people, fitted = refine_people(people, fitted, body, config)
    lifted = {
        why: lift_without_place(who, fitted, body, lifter, config) for why, who in groups.items()
    }
    return _scene(image_name, seen, fitted, known, people, warnings, lifted)


def read_scene(
    image_name: str,
    seen: Seen,
    known: KnownCamera,
    config: Config,
    reading: Reading,
    reader: PatchReader,
) -> Scene:
    """Make a scene of the people that Crowd3DNet reads near the people found.

    Args:
        reading: the picture, with progress report and journal.
        reader: Crowd3DNet; the other arguments are as for `to_scene`.

    Raises:
        CameraError: see `PatchReader.people`.
    """
    fitted, warnings = _camera(seen, known, config)
    if fitted is None:
        scene = _empty(image_name, seen, known, warnings)
    else:
        body = bodies.load(BODY, LEVEL)
        crops = Crops(reading.source, reader.device)
        fitted, _ = _with_depths(fitted, seen, known, config, crops)
        near_px = seen.people.box_px
        people = reader.people(reading, fitted, body, config, near_px=near_px)
        if config.refine_scene:
            people, fitted = refine_people(people, fitted, body, config)
        warnings += patch_reader.doubts(people, len(seen.people), body, reader.trained_for)
        people, others_px = _with_others_above(people, seen.others, fitted, config, crops)
        others = lift_without_place(others_px, fitted, body, lift.load(), config)
        scene = _scene(image_name, seen, fitted, known, people, warnings, {_OTHERS: others})
    scene.diagnostics["versions"] |= {
        "network": "crowd3dnet",
        "network_weights": reader.weights_hash[:16],
    }
    return scene


def _with_others_above(
    people: People, others: Detections, fitted: Fitted, config: Config, crops: Crops | None
) -> tuple[People, Detections]:
    """Everybody on the ground, followed by those of the others who are above it; and the rest of the others.

    If these were many, they would not be above the ground, but in another picture or on another ground.
    """
    body, lifter = bodies.load(BODY, LEVEL), lift.load()
    above = lift_above(others, fitted, body, lifter, config, crops)
    if len(above) > max(_MOST_ABOVE * len(people), 1):
        return people, others
    rest = others.filter(~np.isin(np.arange(len(others)), above.id))
    first = int(people.id.max(initial=-1)) + 1
    return People.cat([people, replace(above, id=first + np.arange(len(above)))]), rest


def _camera(seen: Seen, known: KnownCamera, config: Config) -> tuple[Fitted | None, list[str]]:
    """Camera and ground, assumed if people did not determine them; None without people. Also warnings."""
    said = list(known.notes)
    if seen.fitted is not None:
        everybody = Detections.cat([seen.people, seen.others])
        return seen.fitted, said + contradictions(everybody, seen.fitted, known, config.stature_m)
    if not len(seen.people):
        looked = f"; {seen.looked.in_words()}" if seen.looked is not None else ""
        return None, [*said, f"no people were found{looked}"]
    fitted = assume_camera(seen.people, known, config)
    view = f" with a field of view of {math.degrees(fitted.camera.fov_rad):.0f} degrees"
    how = "a level camera" if known.ground.gravity is None else "a camera of the given gravity"
    return fitted, [
        *said,
        f"the camera could not be determined from {len(seen.people)} people; {how}"
        f"{'' if known.camera else view} was assumed, and distances are rough",
    ]


def _with_depths(
    fitted: Fitted, seen: Seen, known: KnownCamera, config: Config, crops: Crops | None
) -> tuple[Fitted, Depths | None]:
    """Estimate depths if the configuration asks for them, and fit camera and ground again with them.

    A camera that was fixed before or assumed stays as it is. The depths are None if they are not asked for.
    """
    depths = estimated_depths(seen.people, fitted, bodies.load(BODY, LEVEL), config, crops)
    if depths is not None and seen.was_fitted:
        told = seen.people.found_whole
        evidence = replace(seen.evidence, depths=(depths.over_focal[told], depths.log_sd[told]))
        fitted = fit_again(fitted, seen.people.filter(told), known, config, evidence)
    return fitted, depths


def _empty(image_name: str, seen: Seen, known: KnownCamera, warnings: Sequence[str]) -> Scene:
    camera = known.camera or typical_camera(known)
    diagnostics = _diagnostics(seen, None, warnings)
    return Scene(camera, [], People.empty(), image_name, BODY, diagnostics)


def _scene(
    image_name: str,
    seen: Seen,
    fitted: Fitted,
    known: KnownCamera,
    people: People,
    warnings: Sequence[str],
    without_place: Mapping[str, People],
) -> Scene:
    """The scene of the people who stand on the ground, followed by those without a place, by reason."""
    parts, groups, said = [people], [], []
    for reason, some in without_place.items():
        if not len(some):
            continue
        first = max((int(part.id.max(initial=-1)) for part in parts), default=-1) + 1
        parts.append(replace(some, id=first + np.arange(len(some))))
        box = some.box_px
        where = [*box[:, :2].min(axis=0).tolist(), *box[:, 2:].max(axis=0).tolist()]
        groups.append({"reason": reason, "ids": parts[-1].id.tolist(), "box_px": where})
        said.append(_where_without_place(reason, len(some), where))
    everybody = People.cat(parts)
    n_fitted_to = int(seen.people.found_whole.sum()) if seen.was_fitted else None
    said = [*warnings, *doubts(everybody, fitted, known, n_fitted_to), *said]
    diagnostics = _diagnostics(seen, fitted, said) | {"unplaced": groups}
    return Scene(
        fitted.camera,
        list(fitted.planes),
        everybody,
        image_name,
        BODY,
        diagnostics,
        fitted.surface,
    )


def _where_without_place(reason: str, count: int, box_px: Sequence[float]) -> str:
    left, top, right, bottom = (round(side) for side in box_px)
    return (
        f"{count} {'person has' if count == 1 else 'people have'} no place in the scene, between the columns "
        f"{left} to {right} and the rows {top} to {bottom}: {reason}"
    )


def _diagnostics(seen: Seen, fitted: Fitted | None, warnings: Sequence[str]) -> dict[str, Any]:
    said = [*warnings, *seen.warnings]
    if seen.looked is not None and seen.looked.stopped_by is not None and len(seen.people):
        said.append(seen.looked.in_words())
    return {
        "warnings": said,
        "tiles": seen.n_tiles,
        "detections": seen.n_detections,
        "rounds": seen.rounds,
        "coverage": None if seen.looked is None else seen.looked.to_dict(),
        "camera_report": fitted.report if fitted else None,
        "covariance_log_focal_pitch_roll_log_height": (
            fitted.covariance.tolist() if fitted else None
        ),
        "versions": {"crowd3d": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }
