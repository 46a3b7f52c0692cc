"""ProPose as a second estimate of the pose: posteriors of all rotations from a person's crop."""

from __future__ import annotations

import torch
from torch import Tensor

from crowd3d import models
from crowd3d.body import BodyModel
from crowd3d.lift.fusion import turned_root
from crowd3d.maths.box import Box
from crowd3d.maths.crop_camera import ray_rotation
from crowd3d.models.propose import INPUT_PX, Prediction
from crowd3d.models.propose_posterior import N_JOINTS, PARENTS, posterior, volume_kappa
from crowd3d.picture.crops import Crops, boxes_of_people
from crowd3d.scene.camera import Camera
from crowd3d.scene.detections import Detections

_FACE = [0, 2, 1, 4, 3]  # COCO's nose, right eye, left eye, right ear, left ear
_FOOT_PARENTS = list(PARENTS[29:])  # of toes and heels, whose bones the posterior does not use


def posterior_of_crops(people: Detections, camera: Camera, crops: Crops, body: BodyModel) -> Tensor:
    """(N, 24, 3, 3) matrix-Fisher parameters: root in the camera frame, others relative to their parents.

    Zero for people outside the picture, and for everybody in a panorama, because the network was made for
    perspective pictures only.

    Raises:
        ModelError: the weights are not installed.
    """
    fisher = torch.zeros(len(people), N_JOINTS, 3, 3)
    if not camera.is_perspective or len(people) == 0:
        return fisher
    boxes, rows = boxes_of_people(people.box_px, crops.size_px)

    def keep(seen: Prediction) -> tuple[Tensor, ...]:
        # Double precision, because the posterior uses decompositions with nearly equal singular values.
        return tuple(t.double().cpu() for t in (seen.prior, seen.joints, seen.spread))

    answers = crops.ask(models.shared("propose"), boxes, INPUT_PX, keep)
    if not answers:
        return fisher
    prior, joints, spread = (torch.cat(parts) for parts in zip(*answers, strict=True))
    joints = torch.cat([torch.zeros_like(joints[:, :1]), joints], dim=1)  # around the root
    rest = rest_joints(body).expand(len(joints), -1, -1)
    found = posterior(prior, joints, rest, volume_kappa(rest, spread)).relative()
    fisher[torch.from_numpy(rows)] = turned_root(found, _rays(boxes, camera)).float()
    return fisher


def rest_joints(body: BodyModel) -> Tensor:
    """(1, 35, 3) ProPose's points on the mean body at rest, metres: joints, face, and feet at the ankles."""
    pose, betas = torch.zeros(1, N_JOINTS, 3), torch.zeros(1, 10)
    with torch.no_grad():
        rest = body(pose, betas)
        face = body.keypoints(rest.vertices)[:, _FACE]
    # A small step away from the ankle: these bones are never used, but need a direction.
    feet = rest.joints[:, _FOOT_PARENTS] + torch.tensor([0.0, -0.05, 0.0])
    return torch.cat([rest.joints, face, feet], dim=1).double()


def _rays(boxes: Box, camera: Camera) -> Tensor:
    center_px = torch.tensor(camera.center_px, dtype=torch.float64)
    middle = torch.from_numpy(camera.straight_px(boxes.center_px))
    return ray_rotation(middle, camera.focal_px, center_px)
