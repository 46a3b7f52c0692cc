"""3DCrowdNet: the prompt shows the right joints at the right place, and the network follows it."""

import numpy as np
import pytest
import torch

from crowd3d.errors import DataError
from crowd3d.maths.box import Box
from crowd3d.maths.rotation import rotation_from_6d
from crowd3d.models.crowdnet3d import (
    GRAPH_JOINTS,
    CrowdNet3D,
    PoseDecoder,
    pose_heatmaps,
    smpl_rotations,
)
from crowd3d.models.crowdnet3d_input import box_of_pose, prompt


def person() -> np.ndarray:
    points = np.zeros((1, 17, 3))
    points[0, :, 0] = np.linspace(100, 180, 17)
    points[0, :, 1] = np.linspace(200, 400, 17)
    points[0, :, 2] = 0.9
    return points


def test_heatmaps_peak_at_their_joints_and_are_as_high_as_told():
    joints = torch.tensor([[[10.0, 20.0], [63.0, 0.0]]])
    maps = pose_heatmaps(joints, torch.tensor([[[1.0], [0.4]]]))
    assert maps[0, 0].argmax() == 20 * 64 + 10 and maps[0, 0].max() == 1
    assert maps[0, 1, 0, 63] == pytest.approx(0.4)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    naive = torch.exp(-((x - 10) ** 2 + (y - 20) ** 2) / (2 * 2.5**2))
    torch.testing.assert_close(maps[0, 0], naive)


def test_the_box_of_a_pose_and_the_joints_in_it():
    points = person()
    box = box_of_pose(points)
    np.testing.assert_allclose(box.size_px, [[96, 240]])
    extended = box.extend((1000, 1000))
    joints, amplitude = prompt(points, extended)
    side = 300.0
    np.testing.assert_allclose(extended.size_px, [[side, side]])
    np.testing.assert_allclose(joints[0, 24], [(100 + 10) / side * 64, (200 - 150) / side * 64])
    left_hip, right_hip, pelvis = joints[0, 1], joints[0, 2], joints[0, 0]
    torch.testing.assert_close(pelvis, (left_hip + right_hip) / 2)
    assert amplitude.sum() == 19  # 17, pelvis, neck
    assert (amplitude[0, [3, 6, 9, 10, 11, 13, 14, 15, 22, 23, 29]] == 0).all()  # unknown to COCO


def test_joints_that_are_not_seen_or_outside_are_not_shown():
    points = person()
    points[0, 11, 2] = 0.05  # left hip: unsure, so neither it nor the pelvis
    points[0, 9, :2] = [900, 900]  # left wrist: outside
    _, amplitude = prompt(points, box_of_pose(person()).extend((1000, 1000)))
    assert amplitude[0, 1] == 0 and amplitude[0, 0] == 0 and amplitude[0, 20] == 0
    assert amplitude.sum() == 19 - 3
    _, by_score = prompt(person(), box_of_pose(person()).extend((1000, 1000)), by_score=True)
    assert by_score[0, 24, 0] == pytest.approx(0.9) and by_score[0, 0, 0] == pytest.approx(0.81)


def test_wrong_boxes_and_poses_are_named():
    with pytest.raises(DataError, match="extend"):
        prompt(person(), Box(np.array([0.0, 0, 9, 9]), "xywh", extended=False))
    unseen = person()
    unseen[..., 2] = 0
    with pytest.raises(DataError, match="person 0"):
        box_of_pose(unseen)


def test_the_output_depends_on_the_prompt_and_not_on_the_company():
    torch.manual_seed(0)
    network = CrowdNet3D().eval()
    for module in network.modules():  # large enough weights that the prompt gets through
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.05)
    image = torch.rand(1, 3, 256, 256)
    joints = torch.rand(2, 30, 2, generator=torch.Generator().manual_seed(1)) * 64
    with torch.inference_mode():
        both = network(image.expand(2, -1, -1, -1), joints, torch.ones(2, 30, 1))
        alone = network(image, joints[1:], torch.ones(1, 30, 1))
        blank = network(image.expand(2, -1, -1, -1), joints, torch.zeros(2, 30, 1))
    torch.testing.assert_close(both.latent[1:], alone.latent, atol=1e-4, rtol=1e-3)
    assert not torch.allclose(both.latent[0], both.latent[1], atol=1e-4)
    # the control: without heat maps there is nobody to tell apart
    torch.testing.assert_close(blank.latent[0], blank.latent[1])
    assert both.joints.shape == (2, len(GRAPH_JOINTS), 3)


def test_the_pose_teaches_the_trunk_but_does_not_move_the_joints():
    torch.manual_seed(0)
    network = CrowdNet3D().eval()
    crop = network(torch.rand(1, 3, 256, 256), torch.rand(1, 30, 2), torch.ones(1, 30, 1))
    crop.latent.sum().backward()
    assert network.trunk.stem_conv.weight.grad.abs().sum() > 0
    assert network.volumes.weight.grad is None


def test_pose_of_a_code():
    decoder = PoseDecoder().eval()
    body = decoder(torch.zeros(2, 32))
    turns = smpl_rotations(torch.tensor([[2.0, 0, 0, 3, 0, 0]] * 2), body)
    assert turns.shape == (2, 24, 3, 3)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(2, 24, 3, 3))
    torch.testing.assert_close(turns[:, 0], torch.eye(3).expand(2, 3, 3))
    torch.testing.assert_close(rotation_from_6d(torch.eye(3)[:, :2].reshape(6)), torch.eye(3))
