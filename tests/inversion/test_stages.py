"""Each stage of the ladder is more alike than the one below, sliders still work, and any stage can be stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadLatent, BadValue, MissingPart
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Direction, Latent, Step
from latent_editor.generators import Generator, construction, generator_for, random_latent, random_ws
from latent_editor.generators.pictures import to_tensor
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.inversion import LABELS, editability, invert
from latent_editor.inversion.gain import MAX_GAIN, MIN_GAIN, with_gain
from latent_editor.inversion.iterative_encoder import iterate_encoder
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.refining import Refining, RefiningConfig, feature_size, tuned_parameters
from latent_editor.inversion.run import ENOUGH_DB, Candidate, InversionRun, StoppingCriteria
from latent_editor.networks.perceptual import psnr_db
from latent_editor.rendering import render


def picture(g: Generator, seed: int = 3) -> Image.Image:
    """A picture that the generator cannot draw: mirrored, and from far out."""
    image = render(g, random_latent(g, seed, truncation_psi=1.3), precision="fp32")
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def started(g: Generator, target: torch.Tensor, *, seed: int) -> tuple[InversionRun, Candidate]:
    """A run that has a random latent's candidate."""
    run = InversionRun(1e6)
    ws = random_ws(g, [seed])
    image = g.synthesize(ws)
    best = Candidate(ws[0], image[0], psnr_db(image, target).item(), method="encoder")
    run.offer(best)
    return run, best


@pytest.fixture(scope="module")
def climbed(portraits: Generator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Latent, list[Step], Image.Image]:
    steps: list[Step] = []
    crop = picture(portraits, 8)
    return invert(portraits, crop, method="pivotal", seconds=600, max_steps=10, on_step=steps.append), steps, crop


def test_every_stage_is_climbed_in_order(climbed: tuple[Latent, list[Step], Image.Image]) -> None:
    _, steps, _ = climbed
    labels = list(dict.fromkeys(s.label for s in steps))
    assert labels == [LABELS[m] for m in ("encoder", "encoder again", "w+", "features", "pivotal")]
    assert [s.step for s in steps] == list(range(len(steps)))
    assert all(0 <= s.fraction < 1 for s in steps[:-1])
    assert steps[-1].fraction == 1.0
    reached = {s.label: s.psnr_db for s in steps}
    assert reached["Encoder"] <= reached[LABELS["w+"]] < reached["Features"]  # type: ignore[operator]
    assert {s.label for s in steps if s.refinement is not None} == {"Features", "Weights"}
    assert {s.label for s in steps if s.ws is None} == set()


def test_the_latent_is_what_was_told_and_survives_its_file(
    portraits: Generator, climbed: tuple[Latent, list[Step], Image.Image], tmp_path: Path
) -> None:
    latent, steps, crop = climbed
    assert latent.refinement is not None
    assert latent.psnr_db == steps[-1].psnr_db
    latent.save(tmp_path / "me.latent")
    assert (tmp_path / "me.latent").stat().st_size < 3_000_000
    again = Latent.load(tmp_path / "me.latent")
    drawn = to_tensor(render(portraits, again, precision="fp32"), portraits.size_px)
    assert psnr_db(drawn, to_tensor(crop, portraits.size_px)).item() == pytest.approx(latent.psnr_db, abs=0.5)
    assert render(portraits, replace(latent, refinement=None)).tobytes() != render(portraits, latent).tobytes()


def test_features_then_weights_come_nearer(portraits: Generator) -> None:
    target = to_tensor(picture(portraits, 8), portraits.size_px)
    run, before = started(portraits, target, seed=4)
    reached = [before.psnr_db]
    refining = Refining(portraits, Objective(target), run, RefiningConfig())
    for stage in (refining.add_features, refining.tune_weights):
        stage(criteria=StoppingCriteria(1e6, max_steps=20))
        assert run.best is not None
        reached.append(run.best.psnr_db)
    assert reached[1] > reached[0] + 4
    assert reached[2] > reached[1]
    assert run.best is not None
    assert torch.equal(run.best.ws, before.ws)


@pytest.mark.parametrize("stage", ["w+", "features", "pivotal"])
def test_any_stage_can_be_stopped(tiny_generator: StyleGAN2, stage: str) -> None:
    seen: list[Step] = []

    def stop(step: Step) -> bool:
        seen.append(step)
        return step.label == LABELS[stage]

    latent = invert(tiny_generator, picture(tiny_generator), method="pivotal", seconds=600, max_steps=5, on_step=stop)
    assert [step.label for step in seen].count(LABELS[stage]) == 1
    assert seen[-1].label == LABELS[stage]
    assert seen[-1].fraction < 1
    assert latent.psnr_db == seen[-1].psnr_db
    told = seen[-1].refinement
    assert (latent.refinement is None) == (told is None)
    if latent.refinement is not None and told is not None:  # the gain is measured last
        assert replace(latent.refinement, pivot=None, gain=1.0).digest == told.digest


def test_stylegan3_climbs_without_features() -> None:
    shape = {"z_dim": 16, "c_dim": 0, "w_dim": 24, "img_resolution": 16, "img_channels": 3, "channel_base": 128}
    g = construction.random("stylegan3", {**shape, "channel_max": 8})
    run, before = started(g, to_tensor(picture(g), 16), seed=4)
    refining = Refining(g, Objective(to_tensor(picture(g), 16)), run, RefiningConfig())
    refining.add_features(criteria=StoppingCriteria(1e6, max_steps=5))
    assert run.best is before
    refining.tune_weights(criteria=StoppingCriteria(1e6, max_steps=20))
    assert run.best is not None
    assert run.best.psnr_db > before.psnr_db
    assert run.best.refinement is not None
    assert not run.best.refinement.features
    assert not [n for n in run.best.refinement.weights if ".affine." in n or ".input." in n]


def test_refinements_of_large_models_stay_small() -> None:
    with torch.device("meta"):
        g = StyleGAN2(StyleGAN2Config(img_resolution=1024, channel_base=32768, channel_max=512))
    config = RefiningConfig()
    size = feature_size(g, config)
    assert size == 32
    channels = g.config.channels_at(size)
    own = dict(g.named_parameters())
    names = tuned_parameters(g, config.max_bytes - 2 * channels * size * size)
    total = 2 * channels * size * size + sum(2 * own[n].numel() for n in names)
    assert 1_500_000 < total < 2_900_000
    assert "synthesis.b1024.conv1.weight" in names
    assert all("affine" not in n and "noise" not in n and n.startswith("synthesis.") for n in names)


def test_a_higher_stage_wins_from_where_the_eye_sees_no_more() -> None:
    run = InversionRun(60)
    ws, image = torch.zeros(1, 1), torch.zeros(1, 1, 1)
    assert run.offer(Candidate(ws, image, 36.0, method="features"))
    assert not run.offer(Candidate(ws, image, 35.0, method="features"))
    assert not run.offer(Candidate(ws, image, ENOUGH_DB - 0.1, method="pivotal"))
    assert run.offer(Candidate(ws, image, ENOUGH_DB + 0.1, method="pivotal"))
    assert not run.offer(Candidate(ws, image, ENOUGH_DB, method="pivotal"))


# The encoder, shown its own answers.


def test_an_encoder_is_corrected_by_its_own_answers(tiny_generator: StyleGAN2) -> None:
    """One whose answers are too timid, but right about what is missing, gets there."""
    g = tiny_generator
    wanted = random_ws(g, [5])
    target = g.synthesize(wanted)

    def timid(image: torch.Tensor) -> torch.Tensor:  # knows how far an answer's picture is from the target's
        share = (image - mean_picture).norm() / (target - mean_picture).norm()
        return g.w_avg + 0.5 * share * (wanted - g.w_avg)

    mean_picture = g.synthesize(g.w_avg.expand(1, g.num_ws, -1))
    run = InversionRun(60)
    start = timid(target)
    image = g.synthesize(start)
    objective = Objective(target)
    first = float(objective.psnr_db(image))
    run.offer(Candidate(start[0], image[0], first, method="encoder"))
    iterate_encoder(g, objective, run, timid, until_s=60)
    assert run.best is not None
    assert run.best.psnr_db > first + 1
    assert run.best.method == "encoder again"


def test_the_encoder_again_is_never_worse(portraits: Generator) -> None:
    for seed in (3, 8):
        crop = picture(portraits, seed)
        once, again = (invert(portraits, crop, method=m) for m in ("encoder", "encoder again"))
        assert again.psnr_db >= once.psnr_db  # type: ignore[operator]


def test_without_an_encoder_there_is_none_to_ask_again(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(MissingPart, match="encoder"):
        invert(tiny_generator, picture(tiny_generator), method="encoder again")


# Degradations.


def test_what_a_degradation_hides_does_not_count(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    whole = render(g, random_latent(g, 40), precision="fp32")
    broken = whole.copy()
    broken.paste((255, 0, 0), (0, 0, 16, 32))
    mask = torch.ones(1, 1, 32, 32)
    mask[..., :16] = 0
    red = to_tensor(broken, 32) * (1 - mask)
    found = [
        invert(g, broken, method="w+", seconds=600, max_steps=120, degradation=d)
        for d in (None, lambda x: x * mask + red)
    ]
    off = [
        (to_tensor(render(g, latent, precision="fp32"), 32) - to_tensor(whole, 32))[..., :16].square().mean()
        for latent in found
    ]
    assert off[1] < 0.9 * off[0]
    assert found[1].psnr_db > found[0].psnr_db  # type: ignore[operator]


def test_auto_does_not_refine_towards_a_fault(tiny_generator: StyleGAN2) -> None:
    grey = picture(tiny_generator).convert("L").convert("RGB")
    latent = invert(
        tiny_generator,
        grey,
        seconds=600,
        max_steps=5,
        degradation=lambda x: x.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1),
    )
    assert latent.refinement is None
    assert latent.method in ("nearest", "w+")
    with pytest.raises(BadValue, match="expected the same shape"):
        invert(tiny_generator, grey, max_steps=1, degradation=lambda x: x[..., :8])


# Editability.


def directions(g: Generator) -> list[Direction]:
    seeded = torch.Generator().manual_seed(1)
    return [Direction(f"d{i}", torch.randn(g.num_ws, g.w_dim, generator=seeded) * 0.2) for i in range(3)]


def test_random_faces_are_as_editable_as_random_faces(portraits: Generator) -> None:
    ratios = [
        editability(portraits, random_latent(portraits, 1000 + i), directions(portraits)).ratio for i in range(12)
    ]
    assert sum(ratios) / 12 == pytest.approx(1.0, abs=0.02)  # these are the faces that are compared with


def test_editability_falls_with_what_sliders_do(portraits: Generator) -> None:
    latent, whole = random_latent(portraits, 7), directions(portraits)
    some = [Direction(d.name, d.vector, layers=(0, 2)) for d in whole]
    assert editability(portraits, latent, some).each.keys() == {"d0", "d1", "d2"}
    before = editability(portraits, latent, whole)
    weights = {
        n: -0.5 * p
        for n, p in portraits.named_parameters()
        if n.startswith("synthesis.") and n.endswith("affine.weight")
    }
    numb = Latent(latent.ws, latent.model, latent.fingerprint, refinement=Refinement({}, weights))
    after = editability(portraits, numb, whole)
    assert after.pixels < 0.8 * before.pixels
    assert after.works is (abs(after.ratio - 1) <= 0.2)
    assert generator_for(portraits, numb) is not portraits


def test_editability_refuses_what_it_cannot_measure(portraits: Generator) -> None:
    latent = random_latent(portraits, 1)
    with pytest.raises(BadValue, match="no directions"):
        editability(portraits, latent, [])
    with pytest.raises(BadLatent, match="different models"):
        editability(portraits, latent, [Direction("d", torch.zeros(2, 3))])


def test_a_gain_moves_what_is_around_the_pivot_and_not_the_pivot(portraits: Generator) -> None:
    pivot = random_latent(portraits, 7, truncation_psi=1.0)
    far = portraits.latent(pivot.ws, method="features", refinement=Refinement(pivot=pivot.ws, gain=1.5))
    drawing = generator_for(portraits, far)
    assert render(portraits, far).tobytes() == render(portraits, pivot).tobytes()
    offset = directions(portraits)[0].vector
    expected = portraits.synthesize((pivot.ws + 1.5 * offset)[None])
    torch.testing.assert_close(drawing.synthesize((pivot.ws + offset)[None]), expected, atol=1e-4, rtol=0)
    whole = directions(portraits)
    assert editability(portraits, far, whole).ratio > 1.2 * editability(portraits, pivot, whole).ratio


@pytest.mark.parametrize("more", [-0.3, 0.5])
def test_sliders_do_on_a_refined_face_what_they_do_on_others(portraits: Generator, more: float) -> None:
    g = portraits
    affines = [n for n, _ in g.named_parameters() if n.startswith("synthesis.") and n.endswith("affine.weight")]
    other = Refinement({}, {n: more * dict(g.named_parameters())[n] for n in affines})
    best = Candidate(random_latent(g, 12).ws, torch.zeros(3, 2, 2), 30.0, other, "pivotal")
    found = with_gain(g, best).refinement
    assert found is not None
    assert found.pivot is not None
    assert 1 < found.gain <= MAX_GAIN if more < 0 else MIN_GAIN <= found.gain < 1
    sliders = directions(portraits)
    before, after = (
        editability(g, g.latent(best.ws, method="pivotal", refinement=r), sliders).ratio for r in (other, found)
    )
    assert abs(after - 1) < abs(before - 1)
    assert with_gain(g, Candidate(best.ws, best.image, 30.0)).refinement is None
