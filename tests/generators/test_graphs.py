"""Recordings of pictures: when they are made, replayed, thrown away and given up, with a recorder for CPUs."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from latent_editor.generators.graphs import MAX_GRAPHS, WARMUP_CALLS, CudaGraphCache
from latent_editor.generators.stylegan2 import StyleGAN2

Draw = Callable[[Tensor], Tensor]


class Recorder:
    """Records as a GPU does: into memory of its own, which each replay fills anew."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, draw: Draw, x: Tensor) -> Draw:
        self.recorded += 1
        given, drawn = x.clone(), draw(x).clone()

        def replay(x: Tensor) -> Tensor:
            self.replayed += 1
            given.copy_(x)
            drawn.copy_(draw(given))
            return drawn.clone()

        return replay


def double(x: Tensor) -> Tensor:
    return 2 * x


def test_what_is_drawn_often_is_replayed() -> None:
    recorder = Recorder()
    recordings = CudaGraphCache(recorder)
    for i in range(WARMUP_CALLS + 3):
        assert torch.equal(recordings.draw(double, torch.full((1, 2), float(i)), "a", []), torch.full((1, 2), 2.0 * i))
    assert (recorder.recorded, recorder.replayed) == (1, 3)


def test_results_stay_when_others_follow() -> None:
    recordings = CudaGraphCache(Recorder())
    results = [recordings.draw(double, torch.tensor([float(i)]), "a", []) for i in range(9)]
    assert [float(r) for r in results] == [2.0 * i for i in range(9)]


def test_other_kinds_shapes_and_weights_are_recorded_anew() -> None:
    recorder = Recorder()
    recordings, weight = CudaGraphCache(recorder), torch.ones(1)
    for kind, size in (("a", 1), ("b", 1), ("a", 2)):
        for _ in range(WARMUP_CALLS + 1):
            recordings.draw(double, torch.zeros(size), kind, [weight])
    assert recorder.recorded == 3
    weight.add_(1)
    before = recorder.replayed
    for _ in range(WARMUP_CALLS):
        recordings.draw(double, torch.zeros(1), "a", [weight])
    assert recorder.replayed == before
    recordings.draw(double, torch.zeros(1), "a", [weight])
    assert recorder.recorded == 4


def test_only_some_are_kept() -> None:
    recorder = Recorder()
    recordings = CudaGraphCache(recorder)
    for kind in range(MAX_GRAPHS + 1):
        for _ in range(WARMUP_CALLS + 1):
            recordings.draw(double, torch.zeros(1), kind, [])
    recorded = recorder.recorded
    recordings.draw(double, torch.zeros(1), MAX_GRAPHS, [])
    assert recorder.recorded == recorded
    recordings.draw(double, torch.zeros(1), 0, [])
    assert recorder.recorded == recorded + 1


def test_what_cannot_be_recorded_is_drawn(caplog: pytest.LogCaptureFixture) -> None:
    attempts = []

    def failing(draw: Draw, x: Tensor) -> Draw:
        attempts.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    recordings = CudaGraphCache(failing)
    with caplog.at_level(logging.WARNING):
        for _ in range(WARMUP_CALLS + 4):
            assert float(recordings.draw(double, torch.ones(1), "a", [])) == 2
    assert len(attempts) == 1
    assert len(caplog.records) == 1


def test_copies_begin_with_nothing() -> None:
    recorder = Recorder()
    recordings = CudaGraphCache(recorder)
    for _ in range(WARMUP_CALLS + 1):
        recordings.draw(double, torch.zeros(1), "a", [])
    copy.deepcopy(recordings).draw(double, torch.zeros(1), "a", [])
    assert recorder.replayed == 1


def test_a_network_replays_where_it_may(tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    tiny_generator.cuda_graphs = CudaGraphCache(recorder)
    ws = tiny_generator.map(torch.randn(3, 32, generator=torch.Generator().manual_seed(0)))
    want = [tiny_generator.synthesize(w) for w in ws.split(1)]
    assert not recorder.recorded  # this is a CPU
    monkeypatch.setattr(StyleGAN2, "_use_cuda_graph", lambda self, ws, noise: True)
    for _ in range(2):
        for w, picture in zip(ws.split(1), want, strict=True):
            assert torch.allclose(tiny_generator.synthesize(w), picture, atol=1e-5)
    assert (recorder.recorded, recorder.replayed) == (1, 6 - WARMUP_CALLS)
