"""Prompts, the statistics behind a fast direction, and the optimizer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latent_editor import files
from latent_editor.errors import BadLatent, BadModel, BadPrompt, BadValue, MissingPart
from latent_editor.features import text_statistics
from latent_editor.features.clip import load_clip, make_model
from latent_editor.features.text_statistics import (
    STATISTICS_FILE,
    TextStatistics,
    build_text_statistics,
    load_text_statistics,
)
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.text import read_prompt, text_direction
from latent_editor.text.fast import LONGEST, SHORTEST, TextTarget, calibrate, estimate, find_target
from latent_editor.text.guards import GUARDS, guard_axes, guard_qualities
from latent_editor.types import Step
from latent_editor.weights import Bundle

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def speaking(tiny_generator: StyleGAN2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StyleGAN2:
    """The tiny generator with a random CLIP beside it."""
    monkeypatch.setattr(text_statistics, "QUICK_SAMPLES", 64)
    (tmp_path / "clip.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    model, _ = make_model("clip", config=tmp_path / "clip.json")
    files.write_tensors(tmp_path / "clip.safetensors", model.state_dict(), {"words": "a beard hair man old red young"})
    tiny_generator.bundle = Bundle("tiny", tmp_path)
    return tiny_generator


@pytest.mark.parametrize(
    ("prompt", "source", "target"),
    [
        ("red hair", None, "red hair"),
        ("  red \n hair ", None, "red hair"),
        ("young → old", "young", "old"),
        ("young->old", "young", "old"),
        ("a man => a woman", "a man", "a woman"),
        ("make her smile", None, "smile"),
        ("Make him look like an old man", None, "an old man"),
        ("add a beard", None, "a beard"),
        ("without a beard", "a beard", None),
        ("remove the beard", "beard", None),
        ("no make-up", "make-up", None),
        ("nose", None, "nose"),
        ("makeup", None, "makeup"),
        ("rote Haare", None, "rote Haare"),
    ],
)
def test_what_is_read_from_a_prompt(prompt: str, source: str | None, target: str | None) -> None:
    read = read_prompt(prompt)
    assert (read.source, read.target) == (source, target)
    assert read.text == " ".join(prompt.split())


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "empty"), ("   \n ", "empty"), ("x" * 10_000, "10,000 characters"), ("red\x00hair", "control character"),
        ("red \ud800", "control character"), ("123 !?", "no letter"), ("→ old", "arrow"), ("a -> b -> c", "arrow"),
        (7, "type int"), (None, "type NoneType"),
    ],
)  # fmt: skip
def test_prompts_that_are_refused(prompt: str, message: str) -> None:
    with pytest.raises(BadPrompt, match=message):
        read_prompt(prompt)


def test_a_long_prompt_is_allowed_up_to_the_limit(speaking: StyleGAN2) -> None:
    assert read_prompt("x" * 300).target == "x" * 300
    with pytest.raises(BadPrompt, match="301"):
        text_direction(speaking, "x" * 301)


def test_estimate_finds_the_direction_that_made_the_scores() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 12, generator=random)
    way = torch.nn.functional.normalize(torch.randn(12, generator=random), dim=0)
    e = torch.randn(4000, 5, generator=random) * 0.1
    e[:, 2] += x @ way
    x, e = x - x.mean(0), e - e.mean(0)
    statistics = TextStatistics(x.t() @ x / 4000, x.t() @ e / 4000, e.t() @ e / 4000, e, x[:2, None], 4000, "")
    axis = torch.zeros(5)
    axis[2] = 1
    found = estimate(statistics, TextTarget(axis, 1.0, (), 1.0), ridge=0.0)
    assert torch.cosine_similarity(found.way, way, dim=0) > 0.99
    assert found.fit == pytest.approx((1 / 1.01) ** 0.5, abs=0.01)
    assert found.spread == pytest.approx(float(e[:, 2].std()), rel=0.01)
    nothing = estimate(statistics, TextTarget(torch.eye(5)[0], 1.0, (), 1.0), ridge=0.0)
    assert nothing.fit < 0.15
    scores = e[:, 2]
    assert found.goal == pytest.approx(float(scores.quantile(0.97) - scores.median()), rel=1e-3)
    assert found.radius == pytest.approx(float(x.square().sum(1).mean().sqrt()), rel=1e-3)


def test_guards_keep_what_goes_along() -> None:
    """A score that two ways raise, one of them guarded: the estimate takes the other."""
    x = torch.randn(8000, 6, generator=torch.Generator().manual_seed(0))
    e = torch.zeros(8000, 3)
    e[:, 0] = x[:, 0] + 0.5 * x[:, 1]  # wanted: beard, mostly read from being a man
    e[:, 1] = x[:, 0]  # guarded: being a man
    x, e = x - x.mean(0), e - e.mean(0)
    statistics = TextStatistics(x.t() @ x / 8000, x.t() @ e / 8000, e.t() @ e / 8000, e, x[:2, None], 8000, "")
    target = TextTarget(torch.eye(3)[0], 1.0, (), 1.0)
    free = estimate(statistics, target, ridge=0.0).way
    guarded = estimate(statistics, target, guards=torch.eye(3)[1:2], ridge=0.0).way
    assert free[0] > 1.5 * free[1] > 0
    assert abs(float(guarded[0])) < 0.05
    assert guarded[1] > 0.95
    loose = estimate(statistics, target, guards=torch.eye(3)[1:2], firmness=torch.tensor([0.5]), ridge=0.0).way
    assert 0.1 < float(loose[0]) < float(free[0])


def test_guards_leave_what_the_prompt_names(speaking: StyleGAN2) -> None:
    clip, axis = load_clip(speaking), torch.zeros(16)
    qualities = guard_qualities(clip)
    count = {
        p: len(guard_axes(qualities, read_prompt(p), axis)[0])
        for p in ("glasses", "an old woman", "red hair", "dark skin")
    }
    assert count["glasses"] == len(GUARDS)
    assert count["an old woman"] < count["red hair"] < count["glasses"]
    assert count["dark skin"] == len(GUARDS) - 1
    same = find_target(clip, read_prompt("a woman -> a man")).axis
    assert len(guard_axes(qualities, read_prompt("glasses"), same)[0]) < len(GUARDS)
    _, firmness = guard_axes(qualities, read_prompt("glasses"), axis)
    assert firmness.tolist() == [1.0] * len(GUARDS)  # at right angles to all of them


def test_statistics_are_the_covariances_and_survive_a_file(speaking: StyleGAN2, tmp_path: Path) -> None:
    steps: list[Step] = []
    made = build_text_statistics(speaking, samples=80, on_step=steps.append)
    assert [s.step for s in steps] == [32, 64, 80]
    assert steps[-1].fraction == 1
    assert made.xx.shape == (32, 32)
    assert made.xe.shape == (32, 16)
    assert torch.linalg.eigvalsh(made.ee.double()).min() > -1e-9
    made.save(tmp_path / "s.safetensors")
    read = TextStatistics.load(tmp_path / "s.safetensors")
    assert (read.count, read.fingerprint) == (80, made.fingerprint)
    assert made.vectors.shape == (80, 16)
    assert made.probes.shape == (2, speaking.num_ws, 32)
    for name in ("xx", "xe", "ee", "vectors", "probes"):
        want = getattr(made, name)
        assert (getattr(read, name) - want).abs().max() < 2e-3 * want.abs().max()
    stopped = build_text_statistics(speaking, samples=80, on_step=lambda s: True)
    assert stopped.count == 32


def test_stale_statistics_are_not_used(speaking: StyleGAN2, tmp_path: Path) -> None:
    made = build_text_statistics(speaking, samples=40)
    made.save(tmp_path / STATISTICS_FILE)
    assert load_text_statistics(speaking).count == 40
    with torch.no_grad():
        speaking.synthesis.b4.const.add_(1)
    speaking.bundle = Bundle("tiny", tmp_path)
    assert load_text_statistics(speaking, on_step=lambda s: True).count < 40


def test_damaged_statistics(tmp_path: Path) -> None:
    files.write_tensors(tmp_path / "a.safetensors", {"xx": torch.eye(3), "xe": torch.ones(4, 2), "ee": torch.eye(2)})
    with pytest.raises(BadModel, match="not a file of text statistics"):
        TextStatistics.load(tmp_path / "a.safetensors")
    with pytest.raises(BadModel):
        TextStatistics.load(tmp_path / "none.safetensors")


def test_fast_direction(speaking: StyleGAN2) -> None:
    d = text_direction(speaking, "red  hair")
    assert (d.name, d.source) == ("red hair", "text")
    assert d.vector.shape == (speaking.num_ws, speaking.w_dim)
    assert d.vector.dtype == torch.float32
    assert torch.isfinite(d.vector).all()
    back = text_direction(speaking, "red hair -> young man")
    forth = text_direction(speaking, "young man -> red hair")
    assert torch.cosine_similarity(back.vector[0], -forth.vector[0], dim=0) > 0.999
    denied = text_direction(speaking, "without red hair")
    assert torch.cosine_similarity(denied.vector[0], -d.vector[0], dim=0) > 0.999


def test_a_unit_is_measured_and_stays_within_bounds(speaking: StyleGAN2) -> None:
    clip, statistics = load_clip(speaking), load_text_statistics(speaking)
    found = estimate(statistics, find_target(clip, read_prompt("red hair")))
    # What the way does to the pictures: of a random CLIP, a prompt's own axis may as well fall along it.
    seen = [
        clip.encode_image(speaking.synthesize(statistics.probes + share * found.radius * found.way)).mean(dim=0)
        for share in (0.0, LONGEST)
    ]
    axis = torch.nn.functional.normalize(seen[1] - seen[0], dim=0)
    shortest, longest = SHORTEST * found.radius, LONGEST * found.radius
    units = [calibrate(speaking, clip, statistics.probes, replace(found, goal=goal), axis) for goal in (-9.0, 9.0)]
    assert units == pytest.approx([shortest, longest])
    gain = float((seen[1] - seen[0]) @ axis)
    unit = calibrate(speaking, clip, statistics.probes, replace(found, goal=gain), axis)
    assert unit == pytest.approx(longest / 2, rel=0.2)  # at +2 the score has risen by the goal


def test_unknown_words_make_a_direction_unsure(speaking: StyleGAN2) -> None:
    known, half = text_direction(speaking, "old man"), text_direction(speaking, "old zyx")
    assert "zyx" not in known.detail
    assert half.detail.startswith("unsure")
    assert "'zyx'" in half.detail
    nothing = text_direction(speaking, "qqq zyx")
    assert nothing.score == 0


def test_optimized_direction_raises_the_score_more(speaking: StyleGAN2) -> None:
    torch.manual_seed(0)
    ws = speaking.map(torch.randn(1, 32))[0]
    latent = speaking.latent(ws, method="random")
    steps: list[Step] = []
    fast = text_direction(speaking, "red hair", latent=latent)
    slow = text_direction(speaking, "red hair", latent=latent, method="optimize", seconds=30, on_step=steps.append)
    assert 1 <= len(steps) <= 40
    assert all(s.image is not None for s in steps)
    clip = load_clip(speaking)
    axis = find_target(clip, read_prompt("red hair")).axis
    score = [float(clip.encode_image(speaking.synthesize((ws + 2 * d.vector)[None])) @ axis) for d in (fast, slow)]
    assert score[1] > score[0]


def test_what_is_refused(speaking: StyleGAN2, tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="slow"):
        text_direction(speaking, "red hair", method="slow")
    with pytest.raises(BadValue, match="latent"):
        text_direction(speaking, "red hair", method="optimize")
    ws = torch.zeros(speaking.num_ws, speaking.w_dim)
    latent = speaking.latent(ws, method="random")
    with torch.no_grad():
        speaking.synthesis.b4.const.add_(1)
    speaking.bundle = Bundle("tiny", speaking.bundle.folder)
    with pytest.raises(BadLatent):
        text_direction(speaking, "red hair", latent=latent)
    tiny_generator.bundle = Bundle("silent")
    with pytest.raises(MissingPart):
        text_direction(tiny_generator, "red hair")
