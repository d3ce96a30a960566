"""Random pictures with their CLIP vectors, on which directions are fitted while a user waits."""

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
from latent_editor.networks.boundaries import Boundary, fit_boundary, latent_whitening
from latent_editor.networks.clip import ClipModel, load_clip

#: Limits of the number of pictures and the time; and their truncation: rare attributes have to occur.
MAX_SAMPLES, MIN_SAMPLES, SECONDS, PSI = 1500, 200, 25.0, 1.0
#: Share of the samples on each side of a boundary.
SIDE = 0.2
MAX_TEXT = 300
_BATCH = 16


@dataclass(frozen=True, eq=False)
class ClipSamples:
    """Random pictures.

    Attributes:
        whitened: float32 [N, w_dim], their latents (:class:`latent_editor.networks.boundaries.Whitening`).
        vectors: float32 [N, D], their CLIP vectors.
    """

    whitened: Tensor
    vectors: Tensor

    def boundary(self, axis: Tensor, name: str) -> Boundary:
        """The boundary between the pictures furthest along ``axis`` [D] in CLIP space and those least far."""
        count = max(3, round(SIDE * len(self.whitened)))
        order = (self.vectors @ axis).argsort()
        return fit_boundary(self.whitened[order[-count:]], self.whitened[order[:count]], name=name)


@per_model
def load_clip_samples(g: Generator, *, on_step: OnStep | None = None) -> ClipSamples:
    """The samples of a generator, rendered at the first request and cached in memory.

    Raises:
        MissingPart: the model comes without a CLIP.
        Stopped: ``on_step`` gave a true answer; the next call starts again.
    """
    return _render(g, on_step)


def _render(g: Generator, on_step: OnStep | None) -> ClipSamples:
    clip, dtype, whitening = load_clip(g), fastest_dtype(g.device), latent_whitening(g)
    preview, run = small(g, clip.size_px), Run(SECONDS, on_step)
    whitened: list[Tensor] = []
    vectors: list[Tensor] = []
    for first in range(0, MAX_SAMPLES, _BATCH):
        ws = random_ws(g, list(range(first, min(first + _BATCH, MAX_SAMPLES))), truncation_psi=PSI)
        with torch.inference_mode():
            pictures = preview.synthesize(ws, dtype=dtype).clamp(-1, 1)
            vectors.append(clip.encode_image(pictures, dtype=dtype).cpu())
            whitened.append(whitening.whitened(ws))
        done = first + len(ws)
        fraction = max(done / MAX_SAMPLES, min(run.elapsed / SECONDS, done / MIN_SAMPLES))
        run.progress(done, MAX_SAMPLES, fraction=fraction, label="Looking at faces")
        if run.over and done >= MIN_SAMPLES:
            break
    return ClipSamples(torch.cat(whitened).clone(), torch.cat(vectors).clone())


def checked_text(clip: ClipModel, text: str) -> str:
    """A text with single spaces.

    Raises:
        BadPrompt: the text is empty, too long, or has no word that the CLIP has seen.
    """
    words = " ".join(text.split())
    if not words or len(words) > MAX_TEXT:
        raise BadPrompt(
            f"Got a text of {len(words):,} characters; expected 1 to {MAX_TEXT}, such as “a person with a beard”."
        )
    unknown = set(clip.unknown_words(words))
    if clip.words is not None and not [w for w in words.lower().split() if w.strip(".,;:!?'\"“”") not in unknown]:
        raise BadPrompt(f"The CLIP has never seen a word of {words[:60]!r}. Use English words for how a face looks.")
    return words


@torch.no_grad()
def text_axis(clip: ClipModel, more: str, less: str | None) -> Tensor:
    """The axis from one text to another in CLIP space, [D]; None stands for a neutral person.

    Raises:
        BadPrompt: as :func:`checked_text`, or the CLIP sees no difference.
    """
    start = clip.encode_neutral() if less is None else clip.encode_prompt(checked_text(clip, less))
    axis = (clip.encode_prompt(checked_text(clip, more)) - start).cpu()
    if axis.norm() < 1e-3:
        raise BadPrompt(f"The CLIP sees no difference between {more[:60]!r} and {(less or 'anybody')[:60]!r}.")
    return axis
