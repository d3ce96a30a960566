"""Names for directions, suggested by the model's CLIP: what changes in the pictures, in words."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.features.clip import Clip
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype


@dataclass(frozen=True)
class Term:
    """A name, and two texts that lie at its positive and its negative end."""

    name: str
    more: str
    less: str


#: What portraits differ in. Both ends are described, because a CLIP compares better than it judges.
VOCABULARY = (
    Term("age", "an old person with wrinkles", "a young person"),
    Term("feminine", "a woman", "a man"),
    Term("beard", "a person with a beard", "a clean-shaven person"),
    Term("moustache", "a person with a moustache", "a person without a moustache"),
    Term("long hair", "a person with long hair", "a person with short hair"),
    Term("bald", "a bald person", "a person with hair"),
    Term("blond hair", "a person with blond hair", "a person with dark hair"),
    Term("red hair", "a person with red hair", "a person with brown hair"),
    Term("black hair", "a person with black hair", "a person with light hair"),
    Term("brown hair", "a person with brown hair", "a person with black hair"),
    Term("grey hair", "a person with grey hair", "a person with brown hair"),
    Term("white hair", "a person with white hair", "a person with brown hair"),
    Term("blue hair", "a person with blue hair", "a person with brown hair"),
    Term("pale skin", "a person with pale skin", "a person with tan skin"),
    Term("dark skin", "a person with dark skin", "a person with pale skin"),
    Term("tan skin", "a person with tan skin", "a person with pale skin"),
    Term("smile", "a smiling person", "a serious person"),
    Term("angry", "an angry person", "a calm person"),
    Term("make-up", "a person with make-up", "a person without make-up"),
    Term("elf ears", "a person with pointed ears", "a person with round ears"),
    Term("turned head", "a person turned to the left", "a person turned to the right"),
    Term("crown", "a person with a crown", "a person without a crown"),
    Term("blue background", "a person on a blue background", "a person on a grey background"),
    Term("dark background", "a person on a black background", "a person on a white background"),
    Term("green background", "a person on a green background", "a person on a grey background"),
    Term("red background", "a person on a red background", "a person on a grey background"),
    Term("brown background", "a person on a brown background", "a person on a grey background"),
    Term("monochrome", "a black and white portrait", "a colourful portrait"),
    Term("photographic", "a photograph of a person", "a painting of a person"),
)


class Namer:
    """Scores directions against the vocabulary.

    Args:
        g: The generator.
        clip: The CLIP that reads its pictures.
        ws: Faces to try directions on, [N, num_ws, w_dim].
    """

    def __init__(self, g: Generator, clip: Clip, ws: Tensor) -> None:
        self.g, self.clip, self.ws = g, clip, ws
        with torch.inference_mode():
            more = torch.stack([clip.encode_prompt(t.more) for t in VOCABULARY])
            less = torch.stack([clip.encode_prompt(t.less) for t in VOCABULARY])
            self._axes = more - less  # [T, D]
            self._spread = (self._read(ws) @ self._axes.T).std(dim=0).clamp_min(1e-6)

    def _read(self, ws: Tensor) -> Tensor:
        """Pictures of ws as the CLIP sees them: [N, D]."""
        dtype = fastest_dtype(self.g.device)
        return torch.cat([self.clip.encode_image(self.g.synthesize(b, dtype=dtype)) for b in ws.split(16)])

    def effects(self, offset: Tensor) -> Tensor:
        """What ``offset`` [num_ws, w_dim] does from −2 to +2, for each term, in standard deviations of faces: [T]."""
        with torch.inference_mode():
            moved = self._read(self.ws + 2 * offset) - self._read(self.ws - 2 * offset)
            return (moved @ self._axes.T).mean(dim=0) / self._spread

    def assign(self, effects: Tensor) -> list[tuple[str, float, int]]:
        """Gives each direction the name that fits it best, and each name only once, surest first.

        Args:
            effects: [K, T], a row of :meth:`effects` per direction.

        Returns:
            For each direction its name, how sure it is (0..1), and the sign that makes the name point upwards.
        """
        size = effects.abs()
        named: dict[int, tuple[str, float, int]] = {}
        taken: set[int] = set()
        for flat in size.flatten().argsort(descending=True).tolist():
            k, t = divmod(flat, len(VOCABULARY))
            if k in named or t in taken:
                continue
            taken.add(t)
            score = _score(size[k], t)
            named[k] = (VOCABULARY[t].name, score, 1 if effects[k, t] >= 0 else -1)
            if len(named) == min(len(effects), len(VOCABULARY)):
                break
        return [named.get(k, (f"variation {k + 1}", 0.0, 1)) for k in range(len(effects))]


def _score(sizes: Tensor, chosen: int) -> float:
    """How sure a name is: its effect, and that no other name fits better."""
    effect = sizes[chosen].item()
    strength = min(1.0, effect / 2.0)
    return round(strength * min(1.0, effect / max(sizes.max().item(), 1e-6)), 3)
