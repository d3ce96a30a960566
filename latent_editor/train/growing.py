"""Twice the size for networks that have learned a smaller one, without forgetting (Karras et al. 2018, §2); and back.

Everything new starts at nothing, so that no fading in is needed: the grown networks first do what the small ones did.
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

#: Channels of the discriminator's new level; its other levels have twice as many.
FINE_WIDTH = 24


def grown(nets: Networks, size_px: int) -> Networks:
    """Networks of twice the size that give the same pictures, enlarged by the generator's own filter.

    1. The generator gets one more block, with as many channels as the one before; its layer to RGB is black at first.
    2. The encoder goes on looking at pictures of its own size; it gives two more ws, of which nothing depends yet.
    3. The discriminator gets one more level before its first (:class:`~latent_editor.networks.trunk.Trunk`).

    Raises:
        BadValue: ``size_px`` is not twice the present size, or the discriminator was grown before.
    """
    now = nets.generator.size_px
    if size_px != 2 * now:
        raise BadValue(f"Networks of {now} pixels grow to {2 * now}, not to {size_px}. Leave --size out, or double it.")
    if nets.discriminator.config["fine_width"]:
        raise BadValue(f"A discriminator grows once; this one was, to {now} pixels. Train on at this size.")
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
    """Takes over everything that the old network has; only what is new may be missing there."""
    unexpected = new.load_state_dict(old.state_dict(), strict=False).unexpected_keys
    assert not unexpected, unexpected


def halved(nets: Networks) -> Networks:
    """Networks of half the size: the skip generator without its last block, the discriminator without its fine level.

    A step costs a third of the whole networks' there. What the small ones have learned goes back by :func:`rejoined`.

    Raises:
        BadValue: a generator without skip connections, whose earlier blocks draw no picture.
    """
    c = nets.generator.config
    if c.architecture != "skip":
        raise BadValue(
            f"Got a generator of the architecture {c.architecture!r}; only “skip” has pictures of half size."
        )
    channels = tuple(c.channels_at(r) for r in c.resolutions)
    g = StyleGAN2(replace(c, img_resolution=c.img_resolution // 2, channels=channels[:-1]))
    _take_over(g, nets.generator)
    encoder = Encoder(**{**nets.encoder.config, "num_ws": g.num_ws})
    _take_over(encoder, nets.encoder)
    discriminator = Discriminator(
        **{**nets.discriminator.config, "size_px": nets.discriminator.config["size_px"] // 2, "fine_width": 0}
    )
    _take_over(discriminator, nets.discriminator)
    return Networks(g, encoder, discriminator)


def rejoined(whole: Networks, half: Networks) -> Networks:
    """``whole`` with what :func:`halved` networks have learned; it stays as it is where they have no part."""
    whole = whole.copy()
    for mine, theirs in zip(whole.modules().values(), half.modules().values(), strict=True):
        _take_over(mine, theirs)
    return whole


def _take_over(new: nn.Module, old: nn.Module) -> None:
    """Copies every tensor that both have; of different lengths, as far as the shorter one goes."""
    theirs = old.state_dict()
    for name, mine in new.state_dict().items():
        if name in theirs:
            n = min(len(mine), len(theirs[name])) if mine.ndim else None
            mine[:n].copy_(theirs[name][:n]) if n is not None else mine.copy_(theirs[name])
