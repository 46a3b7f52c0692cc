"""Two digests of everything that a result depends on; runs with the same digests give the same scene."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path
from typing import Any

from crowd3d import models
from crowd3d.config import Config
from crowd3d.errors import DataError, EnvironmentProblem, ModelError
from crowd3d.files.digests import digest_of, key_of
from crowd3d.models import catalog, centerface
from crowd3d.picture.camera_hint import CameraHint
from crowd3d.pipeline.networks import DEFAULT, EMBEDDED, READER, choose, has_faces, networks_of
from crowd3d.scene.camera import Camera
from crowd3d.version import __version__


def run_of(picture: str, **given: Any) -> dict[str, str]:
    """The two digests as they are written to `scene.json`.

    Args:
        picture: `tiling.ImageSource.identity`; given: arguments for `settings_key`.
    """
    return {"picture": picture, "settings": settings_key(**given)}


def settings_key(
    *,
    camera: Camera | CameraHint | str | Path | None,
    config: Config,
    model: str | Path | None,
    keypoints: str | Path | None,
) -> str:
    """SHA-256 of everything that the result depends on, except the picture.

    The arguments are those of `crowd3d.reconstruct`. The device is not included, so that machines with and
    without a GPU can share a batch. Nor are the limits of pixels and memory, so that they can be raised for a
    refused picture without doing the others again.

    Raises:
        DataError: a given file cannot be read.
        ModelError: `model` is not a network for the whole pipeline.
        EnvironmentProblem: weights that must be imported are not installed.
    """
    numbers = dataclasses.asdict(config)
    del numbers["max_pixels"], numbers["memory_gb"]
    return key_of(
        {
            **_of_camera(camera),
            "config": numbers,
            "model": DEFAULT if choose(model).reader is None else READER,
            "weights": [_digest(file) for file in _weights(config, model)],
            "keypoints": _digest(keypoints),
            "version": __version__,
        }
    )


def _of_camera(camera: Camera | CameraHint | str | Path | None) -> dict[str, Any]:
    if isinstance(camera, Camera):
        return {"camera": camera.to_dict()}
    if not isinstance(camera, CameraHint):
        camera = CameraHint(camera_json=None if camera is None else Path(camera))
    return {
        "camera": [camera.focal_px, camera.fov_deg, camera.projection],
        "camera_json": _digest(camera.camera_json),
        "camera_given": None if camera.camera is None else camera.camera.to_dict(),
        "ground": [camera.gravity, camera.height_m, camera.plane],
        "regions": _digest(camera.regions),
    }


def _weights(config: Config, model: str | Path | None) -> list[Any]:
    """The weight files of all networks that a run may use."""
    chosen = choose(model)
    embedded = sorted((resources.files("crowd3d") / "weights").iterdir(), key=lambda f: f.name)
    files: list[Any] = [file for file in embedded if file.name.endswith(".safetensors")]
    files += [Path(f) for f in (chosen.detector, chosen.reader) if f not in (None, EMBEDDED)]
    for name in networks_of(config) + [READER] * (chosen.reader == EMBEDDED):
        file = catalog.weights_file(name)
        if file is None:
            try:
                models.build(name)  # raises, and says where to get them
            except ModelError as error:
                raise EnvironmentProblem(str(error)) from None
        files.append(file)
    if has_faces(config):
        files.append(centerface.installed_file())
    return files


def _digest(path: Any) -> str | None:
    """Digest of a file (`digest_of`), or of all files in a folder; None for None. Raises DataError."""
    if path is None:
        return None
    path = Path(path) if isinstance(path, str) else path
    try:
        if not path.is_dir():
            return digest_of(path)
        inside = {file.name: _digest(file) for file in path.iterdir() if file.is_file()}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    return key_of(inside)
