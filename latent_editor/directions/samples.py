"""Random pictures with what a CLIP sees in them: what directions are fitted on while a user waits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.errors import BadPrompt
from latent_editor.core.run import Run
from latent_editor.core.values import OnStep
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.models.per_model import per_model
from latent_editor.networks.boundaries import Boundary, fit_boundary, latent_spread
from latent_editor.networks.clip import ClipModel, load_clip

#: How many are rendered at most, at least, and for how long; and their truncation: what is rare has to turn up.
SAMPLES, LEAST, SECONDS, PSI = 1500, 200, 25.0, 1.0
#: The share of the samples that is taken for having something, and for lacking it.
SIDE = 0.2
LONGEST_TEXT = 300
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Samples:
    """Random pictures.

    Attributes:
        even: float32 [N, w_dim], their latents in even coordinates (:class:`latent_editor.networks.boundaries.Spread`).
        vectors: float32 [N, D], what the CLIP makes of them.
    """

    even: Tensor
    vectors: Tensor

    def boundary(self, axis: Tensor, name: str) -> Boundary:
        """Between the pictures that lie furthest along ``axis`` [D] in the CLIP's space and those that lie least so."""
        count = max(3, round(SIDE * len(self.even)))
        order = (self.vectors @ axis).argsort()
        return fit_boundary(self.even[order[-count:]], self.even[order[:count]], name=name)


@per_model
def load_samples(g: Generator, *, on_step: OnStep | None = None) -> Samples:
    """The samples of a generator, rendered at the first request and kept in memory: every pair of words shares them.

    Raises:
        MissingPart: the model comes without a CLIP.
        Stopped: ``on_step`` gave a true answer; the next time begins anew.
    """
    return _render(g, on_step)


def _render(g: Generator, on_step: OnStep | None) -> Samples:
    clip, dtype, spread = load_clip(g), fastest_dtype(g.device), latent_spread(g)
    preview, run = small(g, clip.size_px), Run(SECONDS, on_step)
    even: list[Tensor] = []
    vectors: list[Tensor] = []
    for first in range(0, SAMPLES, _BATCH):
        ws = random_ws(g, list(range(first, min(first + _BATCH, SAMPLES))), truncation_psi=PSI)
        with torch.inference_mode():
            pictures = preview.synthesize(ws, dtype=dtype).clamp(-1, 1)
            vectors.append(clip.encode_image(pictures, dtype=dtype).cpu())
            even.append(spread.even(ws))
        done = first + len(ws)
        fraction = max(done / SAMPLES, min(run.elapsed / SECONDS, done / LEAST))
        run.progress(done, SAMPLES, fraction=fraction, label="Looking at faces")
        if run.over and done >= LEAST:
            break
    return Samples(torch.cat(even).clone(), torch.cat(vectors).clone())


def checked_text(clip: ClipModel, text: str) -> str:
    """A text with single spaces.

    Raises:
        BadPrompt: it is empty, too long, or holds no word that the CLIP has ever seen.
    """
    words = " ".join(text.split())
    if not words or len(words) > LONGEST_TEXT:
        raise BadPrompt(
            f"Got a text of {len(words):,} characters; expected 1 to {LONGEST_TEXT}, such as “a person with a beard”."
        )
    unknown = set(clip.unknown_words(words))
    if clip.words is not None and not [w for w in words.lower().split() if w.strip(".,;:!?'\"“”") not in unknown]:
        raise BadPrompt(f"The CLIP has never seen a word of {words[:60]!r}. Use English words for how a face looks.")
    return words


@torch.no_grad()
def text_axis(clip: ClipModel, more: str, less: str | None) -> Tensor:
    """From one text to another in the CLIP's space, [D]; None stands for a person of whom nothing is said.

    Raises:
        BadPrompt: as :func:`checked_text`, or the CLIP sees no difference.
    """
    start = clip.encode_neutral() if less is None else clip.encode_prompt(checked_text(clip, less))
    axis = (clip.encode_prompt(checked_text(clip, more)) - start).cpu()
    if axis.norm() < 1e-3:
        raise BadPrompt(f"The CLIP sees no difference between {more[:60]!r} and {(less or 'anybody')[:60]!r}.")
    return axis
