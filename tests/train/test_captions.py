"""Captions agree with the labels, and statements with their truth values; images and labels are read safely."""

from __future__ import annotations

import json
import math
import tarfile
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadInput
from latent_editor.train.captions import Statement, compose, known_words, phrase, statement, truth_table, with_article
from latent_editor.train.pictures import match_labels, read_labels, read_pictures
from latent_editor.train.vocabulary import Concept, checks, concepts

GRANDMOTHER = {
    "sex": "woman", "age": "old", "hair_colour": "red", "hair_length": "long", "facial_hair": "none", "skin": "pale",
    "expression": "smile", "headwear": "crown", "pointed_ears": False, "makeup": True, "background": "blue",
    "style": "painted", "pose": "frontal",
}  # fmt: skip
ELF = {
    **GRANDMOTHER, "sex": "unclear", "age": "young", "hair_colour": "black", "facial_hair": "beard", "skin": "dark",
    "expression": "angry", "headwear": "none", "pointed_ears": True, "makeup": False, "hair_length": "bald",
}  # fmt: skip


def by_name(name: str) -> Concept:
    return next(c for c in concepts() if c.name == name)


@pytest.mark.parametrize(
    ("name", "grandmother", "elf"),
    [("a woman", 1, None), ("a man", 0, None), ("a grandmother", 1, 0), ("red hair", 1, 0), ("a beard", 0, 1),
     ("pale skin", 1, 0), ("dark skin", 0, 1), ("a smile", 1, 0), ("pointed ears", 0, 1), ("bald", 0, 1)],
)  # fmt: skip
def test_rules_follow_the_labels(name: str, grandmother: float, elf: float | None) -> None:
    assert by_name(name).rule(GRANDMOTHER) == grandmother
    assert by_name(name).rule(ELF) == elf


def test_names_of_concepts_are_unique() -> None:
    names = [c.name for c in concepts()]
    assert len(set(names)) == len(names)


def test_every_concept_has_several_wordings() -> None:
    for concept in concepts():
        assert len({phrase(concept, Random(i)) for i in range(60)}) > 5, concept.name


def test_captions_are_true_varied_and_use_the_prompt() -> None:
    captions = [compose(GRANDMOTHER, "queen of the north", Random(i), concepts()) for i in range(300)]
    assert len(set(captions)) > 250
    assert any("queen of the north" in s for s in captions)
    own = " ".join(s for s in captions if "queen of the north" not in s)
    assert "crown" in own
    assert "red" in own
    for wrong in ("full beard", "angry", "bearded", "brown skin", "elf", "grandfather", " man "):
        assert wrong not in own


def test_truth_of_statements() -> None:
    known = concepts()
    table = truth_table([GRANDMOTHER, ELF], known)
    at = {c.name: i for i, c in enumerate(known)}
    assert Statement("", (at["red hair"],)).truth(table).tolist() == [1, 0]
    assert Statement("", (at["red hair"],), negated=True).truth(table).tolist() == [0, 1]
    assert Statement("a person", ()).truth(table).tolist() == [0.5, 0.5]
    both = Statement("", (at["a beard"], at["a woman"])).truth(table)
    assert both[0] == 0  # false regardless of the unknown part
    assert math.isnan(both[1])


def test_random_statements_match_their_truth_and_negation() -> None:
    known, random = concepts(), Random(0)
    table = truth_table([GRANDMOTHER, ELF], known)
    made = [statement(random, known) for _ in range(400)]
    assert {len(s.parts) for s in made} == {1, 2}
    assert sum(s.negated for s in made) > 10
    for s in made:
        assert s.text == s.text.strip()
        assert s.text
        assert s.truth(table).shape == (2,)


@pytest.mark.parametrize(
    ("words", "want"), [("old man", "an old man"), ("man", "a man"), ("the king", "the king"), ("no hair", "no hair")]
)
def test_articles(words: str, want: str) -> None:
    assert with_article(words) == want


def test_words_in_few_prompts_do_not_count_as_learned() -> None:
    words = known_words(["a grumpy orc"] * 3 + ["Viking, viking"] * 2, concepts(), min_count=3)
    assert {"orc", "ginger", "grandmother", "without", "photo"} <= words
    assert "viking" not in words


def test_checks_are_strict() -> None:
    rule = checks()["beard"][1]
    assert rule({**GRANDMOTHER, "facial_hair": "beard"}) == 1
    assert rule({**GRANDMOTHER, "facial_hair": "goatee"}) == 0


def write_picture(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (20, 10)) -> None:
    Image.new("RGB", size, color).save(path)


def test_a_folder_and_a_tar_give_the_same_images(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / "b.png", (255, 0, 0))
    write_picture(folder / "a.png", (0, 0, 255))
    (folder / "notes.txt").write_text("not a picture")
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        archive.add(folder, arcname="p")
    for source in (folder, tmp_path / "p.tar"):
        found = read_pictures(source, 8)
        assert found.names == ["a.png", "b.png"]
        assert found.images.shape == (2, 3, 8, 8)
        assert found.images.dtype == torch.uint8
        assert found.images[0, :, 4, 4].tolist() == [0, 0, 255]
    assert read_pictures(folder, 8, limit=1).names == ["a.png"]


def test_unreadable_images_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_pictures(tmp_path / "nothing", 8)
    with pytest.raises(BadInput, match="contains no images"):
        read_pictures(tmp_path, 8)
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(BadInput, match="not a readable image"):
        read_pictures(tmp_path, 8)
    (tmp_path / "x.tar").write_bytes(b"no tar")
    with pytest.raises(BadInput, match="not a readable tar"):
        read_pictures(tmp_path / "x.tar", 8)


def test_a_hostile_tar_writes_nothing(tmp_path: Path) -> None:
    data = BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        member = tarfile.TarInfo("../../evil.png")
        member.size = len(data.getvalue())
        archive.addfile(member, BytesIO(data.getvalue()))
    assert read_pictures(tmp_path / "p.tar", 8).names == ["evil.png"]
    assert not list(tmp_path.parent.glob("**/evil.png"))


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"file": "b.png", "n": 1}) + "\n\n" + json.dumps({"file": "a.png", "n": 2}) + "\n")
    rows = read_labels(path)
    write_picture(tmp_path / "a.png", (0, 0, 0))
    pictures = read_pictures(tmp_path, 8)
    assert match_labels(pictures, rows)[0]["n"] == 2
    with pytest.raises(BadInput, match=r"have no label, such as a\.png"):
        match_labels(pictures, rows[:1])
    path.write_text('{"file": 3}\n')
    with pytest.raises(BadInput, match="line 1"):
        read_labels(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")
