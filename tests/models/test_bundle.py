"""Models by name and by path, and parts that are built once."""

from __future__ import annotations

import copy
import json
import threading
import time
from pathlib import Path

import pytest

from latent_editor.core.errors import BadModel, MissingPart, UnknownModel
from latent_editor.models import bundle
from latent_editor.models.bundle import FOLDERS_VARIABLE, MODEL_FILE, Bundle, model_folders, model_names, open_bundle
from latent_editor.models.per_model import per_generator, per_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cats"
    folder.mkdir()
    (folder / MODEL_FILE).write_text(json.dumps({"name": "cats", "size_px": 64}), encoding="utf-8")
    return folder


def test_a_model_is_found_by_path(folder: Path) -> None:
    for path in (folder, str(folder)):
        bundle = open_bundle(path)
        assert (bundle.name, bundle.folder, bundle.about["size_px"]) == ("cats", folder, 64)


def test_a_model_is_found_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder.parent))
    assert open_bundle("cats").folder == folder
    assert model_folders()[0] == folder.parent
    assert {"cats", "portraits"} <= set(model_names())


def test_the_embedded_model_is_there() -> None:
    bundle = open_bundle("portraits")
    assert bundle.name == "portraits"
    assert "artflow" in bundle.about["credit"]


@pytest.mark.parametrize("name", ["dogs", "", "../../etc", "a" * 200])
def test_an_unknown_model_lists_the_known(name: str) -> None:
    with pytest.raises(UnknownModel, match=r"No model is called .*portraits.*A path"):
        open_bundle(name)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '"name"', "\x00"])
def test_a_damaged_description_is_named(content: str, folder: Path) -> None:
    (folder / MODEL_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(BadModel, match="model.json cannot be read"):
        open_bundle(folder)


def test_a_missing_file_says_what_it_is_for(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert not bundle.has("encoder.safetensors")
    with pytest.raises(MissingPart, match="'cats' has no encoder.safetensors, needed for instant inversion"):
        bundle.file("encoder.safetensors", "instant inversion")
    (folder / "encoder.safetensors").touch()
    assert bundle.has("encoder.safetensors")
    assert bundle.file("encoder.safetensors", "instant inversion") == folder / "encoder.safetensors"
    with pytest.raises(MissingPart):
        Bundle("in memory").file("encoder.safetensors", "instant inversion")


def test_a_part_is_built_once_by_many_threads() -> None:
    bundle, built = Bundle("m"), []

    def build() -> object:
        time.sleep(0.02)
        built.append(object())
        return built[-1]

    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(bundle.parts.get("clip", build))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(built) == 1
    assert got == built * 8


def test_a_part_may_need_another_part() -> None:
    bundle = Bundle("m")
    assert bundle.parts.get("sum", lambda: bundle.parts.get("one", lambda: 1) + 1) == 2


def test_a_failed_part_is_tried_again() -> None:
    bundle = Bundle("m")
    with pytest.raises(ZeroDivisionError):
        bundle.parts.get("p", lambda: 1 // 0)
    assert bundle.parts.get("p", lambda: 3) == 3


def test_a_copy_does_not_share_parts() -> None:
    bundle = Bundle("m", about={"a": 1})
    bundle.parts.get("p", lambda: 1)
    again = copy.deepcopy(bundle)
    assert (again.name, again.about) == ("m", {"a": 1})
    assert again.parts.get("p", lambda: 2) == 2


class _Owner:
    """A generator, as far as its parts go."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle


def test_answers_are_kept_by_model_and_positional_arguments() -> None:
    @per_model
    def square(g: _Owner, number: int, *, on_step: object = None) -> list[int]:
        return [number**2]

    @per_model
    def cube(g: _Owner, number: int) -> list[int]:
        return [number**3]

    one, other = _Owner(Bundle("one")), _Owner(Bundle("other"))
    assert not square.is_built(one, 3)
    first = square(one, 3, on_step=print)
    assert first == [9]
    assert square(one, 3) is first  # whom it reports to is no part of the question
    assert square.is_built(one, 3)
    assert not square.is_built(one, 4)
    assert square(other, 3) is not first
    assert cube(one, 3) == [27]
    square.put(one, [16], 4)
    assert square(one, 4) == [16]


def test_a_refined_generator_shares_its_models_parts_but_not_its_pictures() -> None:
    @per_model
    def weights(g: _Owner) -> list[int]:
        return [1]

    @per_generator
    def pictures(g: _Owner) -> list[int]:
        return [2]

    whole, fitted = _Owner(Bundle("m")), _Owner(Bundle("m"))
    fitted.bundle.parts = whole.bundle.parts
    assert weights(fitted) is weights(whole)
    assert pictures(fitted) is not pictures(whole)
    assert pictures(fitted) is pictures(fitted)


# What the embedded model lends.


TO_ALL = {"discriminator.safetensors"}
TO_FACES = {*TO_ALL, "landmarks.safetensors", "clip.safetensors", "clip.json", "colorizer.safetensors"}


@pytest.mark.parametrize(
    ("about", "lent"),
    [
        ({}, TO_ALL),
        ({"faces": False}, TO_ALL),
        ({"faces": True}, TO_FACES),
        ({"canonical_points": {"left_eye": [0, 0]}}, TO_FACES),
    ],
)
def test_what_is_lent_to_whom(about: dict[str, object], lent: set[str], tmp_path: Path) -> None:
    bundle = Bundle("mine", tmp_path / "not there", about)
    lender = open_bundle("portraits").folder
    assert lender is not None
    for path in lender.iterdir():
        assert bundle.has(path.name) == (path.name in lent)
        assert not bundle.has(path.name, own=True)
        if path.name in lent:
            assert bundle.file(path.name, "this").samefile(path)
        else:
            with pytest.raises(MissingPart, match="needed for this"):
                bundle.file(path.name, "this")


def test_a_file_of_ones_own_comes_before_one_that_is_lent(tmp_path: Path) -> None:
    bundle = Bundle("mine", tmp_path, {"faces": True})
    (tmp_path / "discriminator.safetensors").touch()
    assert bundle.file("discriminator.safetensors", "this") == tmp_path / "discriminator.safetensors"
    assert bundle.has("discriminator.safetensors", own=True)


def test_without_the_embedded_model_nothing_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FALLBACK_MODEL", "nobody")
    assert not Bundle("mine", None, {"faces": True}).has("discriminator.safetensors")


def test_facts_are_remembered_for_one_fingerprint(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert bundle.save_facts("abc", {"faces": True})
    assert bundle.save_facts("abc", {"more": 1})
    again = open_bundle(folder)
    assert again.facts("abc") == {"fingerprint": "abc", "faces": True, "more": 1}
    assert again.facts("abd") == {}
    assert (again.name, again.about["size_px"]) == ("cats", 64)  # what was there stays
    again.save_facts("abd", {"faces": False})
    assert open_bundle(folder).facts("abd") == {"fingerprint": "abd", "faces": False}


def test_a_cache_is_told_from_a_folder_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(bundle.CACHE_VARIABLE, str(tmp_path / "cache"))
    assert Bundle("a", tmp_path / "cache" / "models" / "a").is_cache
    assert not Bundle("a", tmp_path / "models" / "a").is_cache
    assert not Bundle("a").is_cache
