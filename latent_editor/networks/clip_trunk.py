"""The project's trunk as an image tower of open_clip, so that a small CLIP can start from a trained encoder.

open_clip takes its image towers from timm by name; here a trunk of each size is registered there. A CLIP config names
one by ``"timm_model_name": "latent_editor_trunk_128"``.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from latent_editor.networks.trunk import Trunk

_NAME = "latent_editor_trunk_{}"
#: The registered trunks: (size_px, deep_width), as in :class:`~latent_editor.networks.trunk.Trunk`.
SHAPES = ((128, 0), (256, 0), (128, 384))
#: open_clip's default normalization of pictures (that of OpenAI's CLIP), undone before the trunk.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def trunk_name(size_px: int, deep_width: int = 0) -> str:
    """The name of one of :data:`SHAPES` in a CLIP config: "latent_editor_trunk_128_384"."""
    return _NAME.format(f"{size_px}_{deep_width}" if deep_width else size_px)


class ClipTrunk(nn.Module):
    """A :class:`Trunk` with what open_clip's adapter asks of a timm model."""

    num_features = 512
    mean: Tensor
    std: Tensor

    def __init__(self, size_px: int, deep_width: int = 0) -> None:
        super().__init__()
        self.trunk = Trunk(size_px, deep_width=deep_width)
        self.default_cfg: dict[str, Any] = {"pool_size": None, "input_size": (3, size_px, size_px)}
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def reset_classifier(self, num_classes: int, **_: Any) -> None:
        """There is no classifier: the adapter adds its own projection."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, S, S], normalized as open_clip does → [N, 512]."""
        return self.trunk((x.float() * self.std + self.mean) * 2 - 1, _activation_dtype(x))


def _activation_dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def register_trunks() -> None:
    """Makes the trunks known to timm; calling it again changes nothing."""
    import timm

    module = sys.modules[__name__]
    for shape in SHAPES:
        name = trunk_name(*shape)
        if not timm.is_model(name):
            function = _factory(*shape)
            function.__name__ = name
            setattr(module, name, function)
            timm.models.register_model(function)


def _factory(size_px: int, deep_width: int) -> Any:
    def make(pretrained: bool = False, **_: Any) -> ClipTrunk:
        return ClipTrunk(size_px, deep_width)

    return make
