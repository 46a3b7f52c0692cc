"""The crop networks crowdnet-s and 3DCrowdNet, each as a function from People to their poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from crowd3d import models
from crowd3d.body import BodyModel
from crowd3d.errors import ConfigError
from crowd3d.maths import posterior
from crowd3d.maths.box import Box
from crowd3d.maths.crop_camera import ray_rotation
from crowd3d.maths.upright import to_camera
from crowd3d.models.crowd3ds import Crowd3dS
from crowd3d.models.crowdnet3d import INPUT_PX, CrowdNet3D, PoseDecoder, smpl_rotations
from crowd3d.models.crowdnet3d_input import box_of_pose, prompt
from crowd3d.models.crowdnet_s import CrowdNetS, pyramid
from crowd3d.picture import person_windows
from crowd3d.picture.crops import Crops
from crowd3d.picture.windows import Pixels
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.people import People
from tiling import Picture

_BATCH = 64
# Concentration given to rotations of a network that does not say how sure it is: about 8 degrees.
_KAPPA = 25.0


class Answer(NamedTuple):
    """Poses of N people from a network, the root turned into the camera frame.

    Attributes:
        rotations: (N, 24, 3, 3) modes of `fisher`; fisher: (N, 24, 3, 3) matrix-Fisher parameters.
    """

    rotations: Tensor
    fisher: Tensor


Expert = Callable[[People], Answer]


def expert(name: str, source: Picture, fitted: Fitted, body: BodyModel) -> Expert:
    """Load a network by name, for people of one picture.

    Args:
        name: "crowdnet-s" or "3dcrowdnet".
        source: the picture; fitted: its camera and ground; body: the body of the people.

    Raises:
        ConfigError: any other name.
        ModelError: its weights are not installed; the message tells where to get them.
    """
    if name == "crowdnet-s":
        return _crowdnet_s(source, fitted, body)
    if name == "3dcrowdnet":
        return _crowdnet3d(source, fitted)
    raise ConfigError(f"no crop network is called {name!r}; known: crowdnet-s, 3dcrowdnet")


def _crowdnet_s(source: Picture, fitted: Fitted, body: BodyModel) -> Expert:
    trunk = cast(Crowd3dS, models.shared("crowd3d-s")).trunk
    network = cast(CrowdNetS, models.shared("crowdnet-s"))

    @torch.inference_mode()
    def ask(people: People) -> Tensor:
        pixels, tiles = person_windows.read_crops(source, people, fitted)
        inputs = person_windows.crop_inputs(people, tiles, fitted, body)
        maps = pyramid(trunk, torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
        fisher = network(maps, inputs.keypoints, inputs.joints, inputs.fisher, inputs.elevation)
        _, turned = to_camera(fisher, fisher, inputs.R_upright_cam)
        return turned

    def answer(people: People) -> Answer:
        fisher = torch.cat([ask(part) for part in _parts(people)])
        return Answer(posterior.mode(fisher), fisher)

    return answer


def _crowdnet3d(source: Picture, fitted: Fitted) -> Expert:
    network = cast(CrowdNet3D, models.shared("3dcrowdnet"))
    decoder = cast(PoseDecoder, models.shared("vposer"))

    @torch.inference_mode()
    def ask(people: People) -> Tensor:
        pixels, joints, amplitude, turn = published_crops(source, people, fitted)
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        crop = network(image, joints, amplitude)
        rotations = smpl_rotations(crop.orient_6d, decoder(crop.latent))
        _, turned = to_camera(rotations, rotations, turn.transpose(-1, -2))
        return turned

    def answer(people: People) -> Answer:
        rotations = torch.cat([ask(part) for part in _parts(people)])
        return Answer(rotations, _KAPPA * rotations)

    return answer


def published_crops(
    source: Picture, people: People, fitted: Fitted
) -> tuple[Pixels, Tensor, Tensor, Tensor]:
    """Input of 3DCrowdNet in its published form, and the rotation of its camera against the scene's.

    From a perspective picture, the crop is cut as it is. The network's camera looks straight at the person, so
    it is turned by the ray of the box. From a panorama, the crop is an upright window.

    Returns:
        pixels (N, 256, 256, 3), joints (N, 30, 2), amplitude (N, 30, 1), and turn (N, 3, 3), which turns
        vectors from the network's camera frame into the scene's.
    """
    camera = fitted.camera
    if camera.is_perspective:
        boxes = box_of_pose(people.keypoints_px).extend((camera.width, camera.height))
        pixels = Crops(source).read(boxes, INPUT_PX)
        joints, amplitude = prompt(people.keypoints_px, boxes)
        center = torch.tensor(camera.center_px)
        middle = torch.from_numpy(camera.straight_px(boxes.center_px))
        turn = ray_rotation(middle, camera.focal_px, center.double())
        return pixels, joints, amplitude, turn
    size = (INPUT_PX, INPUT_PX)
    tiles = [person_windows.tile_of_pose(row, size) for row in people.keypoints_px]
    views = [person_windows.window_of(fitted, plane) for plane in people.plane]
    pixels = np.stack([v.read(source, tile) for v, tile in zip(views, tiles, strict=True)])
    inside = people.keypoints_px.copy()
    rays = camera.rays(inside[..., :2])
    for i, (view, tile) in enumerate(zip(views, tiles, strict=True)):
        inside[i, :, :2] = view.from_points(tile, rays[i])[:, :2]
    whole = np.tile([0.0, 0.0, INPUT_PX, INPUT_PX], (len(people), 1))
    joints, amplitude = prompt(inside, Box(whole, "xywh", extended=True))
    axes = np.stack([view.axes(tile) for view, tile in zip(views, tiles, strict=True)])
    return pixels, joints, amplitude, torch.from_numpy(axes).transpose(-1, -2)


def _parts(people: People) -> Iterator[People]:
    for start in range(0, len(people), _BATCH):
        yield people.filter(np.arange(start, min(start + _BATCH, len(people))))
