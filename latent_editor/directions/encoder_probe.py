"""Linear probes of attributes on the encoder's latents: a second measurement beside the CLIP's.

A direction that is optimized against one measurement exploits its errors. The encoder's errors are different, and its
latents separate labeled attributes about as well as a CLIP does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from latent_editor.directions.image_measures import Measure, cached_for_last
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, fastest_dtype
from latent_editor.networks.boundaries import stored_boundaries
from latent_editor.networks.encoder import has_encoder, load_encoder


def encoder_measures(g: Generator, families: Mapping[str, str]) -> tuple[Measure, ...]:
    """One measure for each boundary with an encoder probe; none for a model without boundaries or an encoder.

    Args:
        g: The generator.
        families: Family of each attribute; attributes that are missing are families of their own.
    """
    known = {b.name: b.encoder_probe for b in stored_boundaries(g) if b.encoder_probe is not None}
    if not known or not has_encoder(g):
        return ()
    encode = load_encoder(g)
    weights = torch.stack(list(known.values()), dim=-1).flatten(0, 1)  # [num_ws · w_dim, B]

    def probe(pictures: Tensor) -> Tensor:
        ws = encode(as_rgb(pictures), fastest_dtype(pictures.device))
        return ws.float().flatten(1) @ weights.to(ws.device)

    probed = cached_for_last(probe)

    def reader(column: int) -> Callable[[Tensor], Tensor]:
        return lambda pictures: probed(pictures)[:, column]

    return tuple(Measure(name, families.get(name, name), reader(i)) for i, name in enumerate(known))
