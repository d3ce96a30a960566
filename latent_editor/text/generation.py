"""A face from nothing but words: a search guided by the CLIP, from the mean and from random faces."""

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
from latent_editor.networks.boundaries import latent_spread
from latent_editor.networks.clip import ClipModel, load_clip
from latent_editor.networks.text_statistics import load_text_statistics
from latent_editor.text.fast import TextTarget, estimate, find_denied, find_target
from latent_editor.text.prompts import Prompt, read_prompt
from latent_editor.text.refine import view

LABEL = "Looking for the face"
#: Size of the pictures that are searched in.
SIZE_PX = 128


@dataclass(frozen=True)
class SearchOptions:
    """How the search goes about it.

    Attributes:
        random: Random faces that it may start from, beside the mean.
        psi: Their truncation.
        towards: How far each is first moved along the fast estimate, in standard deviations of latents.
        kept: So many starts are optimized.
        beyond: Wanted score, as a multiple of the goal; more is not rewarded, because past it the optimizer paints what
            only the CLIP sees.
        reach: How far from its start a latent may go, in standard deviations: past that, pictures break up.
        denied: Weight of what a prompt says shall not be.
        rate: How far a step of Adam goes, in standard deviations.
        views: Fresh views of each result that choose among them.
    """

    random: int = 7
    psi: float = 0.6
    towards: tuple[float, ...] = (2.0, 3.5)
    kept: int = 2
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
    """Makes a face that a text describes.

    1. The mean and some random faces are moved along the fast estimate of the prompt; those that the CLIP finds nearest
       to it go on.
    2. Adam moves their w, within a few standard deviations. The loss: what is missing to the score of the pictures that
       have what is asked for, and what shall not be.
    3. Of all steps each start keeps its best. The one that wins does so in views that no step has seen.

    What only the CLIP would see is kept out in four ways: by views that shift and mirror, differently at each step;
    by a score that is no better for being higher than that of real examples; by one w for all layers, which stays
    near one that random pictures have; and by the last choice.

    Args:
        g: A generator that comes with a CLIP.
        prompt: "an old man with a beard", "a pale elf | no make-up"; 300 characters at most. What it leaves open, the
            seed decides.
        seconds: Time limit of step 2.
        max_steps: Limit of the steps of Adam; None leaves it to the time.
        seed: Another one, another face.
        without: What shall not be, as if typed after "not".
        options: How to search.
        on_step: Told of each step, with the best picture so far; a true answer stops and keeps that.

    Returns:
        A latent of the method "text".

    Raises:
        BadPrompt: the prompt is empty, too long, says nothing about a face, or in words that the CLIP has never seen.
        BadValue: a negative time.
        MissingPart: the model comes without a CLIP.
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
    """What the steps of a search share."""

    def __init__(self, g: Generator, clip: ClipModel, read: Prompt, target: TextTarget, options: SearchOptions) -> None:
        self.g, self.clip, self.options = g, clip, options
        self.preview, self.dtype = small(g, SIZE_PX), fastest_dtype(g.device)
        self.spread, statistics = latent_spread(g), load_text_statistics(g)
        self.found = estimate(statistics, target)
        self.axis, self.zero = target.axis.to(g.device), float((statistics.vectors @ target.axis).median())
        self.negated = torch.stack([target.axis, *find_denied(clip, read)])[1:].to(g.device)  # [K, D], K may be 0
        self.usual = (statistics.vectors.to(g.device) @ self.negated.t()).median(dim=0).values  # [K]

    def ws(self, x: Tensor) -> Tensor:
        """Even coordinates [N, w_dim] → ws [N, num_ws, w_dim], on the generator's device."""
        w = x @ self.spread.colour + self.spread.mean
        return w[:, None].expand(-1, self.g.num_ws, -1).to(self.g.device)

    @torch.no_grad()
    def starts(self, seed: int) -> tuple[Tensor, Tensor]:
        """Of the mean and of random faces, those that are best after a move towards the prompt.

        Returns:
            In even coordinates, [kept, w_dim] each: as they were, and moved.
        """
        options = self.options
        seeds = [seed * options.random + i for i in range(options.random)]
        mean = self.spread.even(self.g.w_avg.expand(1, 1, -1))
        random = [self.spread.even(random_ws(self.g, seeds, truncation_psi=options.psi))] if seeds else []
        x = torch.cat([mean, *random])
        way = F.normalize(self.found.way @ self.spread.whiten, dim=0)
        start = x.repeat(len(options.towards), 1)
        moved = torch.cat([x + length * way for length in options.towards])
        scores = [self._scores(self.preview.synthesize(w, dtype=self.dtype)) for w in self.ws(moved).split(8)]
        best = torch.cat(scores).topk(min(options.kept, len(moved))).indices.cpu()
        return start[best], moved[best]

    def within(self, x: Tensor, start: Tensor) -> Tensor:
        """x [N, w_dim], those that went too far from their starts brought back to the farthest that is allowed."""
        away = x - start
        return start + away * (self.options.reach / away.norm(dim=1, keepdim=True).clamp_min(1e-9)).clamp(max=1)

    def losses(self, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Of x [N, w_dim]: the losses [N], and the pictures [N, C, S, S] without their gradients."""
        options = self.options
        pictures = self.preview.synthesize(self.ws(x), dtype=self.dtype)
        gain = self._scores(view(pictures, step)) / self.found.goal
        losses = F.softplus((options.beyond - gain) * 3) / 1.5
        return losses.cpu(), pictures.detach().float()

    @torch.no_grad()
    def winner(self, x: Tensor) -> Tensor:
        """The one of x [N, w_dim] that fits best in views that nobody has seen: [1, w_dim]."""
        pictures = self.preview.synthesize(self.ws(x), dtype=self.dtype)
        scores = torch.stack([self._scores(view(pictures, i)) for i in range(self.options.views)]).mean(dim=0)
        return x[int(scores.argmax())][None]

    def _scores(self, pictures: Tensor) -> Tensor:
        """How much more than usual a picture is what was asked for, and less what was denied: [N]."""
        vectors = self.clip.encode_image(pictures, dtype=self.dtype)
        negated = (vectors @ self.negated.t() - self.usual).clamp_min(0).sum(dim=1)
        return vectors @ self.axis - self.zero - self.options.negated * negated
