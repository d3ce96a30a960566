"""The effect of each StyleSpace channel on a picture's CLIP vector, from which global text directions are computed.

StyleCLIP (Patashnik et al. 2021, §6) renders a hundred pictures with each channel moved up and down, and shows them to
the CLIP: hours for a model. Here the derivative of the CLIP's vector by all channels comes from gradients, a random
projection of the vector at a time: for the rows v of a random rotation, Σ v·(vᵀJ) is J itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, MissingPart
from latent_editor.core.run import Run
from latent_editor.core.values import OnStep
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.generators.stylespace import StyleLayer, row_inverse, style_layers
from latent_editor.models.bundle import cache_folder
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip import ClipModel, load_clip

#: Faces per round; limits of the number of rounds and of the time; truncation of the faces.
FACES, MAX_ROUNDS, MIN_ROUNDS, SECONDS, PSI = 4, 8, 2, 25.0, 0.8
#: Size of the pictures, which are enlarged for the CLIP: larger ones take three times as long for the same result.
SIZE_PX = 64
LABEL = "Learning what each channel means"


@dataclass(frozen=True, eq=False)
class StyleStatistics:
    """The mean derivative of CLIP vectors by the channels.

    Attributes:
        effects: float32 [C, D], of the channels of all layers in their order: what moving a channel by one standard
            deviation adds to the CLIP's vector of the picture.
        rounds: Number of sets of faces that were averaged.
    """

    effects: Tensor
    rounds: int


@per_model
def load_style_statistics(g: Generator, *, on_step: OnStep | None = None) -> StyleStatistics:
    """The statistics of a generator and its CLIP, computed once for all prompts and stored in the user's cache.

    Args:
        g: A generator with a CLIP.
        on_step: Told of the progress where they have to be made; a true answer stops. What was finished by then is
            kept, and the next call goes on after it.

    Raises:
        MissingPart: a generator without styles, or without a CLIP.
        Stopped: ``on_step`` gave a true answer.
    """
    return _complete(g, on_step)


def style_statistics_file(g: Generator) -> Path:
    """The cache file, by the fingerprints of the generator and the CLIP. It need not exist."""
    return cache_folder() / "stylespace" / f"{g.fingerprint}-{load_clip(g).fingerprint}.safetensors"


def style_statistics_stored(g: Generator) -> bool:
    """Whether they are stored completely."""
    if load_style_statistics.is_built(g):
        return True
    kept = _read(g, load_clip(g)) if style_layers(g) else None
    return kept is not None and kept[1]


def _read(g: Generator, clip: ClipModel) -> tuple[StyleStatistics, bool] | None:
    """The statistics in the file, and whether they are complete; None if there are none."""
    path = style_statistics_file(g)
    if not path.is_file():
        return None
    try:
        tensors, metadata = tensor_files.read_tensors(path)
        effects, rounds = tensors["effects"].float(), int(metadata["rounds"])
        size = (sum(layer.channels for layer in style_layers(g)), clip.encode_neutral().shape[0])
        if metadata["kind"] != "style statistics" or tuple(effects.shape) != size or rounds < 1:
            return None
        return (StyleStatistics(effects, rounds), metadata["whole"] == "yes") if effects.isfinite().all() else None
    except (BadModel, KeyError, ValueError):
        return None  # it is only a cache


def _write(g: Generator, statistics: StyleStatistics, whole: bool) -> None:
    metadata = {"kind": "style statistics", "rounds": str(statistics.rounds), "whole": "yes" if whole else "no"}
    tensor_files.write_tensors(style_statistics_file(g), {"effects": statistics.effects}, metadata)


def _complete(g: Generator, on_step: OnStep | None) -> StyleStatistics:
    """Resumes from the stored rounds.

    1. Some random faces are rendered small and encoded by the CLIP.
    2. The rows of a random rotation of CLIP space are assigned to the faces in turn; the gradient of each projection by
       the ws is computed.
    3. Its product with the vector that changes a channel by one standard deviation, times the row, is added to that
       channel's effect.
    4. The result is stored after each round.
    """
    clip, layers = load_clip(g), style_layers(g)
    if not layers:
        raise MissingPart(f"The model {g.name!r} has no styles that a prompt could move. Use the method 'fast'.")
    found = _read(g, clip)
    if found is not None and found[1]:
        return found[0]
    kept = found[0] if found else StyleStatistics(torch.zeros(0), 0)
    run = Run(SECONDS, on_step)
    for turn in range(kept.rounds, MAX_ROUNDS):

        def report(share: float, turn: int = turn) -> None:
            fraction = max((turn + share) / MAX_ROUNDS, min(run.elapsed / SECONDS, (turn + share) / MIN_ROUNDS))
            run.progress(turn, MAX_ROUNDS, fraction=fraction, label=LABEL)

        effects = _round(g, clip, turn, report)
        before = kept.effects if kept.rounds else torch.zeros_like(effects)
        kept = StyleStatistics(torch.lerp(before, effects, 1 / (turn + 1)), turn + 1)  # 4.
        whole = turn + 1 == MAX_ROUNDS or (turn + 1 >= MIN_ROUNDS and run.over)
        _write(g, kept, whole)
        if whole:
            break
    return kept


def _round(g: Generator, clip: ClipModel, turn: int, report: Callable[[float], None]) -> Tensor:
    """One estimate of the effects, from :data:`FACES` faces: float32 [C, D]."""
    preview, dtype, layers = small(g, SIZE_PX), fastest_dtype(g.device), style_layers(g)
    seeds = list(range(5000 + FACES * turn, 5000 + FACES * (turn + 1)))
    ws = random_ws(g, seeds, truncation_psi=PSI).clone().requires_grad_(True)
    with torch.enable_grad():
        vectors = clip.encode_image(preview.synthesize(ws, dtype=dtype), dtype=dtype)  # 1. [FACES, D]
    size = vectors.shape[1]
    rotation = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(turn)))[0]
    effects = torch.zeros(sum(layer.channels for layer in layers), size)
    parts = rotation.split(FACES)
    for i, rows in enumerate(parts):
        wanted = torch.zeros_like(vectors)
        wanted[: len(rows)] = rows.to(wanted)
        (gradient,) = torch.autograd.grad(vectors, ws, wanted, retain_graph=i + 1 < len(parts))  # 2.
        effects += _by_channel(g, layers, gradient[: len(rows)]) @ rows  # 3.
        report((i + 1) / len(parts))
    return effects


def _by_channel(g: Generator, layers: Sequence[StyleLayer], gradient: Tensor) -> Tensor:
    """Gradients by ws [N, num_ws, w_dim] → by the channels, in standard deviations: [C, N]."""
    parts: dict[int, Tensor] = {}
    for row in {layer.row for layer in layers}:
        moved = gradient[:, row].float().cpu() @ row_inverse(g, row)[1]  # [N, channels that read this w]
        reading = [layer for layer in layers if layer.row == row]
        parts.update(
            zip(
                (layer.index for layer in reading),
                moved.split([layer.channels for layer in reading], dim=1),
                strict=True,
            )
        )
    return torch.cat([parts[layer.index] for layer in layers], dim=1).t()
