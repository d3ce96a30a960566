"""What the encoder says of the labelled attributes in a picture: a second opinion beside the CLIP's.

One reader has its own mistakes, and a direction that is solved to please it alone learns them. The encoder looks at
pictures in another way, and its answers, layer by layer, tell labelled attributes apart about as well as a CLIP does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from latent_editor.directions.measures import Measure, remembering
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, fastest_dtype
from latent_editor.networks.boundaries import kept_boundaries
from latent_editor.networks.encoder import has_encoder, load_encoder


def opinions(g: Generator, families: Mapping[str, str]) -> tuple[Measure, ...]:
    """One for each of the model's boundaries that has one; none for a model without boundaries or without an encoder.

    Args:
        g: The generator.
        families: By the name of an attribute, what it competes with; others are families of their own.
    """
    known = {b.name: b.opinion for b in kept_boundaries(g) if b.opinion is not None}
    if not known or not has_encoder(g):
        return ()
    encode = load_encoder(g)
    weights = torch.stack(list(known.values()), dim=-1).flatten(0, 1)  # [num_ws · w_dim, B]

    def look(pictures: Tensor) -> Tensor:
        ws = encode(as_rgb(pictures), fastest_dtype(pictures.device))
        return ws.float().flatten(1) @ weights.to(ws.device)

    told = remembering(look)

    def reader(column: int) -> Callable[[Tensor], Tensor]:
        return lambda pictures: told(pictures)[:, column]

    return tuple(Measure(name, families.get(name, name), reader(i)) for i, name in enumerate(known))
