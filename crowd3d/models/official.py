"""From the layout of a published checkpoint to ours.

The rules turn the name of one of our tensors into its published name, so that a complaint speaks of the
names in the user's file. Names only: what the networks compute is in each network's own module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from crowd3d.errors import ModelError

Rule = tuple[str, "str | Callable[[re.Match[str]], str]"]
State = Mapping[str, "Tensor | npt.NDArray[np.generic]"]


_SHOWN = 8  # names in a message, of each kind
# Batch normalisation counts its batches; nothing here uses that, and old checkpoints lack it.
_COUNTER = ".num_batches_tracked"


class CheckpointError(ModelError):
    """A checkpoint's tensors are not those of the network.

    Attributes:
        missing, unexpected: published names, sorted.
        misshapen: "name (found), wanted (expected)", sorted.
    """

    def __init__(
        self, name: str, missing: list[str], unexpected: list[str], misshapen: list[str]
    ) -> None:
        self.missing, self.unexpected, self.misshapen = missing, unexpected, misshapen
        kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
        told = "; ".join(f"{kind}: {_shortened(names)}" for kind, names in kinds.items() if names)
        super().__init__(f"these are not the published weights of {name!r}; {told}")


def _next(prefix: str, offset: int) -> Callable[[re.Match[str]], str]:
    return lambda m: f"{prefix}{int(m[1]) + offset}."


def _conv_norm(ours: str, conv: str, norm: str) -> list[Rule]:
    return [(rf"{ours}\.conv\.", f"{conv}."), (rf"{ours}\.norm\.", f"{norm}.")]


def _bridge(m: re.Match[str]) -> str:
    step = f"{m[2]}." if m[2] else ""
    return f"fuse_layers.{m[1]}.{step}{0 if m[3] == 'conv' else 1}."


def _residual(m: re.Match[str]) -> str:
    return f"rotation_net.graph_block.{int(m[1]) + 1}.graph_block"


_BLOCKS: list[Rule] = [
    rule
    for name, number in (("reduce", 1), ("middle", 2), ("expand", 3), ("first", 1), ("second", 2))
    for rule in _conv_norm(rf"\b{name}", f"conv{number}", f"bn{number}")
] + _conv_norm(r"\bshortcut", "downsample.0", "downsample.1")

_RESNET: list[Rule] = [
    (r"\bstem_conv\.", "conv1."),
    (r"\bstem_norm\.", "bn1."),
    (r"\bstages\.(\d)\.", _next("layer", 1)),
    *_BLOCKS,
]

_HRNET: list[Rule] = [
    *_conv_norm(r"\bstem\.0", "conv1", "bn1"),
    *_conv_norm(r"\bstem\.1", "conv2", "bn2"),
    (r"\bentry\.", "layer1."),
    *_conv_norm(r"\bfinest", "transition1.0.0", "transition1.0.1"),
    (r"\bnew_branch\.(\d)\.", lambda m: f"transition{int(m[1]) + 1}.{int(m[1]) + 1}.0."),
    (r"(transition\d\.\d\.0)\.conv\.", r"\1.0."),
    (r"(transition\d\.\d\.0)\.norm\.", r"\1.1."),
    (r"\bstages\.(\d)\.", _next("stage", 2)),
    (r"\bbridges\.(\d\.\d)\.(?:project|(?:halve\.(\d)))\.(conv|norm)\.", _bridge),
    *_BLOCKS,
]


_ENLARGER: list[Rule] = [
    (r"\benlarger\.deconv\.(\d)\.", lambda m: f"deconv_layers.{3 * int(m[1])}."),
    (r"\benlarger\.norm\.(\d)\.", lambda m: f"deconv_layers.{3 * int(m[1]) + 1}."),
]


def _head(ours: str, index: int) -> list[Rule]:
    """One of Crowd3DNet's four heads."""
    theirs = f"final_layers.{index}"
    return [
        *_conv_norm(rf"^{ours}_head\.halve", f"{theirs}.0.0", f"{theirs}.0.1"),
        (rf"^{ours}_head\.blocks\.(\d)\.", rf"{theirs}.1.\1.0."),
        (rf"^{ours}_head\.out\.", f"{theirs}.2."),
    ]


_CLASSIFIER: list[Rule] = [
    (r"^head\.widen\.(\d)\.", r"preact.incre_modules.\1.0."),
    (r"^head\.halve\.(\d)\.conv\.", r"preact.downsamp_modules.\1.0."),
    (r"^head\.halve\.(\d)\.norm\.", r"preact.downsamp_modules.\1.1."),
    *_conv_norm(r"^head\.last", "preact.final_feat_layer.0", "preact.final_feat_layer.1"),
]


@dataclass(frozen=True)
class Layout:
    """How a published checkpoint names its tensors.

    Attributes:
        rules: applied in order to our name; each may change it.
        ignored: published names that match are of no use to us.
    """

    rules: list[Rule] = field(default_factory=list)
    ignored: str = r"(?!)"

    def published(self, ours: str) -> str:
        """The published name of our tensor."""
        for pattern, replacement in self.rules:
            ours = re.sub(pattern, replacement, ours)
        return ours


LAYOUTS: dict[str, Layout] = {
    "crowd3dnet": Layout(
        [
            (r"^trunk\.", "backbone."),
            (r"^camera_code\.", "cams_layers."),
            (r"^ground_code\.", "ground_layers."),
            *_head("params", 1),
            *_head("center", 2),
            *_head("hvip", 3),
            *_head("torso", 4),
            *_HRNET,
        ]
    ),
    "rootnet": Layout(
        [
            (r"^trunk\.", "backbone."),
            (r"^heat\.", "root.xy_layer."),
            (r"^size\.", "root.depth_layer."),
            (r"^enlarger\.", "root.enlarger."),
            *_ENLARGER,
            *_RESNET,
        ]
    ),
    "posenet": Layout(
        [
            (r"^trunk\.", "backbone."),
            (r"^volumes\.", "head.final_layer."),
            (r"^enlarger\.", "head.enlarger."),
            *_ENLARGER,
            *_RESNET,
        ]
    ),
    "3dcrowdnet": Layout(
        [
            (r"^trunk\.", "backbone."),
            (r"^blend\.", "pose2feat.conv.0."),
            (r"^blend_norm\.", "pose2feat.conv.1."),
            (r"^volumes\.", "position_net.conv.0."),
            (r"^graph_entry\.", "rotation_net.graph_block.0."),
            (r"^graph\.(\d)\.first\.", lambda m: f"{_residual(m)}1."),
            (r"^graph\.(\d)\.second\.", lambda m: f"{_residual(m)}2."),
            (r"\blinear\.(\d+)\.", r"fcbn_list.\1.0."),
            (r"(graph_block.*)\bnorm\.(\d+)\.", r"\1fcbn_list.\2.1."),
            (r"^orient\.", "rotation_net.root_pose_out.0."),
            (r"^latent\.", "rotation_net.pose_out.0."),
            (r"^betas\.", "rotation_net.shape_out.0."),
            (r"^camera\.", "rotation_net.cam_out.0."),
            *_RESNET,
        ]
    ),
    "propose": Layout(
        [
            (r"^mean_betas$", "init_shape"),
            (r"^mean_camera$", "init_cam"),
            (r"^betas\.", "decshape."),
            (r"^prior\.", "decF."),
            (r"^camera\.", "deccam."),
            (r"^volumes\.", "preact.final_layer."),
            (r"^trunk\.", "preact."),
            *_CLASSIFIER,
            *_HRNET,
        ]
    ),
    "hmr": Layout(
        [
            (r"^mean_pose$", "init_pose"),
            (r"^mean_betas$", "init_shape"),
            (r"^mean_camera$", "init_cam"),
            (r"^hidden\.", "fc1."),
            (r"^hidden2\.", "fc2."),
            (r"^pose\.", "decpose."),
            (r"^betas\.", "decshape."),
            (r"^camera\.", "deccam."),
            (r"^trunk\.", ""),
            *_RESNET,
        ]
    ),
    "vposer": Layout(
        [
            (r"^hidden\.", "bodyprior_dec_fc1."),
            (r"^hidden2\.", "bodyprior_dec_fc2."),
            (r"^out\.", "bodyprior_dec_out."),
        ],
        ignored=r"^bodyprior_enc_",
    ),
}


def load_published(network: nn.Module, name: str, state: State) -> None:
    """Fill `network` from the tensors of a published checkpoint.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape; it lists them.
    """
    layout = LAYOUTS[name]
    own = network.state_dict()
    names = {layout.published(key): key for key in own}
    wanted = {key for key in names if not key.endswith(_COUNTER)}
    given = {key for key in state if not re.search(layout.ignored, key)}
    missing, unexpected = sorted(wanted - given), sorted(given - names.keys())
    misshapen = sorted(
        f"{key} {tuple(state[key].shape)}, wanted {tuple(own[names[key]].shape)}"
        for key in wanted & given
        if tuple(state[key].shape) != tuple(own[names[key]].shape)
    )
    if missing or unexpected or misshapen:
        raise CheckpointError(name, missing, unexpected, misshapen)
    with torch.no_grad():
        for published, key in names.items():
            if published in state:
                own[key].copy_(torch.as_tensor(state[published]))


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} ({', '.join(names[:_SHOWN])}{more})"
