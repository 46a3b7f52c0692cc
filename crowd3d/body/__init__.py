"""Body models: `load("open")` is embedded; a user's SMPL file loads in its place."""

from crowd3d.body.loading import LEVELS, load
from crowd3d.body.model import BodyModel, BodyOutput

__all__ = ["LEVELS", "BodyModel", "BodyOutput", "load"]
