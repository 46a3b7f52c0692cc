"""Every setting of a run: defaults here, presets in `configs/presets`; unknown keys are errors."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from crowd3d.errors import ConfigError, nearest_name
from crowd3d.files import strict_yaml

CHOICES = {  # values of the keys that hold a word
    "engine": (
        "auto",
        "openvino",
        "openvino-mixed",
        "openvino-bfloat16",
        "torch",
        "torch-bfloat16",
    ),
    "head_detector": ("none", "centerface"),
    "depth_prior": ("none", "body", "rootnet", "rootnet-s"),
    "pose_expert": ("none", "propose"),
    "ground": ("auto", "level", "slope", "levels", "stands", "terrain"),
    "refine_crops": ("none", "3dcrowdnet", "crowdnet-s"),
}
RENAMED = {  # keys of earlier versions
    "refine": "refine_scene",
    "refiner": "refine_crops",
    "min_evidence": "min_probability",
    "min_quality_unplaced": "min_probability",
}

_LARGEST = 1e15  # no setting is sensible beyond


@dataclass(frozen=True)
class Config:
    """All numbers of a run that a user may want to change."""

    # -- picture
    max_pixels: int = 4_000_000_000  # refuse larger pictures before decoding them
    memory_gb: float = 1e6  # refuse pictures with which the program takes more
    damaged: bool = False  # read what is left of a damaged picture, instead of refusing it
    # -- networks
    engine: str = "auto"  # what runs them: "openvino..." on processors, "torch..." anywhere
    # -- tiles
    tile_px: int = 512  # side of the network's input, a multiple of 32
    batch_size: int = 4  # tiles per pass; more costs memory and gains nothing on a CPU
    min_person_px: float = 25.0  # nobody smaller is looked for
    scout_tiles: int = 140  # at most so many tiles in the first, coarse pass
    max_tiles: int = 1_000_000  # stop looking after so many tiles
    max_minutes: float = 1e6  # stop looking after so long; another run may then find other people
    person_fill_min: float = 0.15  # least height of a person in a tile, as a share of its side
    person_fill_max: float = 0.36  # greatest; taller people get tiles of their own
    max_upscale: float = 3.0  # never enlarge the picture more than this
    rounds: int = 3  # at most so many rounds of plan, infer, fit
    # -- detections; all of these are lower limits of scores
    min_center_score: float = 0.1  # of a peak of the network's centre map
    min_head_score: float = 0.3  # of a head
    min_box_score: float = 0.2  # of a box of the second network; 1 = do without it
    head_detector: str = "none"  # besides heads-s: "centerface", by faces, if the user installed it
    min_scout_quality: float = 0.35  # of people to whom the first camera is fitted
    min_trust: float = 0.04  # of one look at a person whose size agrees with the ground
    min_keypoint_score: float = 0.15  # of a keypoint that counts as seen
    min_probability: float = 0.62  # of a person; --precision sets it
    # -- camera and ground
    min_people: int = 3  # fewer people in standing posture say nothing about a camera
    ground: str = "auto"  # or "level", "slope", "levels", "stands", "terrain", if it is known
    max_planes: int = 1  # levels of ground to look for; 1 leaves it to `ground`
    principal_point_sd: float = 0.08  # of its distance from the centre, in picture widths
    straight_edges: bool = True  # of buildings and posts, which tell gravity and the lens
    # -- people
    stature_m: float = 1.70  # mean stature of the population
    stature_sd_m: float = 0.10  # its standard deviation
    second_look: bool = True  # left and right, from which way a closer look sees people face
    fuse_looks: bool = True  # lift every look at a person, and add up what the poses say
    pose_expert: str = "none"  # another opinion of everybody's pose: "propose", once imported
    depth_prior: str = "none"  # by people's size: from their "body" fit, "rootnet" or "rootnet-s"
    refine_pose: bool = True  # fit limbs to the keypoints after the lift
    refine_crops: str = "none"  # network for people who overlap: "3dcrowdnet" or "crowdnet-s"
    refine_scene: bool = False  # everybody together; worth it where the camera is known well
    # -- output
    overlay_px: int = 4096  # longest side of overlay.jpg

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            wanted = type(field.default)
            if wanted is float and type(value) is int and abs(value) < _LARGEST:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not wanted:
                raise ConfigError(f"{field.name} must be {wanted.__name__}, not {value!r:.40}")
            if wanted is str:
                if value not in CHOICES[field.name]:
                    known = ", ".join(CHOICES[field.name])
                    raise ConfigError(f"{field.name} must be one of {known}, not {value!r:.40}")
            elif wanted is not bool and not 0 < value < _LARGEST:
                raise ConfigError(f"{field.name} must be positive and finite, not {value!r:.40}")
        if self.max_planes > 1 and self.ground not in ("auto", "levels"):
            raise ConfigError(
                f"max_planes looks for levels, but the ground is told to be {self.ground!r}; leave out one "
                "of --max-planes (max_planes) and --ground (ground)"
            )
        if self.tile_px % 32:
            raise ConfigError(f"tile_px must be a multiple of 32, not {self.tile_px}")
        if self.person_fill_min >= self.person_fill_max:
            raise ConfigError("person_fill_min must be below person_fill_max")

    def replace(self, **values: Any) -> Config:
        """A copy with some values changed; an unknown key is an error that names the nearest one."""
        known = [f.name for f in dataclasses.fields(self)]
        for key in values:
            if key in RENAMED:
                raise ConfigError(f"the config key {key!r} is called {RENAMED[key]!r} now")
            if key not in known:
                raise ConfigError(f"unknown config key {key!r}{nearest_name(key, known)}")
        return dataclasses.replace(self, **values)


def pages(kind: str) -> dict[str, Any]:
    """The YAML pages that ship with the package, by name: "presets" of runs, or "recipes" of trainings."""
    try:
        folder: Any = resources.files("crowd3d.configs")
    except ModuleNotFoundError:  # a checkout that is not installed
        folder = Path(__file__).parent.parent / "configs"
    files = sorted(folder.joinpath(kind).iterdir(), key=lambda file: file.name)
    return {Path(file.name).stem: file for file in files if file.name.endswith(".yaml")}


def preset_names() -> list[str]:
    """Names of the presets that ship with the package."""
    return list(pages("presets"))


def load(name_or_path: str | Path = "default") -> Config:
    """A preset by name, or a YAML file of the same keys.

    Raises:
        ConfigError: no such preset or file, not YAML, or a key or value that is not known.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        source: Any = Path(name)
        if not source.exists():
            raise ConfigError(f"there is no config file {name}")
    else:
        if name not in preset_names():
            near = difflib.get_close_matches(name, preset_names(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"no preset is called {name!r}; known: {', '.join(preset_names())}{hint}"
            )
        source = pages("presets")[name]
    values = strict_yaml.read(source)
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(k, str) for k in values):
        raise ConfigError(f"{name} must hold 'key: value' lines")
    return Config().replace(**values)
