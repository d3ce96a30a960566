"""StyleSpace (Wu et al. 2021): which channel of which layer changes which region of the picture.

The paper renders every picture with every channel moved, which takes hours. Here the squared effect of all channels on
a region comes from a few gradients: for random signs v over the region's values, E[(vᵀ·J)²] is the sum of the squares
of the Jacobian J over that region (Hutchinson 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, BadValue, MissingPart
from latent_editor.core.provenance import Provenance
from latent_editor.core.run import Run
from latent_editor.core.values import Direction, OnStep
from latent_editor.directions.measurement import measured
from latent_editor.directions.regions import region_masks, region_names
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.generators.stylespace import StyleLayer, row_inverse, style_layers, style_offset
from latent_editor.models.bundle import cache_folder
from latent_editor.models.per_model import per_model

SOURCE = "stylespace"
#: Faces, sets of random signs for each, and the sizes at which pictures are rendered and compared.
FACES, SIGNS, SIZE_PX, COMPARED_PX = 8, 3, 256, 64
_BATCH = 4
#: A channel is strong if its effect on a region exceeds this quantile over all channels.
STRONG = 0.9
#: Upper limit of a unit in W: practically none, because units are calibrated by the pictures.
MAX_STEP = 1000.0


@dataclass(frozen=True)
class StyleChannel:
    """One channel of a style, and its effect.

    Attributes:
        layer, channel: Its place in StyleSpace (:func:`latent_editor.generators.stylespace.style_layers`).
        region: The region that it changes most.
        share: Share of the region in its total effect, 0..1, each region counted by its mean.
        effect: Root mean square change of the region by one standard deviation of the channel, in −1..1 values.
    """

    layer: int
    channel: int
    region: str
    share: float
    effect: float


def stylespace_channels(
    g: Generator, *, region: str | None = None, count: int = 20, on_step: OnStep | None = None
) -> tuple[StyleChannel, ...]:
    """The channels that change one region and little else, best first.

    All channels are measured once per model, in seconds for the embedded one, and stored in the user's cache.

    Args:
        g: The generator.
        region: One of :func:`~latent_editor.directions.regions.region_names`; None for all.
        count: Maximum number of channels.
        on_step: Called with the progress; a true answer stops.

    Raises:
        BadValue: an unknown region.
        MissingPart: a generator without styles.
        Stopped: ``on_step`` gave a true answer.
    """
    names = region_names(g)
    if region is not None and region not in names:
        raise BadValue(f"Got the region {region!r}; the model {g.name!r} has {', '.join(names)}. Choose one of them.")
    effects = load_effects(g, on_step=on_step)  # [C, R]
    shares = effects.square() / effects.square().sum(dim=1, keepdim=True).clamp_min(1e-20)
    strength = effects / effects.quantile(STRONG, dim=0).clamp_min(1e-12)
    scores = shares * strength.clamp_max(1)
    at = None if region is None else names.index(region)
    ranked = scores.amax(dim=1) if at is None else scores[:, at]
    places = [(layer.index, channel) for layer in style_layers(g) for channel in range(layer.channels)]
    found = []
    for c in ranked.argsort(descending=True)[:count].tolist():
        r = int(scores[c].argmax()) if at is None else at
        layer, channel = places[c]
        share, effect = round(float(shares[c, r]), 3), round(float(effects[c, r]), 4)
        found.append(StyleChannel(layer, channel, names[r], share, effect))
    return tuple(found)


def channel_direction(g: Generator, channel: StyleChannel, *, name: str | None = None) -> Direction:
    """A slider that changes one channel alone.

    Args:
        g: The generator.
        channel: One of :func:`stylespace_channels`.
        name: Name of the slider; None for the region and the place: "mouth 5.17".

    Returns:
        A direction of the source "stylespace": a vector in W+ that changes this channel, and others by the residual,
        which the provenance notes if it is not zero.
    """
    layer = style_layers(g)[channel.layer]
    change = torch.zeros(layer.channels)
    change[channel.channel] = layer.spread[channel.channel]
    vector, residual = style_offset(g, {channel.layer: change})
    place = f"{channel.layer}.{channel.channel}"
    provenance = Provenance(channel=(channel.layer, channel.channel), note=f"{channel.share:.0%} in {channel.region}")
    if residual > 0.01:
        provenance = provenance.noted(f"reached up to a residual of {residual:.0%}")
    found = Direction(name or f"{channel.region} {place}", vector, source=SOURCE, provenance=provenance)
    return measured(g, found, longest=MAX_STEP)


@per_model
def load_effects(g: Generator, *, on_step: OnStep | None = None) -> Tensor:
    """Effect of each channel on each region: float32 [channels of all layers, regions]. See :class:`StyleChannel`."""
    return (_stored(g) or _measure_and_store(g, on_step))[0]


def effects_file(g: Generator) -> Path:
    """The cache file of the effects, by the model's fingerprint. It need not exist."""
    return cache_folder() / "stylespace" / f"{g.fingerprint}.safetensors"


def _stored(g: Generator) -> tuple[Tensor] | None:
    path = effects_file(g)
    if not path.is_file():
        return None
    try:
        tensors, metadata = tensor_files.read_tensors(path)
        effects = tensors["effects"].float()
        wanted = (sum(layer.channels for layer in style_layers(g)), len(region_names(g)))
        return (effects,) if tuple(effects.shape) == wanted and metadata["kind"] == "style effects" else None
    except (BadModel, KeyError):
        return None  # it is only a cache


def _measure_and_store(g: Generator, on_step: OnStep | None) -> tuple[Tensor]:
    effects = measure_effects(g, on_step=on_step)
    path = effects_file(g)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensor_files.write_tensors(path, {"effects": effects}, {"kind": "style effects"})
    return (effects,)


def measure_effects(g: Generator, *, faces: int = FACES, signs: int = SIGNS, on_step: OnStep | None = None) -> Tensor:
    """Measures the effects that :func:`load_effects` caches.

    1. Random pictures are rendered small, and reduced to 64².
    2. For each region and each set of random signs over its values, the gradient of their signed sum by the ws.
    3. Its product with the vector that changes a channel by one standard deviation is that channel's effect: root mean
       square over signs, pictures and values.

    Raises:
        MissingPart: a generator without styles.
        Stopped: ``on_step`` gave a true answer.
    """
    layers = style_layers(g)
    if not layers:
        raise MissingPart(f"The model {g.name!r} has no style channels. Use its other sliders.")
    preview, dtype, run = small(g, SIZE_PX), fastest_dtype(g.device), Run(on_step=on_step)
    masks = region_masks(g, min(COMPARED_PX, preview.size_px)).to(g.device)
    random_signs = torch.Generator().manual_seed(0)
    squares = torch.zeros(sum(layer.channels for layer in layers), len(masks))
    batches = random_ws(g, list(range(faces)), truncation_psi=0.7).split(_BATCH)
    steps = len(batches) * len(masks) * signs
    done = 0
    for batch in batches:
        ws = batch.clone().requires_grad_(True)
        with torch.enable_grad():
            seen = F.adaptive_avg_pool2d(preview.synthesize(ws, dtype=dtype).float(), masks.shape[-1])  # 1.
        for r, mask in enumerate(masks):
            for _ in range(signs):
                v = torch.randint(0, 2, seen.shape, generator=random_signs).mul(2).sub(1).to(seen) * mask
                (gradient,) = torch.autograd.grad((seen * v).sum(), ws, retain_graph=True)  # 2.
                values = float(mask.sum()) * seen.shape[1]
                squares[:, r] += _by_channel(g, layers, gradient) / max(values, 1.0)  # 3.
                done += 1
                run.progress(done, steps, label="Looking at channels")
    return (squares / (signs * faces)).sqrt()


def _by_channel(g: Generator, layers: Sequence[StyleLayer], gradient: Tensor) -> Tensor:
    """Gradients by ws [N, num_ws, w_dim] → sums of squared effects of one standard deviation of each channel, [C]."""
    parts: dict[int, Tensor] = {}
    for row in {layer.row for layer in layers}:
        moved = gradient[:, row].float().cpu() @ row_inverse(g, row)[1]  # [N, channels that read this w]
        sizes = [layer.channels for layer in layers if layer.row == row]
        indices = [layer.index for layer in layers if layer.row == row]
        parts.update(zip(indices, moved.square().sum(dim=0).split(sizes), strict=True))
    return torch.cat([parts[layer.index] for layer in layers])
