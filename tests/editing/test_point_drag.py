"""Dragging points: the tracker against exact shifts, the whole against known moves and the landmark network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latent_editor as le
from latent_editor.editing.point_drag import DragStep, check_handles, check_mask
from latent_editor.editing.point_drag.moving import DragOptions
from latent_editor.editing.point_drag.points import MAX_HANDLES, distance_mask
from latent_editor.editing.point_drag.tracking import feature_size, sampled, tracked
from latent_editor.generators import Generator
from latent_editor.generators.base import transform_matrix
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylegan3 import StyleGAN3
from latent_editor.generators.stylegan3_config import StyleGAN3Config
from latent_editor.models.bundle import Bundle
from latent_editor.networks.faces import find_each
from latent_editor.networks.landmarks import load_landmark_net

ONE = [((0.5, 0.5), (0.6, 0.5))]


@pytest.fixture
def alias_free() -> StyleGAN3:
    """A seeded random StyleGAN3 of 64 pixels, whose first w moves the picture."""
    torch.manual_seed(3)
    config = StyleGAN3Config(z_dim=16, w_dim=16, img_resolution=64, channel_base=1024, channel_max=24, mapping_layers=2)
    g = StyleGAN3(config).eval().requires_grad_(False)
    g.synthesis.input.affine.weight.copy_(torch.randn(4, 16) * 0.3)
    g.bundle = Bundle("alias free")
    return g


class TestTracking:
    @pytest.mark.parametrize("shift", [(0.03, 0.0), (-0.02, 0.015), (0.0, -0.03)])
    def test_follows_the_translation_of_stylegan3_to_a_fraction_of_a_cell(
        self, alias_free: StyleGAN3, shift: tuple[float, float]
    ) -> None:
        ws = le.random_latent(alias_free, 1).ws[None]
        size = feature_size(alias_free)
        before = alias_free.activations(ws, size)
        inside = alias_free.synthesis.input
        inside.transform.copy_(inside.transform @ alias_free._in_input_units(transform_matrix(shift)))
        points = torch.tensor([[0.5, 0.5], [0.3, 0.6], [0.65, 0.4]])
        found = tracked(alias_free.activations(ws, size), sampled(before, points), points)
        assert torch.allclose(found - points, torch.tensor(shift).expand(3, 2), atol=0.6 / size)

    def test_a_point_that_stays_is_found_where_it_was(self, tiny_generator: StyleGAN2) -> None:
        maps = tiny_generator.activations(le.random_latent(tiny_generator, 1).ws[None], 32)
        points = torch.tensor([[0.5, 0.5], [0.25, 0.7]])
        assert torch.allclose(tracked(maps, sampled(maps, points), points), points, atol=1e-6)

    def test_samples_are_the_cells_at_their_centers(self) -> None:
        maps = torch.arange(16.0).reshape(1, 1, 4, 4)
        assert sampled(maps, torch.tensor([[0.125, 0.125], [0.875, 0.375], [0.5, 0.5]]))[:, 0].tolist() == [0, 7, 7.5]

    def test_the_layer_is_chosen_by_the_size_of_the_model(self, tiny_generator: StyleGAN2) -> None:
        assert feature_size(tiny_generator) == 32
        for size, wanted in ((128, 32), (256, 64), (1024, 256)):
            tiny_generator.size_px = size
            assert feature_size(tiny_generator) == wanted

    def test_what_gives_way_is_on_the_way_of_a_handle(self) -> None:
        stays = distance_mask(check_handles([((0.2, 0.5), (0.6, 0.5))]), 0.05, 40)[0, 0]
        assert stays[20, 8:24].max() < 0.1
        assert stays[20, 36:].min() > 0.99
        assert stays[:10].min() > 0.99


def known_move(g: Generator, seed: int, size: float) -> tuple[le.Latent, list[Any]]:
    """A latent, and a handle whose way a move of the first ws is known to take it."""
    latent = le.random_latent(g, seed)
    torch.manual_seed(seed)
    ws = latent.ws.clone()
    ws[:4] += size * torch.randn(1, g.w_dim) * 0.1
    layer = feature_size(g)
    before, after = g.activations(latent.ws[None], layer), g.activations(ws[None], layer)
    points = torch.rand(40, 2) * 0.5 + 0.25
    ends = tracked(after, sampled(before, points), points)
    furthest = int((ends - points).norm(dim=1).argmax())
    return latent, [(tuple(points[furthest].tolist()), tuple(ends[furthest].tolist()))]


class TestDrag:
    def test_stylegan3_moves_its_picture_after_the_handle(self, alias_free: StyleGAN3) -> None:
        latent = le.random_latent(alias_free, 2)
        handles = [((0.5, 0.5), (0.56, 0.5)), ((0.3, 0.3), (0.36, 0.3)), ((0.7, 0.7), (0.76, 0.7))]
        steps: list[DragStep] = []
        options = DragOptions(max_steps=25)
        moved = le.drag(alias_free, latent, handles, seconds=60, options=options, on_step=steps.append)
        before, after = (alias_free.synthesize(x.ws[None])[0] for x in (latent, moved))
        # Pixels are the oracle: of all whole shifts the one along the handles fits best.
        core = before[:, 16:48, 16:48]
        errors = {
            (x, y): float((after[:, 16 + y : 48 + y, 16 + x : 48 + x] - core).square().mean())
            for x in range(-6, 7)
            for y in range(-6, 7)
        }
        x, y = min(errors, key=lambda shift: errors[shift])
        assert 0.5 * 0.06 * 64 <= x <= 6
        assert abs(y) <= 1
        assert steps[-1].remaining < 0.5 * 0.06

    def test_a_known_move_is_made_at_least_by_half(self, tiny_generator: StyleGAN2) -> None:
        latent, handles = known_move(tiny_generator, 1, 20.0)
        asked = float(np.hypot(*np.subtract(*handles[0])))
        steps: list[DragStep] = []
        le.drag(tiny_generator, latent, handles, seconds=20, on_step=steps.append)
        assert asked > 1.5 / 32
        assert min(step.remaining for step in steps) < 0.5 * asked

    def test_only_the_first_ws_change_and_the_refinement_stays(self, tiny_generator: StyleGAN2) -> None:
        features = {8: torch.randn(tiny_generator.config.channels_at(8), 8, 8) * 0.1}
        ws = le.random_latent(tiny_generator, 1).ws
        latent = tiny_generator.latent(ws, method="features", refinement=le.Refinement(features))
        moved = le.drag(tiny_generator, latent, ONE, seconds=20, options=DragOptions(rows=4, max_steps=5))
        assert moved.refinement is latent.refinement
        assert torch.equal(moved.ws[4:], latent.ws[4:])
        assert moved.fingerprint == latent.fingerprint

    def test_a_mask_keeps_what_is_outside(self, tiny_generator: StyleGAN2) -> None:
        latent = le.random_latent(tiny_generator, 4)
        mask = torch.zeros(32, 32)
        mask[8:24, 8:24] = 1
        options = DragOptions(max_steps=12, patience=12)
        before = tiny_generator.synthesize(latent.ws[None], noise="none")

        def outside(weight: float) -> float:
            changed = DragOptions(keep_weight=weight, max_steps=options.max_steps, patience=options.patience)
            moved = le.drag(tiny_generator, latent, ONE, mask=mask, seconds=20, options=changed)
            after = tiny_generator.synthesize(moved.ws[None], noise="none")
            return float(((after - before).abs() * (1 - mask)).mean())

        assert outside(20.0) < outside(0.0)

    def test_stopping_keeps_the_best(self, tiny_generator: StyleGAN2) -> None:
        latent, handles = known_move(tiny_generator, 1, 20.0)
        steps: list[DragStep] = []

        def on_step(step: DragStep) -> bool:
            steps.append(step)
            return len(steps) == 3

        moved = le.drag(tiny_generator, latent, handles, seconds=20, on_step=on_step)
        assert len(steps) == 3
        assert steps[0].image is not None
        assert steps[0].image.shape == (3, 32, 32)
        assert len(steps[-1].points) == 1
        assert steps[-1].ws is not None
        assert torch.equal(moved.ws, steps[-1].ws)

    def test_the_result_is_a_slider(self, tiny_generator: StyleGAN2) -> None:
        latent = le.random_latent(tiny_generator, 5)
        moved = le.drag(tiny_generator, latent, ONE, seconds=20, options=DragOptions(max_steps=4))
        direction = le.drag_direction(latent, moved, ONE)
        assert (direction.name, direction.source) == ("drag", "drag")
        assert direction.detail == "0.500,0.500 → 0.600,0.500"
        assert torch.allclose(le.edited(latent, [le.Edit(direction, 1.0)]).ws, moved.ws, atol=1e-6)
        assert torch.equal(le.edited(latent, []).ws, latent.ws)

    def test_the_mouth_of_a_portrait_follows_and_the_eyes_do_less(self, portraits: Generator) -> None:
        """The landmark network, which the drag knows nothing of, is the oracle."""
        net = load_landmark_net(portraits)

        def points(latent: le.Latent) -> np.ndarray:
            (found,) = find_each(net, np.asarray(le.render(portraits, latent).convert("RGB"))[None])
            assert found is not None
            return found / portraits.size_px

        latent = le.random_latent(portraits, portraits.bundle.about["example_seeds"][0])
        before = points(latent)
        x, y = (float(number) for number in before[3])
        handles = [((x - 0.09, y), (x - 0.09, y - 0.04)), ((x + 0.09, y), (x + 0.09, y - 0.04))]
        moved = points(le.drag(portraits, latent, handles, seconds=60)) - before
        assert moved[3, 1] < -0.5 * 0.04
        assert np.abs(moved[:2]).max() < 0.03  # the eyes


class TestBadInput:
    @pytest.mark.parametrize(
        ("handles", "message"),
        [
            ([], "0 handles"),
            ([((0.1, i / 20), (0.2, 0.2)) for i in range(MAX_HANDLES + 1)], "17 handles"),
            ([((0.5, 1.2), (0.5, 0.5))], "inside the picture"),
            ([((0.5, 0.5), (-0.1, 0.5))], "inside the picture"),
            ([((0.5, 0.5), (float("nan"), 0.5))], "inside the picture"),
            ([((0.5, 0.5), (0.5, 0.5))], "ends where it starts"),
            ([((0.5, 0.5), (0.6, 0.5)), ((0.5, 0.5), (0.4, 0.5))], "same point"),
            ([(0.5, 0.5)], "point and target"),
            ([("a", "b")], "point and target"),
        ],
    )
    def test_handles(self, tiny_generator: StyleGAN2, handles: list[Any], message: str) -> None:
        with pytest.raises(le.BadValue, match=message):
            le.drag(tiny_generator, le.random_latent(tiny_generator, 0), handles)

    @pytest.mark.parametrize(
        ("mask", "message"),
        [
            (torch.zeros(32, 32), "empty"),
            (torch.ones(16, 32), "shape"),
            (np.ones((32, 32, 3), np.uint8), "shape"),
            (torch.full((32, 32), float("nan")), "0 to 1"),
            (torch.full((32, 32), -1.0), "0 to 1"),
        ],
    )
    def test_masks(self, tiny_generator: StyleGAN2, mask: Any, message: str) -> None:
        with pytest.raises(le.BadValue, match=message):
            le.drag(tiny_generator, le.random_latent(tiny_generator, 0), ONE, mask=mask)

    def test_masks_of_every_kind_are_read(self) -> None:
        for mask in (torch.ones(4, 4, dtype=torch.bool), np.full((4, 4), 255, np.uint8), torch.ones(4, 4)):
            assert check_mask(mask, 4).shape == (1, 1, 4, 4)
            assert float(check_mask(mask, 4).min()) == 1

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
    def test_times(self, tiny_generator: StyleGAN2, seconds: float) -> None:
        with pytest.raises(le.BadValue, match="seconds"):
            le.drag(tiny_generator, le.random_latent(tiny_generator, 0), ONE, seconds=seconds)

    def test_a_latent_of_another_model(self, tiny_generator: StyleGAN2, alias_free: StyleGAN3) -> None:
        with pytest.raises(le.BadLatent):
            le.drag(tiny_generator, le.random_latent(alias_free, 0), ONE)


class TestShell:
    def test_drags_and_keeps_the_latent(
        self, tiny_generator: StyleGAN2, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from latent_editor.cli import main

        model, face, out = (tmp_path / name for name in ("tiny.safetensors", "face.latent", "out.png"))
        le.save_generator(tiny_generator, model, dtype=torch.float32)
        le.random_latent(le.load_generator(model), 1).save(face)
        words = ["drag", face, "-o", out, "--from", "0.5,0.5", "--to", "0.6,0.5", "--seconds", "2", "--model", model]
        assert main([str(w) for w in [*words, "--latent", tmp_path / "moved.latent"]]) == 0
        assert "of the way in" in capsys.readouterr().out
        assert out.exists()
        assert le.Latent.load(tmp_path / "moved.latent").method == "drag"
        assert main([str(w) for w in [*words, "--from", "0.1,0.1"]]) == 2
        assert main([str(w) for w in [*words[:5], "1.5,0.5", *words[6:]]]) == 2
