"""Fitted directions: planted boundaries are found, cleaned ones are at right angles, what they change is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import latent_editor as le
from latent_editor.cli import main
from latent_editor.core.errors import BadLatent, BadModel, BadPrompt, BadValue, Stopped
from latent_editor.directions import (
    clip_samples,
    disentangle_direction,
    fit_direction,
    fit_direction_from_examples,
    gradients,
)
from latent_editor.directions.entanglement import IdentityMeter, entanglement_row, largest_side_effect
from latent_editor.directions.gradients import ON_ALL, disentangled_direction, gradient_candidates, jacobian
from latent_editor.directions.library import own_directions
from latent_editor.directions.namer import Namer
from latent_editor.directions.safe_range import SafeRangeMeter
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import Bundle
from latent_editor.networks.boundaries import (
    Boundary,
    apart_from,
    fit_boundary,
    latent_whitening,
    read_boundaries,
    write_boundaries,
)
from latent_editor.train import boundaries as training
from latent_editor.train.boundaries import alike


def planted(count: int, axis: Tensor, gap: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two clouds of even coordinates that lie ``gap`` apart along ``axis``."""
    x = torch.randn(2 * count, len(axis), generator=torch.Generator().manual_seed(seed))
    return x[:count] + gap / 2 * axis, x[count:] - gap / 2 * axis


AXIS = torch.nn.functional.normalize(torch.arange(32.0) - 7, dim=0)


def test_a_planted_boundary_is_found() -> None:
    found = fit_boundary(*planted(300, AXIS, 3.0), name="more")
    assert found.normal @ AXIS > 0.95
    assert found.normal.norm() == pytest.approx(1)
    assert found.accuracy == pytest.approx(0.933, abs=0.03)  # Φ(1.5)
    assert found.count == 600


def test_noise_is_told_by_chance_alone() -> None:
    assert fit_boundary(*planted(200, AXIS, 0.0), name="nothing").accuracy == pytest.approx(0.5, abs=0.08)


def test_weights_take_a_confounder_out() -> None:
    other = torch.nn.functional.normalize(torch.ones(32) - AXIS * AXIS.sum(), dim=0)
    more, less = planted(400, AXIS, 2.0)
    signs = torch.ones(400)
    signs[::10] = -1  # nine of ten with the one have the other too
    more, less = more + 2 * signs[:, None] * other, less - 2 * signs[:, None] * other
    labels = [{"other": bool(s > 0)} for s in signs] + [{"other": bool(s < 0)} for s in signs]
    weights = alike(labels, [True] * 400 + [False] * 400, ["other"])
    assert weights[:400].sum() == pytest.approx(float(weights[400:].sum()), rel=1e-3)
    plain, even = (fit_boundary(more, less, name="x", weights=w) for w in (None, weights))
    assert even.normal @ other < 0.6 * (plain.normal @ other)
    assert even.normal @ AXIS > plain.normal @ AXIS


def test_labelled_portraits_are_read_off_all_layers_and_off_the_clip(
    tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = tiny_generator
    rule = (lambda a: a["has"], lambda a: not a["has"], ("kind",))
    monkeypatch.setattr(training, "RULES", {"it": rule})
    ws = torch.stack([random_ws(g, list(range(i, 1600 + i)), truncation_psi=1.0)[:, 0] for i in range(g.num_ws)], dim=1)
    whitening = latent_whitening(g)
    in_last = ((ws[:, -1] - whitening.mean) @ whitening.whiten)[
        :, 3
    ]  # what is meant shows in one layer, and one number
    seen = torch.randn(1600, 2, 6, generator=torch.Generator().manual_seed(2))
    seen[..., 4] += in_last[:, None]
    labels = [{"has": bool(x > 0), "kind": i % 2} for i, x in enumerate(in_last)]
    (found,) = training.fit_boundaries(g, ws[:1300], seen[:1300], labels[:1300], limit=300)
    assert found.encoder_probe is not None
    assert found.clip_probe is not None
    assert found.encoder_probe.shape == ws.shape[1:]
    told = (ws[1300:] * found.encoder_probe).sum(dim=(1, 2))
    assert torch.corrcoef(torch.stack([told, in_last[1300:]]))[0, 1] > 0.8
    assert found.clip_probe[4] > 0.9
    assert found.count == 300


def test_too_few_and_broken_examples_are_refused() -> None:
    with pytest.raises(BadValue, match="expected 3 of each"):
        fit_boundary(torch.randn(2, 8), torch.randn(9, 8), name="few")
    with pytest.raises(BadValue, match="finite"):
        fit_boundary(torch.full((4, 8), torch.nan), torch.randn(4, 8), name="broken")


def test_what_is_cleaned_is_at_right_angles_to_all() -> None:
    others = [torch.randn(32, generator=torch.Generator().manual_seed(s)) for s in (1, 2, 3)]
    cleaned, left = apart_from(AXIS, others)
    assert max(abs(float(cleaned @ o)) for o in others) < 1e-5
    assert cleaned.norm() == pytest.approx(1)
    assert 0.5 < left < 1
    assert cleaned @ AXIS == pytest.approx(left, abs=1e-4)
    with pytest.raises(BadValue, match="nearly the same"):
        apart_from(AXIS, [AXIS + 0.01 * others[0]])


def test_even_coordinates_are_even(tiny_generator: StyleGAN2) -> None:
    whitening = latent_whitening(tiny_generator)
    x = whitening.whitened(random_ws(tiny_generator, list(range(5000, 5600)), truncation_psi=1.0))
    covariance = torch.cov(x.t())
    assert covariance.diagonal().mean() == pytest.approx(1, abs=0.25)
    assert torch.allclose(whitening.whiten @ whitening.color, torch.eye(32), atol=1e-3)


def test_files_of_boundaries_come_back(tmp_path: Path) -> None:
    opinion = torch.eye(2, 32) / 2**0.5
    written = [
        Boundary("beard", AXIS, 0.9, 100, torch.nn.functional.normalize(torch.ones(6), dim=0), opinion),
        Boundary("long hair", -AXIS, 0.8, 90, torch.nn.functional.normalize(torch.arange(6.0), dim=0), -opinion),
    ]
    write_boundaries(written, tmp_path / "b.safetensors", fingerprint="abc+def")
    read, fingerprint = read_boundaries(tmp_path / "b.safetensors")
    assert fingerprint == "abc+def"
    for a, b in zip(read, written, strict=True):
        assert (a.name, a.accuracy, a.count) == (b.name, b.accuracy, b.count)
        assert torch.allclose(a.normal, b.normal, atol=2e-3)
        assert a.clip_probe is not None
        assert torch.allclose(a.clip_probe, b.clip_probe, atol=2e-3)
        assert a.encoder_probe is not None
        assert torch.allclose(a.encoder_probe, b.encoder_probe, atol=2e-3)
    (tmp_path / "b.safetensors").write_bytes(b"damaged")
    with pytest.raises(BadModel):
        read_boundaries(tmp_path / "b.safetensors")


# Directions by examples.


@pytest.fixture
def faceless(tiny_generator: StyleGAN2) -> StyleGAN2:
    tiny_generator.bundle = Bundle("tiny", about={"faces": False})
    return tiny_generator


def test_examples_become_a_measured_slider(faceless: StyleGAN2) -> None:
    g = faceless
    axis = torch.randn(32, generator=torch.Generator().manual_seed(5))
    ws = random_ws(g, list(range(160)), truncation_psi=1.0)
    far = ((ws[:, 0] - g.w_avg) @ axis).argsort()
    slider = fit_direction_from_examples(g, ws[far[80:]], ws[far[:80]], name="theirs")
    whitening = latent_whitening(g)
    way, planted_way = slider.vector[0] @ whitening.whiten, whitening.color @ axis
    assert torch.nn.functional.cosine_similarity(way, planted_way, dim=0) > 0.6
    assert (slider.name, slider.source, slider.space) == ("theirs", "boundary", "w")
    assert slider.provenance.examples == (80, 80)
    assert "80 and 80 examples" in slider.detail
    assert slider.entanglement
    assert slider.low <= -1 < 1 <= slider.high


def test_examples_of_another_model_are_refused(faceless: StyleGAN2) -> None:
    with pytest.raises(BadLatent, match=r"\[4, 3, 32\]"):
        fit_direction_from_examples(faceless, torch.zeros(4, 3, 32), torch.zeros(4, 3, 32), name="x")


# Directions by words.


@pytest.fixture
def quick(portraits: Generator, monkeypatch: pytest.MonkeyPatch) -> Generator:
    monkeypatch.setattr(clip_samples, "MAX_SAMPLES", 160)
    return portraits


def test_words_become_a_slider(quick: Generator) -> None:
    slider = fit_direction(
        quick, "a person with long hair", "a person with short hair", preserve=["age"], name="length"
    )
    assert slider.entanglement is not None
    assert slider.entanglement["own"] > 0.5
    assert slider.provenance.prompt == "a person with long hair"
    assert slider.provenance.disentangled_from == ("age",)
    assert slider.vector.shape == (quick.num_ws, quick.w_dim)
    cleaned = disentangle_direction(quick, slider, ["a smiling person / a serious person"])
    assert cleaned.provenance.disentangled_from == ("age", "a smiling person / a serious person")
    assert replace(cleaned.provenance, disentangled_from=("age",)) == slider.provenance
    assert torch.nn.functional.cosine_similarity(cleaned.vector.flatten(), slider.vector.flatten(), dim=0) > 0.5


@pytest.mark.parametrize("text", ["", "борода", "x" * 400])
def test_texts_that_say_nothing_are_refused(quick: Generator, text: str) -> None:
    with pytest.raises(BadPrompt):
        fit_direction(quick, text, "a person")


def test_sampling_can_be_stopped(quick: Generator) -> None:
    other = Bundle(quick.bundle.name, quick.bundle.folder, quick.bundle.about)
    before, quick.bundle = quick.bundle, other
    try:
        with pytest.raises(Stopped):
            fit_direction(quick, "a beard", on_step=lambda s: True)
    finally:
        quick.bundle = before


def test_a_direction_of_another_shape_is_refused(quick: Generator) -> None:
    with pytest.raises(BadLatent):
        disentangle_direction(quick, le.Direction("x", torch.ones(3, 4)))


def test_the_commands_hint_finds_the_slider_that_was_fitted(
    tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def made(name: str, value: float) -> le.Direction:
        return le.Direction(name, torch.full((tiny_generator.num_ws, tiny_generator.w_dim), value))

    own_directions.put(tiny_generator, le.Directions([made("beard", 1.0)]))
    monkeypatch.setattr(le, "load_generator", lambda model: tiny_generator)
    monkeypatch.setattr("latent_editor.directions.fit_direction", lambda *_, name, **__: made(name, 2.0))
    for name in ("beard", "Beard", "a scar"):
        assert main(["directions", "fit", "a person with a beard", "--name", name]) == 0
        hint = re.search(r'--set "(.+)=1"', capsys.readouterr().out)
        assert hint is not None
        assert le.named_directions(tiny_generator)[hint[1]].vector.max() == 2, name


def test_the_command_refuses_half_a_pair_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directions", "fit", str(tmp_path), "a beard"]) == 2
    assert "two folders" in capsys.readouterr().err
    (tmp_path / "b").mkdir()
    assert main(["directions", "fit", str(tmp_path), str(tmp_path / "b")]) == 2
    assert "no photograph of a face" in capsys.readouterr().err


# What is measured.


def linear_namer(g: StyleGAN2, reads: Tensor) -> Namer:
    """One that reads straight off the latents: ``reads`` [3, num_ws, w_dim] say age, beard and smile."""
    namer = Namer(g, None, random_ws(g, list(range(6))))
    namer.names, namer.families = ["age", "beard", "smile"], ["age", "sex", "expression"]
    namer.names_measured, namer.families_measured, namer._spread = namer.names, namer.families, torch.ones(3)
    namer._read = lambda ws: torch.einsum("nld,tld->nt", ws, reads)  # type: ignore[method-assign]
    return namer


def test_gradients_are_what_readings_change_by(tiny_generator: StyleGAN2) -> None:
    namer = Namer(tiny_generator, None, random_ws(tiny_generator, list(range(6))))
    ws = random_ws(tiny_generator, [7, 8, 9])
    rates = jacobian(namer, ws, progress=lambda _: None, dtype=torch.float32)
    way = torch.randn(tiny_generator.num_ws, tiny_generator.w_dim, generator=torch.Generator().manual_seed(1))
    step = 1e-3 * way
    after, before = (namer.readings(ws + side * step, dtype=torch.float32) for side in (1, -1))
    measured, told = (after - before) / 2e-3, rates.flatten(2) @ way.flatten()
    assert measured.abs().max() > 0.1
    assert torch.nn.functional.cosine_similarity(measured.flatten(), told.flatten(), dim=0) > 0.99


def test_no_other_way_leaks_less() -> None:
    random = torch.Generator().manual_seed(3)
    own, leaks = torch.randn(40, generator=random), torch.randn(3, 4, 40, generator=random)
    way = disentangled_direction(own, leaks, shortness=0.1)
    weight = 0.1 * leaks.square().sum() / 3
    assert own @ way == pytest.approx(1, rel=1e-4)

    def cost(v: Tensor) -> float:
        on_all = (leaks.mean(dim=0) @ v).square().sum()
        return float((leaks @ v).square().sum() + 3 * ON_ALL * on_all + weight * v.square().sum())

    for _ in range(20):
        aside = 0.1 * torch.randn(40, generator=random)
        aside -= (aside @ own) / (own @ own) * own
        assert cost(way + aside) > cost(way)
    pure = disentangled_direction(own, leaks, shortness=1e-7)
    assert (leaks @ pure).abs().max() < 1e-3


def test_gradients_leave_alone_what_leaks(tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readings share a number of w; hardly any weight is on the length, which would keep some of it."""
    monkeypatch.setattr(gradients, "SHORTNESS", 0.02)
    g, reads = tiny_generator, torch.zeros(3, tiny_generator.num_ws, tiny_generator.w_dim)
    reads[0, 4:, 0] = reads[1, :4, 0] = reads[1, :4, 1] = reads[2, :, 2] = 1.0
    namer = linear_namer(g, reads)
    namer.readings = lambda ws, dtype=None: torch.einsum("nld,tld->nt", ws, reads)  # type: ignore[method-assign]
    found = gradient_candidates(namer, random_ws(g, [20, 21]), progress=lambda _: None)
    assert [c.label for c in found] == ["age", "beard", "smile"]
    for at, candidate in enumerate(found):
        effects = namer.effects(candidate.vector)
        assert effects[at] > 20 * effects[[i for i in range(3) if i != at]].abs().max()


def test_a_leak_is_what_is_not_ones_own(faceless: StyleGAN2) -> None:
    namer = Namer(faceless, None, random_ws(faceless, [1, 2, 3, 4]))
    effects = torch.zeros(len(namer.names))
    for name, value in (("bright background", -3.0), ("warm background", 2.0), ("brightness", 1.5), ("contrast", -0.5)):
        effects[namer.names.index(name)] = value
    row = entanglement_row(namer, effects, namer.names.index("bright background"), 0.25)
    assert row["own"] == 3.0
    assert (row["skin"], row["light"], row["identity"]) == (1.5, 0.5, 0.25)
    assert "background" not in row
    assert largest_side_effect(row) == ("skin", 1.5)


def test_safe_ranges_end_where_pictures_break(faceless: StyleGAN2) -> None:
    ws = random_ws(faceless, list(range(6)))
    limits = SafeRangeMeter(faceless, ws)
    nothing = torch.zeros(faceless.num_ws, faceless.w_dim)
    assert limits.safe_range(nothing) == (-3.0, 3.0)
    much = torch.nn.functional.normalize(torch.randn(faceless.w_dim), dim=0).expand_as(nothing) * 400
    low, high = limits.safe_range(much)
    assert -3 <= low <= -1
    assert 1 <= high <= 3
    assert min(-low, high) < 3


def test_identity_is_one_for_another_face(portraits: Generator) -> None:
    ws = random_ws(portraits, list(range(4)))
    identity = IdentityMeter(portraits, ws)
    assert identity.distance(torch.zeros(portraits.num_ws, portraits.w_dim)) == pytest.approx(0, abs=0.02)
    small, large = (identity.distance((ws[1] - ws[0]) * share) for share in (0.1, 1.0))
    assert small is not None
    assert large is not None
    assert 0 < small < large


def test_a_leakage_row_is_kept_in_files(tmp_path: Path) -> None:
    from latent_editor.directions import read_directions, write_directions

    d = replace(le.Direction("age", torch.ones(4, 8)), entanglement={"own": 3.0, "hair": 0.5})
    write_directions(le.Directions([d]), tmp_path / "d.safetensors", fingerprint="abc")
    assert read_directions(tmp_path / "d.safetensors")[0][0].entanglement == {"own": 3.0, "hair": 0.5}
