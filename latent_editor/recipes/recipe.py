"""A list of edits, saved from one photo to be replayed on others."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadInput, BadRecipe, MissingPart
from latent_editor.core.provenance import UNKNOWN
from latent_editor.core.values import Direction, Edit, OnStep
from latent_editor.directions import named_directions
from latent_editor.generators import Generator
from latent_editor.recipes.feature_patch import patch_to_json
from latent_editor.recipes.ingredients import DIRECTION_KEYS, FORMAT, MAKE_AGAIN, VERSION, Ingredient
from latent_editor.recipes.masks import mask_to_text
from latent_editor.recipes.reading import read_recipe, refuse_constant
from latent_editor.sessions.placement import AXES, IDENTITY, Placement
from latent_editor.text import text_direction

MAX_BYTES = 32 << 20


@dataclass(frozen=True, eq=False)
class Recipe:
    """A list of edits that can be replayed.

    Attributes:
        ingredients: The edits.
        model, fingerprint, num_ws: The model that the directions belong to; empty and 0 in one written by hand.
        name: For people; may be empty.
        placement: Where a model that can move its pictures draws them.
    """

    ingredients: tuple[Ingredient, ...]
    model: str = ""
    fingerprint: str = ""
    num_ws: int = 0
    name: str = ""
    placement: Placement = IDENTITY

    @staticmethod
    def of(edits: Sequence[Edit], g: Generator, *, name: str = "", placement: Placement = IDENTITY) -> Recipe:
        """The recipe of edits that were made with a model."""
        items = tuple(
            Ingredient(e.direction.name, e.strength, e.direction.prompt, e.layers, e.muted, e.direction, e.region)
            for e in edits
        )
        return Recipe(items, g.name, g.fingerprint, g.num_ws, name, placement)

    def edits(self, g: Generator, *, on_step: OnStep | None = None) -> list[Edit]:
        """The edits, for any latent of a model.

        The recipe's own model takes the directions as they are. For another one, prompts are read again, and other
        sliders are looked up by their names.

        Args:
            g: The generator of the latents to be edited.
            on_step: Called with the progress of reading prompts.

        Raises:
            BadRecipe: an edit that cannot be made with this model.
        """
        return [self._edit(item, g, on_step) for item in self.ingredients]

    def _edit(self, item: Ingredient, g: Generator, on_step: OnStep | None) -> Edit:
        own = self.fingerprint == g.fingerprint
        if own and item.direction is not None:
            return Edit(item.direction, item.strength, item.layers, item.muted, item.region)
        layers = item.layers
        if layers is not None and not own and layers[1] == self.num_ws:
            layers = layers[0], g.num_ws  # "to the last layer" means this model's
        if layers is not None and not 0 <= layers[0] < layers[1] <= g.num_ws:
            raise BadRecipe(
                f"The edit {item.name!r} is for the layers {layers[0]}..{layers[1]}; the model {g.name!r} has "
                f"0..{g.num_ws}. Make the edit again with this model."
            )
        return Edit(self._direction(item, g, on_step), item.strength, layers, item.muted, item.region)

    def _direction(self, item: Ingredient, g: Generator, on_step: OnStep | None) -> Direction:
        """An ingredient's direction, made again for a model."""
        made_for = f"was made for the model {self.model!r}" if self.model else "names no model"
        start = f"The edit {item.name!r} {made_for} and cannot be made with {g.name!r}"
        if item.direction is not None and item.direction.interpolates:
            raise BadRecipe(f"{start}: it comes from a face of that model. Transfer it from a photo again.")
        if item.prompt is not None:
            try:
                return text_direction(g, item.prompt, on_step=on_step).renamed(item.name)
            except (BadInput, MissingPart) as e:
                raise BadRecipe(f"{start}: {e}") from e
        directions = named_directions(g, on_step=on_step)
        found = [d for d in directions if d.name.casefold() == item.name.casefold()]
        if not found:
            raise BadRecipe(
                f"{start}, whose sliders are {', '.join(directions.names) or 'none'}. Use the model that it was made "
                "for, or describe the edit by a prompt."
            )
        return found[0]

    @property
    def digest(self) -> str:
        """16 hex digits that change when anything does."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    def to_bytes(self) -> bytes:
        """The content of a file that :meth:`save` writes."""
        directions = {str(i): d for i, d in enumerate(item.direction for item in self.ingredients) if d is not None}
        vectors = {key: _packed(d.vector) for key, d in directions.items()}
        vectors |= {
            f"{key}/graft": d.feature_patch.features for key, d in directions.items() if d.feature_patch is not None
        }
        data: dict[str, Any] = {"format": FORMAT, "version": _version(directions.values())}
        if self.name:
            data["name"] = self.name
        if self.model:
            data["model"] = {"name": self.model, "fingerprint": self.fingerprint, "num_ws": self.num_ws}
        if self.placement != IDENTITY:
            data["position"] = {axis.part: getattr(self.placement, axis.part) for axis in AXES.values()}
        data["edits"] = [_to_json(item) for item in self.ingredients]
        if vectors:
            data["vectors"] = base64.b64encode(safetensors.torch.save(vectors)).decode()
        return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def save(self, path: str | Path) -> None:
        """Writes the recipe, atomically."""
        tensor_files.write_bytes(path, self.to_bytes())

    @staticmethod
    def load(path: str | Path) -> Recipe:
        """Reads what :meth:`save` wrote, or what somebody wrote by hand.

        Raises:
            BadRecipe: missing, too large, damaged, of a newer version, or with a field that is not known.
        """
        path = Path(path)
        try:
            if not path.is_file():
                what = "is a folder or device" if path.exists() else "does not exist"
                raise BadRecipe(f"{path.name} {what}; expected a recipe. Check the path.")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as e:
            raise BadRecipe(f"{path.name} cannot be read ({e.strerror}). Check its permissions.") from e
        return Recipe.from_bytes(data, path.name)

    @staticmethod
    def from_bytes(data: bytes, name: str = "the recipe") -> Recipe:
        """Reads the content of a file; the messages of errors call it ``name``. Raises BadRecipe."""
        if len(data) > MAX_BYTES:
            raise BadRecipe(f"{name} has more than {MAX_BYTES >> 20} MB; no recipe has. {MAKE_AGAIN}.")
        try:
            return Recipe(**read_recipe(json.loads(data, parse_constant=refuse_constant)))
        except BadRecipe as e:
            raise BadRecipe(f"{name}: {e}") from e
        except (ValueError, TypeError, KeyError, RecursionError, safetensors.SafetensorError) as e:
            raise BadRecipe(f"{name} is no recipe that can be read ({str(e)[:120]}). {MAKE_AGAIN}.") from e


def _version(directions: Iterable[Direction]) -> int:
    """The lowest version of the format that can hold these directions."""
    found = list(directions)
    if any(d.provenance != UNKNOWN for d in found):
        return VERSION
    return 2 if any(d.feature_patch is not None for d in found) else 1


def _packed(vector: Tensor) -> Tensor:
    """float32 [1, w_dim] where all rows are alike, else [num_ws, w_dim]."""
    vector = vector.detach().float().cpu()
    return (vector[:1] if bool((vector == vector[:1]).all()) else vector).clone()  # two may share their memory


def _to_json(item: Ingredient) -> dict[str, Any]:
    data: dict[str, Any] = {"slider": item.name, "strength": item.strength}
    data |= {"prompt": item.prompt} if item.prompt is not None else {}
    data |= {"layers": list(item.layers)} if item.layers is not None else {}
    data |= {"muted": True} if item.muted else {}
    if item.region is not None:
        data["region"] = {"name": item.region.name, "mask": mask_to_text(item.region)}
    if item.direction is not None:
        facts = {**item.direction.facts(), "taken": item.direction.interpolates}
        about = {key: facts[key] for key in DIRECTION_KEYS if key in facts}
        data["direction"] = {
            k: dict(v) if isinstance(v, Mapping) else v for k, v in about.items() if v is not None and v is not False
        }
        if item.direction.feature_patch is not None:
            data["direction"]["graft"] = patch_to_json(item.direction.feature_patch)
    return data
