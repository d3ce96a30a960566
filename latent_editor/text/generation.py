"""Faces generated from text: a search guided by the CLIP, from the mean and random faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.run import Run, update
from latent_editor.core.values import Latent, OnStep
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.networks.boundaries import latent_whitening
from latent_editor.networks.clip import ClipModel, load_clip
from latent_editor.networks.text_statistics import load_text_statistics
from latent_editor.text.fast import TextTarget, estimate, find_negated, find_target
from latent_editor.text.prompts import Prompt, read_prompt
from latent_editor.text.refine import augmented

LABEL = "Looking for the face"
#: Size of the pictures during the search.
SIZE_PX = 128


@dataclass(frozen=True)
class SearchOptions:
    """Options of the search.

    Attributes:
        random: Number of random starting faces, besides the mean.
        psi: Their truncation.
        towards: Initial steps along the fast estimate, in standard deviations of latents.
        starts: Number of starts that are optimized.
        beyond: Target score, as a multiple of the goal; more is not rewarded, because it would produce adversarial
            patterns that only the CLIP sees.
        reach: Largest distance of a latent from its start, in standard deviations; farther out, pictures break up.
        negated: Weight of the negative parts of a prompt.
        rate: Learning rate of Adam, in standard deviations.
        views: Augmented views of each result for the final choice.
    """

    random: int = 7
    psi: float = 0.6
    towards: tuple[float, ...] = (2.0, 3.5)
    starts: int = 2
    beyond: float = 1.2
    reach: float = 4.5
    negated: float = 0.5
    rate: float = 0.4
    views: int = 4


def generate_from_text(
    g: Generator,
    prompt: str,
    *,
    seconds: float = 4.0,
    max_steps: int | None = None,
    seed: int = 0,
    without: Sequence[str] = (),
    options: SearchOptions | None = None,
    on_step: OnStep | None = None,
) -> Latent:
    """Generates a face that a text describes.

    1. The mean and some random faces are moved along the fast estimate of the prompt; those that fit it best by the
       CLIP are the starts.
    2. Adam optimizes their w within a few standard deviations. The loss: the score below its target, and the negative
       parts of the prompt.
    3. Each start keeps its best step; the final choice is made in new augmented views.

    Adversarial patterns that only the CLIP sees are avoided in four ways: by shifted and mirrored views; by a target
    score no higher than that of real examples; by one w for all layers, near that of a random image; and by the final
    choice in new views.

    Args:
        g: A generator with a CLIP.
        prompt: "an old man with a beard", "a pale elf | no make-up"; at most 300 characters.
        seconds: Time limit of step 2.
        max_steps: Limit of the steps of Adam; None leaves it to the time.
        seed: Determines what the prompt leaves open.
        without: Attributes to avoid, as if typed after "not".
        options: Options of the search.
        on_step: Called after each step with the leading picture; a true answer stops.

    Returns:
        A latent of the method "text".

    Raises:
        BadPrompt: the prompt is empty, too long, has no effect on a face, or is in words that the CLIP has never seen.
        BadValue: a negative time.
        MissingPart: the model has no CLIP.
    """
    if not 0 <= seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected 0 or more.")
    options, read, clip = options or SearchOptions(), read_prompt(prompt, without=without), load_clip(g)
    target = find_target(clip, read)
    search = _Search(g, clip, read, target, options)
    start, x = search.starts(seed)
    best, loss = x.clone(), torch.full((len(x),), float("inf"))
    optimizer = torch.optim.Adam([x.requires_grad_()], lr=options.rate / g.w_dim**0.5, betas=(0.9, 0.95))
    run = Run(seconds, on_step, max_steps=max_steps)
    for step in run.steps():
        with torch.enable_grad():
            losses, pictures = search.losses(x, step)
        better = losses.detach() < loss
        best, loss = torch.where(better[:, None], x.detach(), best), torch.where(better, losses.detach(), loss)
        update(optimizer, losses.sum())
        with torch.no_grad():
            x.copy_(search.within(x, start))
        leader = int(losses.detach().argmin())
        run.report(LABEL, image=pictures[leader], ws=search.ws(x[leader : leader + 1])[0].detach())
    return g.latent(search.ws(search.winner(best))[0], method="text")


class _Search:
    """The state that all steps of a search share."""

    def __init__(self, g: Generator, clip: ClipModel, read: Prompt, target: TextTarget, options: SearchOptions) -> None:
        self.g, self.clip, self.options = g, clip, options
        self.preview, self.dtype = small(g, SIZE_PX), fastest_dtype(g.device)
        self.whitening, statistics = latent_whitening(g), load_text_statistics(g)
        self.found = estimate(statistics, target)
        self.axis, self.zero = target.axis.to(g.device), float((statistics.vectors @ target.axis).median())
        self.negated = torch.stack([target.axis, *find_negated(clip, read)])[1:].to(g.device)  # [K, D], K may be 0
        self.typical = (statistics.vectors.to(g.device) @ self.negated.t()).median(dim=0).values  # [K]

    def ws(self, x: Tensor) -> Tensor:
        """Whitened coordinates [N, w_dim] → ws [N, num_ws, w_dim], on the generator's device."""
        w = x @ self.whitening.color + self.whitening.mean
        return w[:, None].expand(-1, self.g.num_ws, -1).to(self.g.device)

    @torch.no_grad()
    def starts(self, seed: int) -> tuple[Tensor, Tensor]:
        """The best of the mean and the random faces after an initial step towards the prompt.

        Returns:
            In whitened coordinates, [starts, w_dim] each: before and after the step.
        """
        options = self.options
        seeds = [seed * options.random + i for i in range(options.random)]
        mean = self.whitening.whitened(self.g.w_avg.expand(1, 1, -1))
        random = [self.whitening.whitened(random_ws(self.g, seeds, truncation_psi=options.psi))] if seeds else []
        x = torch.cat([mean, *random])
        direction = F.normalize(self.found.vector @ self.whitening.whiten, dim=0)
        start = x.repeat(len(options.towards), 1)
        moved = torch.cat([x + length * direction for length in options.towards])
        scores = [self._scores(self.preview.synthesize(w, dtype=self.dtype)) for w in self.ws(moved).split(8)]
        best = torch.cat(scores).topk(min(options.starts, len(moved))).indices.cpu()
        return start[best], moved[best]

    def within(self, x: Tensor, start: Tensor) -> Tensor:
        """x [N, w_dim], projected to the allowed distance from their starts."""
        away = x - start
        return start + away * (self.options.reach / away.norm(dim=1, keepdim=True).clamp_min(1e-9)).clamp(max=1)

    def losses(self, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The losses [N] of x [N, w_dim], and the pictures [N, C, S, S] without gradients."""
        options = self.options
        pictures = self.preview.synthesize(self.ws(x), dtype=self.dtype)
        gain = self._scores(augmented(pictures, step)) / self.found.goal
        losses = F.softplus((options.beyond - gain) * 3) / 1.5
        return losses.cpu(), pictures.detach().float()

    @torch.no_grad()
    def winner(self, x: Tensor) -> Tensor:
        """The one of x [N, w_dim] that fits best in new augmented views: [1, w_dim]."""
        pictures = self.preview.synthesize(self.ws(x), dtype=self.dtype)
        scores = torch.stack([self._scores(augmented(pictures, i)) for i in range(self.options.views)]).mean(dim=0)
        return x[int(scores.argmax())][None]

    def _scores(self, pictures: Tensor) -> Tensor:
        """Scores [N]: the prompt above its median, minus the negative parts above theirs."""
        vectors = self.clip.encode_image(pictures, dtype=self.dtype)
        negated = (vectors @ self.negated.t() - self.typical).clamp_min(0).sum(dim=1)
        return vectors @ self.axis - self.zero - self.options.negated * negated
