"""What the encoder says of the labelled attributes in a picture: a second opinion beside the CLIP's.

One reader has its own mistakes, and a direction that is mixed to please it alone learns them. The encoder looks at
pictures in another way, and its answer lies on one side or the other of each boundary between labelled latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from latent_editor.directions.measures import Measure, remembering
from latent_editor.features.boundaries import kept_boundaries, latent_spread
from latent_editor.features.encoder import has_encoder, load_encoder
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, fastest_dtype


def opinions(g: Generator, families: Mapping[str, str]) -> tuple[Measure, ...]:
    """One for each of the model's boundaries; none for a model without boundaries or without an encoder.

    Args:
        g: The generator.
        families: By the name of an attribute, what it competes with; others are families of their own.
    """
    boundaries = kept_boundaries(g)
    if not boundaries or not has_encoder(g):
        return ()
    encode, spread = load_encoder(g), latent_spread(g)
    normals = torch.stack([b.normal for b in boundaries], dim=1)  # [w_dim, B]

    def look(pictures: Tensor) -> Tensor:
        ws = encode(as_rgb(pictures), fastest_dtype(pictures.device))
        return (spread.even(ws) @ normals).to(pictures)

    told = remembering(look)

    def reader(column: int) -> Callable[[Tensor], Tensor]:
        return lambda pictures: told(pictures)[:, column]

    return tuple(
        Measure(f"{b.name}, by the encoder", families.get(b.name, b.name), reader(i)) for i, b in enumerate(boundaries)
    )
