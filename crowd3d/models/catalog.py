"""What each network is for, whose weights it takes, and where an imported checkpoint is kept."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

HOME_VARIABLE = "CROWD3D_HOME"


@dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        name: as `build` takes it.
        job: what it does in a crowd scene.
        licence: of the published code; the weights of all but our own were trained on data that is for research
            only, whatever the code's licence.
        source: where the published weights are had; empty for our own.
    """

    name: str
    job: str
    licence: str
    source: str = ""


CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("crowd3d-s", "default network: people and keypoints of any tile", "Apache-2.0"),
        Entry("crowdnet-s", "refines people who overlap, told by the 2D pose", "Apache-2.0"),
        Entry("rootnet-s", "depth prior from a person's crop and 2D pose", "Apache-2.0"),
        Entry("facing-s", "tells where a person faces", "Apache-2.0"),
        Entry("pose-s", "keypoints of one person, looked at closely", "Apache-2.0"),
        Entry("glance-s", "says where somebody could be, before a close look", "Apache-2.0"),
        Entry("boxes-s", "sees whole people as boxes, in everyday pictures", "Apache-2.0"),
        Entry(
            "crowd3dnet",
            "people with SMPL parameters and ground points of a 512 px patch",
            "none stated, so all rights reserved",
            "github.com/1020244018/Crowd3D (README, base_69.pkl)",
        ),
        Entry(
            "3dcrowdnet",
            "refines one of several overlapping people, told by the 2D pose",
            "MIT (code)",
            "github.com/hongsukchoi/3DCrowdNet_RELEASE (README, demo_checkpoint.pth.tar)",
        ),
        Entry(
            "vposer",
            "pose decoder that 3dcrowdnet's code is read with",
            "non-commercial research only (MPI)",
            "smpl-x.is.tue.mpg.de (VPoser v1, after registration)",
        ),
        Entry(
            "rootnet",
            "depth prior from a person's box",
            "MIT (code)",
            "github.com/mks0601/3DMPPE_ROOTNET_RELEASE (README, snapshot_*.pth.tar)",
        ),
        Entry(
            "posenet",
            "root-relative 3D joints of a crop",
            "MIT (code)",
            "github.com/mks0601/3DMPPE_POSENET_RELEASE (README, snapshot_*.pth.tar)",
        ),
        Entry(
            "propose",
            "posterior of every joint's rotation from a crop",
            "BSD-3-Clause (code)",
            "github.com/NetEase-GameAI/ProPose (README)",
        ),
        Entry(
            "hmr",
            "SMPL parameters of a crop; base of the adaptation to a sequence",
            "none stated, so all rights reserved",
            "github.com/syguan96/DynaBOA (README, basemodel.pt)",
        ),
    )
}


def home() -> Path:
    """The user's folder of imported weights: $CROWD3D_HOME, or the system's place for a program's data."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "crowd3d"


def installed_path(name: str) -> Path:
    """Where the imported weights of a network are, or would be."""
    return home() / "models" / f"{name}.safetensors"


def embedded_file(name: str) -> Traversable:
    """Where the weights of that name are inside the package, or would be."""
    return embedded(f"{name}.safetensors")


def embedded(file: str) -> Traversable:
    """Where a file of weights is inside the package, or would be."""
    return resources.files("crowd3d") / "weights" / file


def weights_file(name: str) -> Traversable | None:
    """The weights that `build(name)` takes without being told where: inside the package, or imported."""
    for file in (embedded_file(name), installed_path(name)):
        if file.is_file():
            return file
    return None


def is_installed(name: str) -> bool:
    """Whether there is such a file."""
    return weights_file(name) is not None
