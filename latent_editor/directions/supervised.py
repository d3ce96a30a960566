"""Directions that a user asks for: between two descriptions or two sets of examples, and disentangled from others.

InterFaceGAN (Shen et al. 2020, "Interpreting the Latent Space of GANs for Semantic Face Editing"): the normal of the
hyperplane between latents with and without an attribute (eq. 2), and conditional manipulation (§3.2): its projection
orthogonal to other normals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, OnStep
from latent_editor.directions.clip_samples import ClipSamples, load_clip_samples, text_axis
from latent_editor.directions.measurement import Meter, acting, load_meter, measured, own_clip
from latent_editor.directions.namer import agreed
from latent_editor.directions.vocabulary import VOCABULARY
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.networks.boundaries import Boundary, apart_from, fit_boundary, latent_whitening, stored_boundaries
from latent_editor.networks.clip import ClipModel, load_clip

SOURCE = "boundary"
#: Separates the two ends of an attribute to preserve: "old / young".
_BETWEEN = re.compile(r"\s+/\s+")


def fit_direction(
    g: Generator,
    more: str,
    less: str | None = None,
    *,
    preserve: Sequence[str] = (),
    name: str | None = None,
    on_step: OnStep | None = None,
) -> Direction:
    """A direction between two descriptions, fitted on random pictures that the model's CLIP has ranked.

    1. About 1,500 random pictures are rendered, once per model; the CLIP ranks them between the two texts.
    2. A linear support vector machine separates the first fifth from the last.
    3. Its normal, made orthogonal to those of the attributes to preserve, is scaled to one visible step and measured.

    Args:
        g: A generator with a CLIP.
        more: Description of the positive end: "a person with a beard".
        less: Description of the negative end: "a clean-shaven person"; None for a neutral person.
        preserve: Attributes to preserve: one text ("an old person"), both ends ("an old person / a young person"), or a
            name of the vocabulary ("age").
        name: Name of the direction; None for ``more``.
        on_step: Called while samples are rendered; a true answer stops.

    Returns:
        A direction of the source "boundary". ``provenance.accuracy`` is the accuracy on held-out samples,
        ``entanglement`` what else it changes.

    Raises:
        BadPrompt: a text is empty, too long, meaningless, or in words that the CLIP has never seen.
        BadValue: ``preserve`` names the direction's own attribute.
        MissingPart: the model comes without a CLIP.
        Stopped: ``on_step`` gave a true answer.
    """
    clip = load_clip(g)
    axis = text_axis(clip, more, less)
    others = [_axis_of(clip, text) for text in preserve]
    samples = load_clip_samples(g, on_step=on_step)
    boundary = samples.boundary(axis, name or " ".join(more.split()))
    normals = [samples.boundary(other, text).normal for text, other in zip(preserve, others, strict=True)]
    provenance = Provenance(prompt=more, opposite=less, accuracy=boundary.accuracy, disentangled_from=tuple(preserve))
    return _finished(g, boundary, normals, provenance, axis)


def fit_direction_from_examples(
    g: Generator,
    more: Tensor,
    less: Tensor,
    *,
    name: str,
    preserve: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> Direction:
    """A direction from examples without an attribute to examples with it.

    Args:
        g: The generator.
        more: ws of pictures with the attribute, [N, num_ws, w_dim], N at least 3; aligned and encoded by the caller.
        less: ws of pictures without it, [M, num_ws, w_dim].
        name: Name of the direction.
        preserve, on_step: As for :func:`fit_direction`.

    Raises:
        BadLatent: ws of another shape than the generator's, or not finite.
        BadValue: fewer than three on a side.
        MissingPart: ``preserve`` is given, and the model comes without a CLIP.
    """
    for ws in (more, less):
        if ws.ndim != 3 or tuple(ws.shape[1:]) != (g.num_ws, g.w_dim) or not torch.isfinite(ws).all():
            raise BadLatent(
                f"Got examples of shape {list(ws.shape)}; expected finite ws [N, {g.num_ws}, {g.w_dim}] of the model "
                f"{g.name!r}. Encode the pictures with this model."
            )
    whitening = latent_whitening(g)
    boundary = fit_boundary(whitening.whitened(more), whitening.whitened(less), name=name)
    normals = _normals_of(g, preserve, on_step)
    provenance = Provenance(
        examples=(len(more), len(less)), accuracy=boundary.accuracy, disentangled_from=tuple(preserve)
    )
    return _finished(g, boundary, normals, provenance, _axis_between(g, more, less))


def disentangle_direction(
    g: Generator, direction: Direction, preserve: Sequence[str] | None = None, *, on_step: OnStep | None = None
) -> Direction:
    """Disentangles a direction from other attributes (conditional manipulation).

    The row of each layer is projected orthogonally to the normals in whitened coordinates; then the direction is
    measured again.

    Args:
        g: The generator.
        direction: Any direction of this generator.
        preserve: Attributes to preserve, as for :func:`fit_direction`; None for the largest side effects of the
            direction, at most two names of the vocabulary.
        on_step: Called while samples are rendered; a true answer stops.

    Raises:
        BadValue: nothing is left of the direction, or it has no side effect that the vocabulary has a name for.
        BadLatent: a direction of another model.
        MissingPart: the model comes without a CLIP.
    """
    if tuple(direction.vector.shape) != (g.num_ws, g.w_dim):
        raise BadLatent(
            f"The direction {direction.name!r} has the shape {list(direction.vector.shape)}; the model {g.name!r} "
            f"takes {[g.num_ws, g.w_dim]}. Load the model that it belongs to."
        )
    offset = acting(direction)
    meter = load_meter(g)
    texts = list(_side_effects(meter, direction, offset) if preserve is None else preserve)
    normals = _normals_of(g, texts, on_step)
    whitening = latent_whitening(g)
    rows = offset @ whitening.whiten
    for i, row in enumerate(rows):
        if row.any():
            unit, left = apart_from(row / row.norm(), normals)
            rows[i] = unit * left * row.norm()
    axis = None if direction.name in meter.namer.names else _prompt_axis(g, direction)
    disentangled = measured(g, replace(direction, vector=rows @ whitening.color), axis)
    return replace(disentangled, provenance=direction.provenance.disentangled(tuple(texts)))


def _finished(
    g: Generator, boundary: Boundary, others: Sequence[Tensor], provenance: Provenance, axis: Tensor | None
) -> Direction:
    normal, _ = apart_from(boundary.normal, others)
    offset = latent_whitening(g).color @ normal
    vector = offset.expand(g.num_ws, -1).clone()
    score = 0.0 if axis is not None else None
    found = Direction(boundary.name, vector, source=SOURCE, provenance=provenance, score=score)
    return measured(g, found, axis)


def _axis_of(clip: ClipModel, text: str) -> Tensor:
    """The axis of an attribute to preserve: a name of the vocabulary, "more / less", or one text."""
    for term in VOCABULARY:
        if term.name == " ".join(text.split()).casefold():
            return text_axis(clip, term.more, term.less)
    more, *less = _BETWEEN.split(text.strip(), maxsplit=1)
    return text_axis(clip, more, less[0] if less else None)


def _normals_of(g: Generator, texts: Sequence[str], on_step: OnStep | None) -> list[Tensor]:
    """Normals of attributes: of the model's own boundary of that name, else fitted on samples."""
    known = {b.name: b.normal for b in stored_boundaries(g)}
    normals, samples = [], None
    for text in texts:
        if text not in known:
            samples = samples or load_clip_samples(g, on_step=on_step)
        normals.append(known[text] if text in known else _sampled(samples, load_clip(g), text))
    return normals


def _sampled(samples: ClipSamples | None, clip: ClipModel, text: str) -> Tensor:
    assert samples is not None
    return samples.boundary(_axis_of(clip, text), text).normal


def _side_effects(meter: Meter, direction: Direction, offset: Tensor) -> list[str]:
    """The attributes of the vocabulary that a direction changes most besides its own, at most two, of different
    families."""
    namer = meter.namer
    effects = agreed(namer.changes(offset)).abs().tolist()
    terms = {t.name for t in VOCABULARY}
    known = sorted(zip(effects, namer.names, namer.families, strict=True), reverse=True)
    families = {f for name, f in zip(namer.names, namer.families, strict=True) if name == direction.name}
    found: list[str] = []
    for effect, name, family in known:
        if len(found) < 2 and effect > 0 and name in terms and family not in families:
            families.add(family)
            found.append(name)
    if not found:
        raise BadValue(
            f"{direction.name!r} has no side effect that the vocabulary has a name for. Name what it should preserve."
        )
    return found


def _prompt_axis(g: Generator, direction: Direction) -> Tensor | None:
    """What the text that a direction was made from, or else its name, means to the CLIP; None if it means nothing."""
    clip, made = own_clip(g), direction.provenance
    text = made.prompt or direction.name
    if clip is None or direction.source not in (SOURCE, "text") or clip.unknown_words(text):
        return None
    return text_axis(clip, text, made.opposite)


def _axis_between(g: Generator, more: Tensor, less: Tensor) -> Tensor | None:
    """The mean difference of CLIP vectors between the pictures of two sets of ws, [D]; None without a CLIP."""
    clip = own_clip(g)
    if clip is None:
        return None
    preview, dtype = small(g, clip.size_px), fastest_dtype(g.device)

    def mean(ws: Tensor) -> Tensor:
        batches = (preview.synthesize(some.to(g.device), dtype=dtype).clamp(-1, 1) for some in ws.split(16))
        return torch.cat([clip.encode_image(pictures, dtype=dtype) for pictures in batches]).mean(dim=0).cpu()

    with torch.inference_mode():
        axis = mean(more) - mean(less)
    return axis.clone()
