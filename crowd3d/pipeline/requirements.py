"""What the optional components of a run need, asked for before the minutes of finding people."""

from __future__ import annotations

from crowd3d import models
from crowd3d.config import Config
from crowd3d.errors import ConfigError
from crowd3d.models import catalog
from crowd3d.picture.crops import Crops

# Key and value of the configuration -> networks whose weights it takes; all of them look at crops.
_NETWORKS = {
    ("depth_prior", "rootnet"): ("rootnet",),
    ("depth_prior", "rootnet-s"): ("rootnet-s",),
    ("pose_expert", "propose"): ("propose",),
    ("refine_crops", "crowdnet-s"): ("crowdnet-s",),
    ("refine_crops", "3dcrowdnet"): ("3dcrowdnet", "vposer"),
}


def networks_of(config: Config) -> list[str]:
    """Names of the networks that the optional components of a run take."""
    return [
        name
        for (key, value), names in _NETWORKS.items()
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
    for key, value in _NETWORKS:
        if crops is None and getattr(config, key) == value:
            raise ConfigError(f"{key}: {value} looks at the picture, which is not at hand here")
