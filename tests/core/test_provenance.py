"""The origin of a direction: the same after JSON, and recovered from the files of earlier versions."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import torch

from latent_editor.core.errors import BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction

WHOLE = Provenance(
    method="global", prompt="red hair | not old", opposite="hair", doubts=("one", "two"), component=3,
    decomposed="structure", share=0.25, channel=(5, 17), examples=(80, 81), accuracy=0.9, file="a.npy",
    disentangled_from=("age", "a man / a woman"), note="as it is",
)  # fmt: skip


def test_json_gives_back_every_field() -> None:
    assert Provenance.from_json(json.loads(json.dumps(WHOLE.to_json()))) == WHOLE
    assert set(WHOLE.to_json()) == {field.name for field in fields(Provenance)}  # none is left at its default here
    assert Provenance().to_json() == {}
    assert Provenance.from_json({}) == Provenance()


def test_every_field_is_described() -> None:
    line = WHOLE.describe()
    for part in ("global", "red hair", "'hair'", "one; two", "component 3 of structure", "25.0%", "channel 17",
                 "layer 5", "80 and 81", "90%", "a.npy", "'age', 'a man / a woman'", "as it is"):  # fmt: skip
        assert part in line, part
    assert Provenance().describe() == ""


@pytest.mark.parametrize("data", [None, [], {"sparkle": 1}, {"channel": [1, 2, 3]}, {"doubts": [1]}])
def test_what_is_no_provenance_is_refused(data: object) -> None:
    with pytest.raises(BadValue, match="expected"):
        Provenance.from_json(data)


@pytest.mark.parametrize(
    ("source", "detail", "method", "prompt", "without"),
    [
        ("text", "prompt 'red hair', fast", "fast", "red hair", ()),
        ("text", "prompt 'red hair', fast, without 'age'", "fast", "red hair", ("age",)),
        ("text", "prompt 'red hair', fast, without 'age', without 'a', 'b'", "fast", "red hair", ("age", "a", "b")),
        ("text", "9 of 40 channels, threshold 0.3, prompt 'a | not b', global", "global", "a | not b", ()),
        (
            "text",
            "unsure: the CLIP has never seen 'xyz'. prompt 'an elf, with \"ears\"', optimize",
            "optimize",
            'an elf, with "ears"',
            (),
        ),
        ("text", '100 steps, prompt "a king\'s crown", mapper', "mapper", "a king's crown", ()),
        ("text", "whatever", "", None, ()),
        ("text", "prompt open('x'), fast", "", None, ()),
        ("text", "prompt '\\x', fast", "", None, ()),
        ("boundary", "'a' / 'b', 92% of held-out ones told rightly, without 'age'", "", None, ("age",)),
        ("pca", "prompt 'red hair', fast", "", None, ()),
    ],
)
def test_details_of_earlier_versions_are_read(
    source: str, detail: str, method: str, prompt: str | None, without: tuple[str, ...]
) -> None:
    read = Provenance.from_detail(source, detail)
    assert (read.method, read.prompt, read.disentangled_from) == (method, prompt, without)
    if detail.count("without") < 2:
        assert read.describe() == detail


def test_a_direction_knows_its_prompt_whatever_it_is_called() -> None:
    made = Provenance("fast", "red hair").disentangled(("age",)).disentangled(("age", "smile"))
    assert made.disentangled_from == ("age", "smile")
    direction = Direction("red hair, clean", torch.zeros(1, 1), source="text", provenance=made).renamed("mine")
    assert direction.prompt == "red hair"
    assert Direction.from_facts(direction.facts(), direction.vector).prompt == "red hair"
    assert Direction("a beard", torch.zeros(1, 1), source="text").prompt == "a beard"
    assert Direction("smile", torch.zeros(1, 1), source="pca", provenance=made).prompt is None


def test_facts_of_earlier_versions_are_read() -> None:
    old = {"name": "x", "low": -2.0, "high": 2.0, "layers": [0, 4], "source": "text", "score": 0.5,
           "detail": "prompt 'red hair', fast, without 'age'", "leakage": {"own": 1.0}}  # fmt: skip
    read = Direction.from_facts(old, torch.zeros(8, 4))
    assert (read.prompt, read.provenance.method, read.layers) == ("red hair", "fast", (0, 4))
    told = read.facts()
    assert {key: told[key] for key in old} == {**old, "layers": (0, 4)}
