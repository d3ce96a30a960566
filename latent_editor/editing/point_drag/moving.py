"""Point drag (DragGAN, Pan et al. 2023): optimizes a latent so that points of its picture reach their targets."""

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
    distance_mask,
    resized_mask,
)
from latent_editor.editing.point_drag.tracking import feature_size, sampled, square, tracked
from latent_editor.generators import Generator, generator_for
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.boundaries import latent_whitening

#: Interval between pictures of the progress.
PICTURE_EVERY_S = 0.15
#: Called with the progress of a drag; a true answer stops it.
OnDragStep = Callable[[DragStep], "bool | None"]


@dataclass(frozen=True)
class DragOptions:
    """Parameters of the point drag.

    Attributes:
        rows: How many of the first ws change: up to 32² in StyleGAN2, pose, shape and features.
        rate: Length of a step in w, in standard deviations of w: root mean square over the changed ws.
        momentum: Share of a step that is the previous one's.
        patch_cells: Half the side of the patch that is moved at each handle, in cells of the feature map.
        stride_cells: How far the patch is moved per step.
        keep_weight: Weight of the loss that keeps the rest of the picture; doubled outside a mask.
        reach: How far from the handles' paths the picture may change without a mask, in picture widths.
        arrived_px: A handle this close to its target, in pixels of the picture, has arrived.
        patience: Stop after this many steps without improvement.
        max_steps: Maximum number of steps.
    """

    rows: int = 8
    rate: float = 0.01
    momentum: float = 0.7
    patch_cells: float = 1.5
    stride_cells: float = 1.0
    keep_weight: float = 1.5
    reach: float = 0.12
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
    on_step: OnDragStep | None = None,
) -> Latent:
    """Moves points of a picture to their targets by optimizing the latent (DragGAN, Pan et al. 2023).

    1. The features F come from the layer that :func:`~latent_editor.editing.point_drag.tracking.feature_size` chooses;
       f_i = F0(p_i) identifies each handle point.
    2. Motion supervision (eq. 1): the patch around p_i is moved a stride d_i towards its target t_i,
       Σ_q ‖F(q + d_i) − sg(F(q))‖₁. With a mask M, features outside it are kept, λ·‖(F − F0)·(1 − M)‖₁; without one,
       features far from the handles' paths, so that moving a mouth leaves the background alone.
    3. A step follows the gradient with momentum and has a fixed length. It is taken in whitened coordinates of w, in
       which random latents vary equally in all directions, so that what varies most among faces changes first. The
       paper's Adam was rejected: it moves all coordinates equally, and went 1.4 to 2.8 times as far in w in about as
       many steps (``docs/dragging.md``).
    4. Point tracking (eq. 2): p_i moves to the nearest neighbor of f_i in a window.
    5. Stop when all handles have arrived, none improves, the time is up, or ``on_step`` says so. The step with the
       smallest remaining distance is returned.

    Args:
        g: The latent's generator, or one refined for any face.
        latent: Where to start; its refinement is unchanged.
        handles: ((x, y), (x, y)) each: handle point and target, as fractions of the side from the top left.
        mask: [size_px, size_px], high where the picture may change; None allows changes near the handles.
        seconds: Time limit.
        options: Parameters.
        on_step: Called with the best so far; its ``image`` is rendered several times a second, and None in between.

    Returns:
        A latent of the same model with the same refinement; ``latent``'s own ws if no point came closer.

    Raises:
        BadValue: unusable handles or mask, or no time.
        BadLatent: a latent of another model.
    """
    ends = check_handles(handles)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise BadValue(f"Got {seconds} seconds; expected a number above 0.")
    drawing, options = generator_for(g, latent), options or DragOptions()
    allowed = None if mask is None else check_mask(mask, drawing.size_px)
    run = Run(seconds)
    report = _Report(drawing, latent, run, on_step)
    optimizer = DragOptimizer(drawing, latent.ws, ends, allowed, options)
    while not (optimizer.done or run.over):
        optimizer.step()
        report.show(optimizer)
    return replace(drawing.latent(optimizer.best_ws, method="drag", refinement=latent.refinement), blend=latent.blend)


class DragOptimizer:
    """The state of a drag.

    Args:
        g: The generator that renders the latent.
        ws: [num_ws, w_dim], where to start.
        ends: [N, 2 (handle, target), 2 (x, y)] of :func:`check_handles`.
        mask: [1, 1, size_px, size_px] of :func:`check_mask`, or None.
        options: Parameters.

    Attributes:
        steps: Number of steps taken.
        points: [N, 2], the handle points now.
        best_ws, best_points, remaining: Of the step with the smallest mean distance to the targets, ``remaining``.
    """

    def __init__(self, g: Generator, ws: Tensor, ends: Tensor, mask: Tensor | None, options: DragOptions) -> None:
        self.g, self.options, self.steps = g, options, 0
        self._start = ws.to(g.device)
        self.points, self._targets = ends.to(g.device).unbind(1)
        self._unwhiten = latent_whitening(g).color.to(g.device)
        self._change = torch.zeros(min(options.rows, g.num_ws), g.w_dim, device=g.device, requires_grad=True)
        self._momentum = torch.zeros_like(self._change)
        self._size_px, self._dtype = feature_size(g), fastest_dtype(g.device)
        fixed = (
            distance_mask(ends, options.reach, self._size_px) if mask is None else 1 - resized_mask(mask, self._size_px)
        )
        self._fixed = fixed.to(g.device)
        self._keep_weight = options.keep_weight * (1 if mask is None else 2)
        with torch.enable_grad():
            self._maps = g.activations(self.ws[None], self._size_px, dtype=self._dtype)
        self._first = self._maps.detach()
        self._scale = self._first.abs().mean().clamp_min(1e-12)
        self._features = sampled(self._first, self.points)
        self.best_ws, self.best_points, self.remaining = self._start, self.points, float(self._distances().mean())
        self._best_step, self._stuck = 0, False

    @property
    def ws(self) -> Tensor:
        """[num_ws, w_dim], the current latent."""
        rows = len(self._change)
        return torch.cat([self._start[:rows] + self._change @ self._unwhiten, self._start[rows:]])

    @property
    def done(self) -> bool:
        """True if all handles have arrived, or none improves."""
        arrived = bool((self._distances() * self.g.size_px <= self.options.arrived_px).all())
        stalled = self.steps - self._best_step >= self.options.patience or self.steps >= self.options.max_steps
        return arrived or stalled or self._stuck

    def step(self) -> None:
        """One step of motion supervision, then of point tracking."""
        o = self.options
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self._loss(), self._change)
        length = gradient.norm()
        if not 0 < float(length) < math.inf:  # no gradient, or overflow; false for NaN too
            self._stuck = True
            return
        self._momentum = o.momentum * self._momentum + (1 - o.momentum) * gradient / length
        with torch.no_grad():
            self._change -= o.rate * math.sqrt(self._change.numel()) * self._momentum
        with torch.enable_grad():
            self._maps = self.g.activations(self.ws[None], self._size_px, dtype=self._dtype)
        self.points = tracked(self._maps.detach(), self._features, self.points)
        self.steps += 1
        remaining = float(self._distances().mean())
        if remaining < self.remaining:
            self.best_ws, self.best_points, self.remaining = self.ws.detach(), self.points, remaining
            self._best_step = self.steps

    def _loss(self) -> Tensor:
        o, cell = self.options, 1 / self._size_px
        distances = self._distances()[:, None]
        strides = (self._targets - self.points) / distances.clamp_min(1e-6) * distances.clamp_max(o.stride_cells * cell)
        places = self.points[:, None] + square(o.patch_cells, 1, self._size_px, self.points.device)  # [N, M, 2]
        here, there = sampled(self._maps.detach(), places), sampled(self._maps, places + strides[:, None])
        moved = ((there - here).abs()).mean() / self._scale
        kept = ((self._maps - self._first).abs() * self._fixed).mean() / self._scale
        return moved + self._keep_weight * kept

    def _distances(self) -> Tensor:
        """[N], from each handle to its target."""
        return (self._targets - self.points).norm(dim=1)


class _Report:
    """Reports a drag, with a picture several times a second, and stops its run if the caller asks to."""

    def __init__(self, g: Generator, latent: Latent, run: Run, on_step: OnDragStep | None) -> None:
        self.g, self.latent, self.run, self.on_step = g, latent, run, on_step
        self.drawn_s = -math.inf

    def show(self, drag: DragOptimizer) -> None:
        """Reports the best step so far."""
        if self.on_step is None:
            return
        image = None
        if drag.done or self.run.elapsed - self.drawn_s >= PICTURE_EVERY_S:
            with torch.no_grad():
                image = self.g.synthesize(drag.best_ws[None], dtype=fastest_dtype(self.g.device))[0].float()
            self.drawn_s = self.run.elapsed
        step = DragStep(
            drag.steps, drag.options.max_steps, self.run.elapsed, 1.0 if drag.done else self.run.fraction,
            image=image, ws=drag.best_ws.cpu(), label="Dragging", refinement=self.latent.refinement,
            points=tuple((x, y) for x, y in drag.best_points.tolist()), remaining=drag.remaining,
        )  # fmt: skip
        self.run.stopped = bool(self.on_step(step))
