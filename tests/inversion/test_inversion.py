"""Inversion finds back what a generator made, reports honestly, and stops when told."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from latent_editor.core.errors import BadValue, MissingPart
from latent_editor.core.values import Crop, Step
from latent_editor.generators import Generator, construction, random_latent, random_ws
from latent_editor.generators.pictures import to_tensor
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.inversion import LABELS, METHODS, invert
from latent_editor.inversion.initialization import best_start, in_units_of_w
from latent_editor.inversion.loss_weights import pixel_weights
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.optimization import OptimizationConfig, optimize
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria, schedule
from latent_editor.networks.perceptual import psnr_db
from latent_editor.rendering import render


def picture(g: Generator, seed: int = 3) -> Image.Image:
    return render(g, random_latent(g, seed), precision="fp32")


def optimized(g: Generator, objective: Objective, config: OptimizationConfig, *, steps: int) -> Candidate:
    """From the mean latent, so many steps."""
    run = InversionRun(1e6)
    start = g.w_avg.expand(1, g.num_ws, -1).clone()
    optimize(g, objective, run, start, config, criteria=StoppingCriteria(1e6, max_steps=steps))
    assert run.best is not None
    return run.best


@pytest.mark.parametrize("space", ["w", "w+"])
def test_optimization_finds_a_picture_of_the_generator(tiny_generator: StyleGAN2, space: str) -> None:
    target = to_tensor(picture(tiny_generator), 32)
    start = tiny_generator.w_avg.expand(1, tiny_generator.num_ws, -1).clone()
    before = psnr_db(tiny_generator.synthesize(start), target).item()
    config = OptimizationConfig(space=space, pull=0.0)
    best = optimized(tiny_generator, Objective(target), config, steps=120)
    assert best.psnr_db > before + 6
    assert psnr_db(tiny_generator.synthesize(best.ws[None]), target).item() == pytest.approx(best.psnr_db, abs=0.5)
    assert (space == "w") == bool((best.ws == best.ws[:1]).all())


def test_the_likeness_reported_is_that_of_the_latent(portraits: Generator) -> None:
    crop = picture(portraits, 8)
    latent = invert(portraits, crop, method="encoder")
    rendered = to_tensor(render(portraits, latent, precision="fp32"), portraits.size_px)
    assert psnr_db(rendered, to_tensor(crop, portraits.size_px)).item() == pytest.approx(latent.psnr_db, abs=0.2)
    assert latent.method == "encoder"
    assert latent.fingerprint == portraits.fingerprint


def test_optimization_beats_the_encoder_and_reports_on_the_way(portraits: Generator) -> None:
    steps: list[Step] = []
    crop = picture(portraits, 8)
    encoded = invert(portraits, crop, method="encoder")
    latent = invert(portraits, crop, method="w+", seconds=600, max_steps=8, on_step=steps.append)
    assert latent.psnr_db is not None
    assert encoded.psnr_db is not None
    assert latent.psnr_db > encoded.psnr_db
    assert [s.step for s in steps] == list(range(len(steps)))
    assert all(a.psnr_db <= b.psnr_db for a, b in itertools.pairwise(steps))  # type: ignore[operator]
    assert all(a.fraction <= b.fraction for a, b in itertools.pairwise(steps))
    assert steps[-1].fraction == 1.0
    assert steps[-1].ws is not None
    assert torch.equal(steps[-1].ws.cpu(), latent.ws)


def test_each_stage_takes_no_more_steps_than_it_may(tiny_generator: StyleGAN2) -> None:
    for method, stages in (("w", ["w"]), ("w+", ["w+"]), ("pivotal", ["w+", "features", "pivotal"])):
        steps: list[Step] = []
        invert(tiny_generator, picture(tiny_generator), method=method, seconds=600, max_steps=3, on_step=steps.append)
        counts = collections.Counter(step.label for step in steps[:-1])
        assert counts == {LABELS["nearest"]: 1, **{LABELS[stage]: 3 for stage in stages}}, method
        assert (steps[-1].fraction, steps[-1].step) == (1.0, steps[-1].steps)


def test_stopping_keeps_the_best_so_far(portraits: Generator) -> None:
    seen: list[Step] = []

    def stop_at_two(step: Step) -> bool:
        seen.append(step)
        return step.step == 2

    latent = invert(portraits, picture(portraits), method="w+", seconds=600, on_step=stop_at_two)
    assert len(seen) == 3
    assert latent.psnr_db == seen[-1].psnr_db


def test_no_time_gives_the_encoders_answer(portraits: Generator) -> None:
    crop = picture(portraits)
    assert torch.equal(invert(portraits, crop, seconds=0).ws, invert(portraits, crop, method="encoder").ws)


def test_a_model_without_an_encoder_starts_from_the_nearest(tiny_generator: StyleGAN2) -> None:
    target = random_latent(tiny_generator, 5)  # one of those that are tried
    latent = invert(
        tiny_generator, render(tiny_generator, target, precision="fp32"), seconds=30, on_step=lambda s: True
    )
    assert latent.method == "nearest"
    assert torch.allclose(latent.ws, target.ws, atol=1e-5)
    assert latent.psnr_db is not None
    assert latent.psnr_db > 35
    assert torch.equal(invert(tiny_generator, picture(tiny_generator), seconds=0).ws[0], tiny_generator.w_avg)
    with pytest.raises(MissingPart, match="encoder"):
        invert(tiny_generator, picture(tiny_generator), method="encoder")


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_generator_is_inverted(kind: str, channels: int) -> None:
    shape = {"z_dim": 16, "c_dim": 3, "w_dim": 24, "img_resolution": 16, "channel_base": 128, "channel_max": 8}
    g = construction.random(kind, {**shape, "img_channels": channels})
    reached: list[float | None] = []

    def on_step(step: Step) -> bool:
        reached.append(step.psnr_db)
        return step.step >= 8

    mirrored = picture(g).transpose(Image.Transpose.FLIP_LEFT_RIGHT)  # none of those that are tried
    latent = invert(g, mirrored, method="w+", seconds=60, class_index=1, on_step=on_step)
    assert latent.ws.shape == (g.num_ws, g.w_dim)
    assert reached[-1] is not None
    assert reached[0] is not None
    assert reached[-1] > reached[0]
    with pytest.raises(BadValue, match="classes 0 to 2"):
        invert(g, picture(g), class_index=3)


def test_the_best_start_tells_the_class(tiny_generator: StyleGAN2) -> None:
    g = construction.random(
        "stylegan2", {"z_dim": 16, "c_dim": 4, "w_dim": 24, "img_resolution": 16, "img_channels": 3}
    )
    wanted = random_latent(g, 6, class_index=2)
    target = g.synthesize(wanted.ws[None])
    found = best_start(g, target, None, seconds=60)
    assert torch.allclose(found[0], wanted.ws, atol=1e-5)  # seed 6 is tried in class 6 mod 4
    assert torch.allclose(best_start(g, target, None, seconds=60, class_index=2)[0], wanted.ws, atol=1e-5)


def test_steps_are_as_long_as_the_models_w_is_wide(tiny_generator: StyleGAN2) -> None:
    config = OptimizationConfig()
    before = in_units_of_w(tiny_generator, config)
    with torch.no_grad():
        last = tiny_generator.mapping.fc1
        last.weight.mul_(10)
        last.bias.mul_(10)
    after = in_units_of_w(tiny_generator, config)
    assert after.rate == pytest.approx(10 * before.rate, rel=1e-3)
    assert after.pull == pytest.approx(before.pull / 100, rel=1e-3)


@pytest.mark.parametrize(
    "arguments", [{"method": "magic"}, {"seconds": -1}, {"seconds": float("nan")}, {"max_steps": 0}]
)
def test_bad_arguments_are_refused(tiny_generator: StyleGAN2, arguments: dict) -> None:
    with pytest.raises(BadValue):
        invert(tiny_generator, picture(tiny_generator), **arguments)


def test_the_learning_rate_rises_then_falls_to_almost_nothing() -> None:
    rates = [schedule(i / 100) for i in range(101)]
    top = rates.index(max(rates))
    assert 2 <= top <= 8
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.02
    assert set(METHODS) == {"auto", "encoder", "encoder again", "w", "w+", "features", "pivotal"}
    assert set(METHODS) - {"auto"} < set(LABELS)


def test_pixels_of_eyes_and_mouth_count_most(portraits: Generator) -> None:
    blank = Image.new("RGB", (128, 128))
    points = {"left_eye": (48.0, 60.0), "right_eye": (80.0, 60.0), "nose": (64.0, 82.0), "mouth": (64.0, 96.0)}
    weights = pixel_weights(portraits, Crop(blank, np.eye(2, 3), points))
    assert weights is not None
    assert weights.shape == (1, 1, portraits.size_px, portraits.size_px)
    assert weights.mean() == pytest.approx(1.0)
    w = F.avg_pool2d(weights, portraits.size_px // 128)[0, 0]
    assert min(w[60, 48], w[60, 80], w[96, 64]) > 5 * w[5, 5] > 0
    assert w[82, 44] > 1.5 * w[5, 5]
    torch.testing.assert_close(w[60], w[60].flip(0), atol=0.02, rtol=0)


def test_without_a_known_face_all_pixels_count_alike(portraits: Generator, tiny_generator: StyleGAN2) -> None:
    blank = Image.new("RGB", (128, 128))
    assert pixel_weights(portraits, Crop(blank, np.eye(2, 3))) is None
    assert pixel_weights(tiny_generator, Image.new("RGB", (32, 32))) is None
    assert pixel_weights(portraits, blank) is not None  # a picture of the model's size is taken to be aligned


def test_what_counts_more_gets_nearer(tiny_generator: StyleGAN2) -> None:
    target = tiny_generator.synthesize(random_ws(tiny_generator, [5], truncation_psi=1.0)).flip(3)
    left = torch.full((1, 1, 32, 32), 0.1)
    left[..., :16] = 1.9
    errors = []
    for weights in (left, left.flip(3)):
        objective = Objective(target, weights=weights)
        best = optimized(tiny_generator, objective, OptimizationConfig(pull=0.0), steps=60)
        errors.append((best.image - target[0])[..., :16].square().mean())
    assert errors[0] < 0.9 * errors[1]
