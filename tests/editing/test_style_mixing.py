"""Faces between faces: rows where they should be, distances that are kept, noise that repeats."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from support.random_generators import random_generator

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Latent
from latent_editor.editing.style_mixing import chosen_layers, interpolate, mix, render_with_noise
from latent_editor.generators import Generator, random_latent
from latent_editor.generators.base import random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import render


@pytest.fixture
def two(tiny_generator: StyleGAN2) -> list[Latent]:
    return [random_latent(tiny_generator, seed, truncation_psi=1) for seed in (1, 2)]


def test_layers_are_chosen_by_name_and_by_range(tiny_generator: StyleGAN2) -> None:
    n = tiny_generator.num_ws
    assert chosen_layers(tiny_generator, "coarse") == (0, 4)
    assert chosen_layers(tiny_generator, "all") == (0, n)
    assert chosen_layers(tiny_generator, "2..5") == chosen_layers(tiny_generator, (2, 5)) == (2, 5)
    for wrong in ("hair", "a..b", "5..2", "3..3", f"0..{n + 1}", (-1, 2)):
        with pytest.raises(BadValue):
            chosen_layers(tiny_generator, wrong)


def test_mixing_takes_the_rows_that_were_asked_for(tiny_generator: StyleGAN2, two: list[Latent]) -> None:
    mixed = mix(tiny_generator, *two, "middle")
    start, stop = chosen_layers(tiny_generator, "middle")
    assert torch.equal(mixed.ws[start:stop], two[1].ws[start:stop])
    assert torch.equal(mixed.ws[:start], two[0].ws[:start])
    assert torch.equal(mixed.ws[stop:], two[0].ws[stop:])
    assert torch.allclose(mix(tiny_generator, *two, "all", amount=0.25).ws, two[0].ws.lerp(two[1].ws, 0.25))
    assert torch.equal(mix(tiny_generator, *two, "all", amount=0).ws, two[0].ws)
    tiny_generator.check(mixed)
    with pytest.raises(BadValue, match="finite"):
        mix(tiny_generator, *two, "all", amount=math.nan)


def test_the_ends_of_a_way_are_the_faces(tiny_generator: StyleGAN2, two: list[Latent]) -> None:
    for path in ("linear", "spherical"):
        for share, end in ((0.0, two[0]), (1.0, two[1])):
            assert torch.allclose(interpolate(tiny_generator, two, share, path=path).ws, end.ws, atol=1e-5)


def test_linear_is_the_weighted_mean(tiny_generator: StyleGAN2, two: list[Latent]) -> None:
    third = random_latent(tiny_generator, 3)
    found = interpolate(tiny_generator, [*two, third], [0.5, 0.2, 0.3])
    assert torch.allclose(found.ws, 0.5 * two[0].ws + 0.2 * two[1].ws + 0.3 * third.ws, atol=1e-6)


def test_spherical_keeps_the_distance_from_the_mean_and_turns_evenly(two: list[Latent]) -> None:
    g = random_generator()
    a, b = (g.latent(ws, method="random") for ws in random_ws(g, [1, 2], truncation_psi=1.0))
    away = [x.ws - g.w_avg for x in (a, b)]
    lengths = [x.norm(dim=1) for x in away]
    angle = torch.nn.functional.cosine_similarity(*away, dim=1).acos()
    for share in (0.25, 0.5, 0.75):
        found = interpolate(g, [a, b], share, path="spherical").ws - g.w_avg
        assert torch.allclose(found.norm(dim=1), lengths[0].lerp(lengths[1], share), rtol=1e-4)
        turned = torch.nn.functional.cosine_similarity(found, away[0], dim=1).acos()
        assert torch.allclose(turned, share * angle, atol=1e-3)
    straight = interpolate(g, [a, b], 0.5).ws - g.w_avg
    assert (straight.norm(dim=1) < lengths[0].lerp(lengths[1], 0.5)).all()


def test_spherical_of_alike_opposite_and_mean_faces_is_finite(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    one = random_latent(g, 1)
    opposite = g.latent(2 * g.w_avg - one.ws, method="test")
    mean = g.latent(g.w_avg.expand(g.num_ws, -1), method="test")
    assert torch.allclose(interpolate(g, [one, one], 0.3, path="spherical").ws, one.ws, atol=1e-5)
    for other in (opposite, mean):
        assert torch.isfinite(interpolate(g, [one, other], 0.5, path="spherical").ws).all()
    # Opposite points are joined by no great circle of their own: by a line, which leads through the mean face.
    for share in (0.25, 0.5, 0.9):
        found = interpolate(g, [one, opposite], share, path="spherical").ws - g.w_avg
        torch.testing.assert_close(found, (1 - 2 * share) * (one.ws - g.w_avg), atol=1e-4, rtol=0)
    three = interpolate(g, [one, opposite, mean], [0.3, 0.3, 0.4], path="spherical")
    assert torch.isfinite(three.ws).all()


def test_refinements_are_weighted_too(tiny_generator: StyleGAN2) -> None:
    g, plain = tiny_generator, random_latent(tiny_generator, 1)
    name = "synthesis.b8.conv1.weight"
    change = torch.randn(dict(g.named_parameters())[name].shape, generator=torch.Generator().manual_seed(0))
    ours = Latent(plain.ws, plain.model, plain.fingerprint, refinement=Refinement(weights={name: change}))
    half = interpolate(g, [plain, ours], 0.5)
    assert half.refinement is not None
    assert torch.allclose(half.refinement.weights[name], change / 2)
    assert interpolate(g, [plain, ours], 0.0).refinement is None
    assert mix(g, ours, plain, "fine").refinement is ours.refinement
    assert render(g, half).tobytes() != render(g, plain).tobytes()


def test_bad_mixtures_are_refused(tiny_generator: StyleGAN2, portraits: Generator, two: list[Latent]) -> None:
    stranger = random_latent(portraits, 1)
    with pytest.raises(BadLatent, match="portraits"):
        interpolate(tiny_generator, [two[0], stranger], 0.5)
    with pytest.raises(BadLatent, match="portraits"):
        mix(tiny_generator, two[0], stranger, "fine")
    for latents, weights in ((two[:1], [1.0]), (two, [0.5]), (two, [0.5, 0.6]), (two, math.nan), ([], [])):
        with pytest.raises(BadValue):
            interpolate(tiny_generator, latents, weights)
    with pytest.raises(BadValue, match="linear, spherical"):
        interpolate(tiny_generator, two, 0.5, path="scenic")


def test_noise_is_fixed_off_or_seeded(two: list[Latent]) -> None:
    g = random_generator()
    latent = random_latent(g, 1)
    fixed, without, first = (render_with_noise(g, latent, noise).tobytes() for noise in ("const", "none", 1))
    assert fixed == render(g, latent).tobytes()
    assert len({fixed, without, first, render_with_noise(g, latent, 2).tobytes()}) == 4
    before = torch.random.get_rng_state()
    assert render_with_noise(g, latent, 1).tobytes() == first
    assert torch.equal(torch.random.get_rng_state(), before)
    assert render_with_noise(g, latent, 1, size_px=16).size == (16, 16)
    for wrong in ("random", "loud", -1):
        with pytest.raises(BadValue):
            render_with_noise(g, latent, wrong)


def test_a_mixture_of_refined_faces_stretches_sliders_around_itself(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    weight = torch.ones_like(g.synthesis.b8.conv1.bias)
    one, other = (g.latent(ws, method="pivotal") for ws in random_ws(g, [1, 2]))
    refinement = Refinement({}, {"synthesis.b8.conv1.bias": weight}, one.ws, 1.5)
    mixed = interpolate(g, [replace(one, refinement=refinement), other], [0.5, 0.5])
    assert mixed.refinement is not None
    assert mixed.refinement.gain == pytest.approx(1.25)
    assert mixed.refinement.pivot is not None
    assert torch.equal(mixed.refinement.pivot, mixed.ws)
    torch.testing.assert_close(mixed.refinement.weights["synthesis.b8.conv1.bias"], weight / 2)
