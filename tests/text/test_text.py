"""Prompts, the statistics behind a fast direction, and the optimizer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import latent_editor as le
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadDirection, BadLatent, BadModel, BadPrompt, BadValue, MissingPart, Stopped
from latent_editor.core.values import Edit, Step
from latent_editor.editing.edits import edited
from latent_editor.editing.face_parts import face_part
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylespace import style_layers, style_offset, styles_of
from latent_editor.models.bundle import Bundle
from latent_editor.networks import style_statistics, text_statistics
from latent_editor.networks.clip import load_clip, make_model
from latent_editor.networks.style_statistics import (
    StyleStatistics,
    load_style_statistics,
    style_statistics_file,
    style_statistics_stored,
)
from latent_editor.networks.text_statistics import (
    STATISTICS_FILE,
    TextStatistics,
    build_text_statistics,
    load_text_statistics,
)
from latent_editor.rendering import render
from latent_editor.text import TextMapper, generate_from_text, read_prompt, text_direction, train_mapper
from latent_editor.text.fast import MAX_UNIT, MIN_UNIT, TextTarget, calibrate, estimate, find_target
from latent_editor.text.neutral_prompts import neutral_texts
from latent_editor.text.preserved_attributes import ABOUT, PRESERVED_ATTRIBUTES, preserved_axes, preserved_qualities
from latent_editor.text.styles import style_direction

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def speaking(tiny_generator: StyleGAN2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StyleGAN2:
    """The tiny generator with a random CLIP beside it."""
    monkeypatch.setattr(text_statistics, "QUICK_SAMPLES", 64)
    monkeypatch.setenv("LATENT_EDITOR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "clip.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    model, _ = make_model("clip", config=tmp_path / "clip.json")
    tensor_files.write_tensors(
        tmp_path / "clip.safetensors", model.state_dict(), {"words": "a beard hair man old red young"}
    )
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
    ("prompt", "source", "target", "without"),
    [
        ("red hair | not make-up", None, "red hair", ("make-up",)),
        ("old, but not bald", None, "old", ("bald",)),
        ("young → old | not hair; no glasses", "young", "old", ("hair", "glasses")),
        ("a man without a beard", None, "a man without a beard", ()),
        ("not make-up", "make-up", None, ()),
        ("no beard, no glasses", "beard", None, ("glasses",)),
    ],
)
def test_what_a_prompt_leaves(prompt: str, source: str | None, target: str | None, without: tuple[str, ...]) -> None:
    read = read_prompt(prompt)
    assert (read.source, read.target, read.without) == (source, target, without)


def test_what_shall_stay_can_be_said_apart() -> None:
    read = read_prompt("red hair", without=["make-up", "age"])
    assert read == read_prompt("red hair | not make-up | not age")
    assert read_prompt(read.text) == read  # so that a recipe makes it again


def test_a_colour_of_hair_is_compared_with_the_others() -> None:
    assert neutral_texts("brown hair") == ("black hair", "blond hair", "red hair", "grey hair")
    assert neutral_texts("a woman with red hair") == ("black hair", "brown hair", "blond hair", "grey hair")
    assert neutral_texts("Stubble") == ("a clean-shaven man",)
    for other in ("long hair", "a beard", "a red background", "old"):
        assert neutral_texts(other) == ()


def test_brown_hair_is_lighter_than_black_and_darker_than_blond(portraits: Generator) -> None:
    """Two faces whose hair was dyed: the same prompt goes opposite ways, and neither goes past brown."""
    g, face = portraits, le.random_latent(portraits, 24)
    hair = face_part(g, face, "hair").share > 0.6
    lightness = []
    for colour in ("black hair", "blond hair"):
        dyed = edited(face, [Edit(text_direction(g, colour, latent=face), 2.0)])
        brown = Edit(text_direction(g, "brown hair", latent=dyed), 2.0)
        pictures = [
            np.asarray(render(g, x, size_px=len(hair)).convert("L"), float) for x in (dyed, edited(dyed, [brown]))
        ]
        lightness.append([picture[hair.numpy()].mean() for picture in pictures])
    (black, from_black), (blond, from_blond) = lightness
    assert black < from_black < blond
    assert black < from_blond < blond
    any_face, this_face = (text_direction(g, "a beard", latent=x).vector for x in (None, face))
    torch.testing.assert_close(this_face, any_face)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("red hair | not", "after “not”"), ("red hair, no 12", "after “not”"), ("a" + ", no b" * 9, "9 parts"),
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
    assert torch.cosine_similarity(found.vector, way, dim=0) > 0.99
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
    free = estimate(statistics, target, ridge=0.0).vector
    guarded = estimate(statistics, target, preserved=torch.eye(3)[1:2], ridge=0.0).vector
    assert free[0] > 1.5 * free[1] > 0
    assert abs(float(guarded[0])) < 0.05
    assert guarded[1] > 0.95
    loose = estimate(statistics, target, preserved=torch.eye(3)[1:2], weight=torch.tensor([0.5]), ridge=0.0).vector
    assert 0.1 < float(loose[0]) < float(free[0])


def test_guards_leave_what_the_prompt_names(speaking: StyleGAN2) -> None:
    clip, axis = load_clip(speaking), torch.zeros(16)
    qualities = preserved_qualities(clip)
    count = {
        p: len(preserved_axes(qualities, read_prompt(p), axis)[0])
        for p in ("glasses", "an old woman", "red hair", "dark skin")
    }
    assert count["glasses"] == len(PRESERVED_ATTRIBUTES)
    assert count["an old woman"] < count["red hair"] < count["glasses"]
    assert count["dark skin"] == len(PRESERVED_ATTRIBUTES) - 1
    same = find_target(clip, read_prompt("a woman -> a man")).axis
    assert len(preserved_axes(qualities, read_prompt("glasses"), same)[0]) < len(PRESERVED_ATTRIBUTES)
    _, weight = preserved_axes(qualities, read_prompt("glasses"), axis)
    assert weight.tolist() == [1.0] * len(PRESERVED_ATTRIBUTES)  # at right angles to all of them


def test_guards_loosen_with_the_square_of_what_the_prompt_shares_with_them() -> None:
    qualities = torch.eye(len(PRESERVED_ATTRIBUTES))
    cosines = [0.0, 0.25, -0.5, 1.0, -1.0]  # as shares of ABOUT, from which on a prompt is about the quality
    kept, weight = preserved_axes(qualities, read_prompt("glasses"), torch.tensor(cosines) * ABOUT)
    assert torch.equal(kept, qualities[:3])
    assert weight.tolist() == pytest.approx([1.0, 1 - 0.25**2, 1 - 0.5**2])


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
    tensor_files.write_tensors(
        tmp_path / "a.safetensors", {"xx": torch.eye(3), "xe": torch.ones(4, 2), "ee": torch.eye(2)}
    )
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
    negated = text_direction(speaking, "without red hair")
    assert torch.cosine_similarity(negated.vector[0], -d.vector[0], dim=0) > 0.999


def test_a_unit_is_measured_and_stays_within_bounds(speaking: StyleGAN2) -> None:
    clip, statistics = load_clip(speaking), load_text_statistics(speaking)
    found = estimate(statistics, find_target(clip, read_prompt("red hair")))
    # What the way does to the pictures, drawn as precisely as where it is measured: of a random CLIP, a prompt's own
    # axis may as well fall along it, and what bf16 rounds is as much as what the way does.
    dtype = fastest_dtype(speaking.device)
    moved = [statistics.probes + share * found.radius * found.vector for share in (0.0, MAX_UNIT)]
    seen = [clip.encode_image(speaking.synthesize(ws, dtype=dtype), dtype=dtype).mean(dim=0) for ws in moved]
    axis = torch.nn.functional.normalize(seen[1] - seen[0], dim=0)
    shortest, longest = MIN_UNIT * found.radius, MAX_UNIT * found.radius
    units = [calibrate(speaking, clip, statistics.probes, replace(found, goal=goal), axis) for goal in (-9.0, 9.0)]
    assert units == pytest.approx([shortest, longest])
    gain = float((seen[1] - seen[0]) @ axis)
    unit = calibrate(speaking, clip, statistics.probes, replace(found, goal=gain), axis)
    assert unit == pytest.approx(longest / 2, rel=0.2)  # at +2 the score has risen by the goal


def test_unknown_words_make_a_direction_unsure(speaking: StyleGAN2) -> None:
    known, half = text_direction(speaking, "old man"), text_direction(speaking, "old zyx")
    assert known.provenance.doubts == ()
    assert half.detail.startswith("unsure")
    assert "'zyx'" in half.detail
    for nothing in ("qqq zyx", "рыжие волосы", "the qqq", "赤い髪"):
        with pytest.raises(BadPrompt, match="never seen a word"):
            text_direction(speaking, nothing)


def test_optimized_direction_raises_the_score_more(speaking: StyleGAN2) -> None:
    torch.manual_seed(0)
    ws = speaking.map(torch.randn(1, 32))[0]
    latent = speaking.latent(ws, method="random")
    steps: list[Step] = []
    fast = text_direction(speaking, "a beard", latent=latent)
    slow = text_direction(speaking, "a beard", latent=latent, method="optimize", seconds=600, on_step=steps.append)
    assert len(steps) == 40
    assert all(s.image is not None for s in steps)
    clip = load_clip(speaking)
    axis = find_target(clip, read_prompt("a beard")).axis
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


# Global directions in StyleSpace.


def test_style_statistics_are_the_derivative(speaking: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each channel, moved by a little of its spread, changes the CLIP's vector as its row says."""
    monkeypatch.setattr(style_statistics, "MAX_ROUNDS", 2)
    monkeypatch.setattr(style_statistics, "FACES", 1)  # one face is asked for all rows of a rotation: no noise
    monkeypatch.setattr(style_statistics, "fastest_dtype", lambda device: torch.float32)
    found = load_style_statistics(speaking)
    clip, layers = load_clip(speaking), style_layers(speaking)
    assert found.effects.shape == (sum(layer.channels for layer in layers), 16)
    ws = random_ws(speaking, [5000, 5001], truncation_psi=style_statistics.PSI)
    for row in (3, 20, 60):
        layer = next(x for x in layers if row < sum(y.channels for y in layers[: x.index + 1]))
        change = torch.zeros(layer.channels)
        channel = row - sum(y.channels for y in layers[: layer.index])
        change[channel] = 0.01 * layer.spread[channel]
        offset, _ = style_offset(speaking, {layer.index: change})
        seen = [clip.encode_image(speaking.synthesize(ws + sign * offset)) for sign in (1, -1)]
        torch.testing.assert_close(
            (seen[0] - seen[1]).mean(dim=0) / 0.02,
            found.effects[row],
            rtol=0.05,
            atol=0.05 * float(found.effects[row].norm()),
        )


def test_style_statistics_go_on_where_they_were_stopped(speaking: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_statistics, "MAX_ROUNDS", 3)
    with pytest.raises(Stopped):
        load_style_statistics(speaking, on_step=lambda step: step.step == 1)
    assert style_statistics_file(speaking).is_file()
    assert not style_statistics_stored(speaking)
    steps: list[Step] = []
    whole = load_style_statistics(speaking, on_step=steps.append)
    assert min(step.step for step in steps) == 1  # the first round was not made again
    assert whole.rounds == 3
    speaking.bundle = Bundle("tiny", speaking.bundle.folder)
    assert style_statistics_stored(speaking)
    torch.testing.assert_close(load_style_statistics(speaking).effects, whole.effects)
    speaking.bundle = Bundle("tiny", speaking.bundle.folder)
    style_statistics_file(speaking).write_bytes(b"damaged")
    assert not style_statistics_stored(speaking)  # it is only a cache: it would be made again


def test_only_channels_that_say_it_move_and_guards_stay(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    effects = (
        torch.randn(sum(x.channels for x in style_layers(g)), 6, generator=torch.Generator().manual_seed(0)) * 0.05
    )
    effects[5, 0], effects[40, 0] = 2.0, -1.0
    effects[40, 1] = -0.5
    axis, guard = torch.eye(6)[0], torch.eye(6)[1:2]
    found = style_direction(g, StyleStatistics(effects, 1), axis, threshold=0.99)
    moved = torch.cat(
        [change / layer.spread for layer, change in zip(style_layers(g), styles_of(g, found.vector), strict=True)]
    )
    assert float(moved[5]) > 0.8  # of a length of 1
    assert float(moved[40]) < -0.3
    assert found.channels == 12  # the fewest
    few, many = (style_direction(g, StyleStatistics(effects, 1), axis, threshold=t).channels for t in (0.9, 0.1))
    assert few < many
    guarded = style_direction(g, StyleStatistics(effects, 1), axis, threshold=0.5, preserved=guard)
    asked = torch.cat(
        [change / layer.spread for layer, change in zip(style_layers(g), styles_of(g, guarded.vector), strict=True)]
    )
    if guarded.residual < 1e-3:
        assert abs(float(asked @ effects[:, 1])) < 1e-2
    assert float(asked @ effects[:, 0]) > 0.5


def test_global_direction(speaking: StyleGAN2) -> None:
    d = text_direction(speaking, "red hair | not old", method="global", threshold=0.3)
    assert (d.name, d.source, d.space) == ("red hair | not old", "text", "w+")
    assert (d.provenance.method, d.prompt) == ("global", "red hair | not old")
    assert "channels, threshold 0.3" in d.detail
    assert torch.isfinite(d.vector).all()
    assert d.vector.any()
    with pytest.raises(BadPrompt, match="contradicts itself"):
        text_direction(speaking, "red hair | not red hair")
    with pytest.raises(BadValue, match="threshold"):
        text_direction(speaking, "red hair", method="global", threshold=1.5)


# Faces from nothing.


def test_imagined_face_fits_its_text_better_than_random_ones(speaking: StyleGAN2) -> None:
    steps: list[Step] = []
    latent = generate_from_text(speaking, "old man", seconds=600, max_steps=60, on_step=steps.append)
    assert len(steps) == 60
    assert (latent.method, latent.ws.shape) == ("text", (speaking.num_ws, speaking.w_dim))
    assert bool((latent.ws == latent.ws[:1]).all())  # one w for all layers
    assert steps[-1].image is not None
    clip = load_clip(speaking)
    axis = find_target(clip, read_prompt("old man")).axis
    random = speaking.map(torch.randn(40, 32, generator=torch.Generator().manual_seed(0)), truncation_psi=0.7)
    usual = clip.encode_image(speaking.synthesize(random)) @ axis
    assert float(clip.encode_image(speaking.synthesize(latent.ws[None])) @ axis) > float(usual.quantile(0.8))


def test_imagining_stops_and_refuses(speaking: StyleGAN2) -> None:
    steps: list[Step] = []
    generate_from_text(speaking, "old man", seconds=600, on_step=lambda s: bool(steps.append(s)) or True)
    assert len(steps) == 1
    with pytest.raises(BadPrompt, match="never seen"):
        generate_from_text(speaking, "ein alter Herr")
    with pytest.raises(BadValue, match="seconds"):
        generate_from_text(speaking, "old man", seconds=-1)


# Mappers.


def test_a_mapper_learns_survives_its_file_and_knows_its_model(speaking: StyleGAN2, tmp_path: Path) -> None:
    mapper = train_mapper(speaking, "red hair", max_steps=4)
    assert (mapper.prompt, mapper.steps) == ("red hair", 4)
    mapper.save(tmp_path / "red.mapper")
    read = TextMapper.load(tmp_path / "red.mapper")
    latents = [speaking.latent(ws, method="random") for ws in speaking.map(torch.randn(2, 32))]
    first, second = (read.direction(speaking, latent) for latent in latents)
    assert first.source == "text"
    assert (first.provenance.method, first.prompt) == ("mapper", "red hair")
    assert not torch.equal(first.vector, second.vector)  # each face has its own way
    torch.testing.assert_close(first.vector, mapper.direction(speaking, latents[0]).vector, rtol=0.02, atol=2e-3)
    start = text_direction(speaking, "red hair").vector
    assert torch.cosine_similarity(first.vector.flatten(), start.flatten(), dim=0) > 0.8  # it began there
    other = TextMapper(read.prompt, "another", read.steps, read.networks)
    with pytest.raises(BadDirection, match="another"):
        other.direction(speaking, latents[0])
    tensor_files.write_tensors(
        tmp_path / "bad.mapper", {"common": torch.zeros(2, 3)}, {"kind": "text mapper", "version": "1"}
    )
    for name in ("bad.mapper", "none.mapper"):
        with pytest.raises(BadModel):
            TextMapper.load(tmp_path / name)
