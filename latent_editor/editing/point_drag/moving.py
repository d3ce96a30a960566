"""DragGAN (Pan et al. 2023): a latent is changed so that points of its picture go where they are wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.run import Run
from latent_editor.core.values import Latent
from latent_editor.editing.point_drag.points import (
    DragStep,
    Handle,
    check_handles,
    check_mask,
    far_from,
    resized_mask,
)
from latent_editor.editing.point_drag.tracking import feature_size, sampled, square, tracked
from latent_editor.generators import Generator, generator_for
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.boundaries import latent_spread

#: How often a picture is drawn for whoever looks on.
PICTURE_EVERY_S = 0.15
#: What is told of a drag; a true answer stops it.
OnDragged = Callable[[DragStep], "bool | None"]


@dataclass(frozen=True)
class DragOptions:
    """How points are moved.

    Attributes:
        rows: How many of the first ws are changed: those up to 32² in StyleGAN2, pose, shape and features.
        rate: Length of a step in w, in standard deviations of w: root mean square over the changed ws.
        momentum: The share of a step that is the last one's.
        patch_cells: Half the side of what is pulled at each handle, in cells of the feature map.
        stride_cells: How far it is pulled at a step.
        keep: Weight of what has to stay: twice as much outside of a mask.
        around: How far from the handles' ways the picture gives way where there is no mask, in picture widths.
        arrived_px: A handle this near to its target, in pixels of the picture, has arrived.
        patience: Stop after so many steps in which the handles came no nearer.
        max_steps: No more than so many, however much time there is.
    """

    rows: int = 8
    rate: float = 0.01
    momentum: float = 0.7
    patch_cells: float = 1.5
    stride_cells: float = 1.0
    keep: float = 1.5
    around: float = 0.12
    arrived_px: float = 1.5
    patience: int = 25
    max_steps: int = 300


def drag(
    g: Generator,
    latent: Latent,
    handles: Sequence[Handle],
    *,
    mask: Tensor | np.ndarray | None = None,
    seconds: float = 10.0,
    options: DragOptions | None = None,
    on_step: OnDragged | None = None,
) -> Latent:
    """Moves points of a picture to where they are wanted.

    1. The features F are those of the layer that
       :func:`~latent_editor.editing.point_drag.tracking.feature_size` chooses; f_i = F0(p_i) is what each handle
       takes hold of.
    2. Motion supervision (eq. 1): what is around p_i is pulled a stride d_i towards its target t_i,
       Σ_q ‖F(q + d_i) − sg(F(q))‖₁. With a mask M what is outside of it is kept, λ·‖(F − F0)·(1 − M)‖₁; without one,
       what is far from the ways of all handles, so that a mouth is moved without another background.
    3. A step goes along the gradient, with momentum, and is of the same length each time. It is made in even
       coordinates of w, in which random latents are spread alike in all directions: what faces differ in much gives
       way first. The paper's Adam was refused: it moves all coordinates alike, also those that hardly matter, and
       went 1.4 to 2.8 times as far in w in about as many steps (``docs/dragging.md``).
    4. Point tracking (eq. 2): p_i is where in a window f_i is found again, by the nearest neighbour.
    5. Until all have arrived, nothing comes nearer any more, the time is over, or ``on_step`` says stop. The step with
       the least way left is kept.

    Args:
        g: The latent's generator, or one refined for any face.
        latent: Where to start; a refinement stays as it is.
        handles: ((x, y), (x, y)) each: from where, to where, in fractions of the side, 0 being left and top.
        mask: [size_px, size_px], high where the picture may change; None lets it change near the handles.
        seconds: Time limit.
        options: How the points are moved.
        on_step: Told of the best so far; its ``image`` is drawn some times a second, and None between.

    Returns:
        A latent of the same model, with the same refinement; ``latent``'s own ws where no point came nearer.

    Raises:
        BadValue: handles or a mask that cannot be used, or no time.
        BadLatent: a latent of another model.
    """
    ends = check_handles(handles)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise BadValue(f"Got {seconds} seconds; expected a number above 0.")
    drawing, options = generator_for(g, latent), options or DragOptions()
    allowed = None if mask is None else check_mask(mask, drawing.size_px)
    run = Run(seconds)
    report = _Report(drawing, latent, run, on_step)
    pull = Pull(drawing, latent.ws, ends, allowed, options)
    while not (pull.over or run.over):
        pull.step()
        report.show(pull)
    return replace(drawing.latent(pull.best_ws, method="drag", refinement=latent.refinement), blend=latent.blend)


class Pull:
    """A drag while it runs.

    Args:
        g: What draws the latent.
        ws: [num_ws, w_dim], where to start.
        ends: [N, 2 (from, to), 2 (x, y)] of :func:`check_handles`.
        mask: [1, 1, size_px, size_px] of :func:`check_mask`, or None.
        options: How the points are moved.

    Attributes:
        steps: How many were made.
        points: [N, 2], where the handles are now.
        best_ws, best_points, left: Of the step at which the mean distance to the targets, ``left``, was least.
    """

    def __init__(self, g: Generator, ws: Tensor, ends: Tensor, mask: Tensor | None, options: DragOptions) -> None:
        self.g, self.options, self.steps = g, options, 0
        self._start = ws.to(g.device)
        self.points, self._targets = ends.to(g.device).unbind(1)
        self._colour = latent_spread(g).colour.to(g.device)
        self._change = torch.zeros(min(options.rows, g.num_ws), g.w_dim, device=g.device, requires_grad=True)
        self._impulse = torch.zeros_like(self._change)
        self._size_px, self._dtype = feature_size(g), fastest_dtype(g.device)
        stays = far_from(ends, options.around, self._size_px) if mask is None else 1 - resized_mask(mask, self._size_px)
        self._stays = stays.to(g.device)
        self._keep = options.keep if mask is None else 2 * options.keep
        with torch.enable_grad():
            self._maps = g.activations(self.ws[None], self._size_px, dtype=self._dtype)
        self._first = self._maps.detach()
        self._scale = self._first.abs().mean().clamp_min(1e-12)
        self._features = sampled(self._first, self.points)
        self.best_ws, self.best_points, self.left = self._start, self.points, float(self._distances().mean())
        self._best_step, self._stuck = 0, False

    @property
    def ws(self) -> Tensor:
        """[num_ws, w_dim], the latent as it is now."""
        rows = len(self._change)
        return torch.cat([self._start[:rows] + self._change @ self._colour, self._start[rows:]])

    @property
    def over(self) -> bool:
        """Whether all have arrived, or nothing comes nearer any more."""
        arrived = bool((self._distances() * self.g.size_px <= self.options.arrived_px).all())
        tired = self.steps - self._best_step >= self.options.patience or self.steps >= self.options.max_steps
        return arrived or tired or self._stuck

    def step(self) -> None:
        """Pulls once, and looks where the points went."""
        o = self.options
        with torch.enable_grad():
            (way,) = torch.autograd.grad(self._loss(), self._change)
        length = way.norm()
        if not 0 < float(length) < math.inf:  # nothing gives way, or numbers ran over; false for NaN too
            self._stuck = True
            return
        self._impulse = o.momentum * self._impulse + (1 - o.momentum) * way / length
        with torch.no_grad():
            self._change -= o.rate * math.sqrt(self._change.numel()) * self._impulse
        with torch.enable_grad():
            self._maps = self.g.activations(self.ws[None], self._size_px, dtype=self._dtype)
        self.points = tracked(self._maps.detach(), self._features, self.points)
        self.steps += 1
        left = float(self._distances().mean())
        if left < self.left:
            self.best_ws, self.best_points, self.left = self.ws.detach(), self.points, left
            self._best_step = self.steps

    def _loss(self) -> Tensor:
        o, cell = self.options, 1 / self._size_px
        distances = self._distances()[:, None]
        strides = (self._targets - self.points) / distances.clamp_min(1e-6) * distances.clamp_max(o.stride_cells * cell)
        places = self.points[:, None] + square(o.patch_cells, 1, self._size_px, self.points.device)  # [N, M, 2]
        here, there = sampled(self._maps.detach(), places), sampled(self._maps, places + strides[:, None])
        pulled = ((there - here).abs()).mean() / self._scale
        kept = ((self._maps - self._first).abs() * self._stays).mean() / self._scale
        return pulled + self._keep * kept

    def _distances(self) -> Tensor:
        """[N], from each handle to its target."""
        return (self._targets - self.points).norm(dim=1)


class _Report:
    """Reports a drag, with a picture several times a second, and stops its run if the caller asks to."""

    def __init__(self, g: Generator, latent: Latent, run: Run, on_step: OnDragged | None) -> None:
        self.g, self.latent, self.run, self.on_step = g, latent, run, on_step
        self.drawn_s = -math.inf

    def show(self, pull: Pull) -> None:
        """Reports the best step so far."""
        if self.on_step is None:
            return
        image = None
        if pull.over or self.run.elapsed - self.drawn_s >= PICTURE_EVERY_S:
            with torch.no_grad():
                image = self.g.synthesize(pull.best_ws[None], dtype=fastest_dtype(self.g.device))[0].float()
            self.drawn_s = self.run.elapsed
        step = DragStep(
            pull.steps, pull.options.max_steps, self.run.elapsed, 1.0 if pull.over else self.run.fraction,
            image=image, ws=pull.best_ws.cpu(), label="Dragging", refinement=self.latent.refinement,
            points=tuple((x, y) for x, y in pull.best_points.tolist()), left=pull.left,
        )  # fmt: skip
        self.run.stopped = bool(self.on_step(step))
