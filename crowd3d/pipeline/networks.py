"""Choose the networks of a run, check that their weights are installed, and build them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from crowd3d import models
from crowd3d.config import Config
from crowd3d.detect.detector import Detector
from crowd3d.errors import ConfigError, EnvironmentProblem, ModelError
from crowd3d.files.weights import metadata_of
from crowd3d.models import catalog, centerface, openvino_engine
from crowd3d.models.engine import Engine, torch_engine
from crowd3d.patches.bodies import SMPL_BODY
from crowd3d.patches.reader import PatchReader
from crowd3d.picture.crops import Crops

DEFAULT, READER = "crowd3d-s", "crowd3dnet"
EMBEDDED = "embedded"
# Key and value of the configuration -> networks that it needs; all of them look at crops.
_ON_CROPS = {
    ("depth_prior", "rootnet"): ("rootnet",),
    ("depth_prior", "rootnet-s"): ("rootnet-s",),
    ("pose_expert", "propose"): ("propose",),
    ("refine_crops", "crowdnet-s"): ("crowdnet-s",),
    ("refine_crops", "3dcrowdnet"): ("3dcrowdnet", "vposer"),
}


@dataclass(frozen=True)
class Choice:
    """The weights chosen for finding people and for reading their poses.

    Attributes:
        detector: weights of the network that finds people; camera and ground are fitted to these people.
        reader: weights of Crowd3DNet, which then gives poses and places; None if the lift does this.
    """

    detector: str | Path = EMBEDDED
    reader: str | Path | None = None


def choose(model: str | Path | None) -> Choice:
    """The choice of weights for `model`: the name of a network, a .safetensors file, or None.

    Raises:
        ModelError: `model` is not a network for the whole pipeline, or the file cannot be read.
    """
    if model is None or str(model) in (DEFAULT, EMBEDDED):
        return Choice()
    if str(model) == READER:
        return Choice(reader=EMBEDDED)
    if str(model) in catalog.CATALOG:
        raise ModelError(
            f"{model} is no network for --model; those are {DEFAULT}, {READER} and files of either"
        )
    kind = metadata_of(Path(model)).get("network", DEFAULT)
    if kind not in (DEFAULT, READER):
        raise ModelError(f"{model} holds {kind!r}; --model takes files of {DEFAULT} and {READER}")
    return Choice(reader=model) if kind == READER else Choice(detector=model)


def build_detector(
    model: str | Path | None,
    device: str,
    settings: Config,
    spread: Callable[[Engine], Engine] = lambda engine: engine,
) -> Detector:
    """Build the detector with the settings of a run; `model` None stands for the embedded weights.

    Args:
        spread: makes of the chosen engine the one to use, see `crowd3d.models.ray_engine.spread_over`.

    Raises:
        ModelError: `model` is not the one-stage network.
        EnvironmentProblem: the device cannot be used, or the network for faces is not installed.
    """
    chosen = choose(model)
    if chosen.reader is not None:
        raise ModelError(f"{model} tells poses, but finds nobody; `crowd3d reconstruct` takes it")
    engine = spread(choose_engine(settings.engine, device))
    network = engine.load(DEFAULT, chosen.detector)
    return Detector(
        engine,
        network,
        settings.batch_size,
        settings.min_center_score,
        settings.min_head_score,
        settings.min_box_score,
        centerface.load(centerface.installed_file()) if has_faces(settings) else None,
    )


def on_one_level(config: Config) -> Config:
    """The settings for Crowd3DNet, which was made for people on one level.

    Raises:
        ConfigError: other ground was asked for.
    """
    ground = config.ground if config.max_planes == 1 else "levels"
    if ground not in ("auto", "level"):
        raise ConfigError(
            f"Crowd3DNet stands everybody on one level, and the ground is said to be {ground}: leave out one "
            "of the two"
        )
    return config.replace(ground="level")


def build_reader(weights: str | Path, device: str, settings: Config) -> PatchReader:
    """Build Crowd3DNet with the settings of a run.

    Args:
        weights: "embedded" for the weights imported by `crowd3d models import`, or a .safetensors file. Its
            metadata may say "body": "open" if its betas belong to the embedded body.

    Raises:
        ModelError: the weights are missing, damaged or of another network; the message says where to get them.
        ConfigError: the configuration asks for a component that only works on lifted poses.
        EnvironmentProblem: the device cannot be used.
    """
    _check_reader(settings)
    device = choose_device(device)
    network = models.shared(READER, device, weights)
    file = catalog.weights_file(READER) if weights == EMBEDDED else Path(weights)
    trained_for = metadata_of(file).get("body", SMPL_BODY) if file is not None else SMPL_BODY
    return PatchReader(
        network,
        device,
        settings.batch_size,
        settings.min_center_score,
        trained_for,
    )


def choose_engine(name: str, device: str) -> Engine:
    """The engine for `Config.engine` and a device.

    Raises:
        ConfigError: the engine cannot use that device.
        EnvironmentProblem: engine or device cannot be used here.
    """
    if name == "auto":
        on_processor = choose_device(device) == "cpu" and openvino_engine.is_installed()
        name = "torch" if not on_processor else "openvino"
        if on_processor and openvino_engine.has_bfloat16():
            name = "openvino-mixed"
    library, _, numbers = name.partition("-")
    numbers = numbers or "float32"
    if library == "torch":
        return torch_engine(choose_device(device), numbers)
    if device not in ("auto", "cpu"):
        raise ConfigError(f"the engine {name} runs on processors, not on the device {device!r}")
    return openvino_engine.openvino_engine(numbers)


def choose_device(name: str) -> str:
    """The torch device for "auto" or a given name.

    Raises:
        ConfigError: no kind of device that torch computes on is called so.
        EnvironmentProblem: it cannot be used here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", name):
        raise ConfigError(f"no device is called {name!r}; give auto, cpu, cuda, cuda:1, mps or xpu")
    try:
        torch.empty(1, device=name).cpu()
    except Exception as error:  # torch raises many kinds, and looks for libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EnvironmentProblem(
            f"the device {name!r} cannot be used ({reason}); try --device cpu"
        ) from None
    return name


def networks_of(config: Config) -> list[str]:
    """Names of the networks needed by the optional components of a run."""
    return [
        name
        for (key, value), names in _ON_CROPS.items()
        if getattr(config, key) == value
        for name in names
    ]


def has_faces(config: Config) -> bool:
    """Whether a run also looks for faces, with a network that the user installed."""
    return config.head_detector == centerface.NAME


def check_weights(config: Config) -> None:
    """Check that the weights of all optional components of a run are installed.

    Raises:
        ModelError: some are not; the message tells where to get them.
        EnvironmentProblem: likewise, of those that come with a package.
    """
    if has_faces(config):
        centerface.installed_file()
    for name in networks_of(config):
        if not catalog.is_installed(name):
            models.build(name)  # raises, and says where to get them


def check_crops(config: Config, crops: Crops | None) -> None:
    """Check that there is a picture if a component needs to look at it.

    Raises:
        ConfigError: a component needs the picture, and `crops` is None.
    """
    for key, value in _ON_CROPS:
        if crops is None and getattr(config, key) == value:
            raise ConfigError(f"{key}: {value} looks at the picture, which is not at hand here")


def _check_reader(config: Config) -> None:
    for key in ("refine_crops", "pose_expert"):
        if getattr(config, key) != "none":
            raise ConfigError(
                f"{key} works on poses that were lifted, but {READER} tells poses of its own; leave out one"
            )
