"""Imports directions of other projects: checks their shapes, scales them to visible units, names them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.core.errors import BadDirection, BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Directions, OnStep, Step
from latent_editor.directions.calibration import unit_vector
from latent_editor.directions.foreign import Found, clean, read_foreign
from latent_editor.directions.slider_pack import unique
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.preview import Preview, small

#: Directions that are imported from a file with more, in order: the first principal components matter most.
DEFAULT_COUNT = 12
#: Faces to measure a unit on, the size of their pictures, and the limit of pixels without a preview.
TRIALS, TRIAL_SIZE_PX, TRIAL_PIXELS = 8, 128, 8 * 256**2
MIN_REACH, MAX_REACH = 1.0, 6.0


@dataclass(frozen=True)
class Import:
    """The result of an import.

    Attributes:
        directions: Ready to use with the model.
        in_file: How many the file holds.
        caution: What could not be verified, for people; "" for the model's own directions.
    """

    directions: Directions
    in_file: int
    caution: str


def import_directions(
    path: str | Path,
    g: Generator,
    *,
    name: str | None = None,
    count: int | None = None,
    on_step: OnStep | None = None,
) -> Directions:
    """Reads directions that another project has saved, for use with ``g``. See :func:`import_file`."""
    return import_file(path, g, name=name, count=count, on_step=on_step).directions


def import_file(
    path: str | Path,
    g: Generator,
    *,
    name: str | None = None,
    count: int | None = None,
    on_step: OnStep | None = None,
) -> Import:
    """Reads directions that another project has saved, for use with ``g``.

    1. The file is read without executing anything in it; see :mod:`latent_editor.directions.foreign`.
    2. Shapes are checked against the model: [w_dim] and [1, w_dim] act on all layers alike, [num_ws, w_dim] on each
       separately.
    3. Each is scaled so that one unit is a visible step (:func:`~latent_editor.directions.calibration.unit_vector`),
       measured on the layers it was made for. Directions that this program found in this very model keep their unit.

    Args:
        path: The file.
        g: The model.
        name: Name of the directions; several get numbers. None for the names in the file, or the file's own.
        count: How many to import, in order; None for up to ``DEFAULT_COUNT``.
        on_step: Called after each; a true answer stops and returns those so far.

    Raises:
        BadDirection: the file holds no directions, or those of another kind of model: the message says which.
        BadValue: ``name`` or ``count`` cannot be used.
    """
    path, began = Path(path), time.monotonic()
    if count is not None and count < 1:
        raise BadValue(f"Got the count {count}; expected 1 or more.")
    if name is not None and not clean(name):
        raise BadValue(f"The name {name!r} has no letters. Choose one that can be read.")
    found = read_foreign(path, g.num_ws)
    selected = found[: DEFAULT_COUNT if count is None else count]
    for one in selected:
        _check_shape(one, g, path.name)
    directions: list[Direction] = []
    for i, one in enumerate(selected):
        directions.append(_direction(one, _name(one, i, len(selected), path, name), path.name, g))
        if on_step is not None:
            done = (i + 1) / len(selected)
            if on_step(Step(i + 1, len(selected), time.monotonic() - began, done)):
                break
    return Import(unique(Directions(directions), Directions()), len(found), _caution(selected[0], g))


def _direction(one: Found, name: str, file: str, g: Generator) -> Direction:
    vector = one.vector.expand(g.num_ws, -1).clone()
    provenance = Provenance(file=file, note=f"{one.kind}, {_shape(one)}; {_origin(one)}")
    if one.fingerprint == g.fingerprint:
        return Direction(
            name, vector, one.low, one.high, one.layers, "imported", provenance, entanglement=one.entanglement
        )
    layers = None if one.layers is None else (one.layers[0], min(one.layers[1], g.num_ws))
    acting = vector if layers is None else torch.zeros_like(vector)
    if layers is not None:
        acting[slice(*layers)] = vector[slice(*layers)]
        if not acting.any():
            raise BadDirection(f"{file}: {name!r} is zero in its own layers {layers[0]} to {layers[1] - 1}.")
    longest = _length(acting)
    acting = acting / longest  # of length 1: files hold vectors of any length
    step = _length(unit_vector(*_trials(g, layers), acting))
    reach = 3.0 if one.reach is None else one.reach * longest / step
    high = round(min(max(reach, MIN_REACH), MAX_REACH), 1)
    return Direction(name, vector * (step / longest), -high, high, layers, "imported", provenance)


def _length(offset: Tensor) -> float:
    return float(offset.norm(dim=1).max())


def _trials(g: Generator, layers: tuple[int, int] | None) -> tuple[Generator, Tensor]:
    """A generator, small if that shows the effect of these layers, and latents [N, num_ws, w_dim] to measure a unit
    on."""
    early_ws = 2 * TRIAL_SIZE_PX.bit_length() - 4  # those of a StyleGAN2 of the trials' size; later ones need the whole
    seen = small(g, TRIAL_SIZE_PX) if layers is None or layers[0] < early_ws else g
    cheap = (seen is g and g.size_px <= TRIAL_SIZE_PX) or (isinstance(seen, Preview) and seen.fit > 0)
    count = TRIALS if cheap else min(TRIALS, max(2, TRIAL_PIXELS // g.size_px**2))
    return seen, random_ws(g, list(range(count)), truncation_psi=1.0)


# What fits.


def _check_shape(one: Found, g: Generator, file: str) -> None:
    rows, w_dim = one.vector.shape
    if w_dim != g.w_dim or rows not in (1, g.num_ws):
        raise BadDirection(
            f"{file} holds {one.kind} of {_shape(one)}, which belongs to {_model_of(rows, w_dim)}"
            f"{f' ({one.model}, it says)' if one.model else ''}; loaded is {g.name!r} of {g.size_px} pixels, "
            f"which takes {g.w_dim} or {g.num_ws} × {g.w_dim}. Load the model it was found in: --model."
        )
    if one.layers is not None and one.layers[0] >= g.num_ws:
        raise BadDirection(
            f"{file} holds a direction for the layers {one.layers[0]} to {one.layers[1] - 1}; loaded is {g.name!r}, "
            f"whose layers end at {g.num_ws - 1}. Load the model it was found in: --model."
        )


def _shape(one: Found) -> str:
    rows, w_dim = one.vector.shape
    return f"{w_dim} numbers" if rows == 1 else f"{rows} × {w_dim} numbers"


def _model_of(rows: int, w_dim: int) -> str:
    """Which models take it: a StyleGAN2 of 2^n pixels has 2n − 2 ws (Karras et al. 2020), a StyleGAN3 has 16."""
    with_w = f"whose w has {w_dim} numbers"
    if rows == 1:
        return f"a model {with_w}" + (", as NVIDIA's StyleGAN2 and StyleGAN3 have" if w_dim == 512 else "")
    if rows % 2 or rows < 4:
        return f"a model of {rows} layers {with_w}"
    other = " or a StyleGAN3" if rows == 16 else ""
    return f"a StyleGAN2 of {2 ** (rows // 2 + 1)} pixels{other} {with_w}"


def _origin(one: Found) -> str:
    if one.fingerprint:
        return f"found in the model {one.fingerprint}"
    return (
        f"found in {one.model}, as the file says" if one.model else "the file does not say in which model it was found"
    )


def _caution(one: Found, g: Generator) -> str:
    if one.fingerprint == g.fingerprint:
        return ""
    loaded = f"the loaded {g.name!r}"
    if one.fingerprint:
        said = f"The file says that it belongs to the model {one.fingerprint}, which is not {loaded} ({g.fingerprint})."
    elif one.model:
        said = f"The file says that it was found in {one.model}; whether {loaded} is that model cannot be checked."
    else:
        said = f"The file does not say in which model it was found; only its shape fits {loaded}."
    return f"{said} In another model than that, a direction means nothing in particular, even where its shape fits."


# Names.


def _name(one: Found, i: int, count: int, path: Path, wanted: str | None) -> str:
    base = clean(wanted or one.name or path.stem.replace("_", " ").replace("-", " ")) or "imported"
    return f"{base} {i + 1}" if count > 1 and (wanted or not one.name) else base
