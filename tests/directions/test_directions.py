"""Directions: PCA finds the axes that were put in, calibration is what it says, files come back as they were."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latent_editor.core.errors import BadModel, BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Directions
from latent_editor.directions import build_directions, named_directions, read_directions, write_directions
from latent_editor.directions.budget import Budget
from latent_editor.directions.calibration import MAX_STEP, VISIBLE_CHANGE, picture_change, unit_vector
from latent_editor.directions.candidates import Candidate, select_candidates
from latent_editor.directions.image_measures import image_measures
from latent_editor.directions.namer import CLEAR_CHANGE, Namer
from latent_editor.directions.pca import find_components
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2


def test_components_are_the_axes_of_a_linear_view(tiny_generator: StyleGAN2) -> None:
    torch.manual_seed(1)
    w = torch.randn(2000, 32)
    axes = torch.linalg.qr(torch.randn(32, 32))[0][:3]  # orthonormal rows
    gains = torch.tensor([9.0, 4.0, 2.0])

    def view(g: Generator, ws: Tensor) -> Tensor:
        return (ws[:, 0] @ axes.T) * gains

    found = find_components(tiny_generator, w, view, 3)
    cosine = torch.nn.functional.normalize(found.vectors, dim=1) @ axes.T
    assert (cosine.diagonal().abs() > 0.98).all()
    assert found.explained.tolist() == sorted(found.explained.tolist(), reverse=True)
    assert found.vectors.norm(dim=1) == pytest.approx(torch.ones(3), abs=0.15)


def test_signs_do_not_depend_on_chance(tiny_generator: StyleGAN2) -> None:
    w = torch.randn(300, 32, generator=torch.Generator().manual_seed(2))
    first, second = (find_components(tiny_generator, w, lambda g, ws: ws[:, 0], 4).vectors for _ in range(2))
    assert torch.equal(first, second)
    assert (first.gather(1, first.abs().argmax(1, keepdim=True)) > 0).all()


def test_one_unit_changes_pictures_by_the_visible_amount(portraits: Generator) -> None:
    ws = random_ws(portraits, list(range(6)))
    offset = torch.zeros(portraits.num_ws, portraits.w_dim)
    offset[:] = random_ws(portraits, [77], truncation_psi=1.0)[0]
    unit = unit_vector(portraits, ws, offset)
    change = picture_change(portraits, ws, unit)
    at_limit = unit.norm(dim=1).max() >= 0.95 * MAX_STEP * (ws - ws.mean(0)).square().mean().sqrt()
    assert at_limit or change == pytest.approx(VISIBLE_CHANGE, rel=0.35)


class RootGenerator(torch.nn.Module):
    """Draws gray pictures whose light is ``gain`` times the square root of w's first number."""

    device = torch.device("cpu")

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def synthesize(self, ws: torch.Tensor, *, dtype: torch.dtype) -> torch.Tensor:
        return (self.gain * ws[:, 0, 0].clamp_min(0).sqrt())[:, None, None, None].expand(-1, 3, 8, 8)


@pytest.mark.parametrize("length", [0.8, 1.0, 4.0])
def test_a_unit_is_visible_also_where_pictures_do_not_change_in_proportion(length: float) -> None:
    """The oracle: a change of gain · √length is the visible one at the length that the gain is chosen for."""
    ws = torch.zeros(2, 3, 4)
    ws[0, :, 1:], ws[1, :, 1:] = (4 / 3) ** 0.5, -((4 / 3) ** 0.5)  # a standard deviation of 1, none of it in the light
    offset = torch.zeros(3, 4)
    offset[:, 0] = 0.37
    unit = unit_vector(RootGenerator(VISIBLE_CHANGE / length**0.5), ws, offset)
    start = abs(math.log(length / 1.5))  # how far the first guess is off; each round halves it
    assert abs(math.log(float(unit[0, 0]) / length)) <= start / 4 + 1e-4


def test_directions_are_found_for_any_generator(tiny_generator: StyleGAN2) -> None:
    w = random_ws(tiny_generator, list(range(128)), truncation_psi=1.0)[:, 0]
    fractions: list[float] = []
    budget = Budget(components={"structure": 5, "color": 4}, trials=6, calibration_faces=2, range_faces=2)
    directions = build_directions(tiny_generator, w, budget=budget, on_step=lambda s: fractions.append(s.fraction))
    assert len(directions) >= 4
    assert len(set(directions.names)) == len(directions)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0, abs=0.25)
    for d in directions:
        assert d.vector.shape == (tiny_generator.num_ws, tiny_generator.w_dim)
        assert torch.isfinite(d.vector).all()
        assert -3 <= d.low <= -1
        assert 1 <= d.high <= 3
        assert d.entanglement


def test_directions_can_be_tried_on_given_faces(tiny_generator: StyleGAN2) -> None:
    """On faces twice as far from the mean, the measured spread is larger, and so the same direction has less effect."""
    budget = Budget(components={"structure": 4}, trials=6, calibration_faces=2, range_faces=2)
    near = random_ws(tiny_generator, list(range(6)), truncation_psi=0.3)
    with pytest.raises(BadValue, match="6 at least"):
        build_directions(tiny_generator, faces=near[:5], budget=budget)
    mean = near.mean(dim=0)
    steps = []
    for faces in (near, mean + 4 * (near - mean)):
        found = build_directions(tiny_generator, faces=faces, budget=budget)
        steps.append(torch.stack([d.vector for d in found]).norm(dim=-1).mean())
    assert not torch.isclose(*steps)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    vectors = [torch.randn(1, 8).expand(4, 8).clone(), torch.randn(1, 8).expand(4, 8).clone()]
    written = Directions(
        [
            Direction(
                "age",
                vectors[0],
                source="pca",
                provenance=Provenance(component=1, decomposed="structure", share=0.25),
                score=0.75,
                layers=(0, 2),
            ),
            Direction("smile", vectors[1], low=-2.0, high=2.5, source="pca", score=None),
        ]
    )
    write_directions(written, tmp_path / "d.safetensors", fingerprint="abc")
    read, fingerprint = read_directions(tmp_path / "d.safetensors")
    assert fingerprint == "abc"
    for a, b in zip(read, written, strict=True):
        assert (a.name, a.low, a.high, a.layers, a.source, a.provenance, a.score) == (
            b.name, b.low, b.high, b.layers, b.source, b.provenance, b.score,
        )  # fmt: skip
        assert torch.allclose(a.vector, b.vector, atol=2e-3)


def test_layers_of_their_own_are_kept(tmp_path: Path) -> None:
    vector = torch.randn(4, 8)
    write_directions(Directions([Direction("x", vector)]), tmp_path / "d.safetensors", fingerprint="abc")
    read, _ = read_directions(tmp_path / "d.safetensors")
    assert torch.allclose(read[0].vector, vector, atol=2e-3)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    write_directions(Directions([Direction("x", torch.randn(4, 8))]), path, fingerprint="abc")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadModel):
        read_directions(path)


@pytest.fixture
def namer(tiny_generator: StyleGAN2) -> Namer:
    """One without words: only what is measured."""
    return Namer(tiny_generator, None, random_ws(tiny_generator, list(range(8))))


def test_measures_read_what_their_names_say(tiny_generator: StyleGAN2) -> None:
    read = {m.name: m.read for m in image_measures(tiny_generator)}
    plain = torch.zeros(1, 3, 64, 64)

    def changed(name: str, area: tuple[slice, slice], colour: tuple[float, float, float]) -> float:
        picture = plain.clone()
        picture[0, :, area[0], area[1]] = torch.tensor(colour).view(3, 1, 1)
        return (read[name](picture) - read[name](plain)).item()

    everywhere, left = (slice(None), slice(None)), (slice(None), slice(0, 32))
    edge, centre = (slice(0, 32), slice(0, 6)), (slice(30, 50), slice(24, 40))
    white, orange, blue = (1.0, 1.0, 1.0), (0.6, 0.2, -0.6), (-0.5, 0.0, 0.5)
    assert changed("brightness", centre, white) > 0.5 > 0.01 > abs(changed("brightness", edge, white))
    assert changed("bright background", edge, white) > 0.2 > 0.01 > abs(changed("bright background", centre, white))
    assert changed("warm colours", centre, orange) > 0 > changed("warm colours", centre, blue)
    assert changed("warm background", edge, orange) > 0 > changed("warm background", edge, blue)
    assert changed("light from the left", left, white) > 0.5
    assert abs(changed("light from the left", everywhere, white)) < 1e-5
    assert changed("contrast", left, white) > 0.2
    assert abs(changed("contrast", everywhere, white)) < 1e-5
    assert changed("vivid colours", everywhere, orange) > 0.2 > abs(changed("vivid colours", everywhere, white))
    checks = torch.full((1, 3, 64, 64), -0.5)
    checks[..., ::2, ::2] = 0.5
    assert read["fine detail"](checks) > read["fine detail"](plain) + 0.01


def test_pose_is_measured_where_there_are_faces(portraits: Generator) -> None:
    read = {m.name: m.read for m in image_measures(portraits)}
    faces = portraits.synthesize(random_ws(portraits, [1, 2, 3, 4]))
    turned = read["turn to the right"](faces)
    assert torch.allclose(read["turn to the right"](faces.flip(3)), -turned, atol=0.08)
    assert ((read["long face"](faces) > 0.8) & (read["long face"](faces) < 3)).all()


def test_effects_are_zero_where_faces_disagree(namer: Namer) -> None:
    namer._read = lambda ws: torch.stack([ws[:, 0, 0], ws[:, 0, 1].abs()], dim=1)  # type: ignore[method-assign]
    namer.ws = torch.zeros(8, namer.g.num_ws, namer.g.w_dim)
    namer.ws[:4, 0, 1], namer.ws[4:, 0, 1] = 9, -9
    namer._spread = torch.tensor([0.5, 1.0])
    offset = torch.zeros(namer.g.num_ws, namer.g.w_dim)
    offset[0, 0] = offset[0, 1] = 1.0
    assert namer.effects(offset).tolist() == [8.0, 0.0]


def test_a_name_is_sure_where_it_is_plain_and_alone(namer: Namer) -> None:
    at = {name: i for i, name in enumerate(namer.names)}
    effects = torch.zeros(4, len(namer.names))
    effects[0, at["contrast"]] = -4.0
    effects[1, at["contrast"]], effects[1, at["brightness"]] = 4.0, 8.0
    effects[2, at["bright background"]], effects[2, at["warm background"]] = 4.0, 8.0  # one family: no rivals
    effects[3, at["contrast"]] = CLEAR_CHANGE / 2
    scores = namer.scores(effects)
    assert scores[0, at["contrast"]] == 1.0
    assert scores[1, at["contrast"]] == pytest.approx(0.25)
    assert scores[2, at["bright background"]] == 1.0
    assert scores[3, at["contrast"]] == pytest.approx(0.5)
    shares = namer.shares(effects)
    assert shares[0, at["contrast"]] == pytest.approx(1.0)
    assert shares[1, at["contrast"]] == pytest.approx(16 / 80)


def test_names_are_given_once_surest_first(namer: Namer) -> None:
    at = {name: i for i, name in enumerate(namer.names)}
    effects = torch.zeros(3, len(namer.names))
    effects[0, at["contrast"]] = 1.0
    effects[1, at["contrast"]] = -3.0
    effects[2, at["contrast"]], effects[2, at["brightness"]] = 3.0, 0.3
    first, second, third = namer.assign(effects)
    assert second == ("contrast", 1.0, -1)
    assert first is None
    assert third is not None
    assert third.text == "brightness"
    assert third.score < 0.1
    assert namer.assign(effects, given=["contrast"])[1] is None


def candidate(g: Generator, origin: str, layers: tuple[int, int] | None = None) -> Candidate:
    return Candidate("pca", origin, torch.ones(g.num_ws, g.w_dim), Provenance(), layers)


def test_the_choice_takes_each_name_component_and_effect_once(namer: Namer) -> None:
    g, at = namer.g, {name: i for i, name in enumerate(namer.names)}
    candidates = [
        candidate(g, "a"),
        candidate(g, "a", (0, 4)),  # cleaner than the whole component
        candidate(g, "a", (4, 8)),  # other layers of it, with another name
        candidate(g, "b"),  # has a name that the first took
        candidate(g, "c"),  # does what the first does, under another name of the family
        candidate(g, "d"),  # does too little
    ]
    effects = torch.zeros(6, len(namer.names))
    effects[0, at["contrast"]], effects[0, at["fine detail"]] = 2.0, 1.9
    effects[1, at["warm background"]] = effects[1, at["bright background"]] = 1.5
    effects[2, at["fine detail"]] = 1.3
    effects[3, at["fine detail"]] = -1.2
    effects[4, at["warm background"]] = effects[4, at["bright background"]] = 1.4
    effects[5, at["brightness"]] = 0.3
    chosen = select_candidates(candidates, effects * 2, namer, min_score=0.5)
    assert [(candidates.index(c), name.text) for c, name in chosen] == [(1, "bright background"), (2, "fine detail")]


def test_a_limited_candidate_acts_on_its_layers_alone(portraits: Generator) -> None:
    trials = random_ws(portraits, [1, 2])
    whole = Candidate("pca", "a", random_ws(portraits, [77])[0], Provenance())
    middle = whole.limited("middle layers", (4, 8)).calibrated(portraits, trials)
    assert middle.acting[:4].abs().max() == middle.acting[8:].abs().max() == 0
    assert torch.allclose(middle.acting[4:8], unit_vector(portraits, trials, middle.acting)[4:8], rtol=0.2)
    assert torch.nn.functional.cosine_similarity(middle.vector.flatten(), whole.vector.flatten(), dim=0) > 0.999


def test_the_embedded_model_has_its_twelve_sliders(portraits: Generator) -> None:
    directions = named_directions(portraits)
    assert len(directions) >= 12
    assert not any(n.startswith(("component", "variation")) for n in directions.names[:12])
    ws = random_ws(portraits, [1, 2, 3, 4])
    for d in directions[:12]:
        assert picture_change(portraits, ws, 2 * d.vector) > VISIBLE_CHANGE / 2
