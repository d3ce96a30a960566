"""Reading recipes: everything is validated, because a recipe may come from anywhere."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from latent_editor.core.errors import BadRecipe, BadValue
from latent_editor.core.feature_patch import FeaturePatch
from latent_editor.core.provenance import Provenance
from latent_editor.core.region import Region
from latent_editor.core.values import Direction
from latent_editor.recipes.feature_patch import patch_from_json
from latent_editor.recipes.ingredients import DIRECTION_KEYS, FORMAT, MAKE_AGAIN, VERSION, Ingredient
from latent_editor.recipes.masks import MAX_MASK_TEXT, region_from_text
from latent_editor.sessions.placement import AXES, IDENTITY, Placement

MAX_EDITS, MAX_STRENGTH, MAX_TEXT = 100, 10.0, 300
_FIELDS = {
    "recipe": {"format", "version", "name", "model", "position", "edits", "vectors"},
    "model": {"name", "fingerprint", "num_ws"},
    "edit": {"slider", "prompt", "strength", "layers", "muted", "direction", "region"},
    "region": {"name", "mask"},
    "direction": {*DIRECTION_KEYS, "graft"},
    "graft": {"size_px", "top", "left", "picture"},
    "position": {axis.part for axis in AXES.values()},
}


def read_recipe(data: Any) -> dict[str, Any]:
    """Parses a recipe's JSON into the attributes of :class:`latent_editor.recipes.Recipe`.

    Raises:
        BadRecipe: a newer version, an unknown field, or an invalid value; the message does not name the file.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadRecipe(f'expected JSON with "format": "{FORMAT}". {MAKE_AGAIN}.')
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadRecipe(f'the version is {str(version)[:20]!r}; expected "version": {VERSION}. {MAKE_AGAIN}.')
    if version > VERSION:
        raise BadRecipe(
            f"this recipe was written by a newer Latent Editor (version {version} of the format; this one reads up to "
            f"{VERSION}). Update this program, or save the recipe with an older one."
        )
    _known(data, "recipe")
    model = _known(data.get("model", {}), "model")
    num_ws = model.get("num_ws", 0)
    if not isinstance(num_ws, int) or not 0 <= num_ws <= 1000:
        raise BadRecipe(f"the model's num_ws is {str(num_ws)[:20]!r}; expected a whole number. {MAKE_AGAIN}.")
    rows = data.get("edits")
    if not isinstance(rows, list) or len(rows) > MAX_EDITS:
        got = f"{len(rows)} edits" if isinstance(rows, list) else "no list of edits"
        raise BadRecipe(f"it holds {got}; expected a list of at most {MAX_EDITS}. {MAKE_AGAIN}.")
    vectors = _vectors(data.get("vectors"), num_ws)
    return {
        "ingredients": tuple(
            _ingredient(row, vectors.get(str(i)), vectors.get(f"{i}/graft")) for i, row in enumerate(rows)
        ),
        "model": _text(model.get("name", ""), "the model's name"),
        "fingerprint": _text(model.get("fingerprint", ""), "the model's fingerprint"),
        "num_ws": num_ws,
        "name": _text(data.get("name", ""), "the recipe's name"),
        "placement": _position(_known(data.get("position", {}), "position")),
    }


def _ingredient(row: Any, vector: Tensor | None, features: Tensor | None) -> Ingredient:
    _known(row, "edit")
    name = row.get("slider", row.get("prompt"))
    if name is None:
        raise BadRecipe(f'an edit names neither a "slider" nor a "prompt". {MAKE_AGAIN}.')
    name, prompt = _text(name, "an edit's name", min_length=1), row.get("prompt")
    strength = _number(row.get("strength"), f"the strength of {name!r}")
    if abs(strength) > MAX_STRENGTH:
        raise BadRecipe(f"the strength of {name!r} is {strength:g}; expected −{MAX_STRENGTH:g} to {MAX_STRENGTH:g}.")
    muted = row.get("muted", False)
    if not isinstance(muted, bool):
        raise BadRecipe(f'"muted" of {name!r} is {str(muted)[:20]!r}; expected true or false.')
    layers = _layers(row.get("layers"), name)
    about = _known(row.get("direction", {}), "direction")
    direction = None if vector is None else _direction(name, about, vector, features)
    if direction is not None and direction.interpolates and not 0 <= strength <= 1:
        raise BadRecipe(f"the amount of {name!r} is {strength:g}; expected 0 to 1.")
    if layers is not None and vector is not None and layers[1] > len(vector):
        raise BadRecipe(f"the layers of {name!r} are {layers[0]}..{layers[1]}; its model has 0..{len(vector)}.")
    prompt = None if prompt is None else _text(prompt, "a prompt", min_length=1)
    region = _region(_known(row["region"], "region"), name) if "region" in row else None
    return Ingredient(name, strength, prompt, layers, muted, direction, region)


def _region(data: dict[str, Any], of: str) -> Region:
    """A region by its saved mask."""
    name = _text(data.get("name", "painted"), f"the region's name of {of!r}", min_length=1, max_length=60)
    try:
        return region_from_text(
            _text(data.get("mask"), f"the region of {of!r}", min_length=1, max_length=MAX_MASK_TEXT), name
        )
    except BadValue as e:
        raise BadRecipe(f"the region of {of!r} cannot be used: {e}") from e


def _direction(name: str, about: dict[str, Any], vector: Tensor, features: Tensor | None) -> Direction:
    entanglement = about.get("leakage")
    if entanglement is not None and not isinstance(entanglement, dict):
        raise BadRecipe(f'"leakage" of {name!r} is not an object of numbers. {MAKE_AGAIN}.')
    layers = _layers(about.get("layers"), name)
    if layers is not None and layers[1] > len(vector):
        raise BadRecipe(f"the layers of {name!r} are {layers[0]}..{layers[1]}; its model has 0..{len(vector)}.")
    return Direction(
        name,
        vector,
        _number(about.get("low", -3.0), f"the lower limit of {name!r}"),
        _number(about.get("high", 3.0), f"the upper limit of {name!r}"),
        layers,
        _text(about.get("source", "unknown"), f"the source of {name!r}"),
        _provenance(name, about),
        None if about.get("score") is None else _number(about["score"], f"the score of {name!r}"),
        None
        if entanglement is None
        else {str(k)[:60]: _number(v, f"the leakage of {name!r}") for k, v in entanglement.items()},
        about.get("taken") is True,
        _feature_patch(name, about, features),
    )


def _provenance(name: str, about: dict[str, Any]) -> Provenance:
    """How a direction was made; in recipes of earlier versions, as far as its "detail" says."""
    if "provenance" not in about:
        detail = _text(about.get("detail", ""), f"the detail of {name!r}", max_length=4 * MAX_TEXT)
        return Provenance.from_detail(str(about.get("source")), detail)
    try:
        return Provenance.from_json(about["provenance"])
    except BadValue as e:
        raise BadRecipe(f"the origin of {name!r} cannot be used: {e} {MAKE_AGAIN}.") from e


def _feature_patch(name: str, about: dict[str, Any], features: Tensor | None) -> FeaturePatch | None:
    if "graft" not in about and features is None:
        return None
    if "graft" not in about or features is None or about.get("taken") is not True:
        raise BadRecipe(f"half of the feature patch of {name!r} is missing. {MAKE_AGAIN}.")
    try:
        return patch_from_json(_known(about["graft"], "graft"), features)
    except BadValue as e:
        raise BadRecipe(f"the feature patch of {name!r} cannot be used: {e}") from e


def _vectors(text: Any, num_ws: int) -> dict[str, Tensor]:
    """By index of the edit: vectors float32 [num_ws, w_dim]; by index + "/graft": features float16 [C, h, w]."""
    if text is None:
        return {}
    try:
        tensors = safetensors.torch.load(base64.b64decode(text, validate=True))
    except (binascii.Error, TypeError, ValueError, safetensors.SafetensorError) as e:
        raise BadRecipe(f"its directions are damaged ({str(e)[:80]}). {MAKE_AGAIN}.") from e
    found = {}
    for key, tensor in tensors.items():
        if key.endswith("/graft"):  # validated with the rest of the feature patch
            found[key] = tensor
            continue
        if tensor.ndim != 2 or len(tensor) not in (1, num_ws) or tensor.dtype != torch.float32 or not tensor.numel():
            raise BadRecipe(
                f"a direction has the shape {list(tensor.shape)} ({tensor.dtype}); expected float32 [{num_ws}, w_dim]. "
                f"{MAKE_AGAIN}."
            )
        if not torch.isfinite(tensor).all():
            raise BadRecipe(f"a direction holds values that are not finite. {MAKE_AGAIN}.")
        found[key] = tensor.expand(num_ws, -1).clone()
    return found


def _known(data: Any, kind: str) -> dict[str, Any]:
    """An object of the recipe whose fields are all known, so that typos are noticed."""
    if not isinstance(data, dict):
        raise BadRecipe(f"the {kind} is {str(data)[:40]!r}; expected a JSON object. {MAKE_AGAIN}.")
    unknown = sorted(set(data) - _FIELDS[kind])
    if unknown:
        raise BadRecipe(
            f"the {kind} has the unknown field {unknown[0][:40]!r}; expected {', '.join(sorted(_FIELDS[kind]))}. "
            "Correct or remove it."
        )
    return data


def _number(value: Any, what: str) -> float:
    # An integer of a thousand digits does not fit into a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise BadRecipe(f"{what} is {str(value)[:40]!r}; expected a finite number. {MAKE_AGAIN}.")
    return float(value)


def _text(value: Any, what: str, *, min_length: int = 0, max_length: int = MAX_TEXT) -> str:
    fits = isinstance(value, str) and min_length <= len(value.strip()) <= len(value) <= max_length
    if not fits or any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise BadRecipe(
            f"{what} is {str(value)[:40]!r}; expected a text of {min_length} to {max_length} characters. {MAKE_AGAIN}."
        )
    return value


def _layers(value: Any, name: str) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)
    if not whole or not 0 <= value[0] < value[1] <= 1000:
        raise BadRecipe(f"the layers of {name!r} are {str(value)[:40]}; expected two whole numbers such as [0, 4].")
    return value[0], value[1]


def _position(data: dict[str, Any]) -> Placement:
    position = IDENTITY
    for key, axis in AXES.items():
        try:
            position = position.moved(key, _number(data.get(axis.part, 0.0), f"the position's {axis.part}"))
        except BadValue as e:
            raise BadRecipe(f"its position cannot be used: {e}") from e
    return position


def refuse_constant(text: str) -> float:
    """For ``json.loads``, which would take NaN and Infinity."""
    raise BadRecipe(f"it holds {text}, which is no number. {MAKE_AGAIN}.")
