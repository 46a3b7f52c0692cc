"""Where `crowd3d reconstruct` writes, and the results that it does not overwrite unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crowd3d.errors import DataError, OutputError
from crowd3d.files import strict_json
from crowd3d.files.reading import LARGE_BYTES
from crowd3d.version import __version__

_SUFFIX = "_crowd3d"
_SCENE = "scene.json"  # is there once a run is finished


def folders_of(images: Sequence[Path], out: Path | None) -> list[Path]:
    """A folder for the result of each picture.

    Args:
        out: for a single picture the folder itself, for several the folder of theirs. Without it they lie in
            the current folder, each named after its picture.

    Raises:
        OutputError: two pictures would share a folder.
    """
    from crowd3d.batch.plan import result_name

    if out is None:
        folders = [Path(f"{result_name(image.name)}{_SUFFIX}") for image in images]
    else:
        folders = [out] if len(images) == 1 else [out / result_name(i.name) for i in images]
    taken: dict[Path, Path] = {}
    for image, folder in zip(images, folders, strict=True):
        if folder in taken:
            raise OutputError(
                f"{taken[folder]} and {image} would both go to {folder}; rename one of them, or run "
                "them one by one into different folders with -o"
            )
        taken[folder] = image
    return folders


def refuse_other_result(folder: Path, image: Path, choices: dict[str, Any]) -> None:
    """Nothing, if the folder holds no finished result, or one of the same picture and settings.

    Args:
        choices: keyword arguments of `crowd3d.reconstruct`, as `commands.options` gathers them.

    Raises:
        OutputError: it holds another result; says which, and what to do.
        ImageError, DataError, ModelError, EnvironmentProblem: the picture, or what the settings name, cannot
            be read.
    """
    if not (folder / _SCENE).exists():
        return
    from crowd3d.picture.opening import picture_identity
    from crowd3d.pipeline.run_key import run_of

    given = {name: choices[name] for name in ("camera", "config", "model", "keypoints")}
    run = run_of(picture_identity(image, given["config"].max_pixels), **given)
    held = _other_result(folder / _SCENE, image.name, run)
    if held is not None:
        raise OutputError(
            f"{folder} holds {held}; give --overwrite to replace it, or another folder with -o"
        )


def _other_result(file: Path, name: str, run: dict[str, str]) -> str | None:
    """What a scene.json tells, in words; None if it is the result of this very run."""
    try:
        stored = strict_json.read_object(file, DataError, LARGE_BYTES)
        held_name, version = stored["image_name"], stored["software"]["crowd3d"]
        held_run = stored["diagnostics"].get("run", {})
        if held_run == run:
            return None
        is_same_picture = held_run.get("picture") == run["picture"]
    except (DataError, KeyError, TypeError, AttributeError):
        return f"a {_SCENE} that cannot be read"
    if version != __version__:
        return f"the scene of {held_name} by crowd3d {version}"
    if is_same_picture:
        return f"the scene of {held_name} with other settings"
    if held_name != name:
        return f"the scene of {held_name}"
    return f"the scene of another picture called {held_name}"
