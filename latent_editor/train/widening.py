"""Widens trained networks without changing their function (Net2Net, Chen et al. 2016).

Existing channels ignore new ones at first, so the widened networks start out equivalent to the narrow ones. New
channels are initialized randomly and take effect as soon as the weights that read them leave zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.restorer import Restorer


def widened(g: StyleGAN2, channels: Sequence[int]) -> StyleGAN2:
    """A generator with the given channels at 4², 8², … and the same output.

    Raises:
        BadValue: fewer channels than now, or not one number per resolution.
    """
    now = [g.config.channels_at(r) for r in g.config.resolutions]
    if len(channels) != len(now) or any(new < old for new, old in zip(channels, now, strict=True)):
        raise BadValue(f"Got the channels {list(channels)}; expected {len(now)} numbers, none below those of {now}.")
    new = StyleGAN2(replace(g.config, channels=tuple(channels)))
    old = g.state_dict()
    new.load_state_dict({name: _adopted(name, fresh, old[name]) for name, fresh in new.state_dict().items()})
    return new.requires_grad_(False)


def _adopted(name: str, fresh: Tensor, old: Tensor) -> Tensor:
    if fresh.shape == old.shape:
        return old.clone()
    fresh = fresh.clone()
    last = ".".join(name.split(".")[-2:])
    if last == "affine.weight":
        fresh *= 0.1
    elif last == "affine.bias":
        fresh.fill_(1)  # a style of 1 leaves a channel unchanged
    elif last == "torgb.weight":
        fresh.zero_()
        old = old * math.sqrt(fresh.shape[1] / old.shape[1])  # the layer's gain is 1 / √inputs
    elif last.endswith(".weight"):
        fresh[: old.shape[0], old.shape[1] :] = 0
    elif last.endswith(".bias"):
        fresh.zero_()
    fresh[tuple(slice(0, n) for n in old.shape)] = old
    return fresh


def deepened(encoder: Encoder, width: int) -> Encoder:
    """An encoder whose last two levels have ``width`` channels, with the same output."""
    new = Encoder(**{**encoder.config, "deep_width": width})
    old = encoder.state_dict()
    state = {}
    for name, fresh in new.state_dict().items():
        kept = old[name]
        if fresh.shape == kept.shape:
            state[name] = kept.clone()
            continue
        fresh = torch.zeros_like(fresh) if name.endswith("bias") or name == "trunk.dense.weight" else fresh.clone()
        if fresh.ndim == 4:
            fresh[: len(kept), kept.shape[1] :] = 0
            kept = kept * math.sqrt(fresh.shape[1] / kept.shape[1])  # the gain is 1 / √(inputs · k²)
        fresh[tuple(slice(0, n) for n in kept.shape)] = kept
        state[name] = fresh
    new.load_state_dict(state)
    return new


@torch.no_grad()
def rechanneled(restorer: Restorer, channels: int) -> Restorer:
    """A restorer for a generator with as many or more ``channels``: it ignores the new ones at first, and adds nothing
    to them."""
    new = Restorer(**{**restorer.config, "channels": channels})
    for (name, fresh), kept in zip(new.state_dict().items(), restorer.state_dict().values(), strict=True):
        if name == "guess.weight":
            kept = kept * math.sqrt(fresh.shape[1] / kept.shape[1])  # the gain is 1 / √inputs
        fresh.zero_()[tuple(slice(0, n) for n in kept.shape)] = kept
    return new
