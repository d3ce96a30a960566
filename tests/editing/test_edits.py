"""Edits are arithmetic: every test has its sum."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import MAX_EFFORT, edited, layer_range, strength_scale

LATENT = Latent(torch.zeros(12, 4), "tiny", "0")


def direction(name: str = "up", value: float = 1.0) -> Direction:
    return Direction(name, torch.full((12, 4), value))


def test_an_edit_adds_strength_times_the_vector() -> None:
    assert torch.equal(edited(LATENT, [Edit(direction(), 1.5)]).ws, torch.full((12, 4), 1.5))


def test_edits_commute_and_cancel() -> None:
    a, b = Edit(direction("a", 0.25), 2.0), Edit(direction("b", 4.0), -0.5)
    assert torch.equal(edited(LATENT, [a, b]).ws, edited(LATENT, [b, a]).ws)
    assert torch.equal(edited(LATENT, [a, replace(a, strength=-2.0)]).ws, LATENT.ws)


def test_the_latent_itself_stays_as_it_is() -> None:
    edited(LATENT, [Edit(direction(), 3.0)])
    assert LATENT.ws.abs().max() == 0


def test_layers_of_the_edit_come_before_those_of_the_direction() -> None:
    limited = replace(direction(), layers=(0, 4))
    changed = edited(LATENT, [Edit(limited, 1.0)]).ws
    assert changed[:4].min() == 1
    assert changed[4:].abs().max() == 0
    changed = edited(LATENT, [Edit(limited, 1.0, layers=(8, 12))]).ws
    assert changed[8:].min() == 1
    assert changed[:8].abs().max() == 0


def test_muted_edits_change_nothing() -> None:
    assert torch.equal(edited(LATENT, [Edit(direction(), 3.0, muted=True)]).ws, LATENT.ws)


def test_a_direction_of_another_model_is_refused() -> None:
    with pytest.raises(BadLatent, match="different models"):
        edited(LATENT, [Edit(Direction("x", torch.ones(18, 512)), 1.0)])


@pytest.mark.parametrize("num_ws", [4, 8, 12, 18])
def test_the_groups_of_layers_cover_all_without_overlap(num_ws: int) -> None:
    parts = [layer_range(num_ws, g) for g in ("coarse", "middle", "fine")]
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(num_ws))
    assert layer_range(num_ws, "all") == (0, num_ws)


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(BadValue, match="coarse"):
        layer_range(12, "medium")


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_has_to_be_finite(strength: float) -> None:
    with pytest.raises(BadValue, match="finite"):
        Edit(direction(), strength)


# Held back where edits go too far.


def axis(at: int, **changes: float) -> Direction:
    vector = torch.zeros(12, 4)
    vector[:, at] = 1.0
    return Direction(f"axis {at}", vector, **changes)


def test_what_is_safe_is_not_held_back() -> None:
    edits = [Edit(axis(0), 3.0), Edit(axis(1), -3.0), Edit(axis(2), 3.0)]
    assert strength_scale(edits) == 1
    assert edited(LATENT, edits).ws[0].tolist() == [3, -3, 3, 0]
    assert strength_scale([]) == 1


def test_one_that_goes_too_far_ends_at_the_limit() -> None:
    for limit in (3.0, 1.5):
        edit = Edit(axis(0, low=-1.0, high=limit), 1000.0)
        assert strength_scale([edit]) == pytest.approx(MAX_EFFORT * limit / 1000)
        assert edited(LATENT, [edit]).ws[:, 0].tolist() == pytest.approx([MAX_EFFORT * limit] * 12)
    assert edited(LATENT, [Edit(axis(0, low=-1.0), -9.0)]).ws[0, 0] == pytest.approx(-MAX_EFFORT)


def test_unlike_edits_go_further_together_than_like_ones() -> None:
    four = [Edit(axis(at), 4.0) for at in range(4)]
    assert strength_scale(four) == pytest.approx(MAX_EFFORT * 3 / 4 / 2)  # √4 = 2 times one of them
    assert strength_scale([Edit(axis(0), 4.0)] * 4) == pytest.approx(MAX_EFFORT * 3 / 16)
    assert strength_scale([Edit(axis(0), 90.0), Edit(axis(0), -90.0)]) == 1
    assert strength_scale([Edit(axis(0), 90.0, layers=(0, 4)), Edit(axis(0), -90.0, layers=(4, 12))]) < 0.1


def test_muted_edits_hold_nothing_back() -> None:
    assert strength_scale([Edit(axis(0), 1.0), Edit(axis(1), 1000.0, muted=True)]) == 1
