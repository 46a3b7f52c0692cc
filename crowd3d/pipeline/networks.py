"""Which networks a run uses, whether their weights and pixels are there, and the networks themselves."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from crowd3d import models
from crowd3d.config import Config
from crowd3d.detect.detector import Detector
from crowd3d.errors import ConfigError, EnvironmentProblem, ModelError
from crowd3d.files.weights import metadata_of
from crowd3d.models import catalog
from crowd3d.patches.bodies import SMPL_BODY
from crowd3d.patches.reader import PatchReader
from crowd3d.picture.crops import Crops

DEFAULT, READER = "crowd3d-s", "crowd3dnet"
EMBEDDED = "embedded"
# Key and value of the configuration -> networks whose weights it takes; all of them look at crops.
_ON_CROPS = {
    ("depth_prior", "rootnet"): ("rootnet",),
    ("depth_prior", "rootnet-s"): ("rootnet-s",),
    ("pose_expert", "propose"): ("propose",),
    ("refine_crops", "crowdnet-s"): ("crowdnet-s",),
    ("refine_crops", "3dcrowdnet"): ("3dcrowdnet", "vposer"),
}


@dataclass(frozen=True)
class Choice:
    """Weights of both jobs.

    Attributes:
        detector: of the network that finds people, on whom camera and ground are fitted.
        reader: of the network that then tells poses and places; None where the lift does.
    """

    detector: str | Path = EMBEDDED
    reader: str | Path | None = None


def choose(model: str | Path | None) -> Choice:
    """What `model` stands for: a network's name, a .safetensors file of one, or None.

    Raises:
        ModelError: not a network of the whole pipeline, or weights that are not there.
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


def build_detector(model: str | Path | None, device: str, settings: Config) -> Detector:
    """The one-stage network with a run's settings; None stands for the embedded weights.

    Raises:
        ModelError: not weights of that network.
    """
    chosen = choose(model)
    if chosen.reader is not None:
        raise ModelError(f"{model} tells poses, but finds nobody; `crowd3d reconstruct` takes it")
    device = choose_device(device)
    # A copy, because the detector lays its network out in memory as suits it.
    network = copy.deepcopy(models.shared(DEFAULT, device, chosen.detector))
    return Detector(network, device, settings.batch_size, settings.min_center_score)


def build_reader(weights: str | Path, device: str, settings: Config) -> PatchReader:
    """Crowd3DNet with a run's settings.

    Args:
        weights: "embedded" for those imported by `crowd3d models import`, or a .safetensors file. Its metadata
            may say "body": "open" if its betas are those of the embedded body.

    Raises:
        ModelError: weights that are missing, damaged or of another network; it says where they are had.
        ConfigError: the configuration asks something of poses that only lifted ones get.
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


def choose_device(name: str) -> str:
    """The torch device for "auto" or a given name; raises EnvironmentProblem if it is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentProblem(
            f"the device {name!r} cannot be used ({reason}); try --device cpu"
        ) from None
    return name


def networks_of(config: Config) -> list[str]:
    """Names of the networks that the optional components of a run take."""
    return [
        name
        for (key, value), names in _ON_CROPS.items()
        if getattr(config, key) == value
        for name in names
    ]


def check_weights(config: Config) -> None:
    """Nothing, if the weights of everything that is asked for are there.

    Raises:
        ModelError: some are not; the message tells where to get them.
    """
    for name in networks_of(config):
        if not catalog.is_installed(name):
            models.build(name)  # tells where they are had


def check_crops(config: Config, crops: Crops | None) -> None:
    """Nothing, if there is a picture for everything that looks at it.

    Raises:
        ConfigError: there is none, and something does.
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
