"""Recipes: the same pictures on the same model, by words or names on another, and no trouble from bad files."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from support.random_generators import random_generator

from latent_editor import recipes
from latent_editor.core.errors import BadRecipe
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Directions, Edit
from latent_editor.directions import named_directions
from latent_editor.directions.library import own_directions
from latent_editor.editing.edits import edited
from latent_editor.generators import Generator, random_latent
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.recipes import Recipe
from latent_editor.sessions.placement import Placement
from latent_editor.text import text_direction

START = {"format": "latent-editor recipe", "version": 1}


@pytest.fixture
def edits(tiny_generator: StyleGAN2) -> list[Edit]:
    seeded = torch.Generator().manual_seed(0)
    shape = tiny_generator.num_ws, tiny_generator.w_dim
    made = Provenance(component=3, decomposed="structure", share=0.04)
    own = Direction("long hair", torch.randn(shape, generator=seeded), -2.5, 4.0, (0, 4), "pca", made, 0.75)
    same = Direction(
        "Größe 👩‍🦰", torch.randn(1, shape[1], generator=seeded).expand(shape), entanglement={"own": 2.5, "age": 0.1}
    )
    return [Edit(own, 1.5), Edit(own, -1.25, (4, 8)), Edit(same, 0.1 + 0.2, muted=True), Edit(same, -2.0)]


def written(**data: Any) -> bytes:
    return json.dumps({**START, **data}).encode()


def read(**data: Any) -> Recipe:
    return Recipe.from_bytes(written(**data), "a.recipe")


def test_a_recipe_survives_its_file(tiny_generator: StyleGAN2, edits: list[Edit], tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.recipe"
    recipe = Recipe.of(edits, tiny_generator, name="Tuesday", placement=Placement(0.25, 0.0, -90.0))
    recipe.save(path)
    again = Recipe.load(path)
    assert again.digest == recipe.digest
    assert (again.name, again.model, again.placement) == ("Tuesday", "tiny", Placement(0.25, 0.0, -90.0))
    for found, edit in zip(again.edits(tiny_generator), edits, strict=True):
        assert (found.strength, found.layers, found.muted) == (edit.strength, edit.layers, edit.muted)
        assert torch.equal(found.direction.vector, edit.direction.vector)
        for name in ("name", "low", "high", "layers", "source", "provenance", "score", "entanglement"):
            assert getattr(found.direction, name) == getattr(edit.direction, name), name
    latent = random_latent(tiny_generator, 7)
    assert torch.equal(edited(latent, again.edits(tiny_generator)).ws, edited(latent, edits).ws)
    changed = Recipe.of([*edits[:-1], Edit(edits[-1].direction, -2.1)], tiny_generator)
    assert changed.digest != recipe.digest


def test_an_empty_recipe_is_one(tiny_generator: StyleGAN2) -> None:
    assert Recipe.from_bytes(Recipe.of([], tiny_generator).to_bytes()).edits(tiny_generator) == []


def test_people_can_read_it(tiny_generator: StyleGAN2, edits: list[Edit]) -> None:
    told = json.loads(Recipe.of(edits, tiny_generator).to_bytes())
    assert (told["format"], told["version"]) == (START["format"], 3)
    assert told["edits"][0]["slider"] == "long hair"
    assert told["edits"][0]["strength"] == 1.5


def test_one_written_by_hand_names_sliders(tiny_generator: StyleGAN2, edits: list[Edit]) -> None:
    own_directions.put(tiny_generator, Directions([edits[0].direction]))
    recipe = read(edits=[{"slider": "LONG hair", "strength": 2, "layers": [0, 2]}])
    (edit,) = recipe.edits(tiny_generator)
    assert (edit.strength, edit.layers, edit.direction) == (2.0, (0, 2), edits[0].direction)
    with pytest.raises(BadRecipe, match="'hat' names no model and cannot be made with 'tiny', whose sliders are long"):
        read(edits=[{"slider": "hat", "strength": 2}]).edits(tiny_generator)


def test_words_need_no_clip_on_their_own_model_and_are_read_again_on_another(portraits: Generator) -> None:
    red = text_direction(portraits, "red hair")
    recipe = Recipe.from_bytes(Recipe.of([Edit(red.renamed("hers"), 1.0)], portraits).to_bytes())
    assert [(i.name, i.prompt) for i in recipe.ingredients] == [("hers", "red hair")]
    (own,) = recipe.edits(portraits)
    assert torch.equal(own.direction.vector, red.vector)
    elsewhere = Recipe(recipe.ingredients, "other", "0" * 12, recipe.num_ws)
    (again,) = elsewhere.edits(portraits)
    assert again.direction.name == "hers"
    assert torch.allclose(again.direction.vector, red.vector, atol=1e-4)
    by_hand = read(edits=[{"prompt": "red hair", "strength": 1}]).edits(portraits)
    assert by_hand[0].direction.name == "red hair"


def test_a_model_that_cannot_make_it_says_so(portraits: Generator, tiny_generator: StyleGAN2) -> None:
    recipe = read(edits=[{"prompt": "red hair", "strength": 1}], model={"name": "portraits", "fingerprint": "0" * 12})
    tiny_generator.bundle.about["faces"] = False
    with pytest.raises(BadRecipe, match="'red hair' was made for the model 'portraits' and cannot be made with 'tiny'"):
        recipe.edits(tiny_generator)
    slider = named_directions(portraits)[0]
    own_directions.put(tiny_generator, Directions([Direction("other", torch.zeros(1, 1))]))
    with pytest.raises(BadRecipe, match="whose sliders are other"):
        Recipe.of([Edit(slider, 1.0)], portraits).edits(tiny_generator)


def test_sliders_of_another_model_are_found_by_name(tiny_generator: StyleGAN2, edits: list[Edit]) -> None:
    other = random_generator(img_resolution=16)
    assert other.num_ws != tiny_generator.num_ws
    theirs = Direction("Long Hair", torch.ones(other.num_ws, other.w_dim))
    own_directions.put(other, Directions([theirs]))
    n = tiny_generator.num_ws
    recipe = Recipe.of([Edit(edits[0].direction, 1.5, (2, n)), Edit(edits[0].direction, 1.0, (0, 4))], tiny_generator)
    found = recipe.edits(other)
    assert [edit.direction for edit in found] == [theirs, theirs]
    assert [edit.layers for edit in found] == [(2, other.num_ws), (0, 4)]
    beyond = Recipe.of([Edit(edits[0].direction, 1.5, (other.num_ws, n - 1))], tiny_generator)
    with pytest.raises(BadRecipe, match="for the layers"):
        beyond.edits(other)


def disentangled(prompt: str) -> Direction:
    """A text slider as it is after it was made independent of others and renamed."""
    made = Provenance("fast", prompt, doubts=("few examples",)).disentangled(("age", "a man / a woman"))
    return Direction("mine, clean", torch.ones(4, 8), source="text", provenance=made)


@pytest.mark.parametrize(
    "prompt", ["red hair", "an elf, with \"ears\", without 'x'", "a king's crown", "prompt 'a', fast"]
)
def test_a_recipe_keeps_the_prompt_of_a_disentangled_slider(tiny_generator: StyleGAN2, prompt: str) -> None:
    edit = Edit(disentangled(prompt), 1.0)
    data = Recipe.of([edit], tiny_generator).to_bytes()
    (item,) = Recipe.from_bytes(data).ingredients
    assert item.prompt == prompt
    assert item.direction is not None
    assert item.direction.provenance == edit.direction.provenance
    assert json.loads(data)["version"] == 3


@pytest.mark.parametrize("prompt", ["red hair", "an elf, with \"ears\", without 'x'", "a king's crown"])
def test_recipes_of_earlier_versions_still_know_their_prompts(tiny_generator: StyleGAN2, prompt: str) -> None:
    data = json.loads(Recipe.of([Edit(disentangled(prompt), 1.0)], tiny_generator).to_bytes())
    told = data["edits"][0]["direction"]
    del told["provenance"]
    (item,) = Recipe.from_bytes(json.dumps({**data, "version": 2}).encode()).ingredients
    assert item.direction is not None
    assert item.direction.prompt == prompt
    assert item.direction.detail == told["detail"]


@pytest.mark.parametrize(
    "provenance",
    [[], "fast", {"sparkle": 1}, {"prompt": 5}, {"prompt": "x" * 5000}, {"prompt": "a\u0000"}, {"component": -1},
     {"component": True}, {"share": 2}, {"share": float("1e999")}, {"examples": [1]}, {"disentangled_from": "age"},
     {"disentangled_from": ["a"] * 1000}],
)  # fmt: skip
def test_a_damaged_provenance_is_refused(tiny_generator: StyleGAN2, provenance: Any) -> None:
    data = json.loads(Recipe.of([Edit(disentangled("red hair"), 1.0)], tiny_generator).to_bytes())
    data["edits"][0]["direction"]["provenance"] = provenance
    with pytest.raises(BadRecipe):
        Recipe.from_bytes(json.dumps(data).encode())


# Files of strangers.


def test_a_newer_version_says_so() -> None:
    for extra in ({}, {"edits": "something new"}, {"sparkle": 1}):
        with pytest.raises(BadRecipe, match=r"a\.recipe: .*newer Latent Editor \(version 4 .* Update"):
            read(**{**extra, "version": 4})


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"format": "cake"}, "latent-editor recipe"),
        ({"version": None}, "version"),
        ({"version": "1"}, "version"),
        ({"version": 0}, "version"),
        ({"version": True}, "version"),
        ({}, "no list of edits"),
        ({"edits": {}}, "no list of edits"),
        ({"edits": [{"slider": "a", "strength": 1}] * 101}, "101 edits"),
        ({"edits": [], "autor": "me"}, "unknown field 'autor'"),
        ({"edits": [{"slider": "a", "strenght": 1}]}, "unknown field 'strenght'"),
        ({"edits": [7]}, "JSON object"),
        ({"edits": [{"strength": 1}]}, "neither"),
        ({"edits": [{"slider": "a"}]}, "strength of 'a' is 'None'"),
        ({"edits": [{"slider": "a", "strength": "1"}]}, "strength"),
        ({"edits": [{"slider": "a", "strength": True}]}, "strength"),
        ({"edits": [{"slider": "a", "strength": 11}]}, "−10 to 10"),
        ({"edits": [{"slider": "a", "strength": 10**400}]}, "recipe"),
        ({"edits": [{"slider": "", "strength": 1}]}, "1 to 300"),
        ({"edits": [{"slider": "a" * 301, "strength": 1}]}, "1 to 300"),
        ({"edits": [{"slider": "a\x00b", "strength": 1}]}, "name"),
        ({"edits": [{"slider": ["a"], "strength": 1}]}, "name"),
        ({"edits": [{"slider": "a", "strength": 1, "muted": 1}]}, "true or false"),
        ({"edits": [{"slider": "a", "strength": 1, "layers": [4, 4]}]}, "layers"),
        ({"edits": [{"slider": "a", "strength": 1, "layers": [0.0, 4]}]}, "layers"),
        ({"edits": [{"slider": "a", "strength": 1, "layers": "all"}]}, "layers"),
        ({"edits": [], "model": {"num_ws": -1}}, "num_ws"),
        ({"edits": [], "model": {"num_ws": 10**9}}, "num_ws"),
        ({"edits": [], "model": []}, "model"),
        ({"edits": [], "vectors": "no base64!"}, "directions are damaged"),
        ({"edits": [], "vectors": "AAAA"}, "directions are damaged"),
        ({"edits": [], "vectors": 7}, "directions are damaged"),
        ({"edits": [], "position": {"x": 9}}, "position"),
        ({"edits": [], "position": {"z": 0}}, "unknown field 'z'"),
    ],
)
def test_what_is_wrong_is_said(data: dict[str, Any], match: str) -> None:
    with pytest.raises(BadRecipe, match=match) as caught:
        read(**data)
    assert str(caught.value).startswith("a.recipe")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_refused(number: str) -> None:
    text = f'{{"format": "latent-editor recipe", "version": 1, "edits": [{{"slider": "a", "strength": {number}}}]}}'
    with pytest.raises(BadRecipe):
        Recipe.from_bytes(text.encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"[]", b"null", b"7", b'"recipe"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"PK\3\4"],
)
def test_what_is_no_recipe_is_refused(data: bytes) -> None:
    with pytest.raises(BadRecipe, match=r"a\.recipe"):
        Recipe.from_bytes(data, "a.recipe")


@pytest.mark.parametrize(
    ("tensor", "match"),
    [
        (torch.full((1, 4), math.nan), "not finite"),
        (torch.zeros(3, 4), "shape"),
        (torch.zeros(1, 4).half(), "float16"),
        (torch.zeros(0, 4), "shape"),
        (torch.zeros(4), "shape"),
    ],
)
def test_bad_directions_are_refused(tensor: torch.Tensor, match: str) -> None:
    vectors = base64.b64encode(safetensors.torch.save({"0": tensor})).decode()
    with pytest.raises(BadRecipe, match=match):
        read(edits=[{"slider": "a", "strength": 1}], model={"num_ws": 8}, vectors=vectors)


def test_layers_beyond_the_recipes_own_model_are_refused(tiny_generator: StyleGAN2, edits: list[Edit]) -> None:
    told = json.loads(Recipe.of(edits, tiny_generator).to_bytes())
    for where in (told["edits"][0], told["edits"][0]["direction"]):
        before, where["layers"] = where.get("layers"), [0, 99]
        with pytest.raises(BadRecipe, match=r"0\.\.99"):
            Recipe.from_bytes(json.dumps(told).encode())
        where["layers"] = before


def test_damage_anywhere_raises_nothing_else(tiny_generator: StyleGAN2, edits: list[Edit]) -> None:
    whole, seeded = Recipe.of(edits, tiny_generator).to_bytes(), np.random.default_rng(1)
    refused = 0
    for i in range(300):
        data = bytearray(whole if i % 2 else whole[: seeded.integers(len(whole))])
        for at in seeded.integers(0, max(len(data), 1), 3):
            if len(data):
                data[at] = seeded.integers(0, 256)
        try:
            Recipe.from_bytes(bytes(data))
        except BadRecipe:
            refused += 1
    assert refused > 150


def test_files_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRecipe, match=r"a\.recipe does not exist"):
        Recipe.load(tmp_path / "a.recipe")
    with pytest.raises(BadRecipe, match="folder"):
        Recipe.load(tmp_path)
    monkeypatch.setattr(recipes.recipe, "MAX_BYTES", 10)
    (tmp_path / "a.recipe").write_bytes(written(edits=[]))
    with pytest.raises(BadRecipe, match="MB"):
        Recipe.load(tmp_path / "a.recipe")
