"""The loop of what learns from examples: it learns, is averaged, shows itself, and goes on as if it had not stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latent_editor.train import learning
from latent_editor.train.learning import CHECKPOINT, LOG, Trainer, train


def losses(net: nn.Module, batch: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, dict[str, float]]:
    loss = (net(batch[0]) - batch[1]).square().mean()
    return loss, {"loss": loss.item()}


def new_trainer(seed: int = 0) -> Trainer[nn.Linear]:
    torch.manual_seed(seed)
    return Trainer(nn.Linear(4, 2), losses, 1e-2, torch.float32)


def draw(random: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(16, 4, generator=random)
    return x, 2 * x[:, :2] + 1


def test_a_state_goes_on_as_if_it_had_not_stopped() -> None:
    batches = [draw(torch.Generator().manual_seed(seed)) for seed in range(3)]
    whole, first, second = new_trainer(), new_trainer(), new_trainer(1)
    for batch in batches:
        whole.learn(batch, 0.0)
    first.learn(batches[0], 0.0)
    second.load_state_dict(first.state_dict())
    for batch in batches[1:]:
        second.learn(batch, 0.0)
    assert second.step == whole.step == 3
    for a, b in zip(second.average.parameters(), whole.average.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_it_learns_for_a_while_shows_itself_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "SHOW_S", 0.5)
    trainer, test = new_trainer(), draw(torch.Generator().manual_seed(99))
    before = float(losses(trainer.average, test, torch.float32)[0])

    def show() -> dict[str, float]:
        return {"shown": float(losses(trainer.average, test, torch.float32)[0])}

    train(trainer, draw, tmp_path, minutes=0.03, seed=0, resume=False, show=show)
    rows = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    shown = [row["shown"] for row in rows if "shown" in row]
    assert len(shown) >= 2
    assert shown[-1] < 0.5 * before
    assert all(row["step"] % 100 == 0 for row in rows if "loss" in row)
    assert (tmp_path / CHECKPOINT).is_file()
    later = new_trainer(1)
    train(later, draw, tmp_path, minutes=0.0, seed=0, resume=True)
    assert later.step == trainer.step + 1
    for a, b in zip(later.average.parameters(), trainer.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0.05, rtol=0)


def test_what_drawing_raises_is_raised(tmp_path: Path) -> None:
    def broken(random: torch.Generator) -> tuple[Tensor, Tensor]:
        raise ValueError("no pictures")

    with pytest.raises(ValueError, match="no pictures"):
        train(new_trainer(), broken, tmp_path, minutes=1.0, seed=0, resume=False)
