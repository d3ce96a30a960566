"""Entanglement: what a direction changes besides the attribute that it is named after, and how far identity changes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.directions.namer import Namer
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.perceptual import Discriminator, load_discriminator

#: The group of each family of attributes (:mod:`latent_editor.directions.namer`).
GROUPS = {
    "hair length": "hair",
    "hair color": "hair",
    "bald": "hair",
    "skin": "skin",
    "warmth": "skin",
    "age": "age",
    "sex": "sex",
    "expression": "expression",
    "turn": "pose",
    "roll": "pose",
    "length": "face shape",
    "ears": "face shape",
    "style": "style",
    "background": "background",
    "side light": "light",
    "contrast": "light",
    "vividness": "light",
    "detail": "detail",
}
OWN, IDENTITY = "own", "identity"


def entanglement_row(namer: Namer, effects: Tensor, own: int | None, identity: float | None) -> dict[str, float]:
    """Summarizes the effects of a direction.

    Args:
        namer: Measured ``effects``.
        effects: [T], change from −2 to +2 in standard deviations over faces.
        own: Index of the direction's own attribute; None if it is not one of the namer's.
        identity: Distance by :class:`IdentityMeter`; None if it cannot be measured.

    Returns:
        The largest change in each group, rounded; "own" first. The family of the own attribute is left out: black hair
        is no side effect of blond hair.
    """
    row = {} if own is None else {OWN: round(abs(effects[own].item()), 2)}
    family = None if own is None else namer.families[own]
    for name, effect in zip(namer.families, effects.abs().tolist(), strict=True):
        if name != family and name in GROUPS:
            group = GROUPS[name]
            row[group] = max(row.get(group, 0.0), round(effect, 2))
    return row if identity is None else {**row, IDENTITY: round(identity, 2)}


def largest_side_effect(row: dict[str, float]) -> tuple[str, float]:
    """The group other than "own" and "identity" that changes most, and by how much."""
    others = {name: value for name, value in row.items() if name not in (OWN, IDENTITY)}
    return max(others.items(), key=lambda item: item[1], default=("", 0.0))


class IdentityMeter:
    """Measures how far edits change identity: 0 is the same face, 1 as far as another random face.

    Compares the discriminator's last maps at the center of pictures, where aligned faces are. The discriminator was not
    trained to recognize people; its distances only rank edits.

    Args:
        g: The generator.
        ws: Faces that edits start from, [N, num_ws, w_dim].
    """

    def __init__(self, g: Generator, ws: Tensor) -> None:
        self.g, self.ws = g, ws
        self._discriminator: Discriminator | None = load_discriminator(g)
        with torch.inference_mode():
            self._before = self._vectors(ws) if self._discriminator is not None else None
            self._between_faces = 1.0
            if self._before is not None:
                self._between_faces = float((1 - self._before @ self._before.roll(1, 0).t()).diagonal().mean())

    def distance(self, offset: Tensor) -> float | None:
        """The mean distance that ``offset`` [num_ws, w_dim], added and subtracted, moves faces; None without a
        discriminator."""
        if self._before is None:
            return None
        with torch.inference_mode():
            moved = [self._vectors(self.ws + sign * offset) for sign in (1, -1)]
        away = torch.stack([1 - (m * self._before).sum(dim=1) for m in moved]).mean()
        return float(away) / max(self._between_faces, 1e-6)

    def _vectors(self, ws: Tensor) -> Tensor:
        assert self._discriminator is not None
        dtype = fastest_dtype(self.g.device)
        rows = []
        for some in ws.split(16):
            pictures = self.g.synthesize(some, dtype=dtype).float().clamp(-1, 1)
            maps = self._discriminator.maps(pictures, dtype)[-2:]
            rows.append(torch.cat([_middle(m) for m in maps], dim=1))
        vectors = torch.cat(rows)
        return F.normalize(vectors, dim=1)


def _middle(maps: Tensor) -> Tensor:
    """The middle half of maps [N, C, H, W], where the face is, each channel centered: [N, D]."""
    side = maps.shape[-1]
    cut = maps.float()[..., side // 4 : side - side // 8, side // 4 : side - side // 4]
    return F.normalize((cut - cut.mean(dim=(2, 3), keepdim=True)).flatten(1), dim=1)
