"""Parts of other faces: laid in by their pictures, drawn by features, kept by files, fitted anew to other faces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import latent_editor as le
from latent_editor.compositing.part_blend import blend_part
from latent_editor.core.feature_patch import FeaturePatch
from latent_editor.core.refinement import Refinement
from latent_editor.core.region import REGION_PX, Blend, Region, resized_share
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.editing.face_parts import points_in
from latent_editor.generators import generator_for
from latent_editor.generators.refined import feature_shape
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import render_tensor

SIZE = 96
POINTS = np.array([[36, 40], [60, 40], [48, 54], [48, 66], [48, 82]], float)


def bell(x: float, y: float, wide: float) -> np.ndarray:
    v, u = np.mgrid[:SIZE, :SIZE] + 0.5
    return np.exp(-((u - x) ** 2 + (v - y) ** 2) / (2 * wide**2)).astype(np.float32)


def picture(seed: int = 0) -> np.ndarray:
    """A smooth picture without a color that is black or white."""
    noise = np.random.default_rng(seed).random((SIZE, SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return 0.5 + np.clip((smooth - 0.5) * 4, -0.2, 0.2)


def test_a_part_of_the_same_picture_changes_nothing() -> None:
    own, part, skin = picture(), bell(48, 66, 7), np.ones((SIZE, SIZE), np.float32)
    now = blend_part(own, own, part, skin, POINTS, POINTS, [3])
    np.testing.assert_allclose(now, own, atol=2e-3)


def test_a_moved_turned_picture_is_brought_to_its_place_and_a_darker_one_to_its_light() -> None:
    own, part, skin = picture(), bell(48, 62, 7), np.ones((SIZE, SIZE), np.float32)
    turn = cv2.getRotationMatrix2D((48.0, 48.0), 9.0, 1.1)
    shift = turn[:, 2] - 0.5 + turn[:, :2] @ [0.5, 0.5]  # the matrix is for pixel centers at halves
    other = cv2.warpAffine(own, np.hstack([turn[:, :2], shift[:, None]]), (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    points = POINTS @ turn[:, :2].T + turn[:, 2]
    placed = blend_part(own, other, part, skin, POINTS, points, [3])
    assert np.abs(placed - own).max() < 0.02
    in_lab = cv2.cvtColor(own, cv2.COLOR_RGB2LAB)
    in_lab[..., 0] = in_lab[..., 0] * 0.7 - 0.3 * 8  # as `blend_part` takes shades to scale
    dark = cv2.cvtColor(in_lab, cv2.COLOR_LAB2RGB)
    lit = blend_part(own, dark, part, skin, POINTS, POINTS, [3])
    assert np.abs(dark - own).max() > 0.1
    assert np.abs(lit - own).max() < 0.03


def test_one_spot_on_the_edge_does_not_change_the_light() -> None:
    own, part, skin = picture(), bell(48, 66, 7), np.ones((SIZE, SIZE), np.float32)
    spotted = own * (1 - 0.9 * bell(48, 54, 2)[..., None])  # a nostril, next to the mouth
    now = blend_part(spotted, own, part, skin, POINTS, POINTS, [3])
    assert np.abs(now - own)[64:72, 44:52].max() < 0.03


@pytest.fixture(scope="module")
def interpolates(portraits: le.Generator) -> tuple[Latent, Latent, Edit]:
    latent, other = le.random_latent(portraits, 1), le.random_latent(portraits, 46)
    return latent, other, le.transfer_part(portraits, latent, other, "mouth", name="Ann", seconds=600)


def share_of(edit: Edit, size_px: int) -> torch.Tensor:
    assert edit.region is not None
    return resized_share(edit.region.share, size_px)


def drawn(g: le.Generator, latent: Latent) -> torch.Tensor:
    return render_tensor(generator_for(g, latent), latent.ws[None], precision="fp32")[0]


def in_place(g: le.Generator, other: Latent, latent: Latent) -> torch.Tensor:
    """The other face's picture, with its mouth where this one's is."""
    here, there = (points_in(g, np.asarray(le.render(g, face)))["mouth"] for face in (latent, other))
    across, down = (round(float(d)) for d in (here - there) * g.size_px)
    return drawn(g, other).roll((down, across), (1, 2))


def test_the_network_draws_the_part_there_and_nothing_elsewhere(
    portraits: le.Generator, interpolates: tuple[Latent, Latent, Edit]
) -> None:
    g, (latent, other, edit) = portraits, interpolates
    assert edit.direction.name == "mouth of Ann"
    assert edit.direction.feature_patch is not None
    share = share_of(edit, g.size_px)
    before, after, theirs = drawn(g, latent), drawn(g, edited(latent, [edit])), in_place(g, other, latent)
    moved = (after - before).abs().mean(0)
    assert moved[share < 0.004].max() < 0.3 * moved.max()
    assert moved[: g.size_px // 3].max() < 0.02  # eyes and hair
    # Shades in the region are the other's: their correlation, whatever the light.
    inside = share > 0.8
    a, b, c = (p.mean(0)[inside] for p in (after, theirs, before))
    assert np.corrcoef(a, b)[0, 1] > 0.8 > np.corrcoef(c, b)[0, 1]


def test_the_amount_is_linear_in_features_and_none_is_the_face(
    portraits: le.Generator, interpolates: tuple[Latent, Latent, Edit]
) -> None:
    latent, _, edit = interpolates
    nothing, half, whole = (edited(latent, [replace(edit, strength=s)]).blend for s in (0.0, 0.5, 1.0))
    assert nothing is None
    assert half is not None
    assert whole is not None
    ((size, features),) = whole.features.items()
    torch.testing.assert_close(half.features[size] * 2, features)
    assert edited(latent, [replace(edit, muted=True)]).blend is None


def test_files_keep_it(portraits: le.Generator, interpolates: tuple[Latent, Latent, Edit], tmp_path: Path) -> None:
    g, (latent, _, edit) = portraits, interpolates
    now = edited(latent, [edit])
    now.save(tmp_path / "a.latent")
    back = Latent.load(tmp_path / "a.latent")
    assert (drawn(g, back) - drawn(g, now)).abs().max() < 0.02
    le.Recipe.of([edit], g).save(tmp_path / "a.recipe")
    (again,) = le.Recipe.load(tmp_path / "a.recipe").edits(g)
    torch.testing.assert_close(drawn(g, edited(latent, [again])), drawn(g, now))
    feature_patch, before = again.direction.feature_patch, edit.direction.feature_patch
    assert feature_patch is not None
    assert before is not None
    assert (feature_patch.picture.float() - before.picture.float()).abs().mean() < 4  # a JPEG


def test_a_slider_in_a_region_and_a_part_taken_act_together(
    portraits: le.Generator, interpolates: tuple[Latent, Latent, Edit]
) -> None:
    g, (latent, _, edit) = portraits, interpolates
    mask = np.zeros((REGION_PX, REGION_PX), np.float32)
    mask[: REGION_PX // 4] = 1
    above = Edit(Direction("push", torch.full((g.num_ws, g.w_dim), 0.3)), 1.0, region=Region.of(mask))
    both, one, other = (edited(latent, edits) for edits in ([edit, above], [edit], [above]))
    assert both.blend is not None
    assert other.blend is not None
    assert torch.equal(both.blend.weights, other.blend.weights)
    lower = slice(g.size_px // 2, None)
    torch.testing.assert_close(drawn(g, both)[:, lower], drawn(g, one)[:, lower], atol=0.05, rtol=0)
    upper = slice(0, g.size_px // 8)
    torch.testing.assert_close(drawn(g, both)[:, upper], drawn(g, other)[:, upper], atol=0.05, rtol=0)


def test_it_is_fitted_anew_to_another_face(portraits: le.Generator, interpolates: tuple[Latent, Latent, Edit]) -> None:
    g, (_, other, edit) = portraits, interpolates
    third = le.random_latent(g, 24)
    (again,) = le.retarget_edits(g, third, [edit])
    assert again.direction.feature_patch is not None
    assert edit.direction.feature_patch is not None
    assert again.strength == edit.strength
    inside = share_of(again, g.size_px) > 0.8
    moved, theirs = drawn(g, edited(third, [again])), in_place(g, other, third)
    raw = drawn(g, edited(third, [edit]))
    alike = [np.corrcoef(p.mean(0)[inside], theirs.mean(0)[inside])[0, 1] for p in (moved, raw)]
    assert alike[0] > 0.7
    assert alike[0] > alike[1]


def test_a_refined_face_keeps_its_refinement(portraits: le.Generator) -> None:
    g, latent = portraits, le.random_latent(portraits, 3)
    torch.manual_seed(0)
    shape = feature_shape(portraits, 64)
    assert shape is not None
    own = {64: 0.2 * torch.randn(shape)}
    refined = replace(latent, refinement=Refinement(features=own))
    edit = le.transfer_part(g, refined, le.random_latent(g, 16), "eyes", seconds=1.0)
    below = slice(3 * g.size_px // 4, None)
    torch.testing.assert_close(
        drawn(g, edited(refined, [edit]))[:, below], drawn(g, refined)[:, below], atol=0.02, rtol=0
    )


def small_feature_patch(**other: object) -> FeaturePatch:
    kept = {"features": torch.ones(8, 2, 3, dtype=torch.float16), "size_px": 8, "top": 1, "left": 4}
    picture = torch.zeros(16, 16, 3, dtype=torch.uint8)
    return FeaturePatch(**{**kept, "picture": picture, **other})  # type: ignore[arg-type]


def test_a_feature_patch_is_cropped_to_where_it_acts() -> None:
    features = torch.zeros(8, 16, 16)
    features[2, 3:7, 5] = 1.5
    feature_patch = FeaturePatch.of(features, torch.zeros(4, 4, 3, dtype=torch.uint8))
    assert (tuple(feature_patch.features.shape), feature_patch.top, feature_patch.left) == ((8, 4, 1), 3, 5)
    assert torch.equal(feature_patch.padded(), features)
    with pytest.raises(le.BadValue, match="is empty"):
        FeaturePatch.of(0 * features, feature_patch.picture)


@pytest.mark.parametrize(
    "damage",
    [
        {"features": torch.ones(8, 2, 3)},
        {"features": torch.full((8, 2, 3), torch.nan, dtype=torch.float16)},
        {"features": torch.ones(0, 2, 3, dtype=torch.float16)},
        {"top": -1},
        {"left": 6},
        {"size_px": 1 << 20},
        {"picture": torch.zeros(16, 15, 3, dtype=torch.uint8)},
        {"picture": torch.zeros(16, 16, 3)},
    ],
)
def test_a_damaged_graft_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(le.BadValue, match="feature patch"):
        small_feature_patch(**damage)


def test_features_of_another_network_are_refused(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    interpolates = Direction(
        "eyes", torch.zeros(g.num_ws, g.w_dim), 0.0, 1.0, interpolates=True, feature_patch=small_feature_patch()
    )
    now = edited(le.random_latent(g, 1), [Edit(interpolates, 1.0, region=Region.of(np.ones((16, 16))))])
    assert now.blend is not None
    with pytest.raises(le.BadLatent, match="features of shape"):
        le.render(g, replace(now, blend=replace(now.blend, features={4: torch.zeros(3, 4, 4)})))
    for features in (torch.zeros(8, 4, 8).half(), torch.zeros(8, 8, 8), torch.full((8, 8, 8), torch.nan).half()):
        tensors = {**now.blend.tensors(), "blend/features/8": features}
        with pytest.raises(le.BadLatent):
            Blend.of(tensors, "a.latent")


@pytest.mark.parametrize(
    "damage",
    [{"picture": "AAAA"}, {"picture": 1}, {"top": 1.5}, {"top": 99}, {"size_px": None}, {"shape": 1}],
)
def test_a_recipe_with_a_damaged_feature_patch_is_refused(tiny_generator: StyleGAN2, damage: dict[str, object]) -> None:
    g = tiny_generator
    interpolates = Direction(
        "eyes", torch.zeros(g.num_ws, g.w_dim), 0.0, 1.0, interpolates=True, feature_patch=small_feature_patch()
    )
    data = json.loads(le.Recipe.of([Edit(interpolates, 1.0, region=Region.of(np.ones((16, 16))))], g).to_bytes())
    assert data["version"] == 2
    assert le.Recipe.from_bytes(json.dumps(data).encode()).edits(g)[0].direction.feature_patch is not None
    data["edits"][0]["direction"]["graft"] |= damage
    with pytest.raises(le.BadRecipe):
        le.Recipe.from_bytes(json.dumps(data).encode())
    del data["edits"][0]["direction"]["graft"]
    with pytest.raises(le.BadRecipe, match="half of the feature patch"):
        le.Recipe.from_bytes(json.dumps(data).encode())
