"""The list of published models, licenses that have to be accepted, and the record of a download."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.file_server import FileServer, say, serve, write_manifest

import latent_editor as le
from latent_editor.checkpoints import zoo
from latent_editor.core.errors import BadInput, BadModel, FetchFailed, LicenseNotAccepted, UnknownModel
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import CACHE_VARIABLE, FOLDERS_VARIABLE

DATA = b"\x80\x04" + bytes(range(256)) * 1000


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer(DATA)
    yield server
    server.close()


@pytest.fixture
def folder(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest whose only model is on ``server``."""
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_manifest(tmp_path / "mine", server.address)
    return tmp_path / "mine"


# The list.


def test_the_project_lists_the_models_that_people_ask_for() -> None:
    known = {entry.name: entry for entry in zoo.entries()}
    assert {
        "ffhq-1024", "ffhq-512", "ffhq-256", "metfaces-1024", "afhqcat-512", "afhqdog-512", "afhqwild-512",
        "lsun-cat-256", "lsun-church-256", "lsun-horse-256", "lsun-car-512",
        "stylegan3-t-ffhq-1024", "stylegan3-r-ffhq-1024", "stylegan3-t-metfaces-1024", "stylegan3-r-afhqv2-512",
    } <= set(known)  # fmt: skip
    assert len({entry.address for entry in known.values()}) == len(known)
    for entry in known.values():
        assert entry.address.startswith("https://")
        assert entry.kind in ("stylegan2", "stylegan3")
        assert entry.kind in entry.title.lower() or entry.kind == "stylegan2"
        assert entry.name.endswith(str(entry.size_px)) or f"-{entry.size_px}-" in entry.name
        assert entry.license.link.startswith("https://")
        assert "not commercially" in entry.license.statement  # none of these is free for every purpose
        assert re.fullmatch(r"[a-z0-9.-]+\.(pkl|pt)", entry.file_name)


def test_a_known_hash_comes_with_a_known_size() -> None:
    for entry in zoo.entries():
        assert (entry.sha256 is None) == (entry.size_bytes is None)


def test_upright_faces_have_points_where_the_data_set_has_them() -> None:
    """FFHQ's crop: twice the distance of the eyes is its half width, whose middle lies near the eyes."""
    for entry in zoo.entries():
        points = entry.canonical_points
        assert (points is not None) == bool(re.search(r"(ffhq|metfaces)-\d", entry.name)), entry.name
        if points is not None:
            (left, upper), (right, _) = points["left_eye"], points["right_eye"]
            assert 2 * (right - left) == pytest.approx(0.5, abs=0.02)
            assert left + right == pytest.approx(1.0, abs=0.01)
            assert upper + 0.1 * (points["mouth"][1] - upper) == pytest.approx(0.5, abs=0.02)
            assert upper < points["nose"][1] < points["mouth"][1]
            assert entry.about["canonical_points"] is points


def test_a_manifest_of_ones_own_comes_first(folder: Path, server: FileServer) -> None:
    assert zoo.entries()[0].name == "tiny-cats"
    write_manifest(folder, server.address, name="ffhq-1024")
    assert zoo.find_entry("ffhq-1024").address == server.address
    assert zoo.find_entry(" FFHQ-1024 ").address == server.address


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../up"}, {"name": "A"}, {"name": ""}, {"address": "http://example.com/a.pkl"},
        {"address": "/etc/passwd"}, {"sha256": "abc"}, {"size_bytes": "big"}, {"size_bytes": -1},
        {"licence": "unheard of"}, {"points": "unheard of"}, {"unheard": "of"},
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named(change: dict[str, Any], folder: Path, server: FileServer) -> None:
    write_manifest(folder, **{"address": server.address, **change})
    with pytest.raises(BadModel, match=r"manifest.json cannot be read"):
        zoo.entries()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"licences": {}, "models": [1]}', "\x00"])
def test_a_manifest_that_is_none_is_named(content: str, folder: Path) -> None:
    (folder / "manifest.json").write_text(content)
    with pytest.raises(BadModel, match=r"manifest.json cannot be read"):
        zoo.entries()


def test_an_unknown_name_lists_the_known(folder: Path) -> None:
    with pytest.raises(UnknownModel, match=r"called 'dogs'. Available: tiny-cats, ffhq-1024"):
        zoo.fetch("dogs", accept=True)


def test_advice_is_given_for_what_can_be_fetched(folder: Path) -> None:
    assert "`latent-editor fetch tiny-cats`" in zoo.fetch_hint("tiny-cats")
    assert zoo.fetch_hint("dogs") == ""


# Fetching.


def test_no_request_before_the_license_is_accepted(folder: Path, server: FileServer) -> None:
    with pytest.raises(LicenseNotAccepted) as refusal:
        zoo.fetch("tiny-cats")
    for words in ("Test License-NC", "Only for tests.", "https://example.com/license", "fetch tiny-cats --accept"):
        assert words in str(refusal.value)
    assert isinstance(refusal.value, BadInput)
    assert server.requests == []
    assert not zoo.zoo_folder().exists()


def test_a_model_is_fetched_once(folder: Path, server: FileServer) -> None:
    assert zoo.path_of("tiny-cats") is None
    path = zoo.fetch("tiny-cats", accept=True)
    assert path == zoo.path_of("tiny-cats") == zoo.zoo_folder() / "tiny-cats.pkl"
    assert path.read_bytes() == DATA
    assert zoo.fetch_record(path)["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert zoo.fetch_record(path)["address"] == server.address
    assert zoo.fetch("tiny-cats") == path  # there already: nothing left to accept
    assert len(server.requests) == 1


def test_another_folder_may_be_chosen(folder: Path, tmp_path: Path) -> None:
    path = zoo.fetch("tiny-cats", accept=True, folder=tmp_path / "elsewhere")
    assert path == tmp_path / "elsewhere" / "tiny-cats.pkl"
    assert zoo.path_of("tiny-cats") is None


def test_a_damaged_file_is_fetched_anew(folder: Path) -> None:
    path = zoo.fetch("tiny-cats", accept=True)
    path.write_bytes(b"")
    with pytest.raises(LicenseNotAccepted):
        zoo.fetch("tiny-cats")
    assert zoo.fetch("tiny-cats", accept=True).read_bytes() == DATA


def test_the_first_hash_is_the_one_to_expect(folder: Path, server: FileServer) -> None:
    path = zoo.fetch("tiny-cats", accept=True)
    path.unlink()
    server.data = DATA[::-1]
    with pytest.raises(FetchFailed, match=r"hash is that of the first download.*delete .*tiny-cats.pkl.json"):
        zoo.fetch("tiny-cats", accept=True)
    assert not path.exists()
    path.with_name("tiny-cats.pkl.json").unlink()
    assert zoo.fetch("tiny-cats", accept=True).read_bytes() == server.data


def test_the_manifest_is_held_against_the_file(folder: Path, server: FileServer) -> None:
    right = hashlib.sha256(DATA).hexdigest()
    write_manifest(folder, server.address, sha256="0" * 64, size_bytes=len(DATA))
    with pytest.raises(FetchFailed, match=right) as failure:
        zoo.fetch("tiny-cats", accept=True)
    assert "first download" not in str(failure.value)
    write_manifest(folder, server.address, sha256=right, size_bytes=len(DATA) - 1)
    with pytest.raises(FetchFailed, match="instead of"):
        zoo.fetch("tiny-cats", accept=True)
    write_manifest(folder, server.address, sha256=right, size_bytes=len(DATA))
    server.answers = [serve(only=100_000)]
    assert zoo.fetch("tiny-cats", accept=True).read_bytes() == DATA


def test_a_page_instead_of_a_model_leaves_nothing_to_load(folder: Path, server: FileServer) -> None:
    server.answers = [say(200, b"<html>", Content_Type="text/html")]
    with pytest.raises(FetchFailed, match="a web page"):
        zoo.fetch("tiny-cats", accept=True)
    assert zoo.path_of("tiny-cats") is None


def test_a_damaged_note_is_no_hindrance(folder: Path) -> None:
    path = zoo.fetch("tiny-cats", accept=True)
    for content in ("", "[1]", json.dumps({"sha256": None})):
        path.with_name("tiny-cats.pkl.json").write_text(content)
        assert zoo.fetch("tiny-cats") == path


def test_a_fetched_model_is_loaded_by_its_name(
    folder: Path, server: FileServer, tiny_generator: StyleGAN2, tmp_path: Path
) -> None:
    le.save_generator(tiny_generator, tmp_path / "g.safetensors")
    server.data = (tmp_path / "g.safetensors").read_bytes()
    with pytest.raises(UnknownModel, match=r"'tiny-cats' can be downloaded: `latent-editor fetch tiny-cats`"):
        le.load_generator("tiny-cats")
    zoo.fetch("tiny-cats", accept=True)
    g = le.load_generator("tiny-cats")
    assert (g.name, g.size_px, g.bundle.about["licence"]) == ("tiny-cats", 32, "Test License-NC")
    assert "canonical_points" not in g.bundle.about
