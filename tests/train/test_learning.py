"""The supervised training loop: learning, averaging, validation, and exact resuming."""

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


def test_a_restored_trainer_continues_exactly() -> None:
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


def test_it_trains_validates_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "VALIDATE_S", 0.5)
    trainer, test = new_trainer(), draw(torch.Generator().manual_seed(99))
    before = float(losses(trainer.average, test, torch.float32)[0])

    def validate() -> dict[str, float]:
        return {"validation_loss": float(losses(trainer.average, test, torch.float32)[0])}

    train(trainer, draw, tmp_path, minutes=0.03, seed=0, resume=False, validate=validate)
    rows = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    validated = [row["validation_loss"] for row in rows if "validation_loss" in row]
    assert len(validated) >= 2
    assert validated[-1] < 0.5 * before
    assert all(row["step"] % 100 == 0 for row in rows if "loss" in row)
    assert (tmp_path / CHECKPOINT).is_file()
    later = new_trainer(1)
    train(later, draw, tmp_path, minutes=0.0, seed=0, resume=True)
    assert later.step == trainer.step + 1
    for a, b in zip(later.average.parameters(), trainer.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0.05, rtol=0)


def test_an_exception_while_drawing_is_raised(tmp_path: Path) -> None:
    def broken(random: torch.Generator) -> tuple[Tensor, Tensor]:
        raise ValueError("no pictures")

    with pytest.raises(ValueError, match="no pictures"):
        train(new_trainer(), broken, tmp_path, minutes=1.0, seed=0, resume=False)
