"""Applying edits to a latent: pure arithmetic, so that a list of edits can be replayed, reordered and undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.region import MAX_STREAMS, MIN_SHARE, REGION_PX, Blend, resized_share
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.generators import Generator

LAYER_GROUPS = ("all", "coarse", "middle", "fine")
#: Upper bound on the combined effort of all edits; one edit at its safe limit has effort 1.
MAX_EFFORT = 2.0


def layer_range(model: Generator | int, group: str) -> tuple[int, int]:
    """The half-open range of ws of a named group of layers.

    Coarse is up to 8² (pose, shape), middle up to 32² (features), fine the rest (color, texture), as in style mixing
    (Karras et al. 2019, fig. 3).

    Args:
        model: A generator, or its ``num_ws``.
        group: "all", "coarse", "middle" or "fine".

    Raises:
        BadValue: an unknown group.
    """
    num_ws = model if isinstance(model, int) else model.num_ws
    coarse, middle = min(4, num_ws), min(8, num_ws)
    ranges = {"all": (0, num_ws), "coarse": (0, coarse), "middle": (coarse, middle), "fine": (middle, num_ws)}
    if group not in ranges:
        raise BadValue(f"Got the layers {group!r}; expected one of {', '.join(LAYER_GROUPS)}.")
    return ranges[group]


def edited(latent: Latent, edits: Sequence[Edit]) -> Latent:
    """Applies edits to a latent. :func:`latent_editor.rendering.render` draws the result, refinement included.

    Edits that together exceed the model's range are all scaled down by :func:`strength_scale`, so that no strength
    turns a picture white or black.

    1. Edits without a region move the latent's ws, and with them everything that is drawn.
    2. The others are grouped by their regions mᵢ. Where regions overlap, their edits act together: every subset of
       them is drawn with the weight Π mᵢ · Π (1 − mⱼ), i in the subset and j not. Subsets that show nowhere are
       dropped.
    3. A latent that was edited before keeps what it has in its regions, and the new edits act on that too.
    4. Feature patches from other faces are added everywhere, each scaled by its strength.

    Args:
        latent: Where to start.
        edits: What to apply; muted edits are skipped.

    Returns:
        ``latent`` with new ws, and with a blend where edits have regions. Its refinement is unchanged.

    Raises:
        BadLatent: a direction of another shape than the latent's.
        BadValue: regions that overlap in too many ways.
    """
    acting = [edit for edit in _acting(edits) if edit.direction.feature_patch is None]
    everywhere = [edit for edit in acting if edit.region is None]
    ws = _edited_ws(latent, everywhere)  # 1.
    groups = list(_by_region(acting).values())
    before = latent.blend or Blend(torch.zeros(0, *ws.shape), torch.zeros(0, REGION_PX, REGION_PX))
    blend = _in_regions(before, latent, ws, everywhere, groups) if groups else before
    blend = replace(blend, features=_patched_features(before, edits))  # 4.
    return replace(latent, ws=ws, blend=blend if len(blend.weights) or blend.features else None)


def _edited_ws(latent: Latent, edits: Sequence[Edit]) -> Tensor:
    """The ws [num_ws, w_dim] of a latent after edits without a region.

    The order matters only for edits that interpolate towards another face: they come first, so that sliders act on
    what they bring.
    """
    ws = latent.ws.clone()
    acting = _acting(edits)
    vectors = [_vector(edit, ws) for edit in acting]
    scale = _scale(acting, vectors)
    for edit in acting:
        if edit.direction.interpolates:
            start, stop = edit.layers or edit.direction.layers or (0, len(ws))
            ws[start:stop] = ws[start:stop].lerp(_aimed(edit.direction, latent)[start:stop], edit.strength)
    for edit, vector in zip(acting, vectors, strict=True):
        if not edit.direction.interpolates:
            ws += scale * edit.strength * vector
    return ws


def _aimed(direction: Direction, latent: Latent) -> Tensor:
    """The ws that a generator with this latent's gain draws as the ws of the direction's other face."""
    refinement = latent.refinement
    if refinement is None or refinement.pivot is None:
        return direction.vector
    return refinement.pivot.float().lerp(direction.vector, 1 / refinement.gain)


def _in_regions(before: Blend, latent: Latent, ws: Tensor, everywhere: list[Edit], groups: list[list[Edit]]) -> Blend:
    """Steps 2 and 3 of :func:`edited`; ``ws`` is the latent with the edits that have no region."""
    # 2.
    regions = [group[0].region for group in groups]
    shares = torch.stack([resized_share(region.share, REGION_PX) for region in regions if region is not None])
    inside = [[replace(edit, region=None) for edit in group] for group in groups]
    drawn = [
        (share, _edited_ws(latent, [*everywhere, *(edit for i in chosen for edit in inside[i])]) - ws)
        for chosen, share in _sets(shares)
    ]
    # 3.
    old = [*zip(resized_share(before.weights, REGION_PX), before.offsets, strict=True)]
    old = [(1 - resized_share(before.weights, REGION_PX).sum(dim=0), torch.zeros_like(ws)), *old]
    new = [(1 - torch.stack([share for share, _ in drawn]).sum(dim=0), torch.zeros_like(ws)), *drawn]
    both = [(a * b, x + y) for a, x in old for b, y in new][1:]
    seen = [(share, offset) for share, offset in both if float(share.max()) >= MIN_SHARE]
    _check_count(len(seen))
    if not seen:
        return Blend(torch.zeros(0, *ws.shape), torch.zeros(0, REGION_PX, REGION_PX))
    weights = torch.stack([share for share, _ in seen]).clamp(0, 1)
    return Blend(torch.stack([offset for _, offset in seen]), weights)


def _check_count(count: int) -> None:
    if count > MAX_STREAMS:
        raise BadValue(
            f"The regions overlap in {count} ways or more; at most {MAX_STREAMS} can be drawn at once. Give several "
            "edits the same region, or none."
        )


def _patched_features(before: Blend, edits: Sequence[Edit]) -> dict[int, Tensor]:
    """By resolution: the features [C, R, R] of ``before`` plus the edits' feature patches."""
    found = dict(before.features)
    for edit in _acting(edits):
        feature_patch = edit.direction.feature_patch
        if feature_patch is not None:
            added, size = edit.strength * feature_patch.padded(), feature_patch.size_px
            found[size] = found[size] + added if size in found else added
    return found


def _sets(shares: Tensor) -> list[tuple[tuple[int, ...], Tensor]]:
    """Every non-empty subset of regions [R, M, M] that shows somewhere, with its weight [M, M]."""
    found: list[tuple[tuple[int, ...], Tensor]] = [((), torch.ones_like(shares[0]))]
    for i, share in enumerate(shares):
        inside = [((*chosen, i), known * share) for chosen, known in found]
        outside = [(chosen, known * (1 - share)) for chosen, known in found]
        found = [item for item in (*outside, *inside) if not item[0] or float(item[1].max()) >= MIN_SHARE]
        _check_count(len(found) - 1)
    return found[1:]


def strength_scale(edits: Sequence[Edit]) -> float:
    """The factor on every strength in :func:`edited`: 1, or less where edits exceed the model's range together.

    1. An edit at its direction's safe limit, ``low`` or ``high``, has effort 1, and one twice as strong effort 2.
    2. The effort of several edits is the length of their sum, each a vector of its effort along its direction:
       √(uᵀ·C·u), with C the cosines between the directions. Similar directions add up, orthogonal ones hardly,
       opposite ones cancel.
    3. An effort above :data:`MAX_EFFORT` is scaled down to it.

    A limit on the distance of ws from their mean was rejected: along some directions a picture is white before that
    distance has grown by a tenth. The safe limits are measured per direction.

    Edits in a region are scaled together with those that act everywhere. Returns the smallest scale of all regions.

    Args:
        edits: As for :func:`edited`, all for one latent.
    """
    acting = _acting(edits)
    everywhere = [edit for edit in acting if edit.region is None]
    together = [[*everywhere, *inside] for inside in _by_region(acting).values()] or [everywhere]
    return min(_scale(some, [_limited(e.direction.vector, e) for e in some]) for some in together)


def _by_region(edits: Sequence[Edit]) -> dict[str, list[Edit]]:
    """The edits that act in a region, grouped by region."""
    groups: dict[str, list[Edit]] = {}
    for edit in edits:
        if edit.region is not None:
            groups.setdefault(edit.region.digest, []).append(edit)
    return groups


def _acting(edits: Sequence[Edit]) -> list[Edit]:
    return [edit for edit in edits if not edit.muted and edit.strength != 0]


def _scale(edits: Sequence[Edit], vectors: Sequence[Tensor]) -> float:
    if not edits:
        return 1.0
    units = torch.nn.functional.normalize(torch.stack([v.flatten() for v in vectors]).double(), dim=1)
    efforts = torch.tensor([_effort(edit) for edit in edits], dtype=torch.float64)
    effort = float((efforts @ (units @ units.t()) @ efforts).clamp_min(0).sqrt())
    return min(1.0, MAX_EFFORT / max(effort, 1e-9))


def _effort(edit: Edit) -> float:
    d = edit.direction
    if d.interpolates:  # interpolation towards another face has no limit
        return 0.0
    return edit.strength / max(abs(d.high if edit.strength > 0 else d.low), 0.1)


def _limited(vector: Tensor, edit: Edit) -> Tensor:
    """A vector with the rows outside an edit's layers set to 0."""
    start, stop = edit.layers or edit.direction.layers or (0, len(vector))
    acting = torch.zeros_like(vector)
    acting[start:stop] = vector[start:stop]
    return acting


def _vector(edit: Edit, ws: Tensor) -> Tensor:
    direction = edit.direction
    if direction.vector.shape != ws.shape:
        raise BadLatent(
            f"The direction {direction.name!r} has the shape {list(direction.vector.shape)}, the latent "
            f"{list(ws.shape)}: they belong to different models. Use a direction of the model that made the latent."
        )
    return _limited(direction.vector, edit)
