"""Helpers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import roma
import torch
from torch import nn

from crowd3d import Camera
from crowd3d import body as bodies
from crowd3d.config import Config
from crowd3d.files.weights import write_weights
from crowd3d.models.crowd3dnet import Crowd3DNet, PatchView
from crowd3d.models.crowd3dnet_decode import Parameters
from crowd3d.models.crowd3dnet_encode import tell
from crowd3d.patches.reader import PatchReader
from crowd3d.picture.reading import Reading
from crowd3d.progress import Progress
from crowd3d.scene.fitted import Fitted
from crowd3d.scene.plane import Plane
from crowd3d.synth.cast import poses as synth_poses
from optim.geometry import normal_from_pitch_roll

SIZE = (3000, 1600)


BODY = bodies.load("open", "crowd")


SILENT = Progress(enabled=False)


class Source(SimpleNamespace):
    """A picture without content."""

    def __init__(self, size=SIZE):
        super().__init__(
            width=size[0], height=size[1], identity="blank", check_unchanged=lambda: None
        )

    def read(self, x, y, w, h, out_size):
        return np.zeros((out_size[1], out_size[0], 3), np.uint8)


class Oracle(nn.Module):
    """Says in every patch just who has the torso in it."""

    def __init__(self, people: Parameters, torso_m, plane=None):
        super().__init__()
        self.people, self.torso_m, self.plane = people, torso_m, plane
        self.looks = 0

    def forward(self, image, view):
        view = PatchView(*(part.double() for part in view))
        if self.plane is not None:  # told in another scene than the one it is asked in
            view = view._replace(plane=self.plane.expand(len(image), 4))
        maps = tell(self.torso_m, self.people.rotations, self.people.betas, view, 0.8)
        self.looks += int((maps.center > 0).sum())
        return maps


def fitted_of(pitch_deg, roll_deg=0.0, height_m=8.0, fov_deg=60.0):
    normal = normal_from_pitch_roll(*np.deg2rad([pitch_deg, roll_deg]))
    camera = Camera.from_fov(*SIZE, fov_deg)
    return Fitted(camera, [Plane(normal, height_m)], np.diag([0.05, 0.01, 0.01, 0.05]) ** 2, {})


def standing(fitted, n=25, seed=0, clearance=0.06):
    """Posed bodies on the ground, whole in the picture and apart from each other."""
    rng = np.random.default_rng(seed)
    camera, plane = fitted.camera, fitted.planes[0]
    feet, pixels = [], []
    while len(feet) < n:
        pixel = rng.uniform([150, 0.1 * SIZE[1]], [SIZE[0] - 150, SIZE[1] - 20])
        foot = plane.intersect_m(camera.rays(pixel))
        head = camera.project(foot + 2.0 * plane.normal)
        tall = np.linalg.norm(head - pixel)
        near = [np.linalg.norm(pixel - p) < max(t, tall) * 0.9 for p, t in pixels]
        if np.isfinite(tall) and 30 < tall < 500 and head.min() > 10 and head[0] < SIZE[0] - 10:
            if not any(near):
                feet.append(foot)
                pixels.append((pixel, tall))
    pose = np.stack([synth_poses.relaxed(rng) for _ in range(n)])
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(pose))
    rotations[:, 0] = upright_in_camera(plane.normal, rng.uniform(-np.pi, np.pi, n))
    rotations[:, 22:] = torch.eye(3).double()  # the network does not tell the hands
    stature = torch.from_numpy(rng.uniform(1.5, 1.9, n))
    betas = BODY.betas_for_stature(stature.float())
    out = BODY(rotations.float(), betas).vertices.double()
    normal = torch.from_numpy(plane.normal)
    lift = -(out @ normal).amin(1, keepdim=True) * normal
    torso = BODY.torso(out.float()).double() + lift + torch.from_numpy(np.array(feet))
    half = torch.full((n, 3), 0.5).double()
    return Parameters(half[:, 0], half[:, :2], half, rotations, betas.double()), torso, stature


def upright_in_camera(normal, yaw):
    """(N, 3, 3) turns of bodies whose y is up, about any yaw."""
    up = torch.from_numpy(normal)
    ahead = torch.linalg.cross(torch.tensor([1.0, 0, 0]).double(), up)
    ahead = ahead / ahead.norm()
    frame = torch.stack([torch.linalg.cross(up, ahead), up, ahead], dim=1)
    spin = torch.zeros(len(yaw), 3).double()
    spin[:, 1] = torch.from_numpy(yaw)
    return frame @ roma.rotvec_to_rotmat(spin)


def read(fitted, network, *, trained_for="open", config=None, journal=None, **options):
    reader = PatchReader(network, trained_for=trained_for)
    reading = Reading(Source(), journal=journal)
    return reader.people(reading, fitted, BODY, config or Config(), **options)


def matched(people, torso_m):
    """Rows of people nearest to each true torso."""
    gaps = np.linalg.norm(people.torso_m[None] - torso_m.numpy()[:, None], axis=2)
    assert len(set(gaps.argmin(1))) == len(torso_m) == len(people)
    return people.filter(gaps.argmin(1))


CAMERAS = {"down": (20, 0), "up": (-4, 0), "rolled": (12, 9), "up_rolled": (-3, -7)}


def save_network(path, network=None, **metadata):
    network = network or Crowd3DNet(TinyTrunk())
    write_weights(path, network.state_dict(), {"network": "crowd3dnet", **metadata})
    return path


class TinyTrunk(nn.Module):
    """Any trunk with the interface of HRNet."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 4, 4)

    def forward(self, x):
        return [self.conv(x)]
