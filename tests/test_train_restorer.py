"""The restorer: it begins with the encoder's guess, learns what was there, and its files and states come back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from latent_editor.degradations import Downsampled, Grey, Masked
from latent_editor.errors import BadModel
from latent_editor.features.encoder import save_encoder
from latent_editor.features.restorer import Restorer, case_of, read_restorer, save_restorer
from latent_editor.train.networks import Networks, load_state, save_state
from latent_editor.train.restorer import RestorerTrainer, figures, lesson_of, random_hole, random_lesson

SIZE = 32


def trainer(seed: int = 0) -> RestorerTrainer:
    torch.manual_seed(seed)
    return RestorerTrainer(Networks.new(SIZE))


def pictures(trainer: RestorerTrainer, count: int = 8) -> torch.Tensor:
    """What the generator can draw, so that there is something to be found."""
    g = trainer.nets.generator
    with torch.no_grad():
        return g.synthesize(g.map(torch.randn(count, g.z_dim))).clamp(-1, 1)


def test_a_case_keeps_what_is_known_and_fills_the_rest_for_the_encoder() -> None:
    x = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    hidden = torch.zeros(1, 1, SIZE, SIZE)
    hidden[..., 8:16, 8:16] = 1
    case = case_of(None, Masked(hidden)(x), hidden)
    known = hidden[0, 0] == 0
    assert torch.equal(case.picture[..., known], x[..., known])
    assert torch.equal(case.guess[..., known], x[..., known])
    assert case.picture[..., ~known].abs().max() == 0
    assert case.guess[..., ~known].abs().max() > 0
    few = Downsampled(4)
    torch.testing.assert_close(case_of(few, few(x)).picture, few.guess(few(x)).clamp(-1, 1))


def test_an_untrained_restorer_changes_nothing() -> None:
    t = trainer()
    x = pictures(t, 2)
    lesson = lesson_of(Grey(), Grey()(x), None)
    picture, features = t.restored(t.restorer, lesson)
    assert float(features.detach().abs().max()) == 0
    ws = t.nets.encoder(lesson.case.guess, t.dtype)
    torch.testing.assert_close(picture, t.nets.generator.synthesize(ws, dtype=t.dtype), atol=0.03, rtol=0)


def test_it_learns_what_was_there() -> None:
    t = trainer()
    x = pictures(t)
    few = Downsampled(8)
    lesson = lesson_of(few, few(x), None)

    def error() -> float:
        with torch.no_grad():
            return float((lesson.agree(t.restored(t.restorer, lesson)[0]) - x).square().mean())

    before = error()
    for _ in range(60):
        t.step(x, lesson, 3e-3)
    assert error() < 0.5 * before


def test_a_state_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    t = trainer()
    x = pictures(t)
    lesson = lesson_of(Grey(), Grey()(x), None)
    t.step(x, lesson, 1e-3)
    save_state(tmp_path / "a.pt", t.state())
    t.step(x, lesson, 1e-3)
    other = trainer(1)
    other.nets = t.nets
    other.load(load_state(tmp_path / "a.pt"))  # type: ignore[arg-type]
    other.step(x, lesson, 1e-3)
    assert other.steps == t.steps == 2
    for a, b in zip(other.averaged.parameters(), t.averaged.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_a_file_comes_back_and_another_kind_is_refused(tmp_path: Path) -> None:
    t = trainer()
    x = pictures(t)
    lesson = lesson_of(Grey(), Grey()(x), None)
    t.step(x, lesson, 1e-2)
    save_restorer(t.restorer, tmp_path / "a.safetensors")
    back = read_restorer(tmp_path / "a.safetensors")
    assert isinstance(back, Restorer)
    with torch.no_grad():
        a, b = (t.restored(net, lesson)[0] for net in (t.restorer, back))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)
    save_encoder(t.nets.encoder, tmp_path / "b.safetensors")
    with pytest.raises(BadModel, match="restorer"):
        read_restorer(tmp_path / "b.safetensors")


def test_damages_are_many_and_holes_never_hide_all() -> None:
    rng = random.Random(0)
    x = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    kinds = set()
    for _ in range(60):
        lesson = random_lesson(x, rng)
        case = lesson.case
        assert lesson.agree(x).shape == x.shape
        assert case.picture.shape == case.guess.shape == x.shape
        assert torch.isfinite(case.guess).all()
        grey = float((case.guess - case.guess.mean(1, keepdim=True)).abs().max()) < 1e-3
        kinds.add((grey, bool((case.known == 0).any()), float((case.picture - x).abs().mean()) > 0.01))
        hidden = random_hole(SIZE, rng)
        assert 0 < float(hidden.mean()) < 0.95
    assert len(kinds) >= 4


def test_figures_compare_with_a_plain_repair() -> None:
    t = trainer()
    found, rows = figures(t, pictures(t, 2))
    assert set(found) == {f"{kind}_{what}" for kind in ("8x", "grey", "hole") for what in ("perceptual", "colours")}
    assert len(rows) == 7
