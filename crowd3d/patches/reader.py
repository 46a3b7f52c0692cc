"""`PatchReader`: runs Crowd3DNet over patches of a picture and gives people with poses and places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
import roma
import torch
from torch import nn

from crowd3d.body import BodyModel
from crowd3d.config import Config
from crowd3d.errors import CameraError
from crowd3d.files.weights import tensors_hash
from crowd3d.models.crowd3dnet import PatchView
from crowd3d.models.crowd3dnet_decode import MAX_PEOPLE, find_centers, place, read_parameters
from crowd3d.models.crowd3dnet_encode import project
from crowd3d.models.engine import Arrays
from crowd3d.patches.bodies import SMPL_BODY, patch_bodies, speaks_betas_of
from crowd3d.patches.people import PatchLooks, one_row_each
from crowd3d.patches.plan import is_cut, patch_view, plan_patches, touching
from crowd3d.picture.reading import Pass, Reading
from crowd3d.picture.windows import FLAT, Pixels
from crowd3d.scene.camera import Camera
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from tiling import Tile

FloatArray = npt.NDArray[np.float64]

# A warning is given for fewer people than this share of those the default network found.
_FEW_SHARE = 0.5


@dataclass
class PatchReader:
    """Crowd3DNet on a device, with its settings.

    Attributes:
        network: maps patches (B, 3, 512, 512), 0..255, and their PatchView to Maps.
        trained_for: the body to which the network's betas belong, "smpl" or "open".
    """

    network: nn.Module
    device: str = "cpu"
    batch_size: int = 4
    min_score: float = 0.2
    trained_for: str = SMPL_BODY

    def __post_init__(self) -> None:
        self.network = self.network.to(self.device).eval()

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the network's tensors with their names."""
        return tensors_hash(self.network)

    def people(
        self,
        reading: Reading,
        fitted: Fitted,
        body: BodyModel,
        config: Config,
        *,
        near_px: FloatArray | None = None,
    ) -> People:
        """Everybody whom the network sees, one row each, in reading order of the picture.

        Args:
            fitted: camera and ground; an input of the network, and used to place people.
            body: body model of the result.
            near_px: (M, 4) boxes; patches that touch none of them are left out. None reads all patches.

        Raises:
            CameraError: a panorama or a lens with distortion; the network was not made for these.
            tiling.ImageError, tiling.JournalError, tiling.PlanError.
        """
        check_camera(fitted.camera)
        tiles = plan_patches(reading.source, fitted.camera, fitted.planes[0], config)
        if near_px is not None:
            tiles = touching(tiles, near_px)
        return one_row_each(self.look(reading, tiles, fitted, body, config), tiles, fitted)

    def look(
        self,
        reading: Reading,
        tiles: Sequence[Tile],
        fitted: Fitted,
        body: BodyModel,
        config: Config,
    ) -> PatchLooks:
        """All looks at people in the given patches; `PatchLooks.tile` is an index into `tiles`."""

        def answer(pixels: Pixels, batch: Sequence[Tile]) -> Arrays:
            found = self._infer(pixels, batch, fitted, body, config)
            return {f.name: getattr(found, f.name) for f in fields(found)}

        plane = fitted.planes[0]
        settings = {
            "camera": fitted.camera.to_dict(),
            "plane": [*map(float, plane.normal), float(plane.offset_m)],
            "body": [body.name, body.n_vertices, self.trained_for],
            "stature_m": config.stature_m,
            "min_score": self.min_score,
            "device": self.device,
        }
        work = Pass("patches", self.batch_size, settings, self.weights_hash, answer)
        parts = [PatchLooks(**found) for found in reading.each(work, tiles, FLAT)]
        for k, part in enumerate(parts):
            part.tile = part.tile + k * self.batch_size
        return PatchLooks.cat(parts)

    def _infer(
        self,
        pixels: Pixels,
        batch: Sequence[Tile],
        fitted: Fitted,
        body: BodyModel,
        config: Config,
    ) -> PatchLooks:
        rgb = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float()
        view = patch_view(batch, fitted.camera, fitted.planes[0])
        with torch.inference_mode():
            maps = self.network(rgb, PatchView(*(part.float().to(self.device) for part in view)))
            # Decoded in double precision, because single precision has errors of 1 cm at 100 m.
            maps = type(maps)(*(part.cpu() for part in maps))
            centers = find_centers(maps.center, self.min_score, MAX_PEOPLE)
            told = read_parameters(maps, centers)
            told = type(told)(*(part.double() for part in told))
            seen = view.select(centers.patch)
            placed = place(centers.cell, told, seen)
            normal, offset = seen.plane[:, :3], seen.plane[:, 3]
            own = speaks_betas_of(body, self.trained_for)
            bodies = patch_bodies(
                body, told, placed, normal, offset, own_betas=own, stature_m=config.stature_m
            )
            keypoints = project(bodies.keypoints.double(), seen.intrinsics)
            outline = project(bodies.vertices.double(), seen.intrinsics)
        box = torch.cat([outline.amin(1), outline.amax(1)], dim=1).numpy()
        in_front = (bodies.vertices[..., 2].amin(1) > 0).numpy()
        looks = PatchLooks(
            tile=centers.patch.numpy(),
            score=centers.score.clamp(0, 1).double().numpy(),
            box_px=box,
            keypoints_px=keypoints.numpy(),
            pose=roma.rotmat_to_rotvec(told.rotations).numpy(),
            betas=bodies.betas.double().numpy(),
            transl_m=bodies.transl_m.double().numpy(),
            torso_m=placed.torso_m.numpy(),
            hvip_px=placed.hvip_px.numpy(),
            stature_m=bodies.stature_m.double().numpy(),
            is_cut=is_cut(
                box, centers.patch.numpy(), batch, (fitted.camera.width, fitted.camera.height)
            ),
        )
        return looks.filter(placed.on_ground.numpy() & in_front & looks.is_finite)


def check_camera(camera: Camera) -> None:
    """Raise CameraError unless the camera is perspective and without distortion."""
    if not camera.is_perspective:
        raise CameraError(
            f"crowd3dnet reads perspective pictures, not {camera.projection} ones; leave out --model"
        )
    if not camera.has_ideal_lens:
        raise CameraError(
            "crowd3dnet knows no lens distortion, and this lens bends straight edges; undistort the "
            "picture first, or leave out --model"
        )


def doubts(people: People, n_found: int, body: BodyModel, trained_for: str) -> list[str]:
    """Warnings, in words, about people read by Crowd3DNet.

    Args:
        n_found: number of people that the default network found in the same picture.
    """
    found = []
    if len(people) < _FEW_SHARE * n_found:
        found.append(
            f"crowd3dnet sees {len(people)} people where the default network found {n_found}; are its"
            " weights trained ones, and does this look like a scene that it was trained for?"
        )
    if len(people) and not speaks_betas_of(body, trained_for):
        found.append(
            f"crowd3dnet was trained for the {trained_for} body, this scene has the body"
            f" {body.name!r}: poses and places are the network's, statures follow from the torso's height above"
            " the ground, and the network's own shapes are not used"
        )
    return found
