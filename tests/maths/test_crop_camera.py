"""A crop network's orientation in the scene's camera, anywhere in a panorama."""

import numpy as np
import torch

from crowd3d.maths.crop_camera import ray_rotation

WIDTH, HEIGHT = 19200, 6480
CENTER = torch.tensor([WIDTH / 2, HEIGHT / 2]).double()


def centers(count: int, seed: int):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform([0, 0], [WIDTH, HEIGHT], (count, 2)))


def test_turn_carries_the_axis_onto_the_ray_by_the_shortest_way():
    center = centers(100, 2)
    turn = ray_rotation(center, 8000.0, CENTER)
    ray = torch.cat([(center - CENTER) / 8000.0, torch.ones(100, 1).double()], dim=1)
    ray = ray / ray.norm(dim=1, keepdim=True)
    torch.testing.assert_close(turn[:, :, 2], ray)
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double().expand(100, 3, 3))
    trace = turn.diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close((trace - 1) / 2, ray[:, 2])  # angle of the turn = angle of the ray
    torch.testing.assert_close(ray_rotation(CENTER[None], 8000.0, CENTER)[0], torch.eye(3).double())


def test_orientation_is_right_at_the_edge_of_a_panorama():
    """Someone who faces the camera along the ray looks, to the crop network, as if in the middle of a picture.

    The silhouette from a camera turned onto the ray is the same for all places, so the network always says
    "identity"; the truth is a body turned with the ray. Without the turn the error is the ray's angle.
    """
    edge = torch.tensor([[WIDTH - 50.0, HEIGHT / 2]]).double()
    turn = ray_rotation(edge, 8000.0, CENTER)[0]
    angle = np.rad2deg(np.arccos(float((turn.trace() - 1) / 2)))
    assert 45 < angle < 55
    body = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (24, 3)))
    truth = turn @ torch.tensor([0.0, 0, 20]).double() + body @ turn.T
    seen = truth @ turn  # by a camera turned onto the ray
    torch.testing.assert_close(seen, body + torch.tensor([0.0, 0, 20]).double())
