"""Doubles the resolution of trained networks without losing what they learned (Karras et al. 2018, §2), and back.

New layers contribute nothing at first, so no fade-in is needed: the grown networks start out equivalent to the small
ones.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from latent_editor.core.errors import BadValue
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.perceptual import Discriminator
from latent_editor.train.networks import Networks

#: Channels of the discriminator's new level, half as many as in the others.
FINE_WIDTH = 24


def grown(nets: Networks, size_px: int) -> Networks:
    """Networks of twice the resolution that output the same images, upsampled by the generator's own filter.

    1. The generator gets one more block, as wide as the last one; its toRGB layer outputs zero at first.
    2. The encoder keeps its input size and outputs two more ws, which do not affect the image yet.
    3. The discriminator gets one more level in front (:class:`~latent_editor.networks.trunk.Trunk`).

    Raises:
        BadValue: ``size_px`` is not twice the current size, or the discriminator was grown before.
    """
    now = nets.generator.size_px
    if size_px != 2 * now:
        raise BadValue(f"Networks of {now} pixels grow to {2 * now}, not to {size_px}. Omit --size, or double it.")
    if nets.discriminator.config["fine_width"]:
        raise BadValue(
            f"A discriminator grows once; this one already has, to {now} pixels. Keep training at this size."
        )
    return Networks(_generator(nets.generator), _encoder(nets.encoder), _discriminator(nets.discriminator))


def _generator(old: StyleGAN2) -> StyleGAN2:
    c = old.config
    channels = tuple(c.channels_at(r) for r in c.resolutions)
    new = StyleGAN2(replace(c, img_resolution=2 * c.img_resolution, channels=(*channels, channels[-1])))
    _adopt(new, old)
    last = getattr(new.synthesis, f"b{new.size_px}").torgb
    nn.init.zeros_(last.weight)
    return new


def _encoder(old: Encoder) -> Encoder:
    shape = old.config
    new = Encoder(**{**shape, "num_ws": shape["num_ws"] + 2})
    state = {k: v for k, v in old.state_dict().items() if not k.startswith("to_offsets")}
    new.load_state_dict(state, strict=False)
    with torch.no_grad():
        for name, mine in new.to_offsets.named_parameters():
            theirs = old.to_offsets.get_parameter(name)
            mine.zero_()[: len(theirs)] = theirs  # rows by ws, then by component
    return new


def _discriminator(old: Discriminator) -> Discriminator:
    new = Discriminator(**{**old.config, "size_px": 2 * old.config["size_px"], "fine_width": FINE_WIDTH})
    _adopt(new, old)
    return new


def _adopt(new: nn.Module, old: nn.Module) -> None:
    """Loads all weights of the old network, which may lack those that are new."""
    unexpected = new.load_state_dict(old.state_dict(), strict=False).unexpected_keys
    assert not unexpected, unexpected


def halved(nets: Networks) -> Networks:
    """Networks of half the resolution: the generator without its last block, the discriminator without its first level.

    A step costs a third of a full one. :func:`rejoined` transfers the result back.

    Raises:
        BadValue: the generator has no skip connections, so its earlier blocks output no image.
    """
    c = nets.generator.config
    if c.architecture != "skip":
        raise BadValue(f"Got a generator of architecture {c.architecture!r}; only “skip” outputs images of half size.")
    channels = tuple(c.channels_at(r) for r in c.resolutions)
    g = StyleGAN2(replace(c, img_resolution=c.img_resolution // 2, channels=channels[:-1]))
    _copy_overlap(g, nets.generator)
    encoder = Encoder(**{**nets.encoder.config, "num_ws": g.num_ws})
    _copy_overlap(encoder, nets.encoder)
    discriminator = Discriminator(
        **{**nets.discriminator.config, "size_px": nets.discriminator.config["size_px"] // 2, "fine_width": 0}
    )
    _copy_overlap(discriminator, nets.discriminator)
    return Networks(g, encoder, discriminator)


def rejoined(whole: Networks, half: Networks) -> Networks:
    """``whole`` with the trained weights of its :func:`halved` networks; all other weights are unchanged."""
    whole = whole.copy()
    for mine, theirs in zip(whole.modules().values(), half.modules().values(), strict=True):
        _copy_overlap(mine, theirs)
    return whole


def _copy_overlap(new: nn.Module, old: nn.Module) -> None:
    """Copies every tensor that both have, up to the shorter length along the first axis."""
    theirs = old.state_dict()
    for name, mine in new.state_dict().items():
        if name in theirs:
            n = min(len(mine), len(theirs[name])) if mine.ndim else None
            mine[:n].copy_(theirs[name][:n]) if n is not None else mine.copy_(theirs[name])
