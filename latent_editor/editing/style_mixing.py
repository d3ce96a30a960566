"""Style mixing, interpolation between latents, and rendering with other noise."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.refinement import MAX_GAIN, Refinement
from latent_editor.core.values import Direction, Latent
from latent_editor.editing.edits import layer_range
from latent_editor.generators import Generator
from latent_editor.generators.base import NOISE_MODES
from latent_editor.generators.pictures import fastest_dtype, to_image
from latent_editor.generators.refined import generator_for

__all__ = ["PATHS", "chosen_layers", "interpolate", "mix", "mix_direction", "render_with_noise"]

SOURCE = "mix"

PATHS = ("linear", "spherical")
#: Two directions that differ from parallel or opposite by less than this angle (rad) are joined by a line.
_STRAIGHT = 1e-4
#: Seeded noise uses torch's global random state, which is restored afterwards: one picture at a time.
_SEEDING = threading.Lock()


def chosen_layers(g: Generator, layers: str | tuple[int, int]) -> tuple[int, int]:
    """Resolves a choice of layers to a half-open range of ws.

    Args:
        g: The generator.
        layers: "all", "coarse", "middle", "fine", or a range such as (4, 8) or "4..8", whose end is excluded.

    Raises:
        BadValue: an unknown group, or a range that is empty or beyond the generator's.
    """
    if isinstance(layers, str):
        start, dots, stop = layers.partition("..")
        if not dots:
            return layer_range(g, layers)
        if not (start.strip().isdecimal() and stop.strip().isdecimal()):
            raise BadValue(f"Got the layers {layers[:40]!r}; expected a range such as 4..8.")
        layers = int(start), int(stop)
    if not 0 <= layers[0] < layers[1] <= g.num_ws:
        raise BadValue(f"Got the layers {layers[0]}..{layers[1]}; the model {g.name!r} has 0..{g.num_ws}.")
    return layers[0], layers[1]


def mix(g: Generator, base: Latent, other: Latent, layers: str | tuple[int, int], *, amount: float = 1.0) -> Latent:
    """Style mixing (Karras et al. 2019, fig. 3): replaces layers by those of another face.

    Coarse layers bring its pose and shape, middle ones its features, fine ones its colors and texture.

    Args:
        g: The generator of both.
        base: The face that keeps its other layers and its refinement.
        other: The face that these layers come from.
        layers: As in :func:`chosen_layers`.
        amount: 1 uses the other's layers, 0 the base's, anything between interpolates; finite.

    Raises:
        BadLatent: a latent of another model.
        BadValue: layers the model does not have, or an amount that is not finite.
    """
    g.check(base)
    g.check(other)
    if not math.isfinite(amount):
        raise BadValue(f"Got the amount {amount}; expected a finite number, usually 0 to 1.")
    start, stop = chosen_layers(g, layers)
    ws = base.ws.clone()
    ws[start:stop] = ws[start:stop].lerp(other.ws[start:stop], amount)
    return replace(base, ws=ws, psnr_db=None, method="mix")


def mix_direction(g: Generator, base: Latent, other: Latent, layers: str | tuple[int, int], *, name: str) -> Direction:
    """The result of :func:`mix` as a slider: 1 uses the other's layers, 0 the base's.

    The gain of ``base``'s refinement is compensated, so that 1 is exactly the other's layers.

    Args:
        g: The generator of both.
        base: The face to edit.
        other: The face that the layers come from.
        layers: As in :func:`chosen_layers`: the slider's layers; an edit may choose others.
        name: Name of the slider.

    Raises:
        BadLatent: a latent of another model.
        BadValue: layers the model does not have.
    """
    g.check(base)
    g.check(other)
    gain = 1.0 if base.refinement is None else base.refinement.gain
    vector = (other.ws - base.ws) / gain
    start, stop = chosen_layers(g, layers)
    acting = None if (start, stop) == (0, g.num_ws) else (start, stop)
    return Direction(name, vector, -1.0, 1.0, acting, SOURCE)


def interpolate(
    g: Generator, latents: Sequence[Latent], weights: Sequence[float] | float, *, path: str = "linear"
) -> Latent:
    """Interpolates between faces, layer by layer.

    "linear" is the weighted mean. Halfway between two faces it is closer to the mean face than both, so that
    distinctive traits fade. "spherical" keeps the distance from the mean face: directions from it are interpolated
    (between two along the great circle, slerp, Shoemake 1985), and so are distances.

    Args:
        g: The generator of all.
        latents: Two or more.
        weights: One each, summing to 1; for two latents, the second's alone. Beyond 0..1 extrapolates.
        path: "linear" or "spherical".

    Returns:
        The latent; refinements are weighted too.

    Raises:
        BadLatent: a latent of another model.
        BadValue: fewer than two latents, weights that do not fit, or an unknown path.
    """
    if path not in PATHS:
        raise BadValue(f"Got the path {path!r}; expected one of {', '.join(PATHS)}.")
    shares = [1 - weights, weights] if isinstance(weights, int | float) else list(weights)
    if len(latents) < 2 or len(shares) != len(latents):
        raise BadValue(f"Got {len(latents)} latents and {len(shares)} weights; expected two or more, and one each.")
    if not all(map(math.isfinite, shares)) or abs(sum(shares) - 1) > 1e-4:
        raise BadValue(f"Got the weights {', '.join(f'{s:g}' for s in shares)}; expected finite ones that sum to 1.")
    for latent in latents:
        g.check(latent)
        if latent.blend is not None:
            raise BadLatent(
                "A face that was edited in regions is drawn from several points in W+, so it cannot be interpolated. "
                "Interpolate the unedited faces, and edit the result."
            )
    used = [(latent, share) for latent, share in zip(latents, shares, strict=True) if share]
    points, share_of = torch.stack([latent.ws for latent, _ in used]), torch.tensor([share for _, share in used])
    if path == "linear" or len(used) == 1:
        ws = torch.einsum("k,knd->nd", share_of, points)
    else:
        ws = _spherical(points, share_of, g.w_avg.detach().float().cpu())
    blend = _blended([(latent.refinement, share) for latent, share in used], ws)
    return Latent(ws, g.name, g.fingerprint, method="mix", refinement=blend)


def _spherical(points: Tensor, shares: Tensor, center: Tensor) -> Tensor:
    """Weighted directions and distances from a center: points [K, num_ws, w_dim] → [num_ws, w_dim].

    Two rows in opposite directions have no unique great circle between them: they are joined by the straight line.
    """
    away = (points - center).double()  # float32 cannot tell an angle near π from π
    shares = shares.double()[:, None, None]
    distances = away.norm(dim=-1, keepdim=True)  # [K, num_ws, 1]
    units = away / distances.clamp_min(1e-9)
    weights = shares.expand_as(distances)
    opposite = torch.zeros_like(distances[0], dtype=torch.bool)
    if len(points) == 2:
        angle = (units[0] * units[1]).sum(-1, keepdim=True).clamp(-1, 1).acos()  # [num_ws, 1]
        opposite = angle > math.pi - _STRAIGHT
        curved = (angle > _STRAIGHT) & ~opposite
        sine = torch.where(curved, angle.sin(), torch.ones_like(angle))
        weights = torch.where(curved, (weights * angle).sin() / sine, weights)
    unit = (weights * units).sum(0)
    length = unit.norm(dim=-1, keepdim=True)
    on_sphere = unit / length.clamp_min(1e-9) * (shares * distances).sum(0)
    straight = (shares * away).sum(0)
    return center + torch.where(opposite | (length < 1e-3), straight, on_sphere).float()


def _blended(parts: Sequence[tuple[Refinement | None, float]], ws: Tensor) -> Refinement | None:
    """The weighted sum of refinements, missing tensors counting as 0; the gain applies around ``ws``."""
    sums: dict[str, Tensor] = {}
    gain = 0.0
    for refinement, share in parts:
        gain += share * (1.0 if refinement is None else refinement.gain)
        for name, tensor in ({} if refinement is None else replace(refinement, pivot=None).tensors()).items():
            part = tensor.float() * share
            sums[name] = sums[name] + part if name in sums else part
    blend = Refinement.of(sums, "the mixture") if sums else None
    return replace(blend, pivot=ws, gain=gain) if blend is not None and gain != 1 and 0 < gain <= MAX_GAIN else blend


def render_with_noise(g: Generator, latent: Latent, noise: str | int, *, size_px: int | None = None) -> Image.Image:
    """Renders a latent with other noise inputs than the network's fixed ones: other hairs and pores of the same face.

    Args:
        g: The latent's generator. StyleGAN3 has no noise inputs, so nothing changes there.
        latent: What to render.
        noise: "const" for the fixed noise, "none" for none, or a seed.
        size_px: Side of the result; None keeps the generator's.

    Raises:
        BadLatent: a latent of another model.
        BadValue: another noise.
    """
    drawing = generator_for(g, latent)
    mode = "random" if isinstance(noise, int) else noise
    if mode not in NOISE_MODES or noise == "random":
        raise BadValue(f"Got the noise {noise!r}; expected const, none, or a whole number as the seed.")
    if isinstance(noise, int) and not 0 <= noise < 2**63:
        raise BadValue(f"Got the seed {noise}; expected a whole number from 0.")
    devices = [drawing.device] if drawing.device.type == "cuda" else []
    dtype = fastest_dtype(drawing.device)
    with _SEEDING, torch.random.fork_rng(devices, enabled=isinstance(noise, int)), torch.inference_mode():
        if isinstance(noise, int):
            torch.manual_seed(noise)
        picture = drawing.synthesize(latent.ws[None].to(drawing.device), noise=mode, dtype=dtype).clamp(-1, 1)
    image = to_image(picture[0])
    if size_px is None or size_px == g.size_px:
        return image
    filter_ = Image.Resampling.LANCZOS if size_px < g.size_px else Image.Resampling.BICUBIC
    return image.resize((size_px, size_px), filter_)
