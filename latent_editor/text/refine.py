"""StyleCLIP's optimizer around one latent (Patashnik et al. 2021, §4), started from the fast estimate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.run import Run, update
from latent_editor.core.values import OnStep
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.clip import ClipModel
from latent_editor.networks.perceptual import load_discriminator


@dataclass(frozen=True)
class RefineOptions:
    """Options of the optimizer.

    Attributes:
        reach: The strength, in units of the fast estimate, at which the picture is optimized.
        beyond: Target change of the text's score there, as a multiple of the goal; more is not rewarded, because it
            would produce adversarial patterns that only the CLIP sees.
        stay: Weight of the squared distance to the fast estimate, relative to the estimate's length.
        keep: Weight of the perceptual change in the discriminator's features.
        learning_rate: Adam's, relative to the estimate's root mean square.
        max_steps: Limit of steps.
    """

    reach: float = 2.0
    beyond: float = 1.3
    stay: float = 1.0
    keep: float = 0.5
    learning_rate: float = 0.12
    max_steps: int = 40


def refine(
    g: Generator,
    clip: ClipModel,
    ws: Tensor,
    vector: Tensor,
    axis: Tensor,
    goal: float,
    *,
    seconds: float,
    options: RefineOptions | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Fits a direction to one latent, a vector for each layer.

    1. Render ws + reach · v; encode it by the CLIP, slightly shifted and sometimes mirrored, against adversarial
       pixels.
    2. Loss: the text's score below its target; the squared distance of v to the estimate; the perceptual distance to
       the unedited picture, so that the rest of the face stays.
    3. Adam on v; the step with the smallest loss is kept.

    Args:
        ws: [num_ws, w_dim], the latent.
        vector: [num_ws, w_dim], one unit of the fast estimate.
        axis: [D], unit vector in CLIP space.
        goal: Change of ⟨e, axis⟩ from the median of the data to pictures with the attribute.
        seconds: Time limit.

    Returns:
        float32 [num_ws, w_dim], one unit.
    """
    options = options or RefineOptions()
    dtype = fastest_dtype(g.device)
    ws, vector, axis = ws.to(g.device), vector.to(g.device), axis.to(g.device)
    discriminator = load_discriminator(g)
    with torch.no_grad():
        before = g.synthesize(ws[None], dtype=dtype)
        zero = (clip.encode_image(torch.cat([before, before.flip(3)]), dtype=dtype) @ axis).mean()
        maps = discriminator.maps(before, dtype) if discriminator else None
    size = vector.square().mean().sqrt()
    change = torch.zeros_like(vector).requires_grad_()  # in units of `size`
    optimizer = torch.optim.Adam([change], lr=options.learning_rate, betas=(0.9, 0.95))
    best, best_loss = vector, float("inf")
    run = Run(seconds, on_step, max_steps=options.max_steps)
    for step in run.steps():
        v = vector + change * size
        image = g.synthesize((ws + options.reach * v)[None], dtype=dtype)
        gain = (clip.encode_image(augmented(image, step), dtype=dtype) @ axis - zero).mean() / goal
        loss = F.softplus((options.beyond - gain) * 3) / 1.5 + options.stay * change.square().mean()
        if discriminator and maps is not None:
            loss = loss + options.keep * discriminator.distance(discriminator.maps(image, dtype), maps).mean()
        if float(loss.detach()) < best_loss:
            best, best_loss = v.detach().clone(), float(loss.detach())
        update(optimizer, loss)
        run.report(image=image[0].detach().float())
    return best.cpu()


def augmented(image: Tensor, step: int) -> Tensor:
    """Pictures [N, C, H, W], randomly shifted by up to a thirtieth of their side, mirrored at every second step."""
    size = image.shape[-1]
    most = max(1, size // 30)
    across, down = (int(torch.randint(2 * most + 1, ())) for _ in range(2))
    padded = F.pad(image, (most, most, most, most), mode="replicate")
    moved = padded[..., down : down + size, across : across + size]
    return moved.flip(3) if step % 2 else moved
