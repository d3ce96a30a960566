"""Edits in a part of the picture: what is outside stays, what is inside is the whole edit, and files keep it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latent_editor as le
from latent_editor.core.refinement import Refinement
from latent_editor.core.region import REGION_PX, Blend, Region
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.editing.face_parts import face_parts
from latent_editor.generators import generator_for
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.blending import Blended
from latent_editor.generators.layers import PivotGain
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from latent_editor.models.bundle import Bundle
from latent_editor.rendering import render_tensor


def pushed(g: le.Generator, name: str = "push", seed: int = 1) -> Direction:
    torch.manual_seed(seed)
    return Direction(name, torch.randn(g.num_ws, g.w_dim) * 0.7)


def half(left: bool = True, until: float = 0.25) -> Region:
    """A hard strip along the left or right side."""
    mask = np.zeros((REGION_PX, REGION_PX), np.float32)
    wide = round(REGION_PX * until)
    mask[:, :wide] = 1
    return Region.of(mask if left else mask[:, ::-1].copy(), "left" if left else "right")


def drawn(g: le.Generator, latent: Latent) -> torch.Tensor:
    return render_tensor(generator_for(g, latent), latent.ws[None], precision="fp32")[0]


def test_the_rest_of_the_picture_stays_and_the_region_shows_the_whole_edit(tiny_generator: StyleGAN2) -> None:
    g, size = tiny_generator, tiny_generator.size_px
    latent = le.random_latent(g, 3)
    edit = Edit(pushed(g), 1.0, region=half())
    before, after = drawn(g, latent), drawn(g, edited(latent, [edit]))
    whole = drawn(g, edited(latent, [replace(edit, region=None)]))
    # Blends begin at 8² of 32², and four convolutions reach 2 and 2·½ … pixels of it from there: half of the picture.
    torch.testing.assert_close(after[..., -size // 8 :], before[..., -size // 8 :], atol=1e-5, rtol=0)
    inside = slice(0, size // 8)
    torch.testing.assert_close(after[..., inside], whole[..., inside], atol=1e-5, rtol=0)
    assert (whole - before)[..., -size // 8 :].abs().mean() > 0.05  # else there would be nothing to be kept out


def test_it_is_no_mix_of_two_finished_pictures(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    latent, edit = le.random_latent(g, 3), Edit(pushed(g), 1.0, region=half(until=0.5))
    before, after = drawn(g, latent), drawn(g, edited(latent, [edit]))
    whole = drawn(g, edited(latent, [replace(edit, region=None)]))
    share = torch.nn.functional.interpolate(half(until=0.5).share[None, None], size=g.size_px, mode="area")[0, 0]
    assert (after - before.lerp(whole, share)).abs().max() > 0.02


def test_two_regions_act_each_in_its_own_and_together_where_they_overlap(tiny_generator: StyleGAN2) -> None:
    g, size = tiny_generator, tiny_generator.size_px
    latent, one, two = le.random_latent(g, 3), pushed(g, "one", 1), pushed(g, "two", 2)
    apart = edited(latent, [Edit(one, 1.0, region=half()), Edit(two, 1.0, region=half(left=False))])
    assert apart.blend is not None
    assert len(apart.blend.weights) == 2
    right = drawn(g, edited(latent, [Edit(two, 1.0)]))
    torch.testing.assert_close(drawn(g, apart)[..., -size // 8 :], right[..., -size // 8 :], atol=1e-5, rtol=0)
    over = edited(latent, [Edit(one, 1.0, region=half()), Edit(two, 1.0, region=half(until=0.5))])
    both = drawn(g, edited(latent, [Edit(one, 1.0), Edit(two, 1.0)]))
    torch.testing.assert_close(drawn(g, over)[..., : size // 8], both[..., : size // 8], atol=1e-5, rtol=0)
    same = edited(latent, [Edit(one, 1.0, region=half()), Edit(two, 1.0, region=half())])
    assert same.blend is not None
    assert len(same.blend.weights) == 1  # drawn once for all of a region's edits


def test_what_has_no_region_is_drawn_as_ever(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    latent, edit = le.random_latent(g, 3), Edit(pushed(g), 1.0)
    plain = edited(latent, [edit, Edit(pushed(g, seed=2), 0.0, region=half()), replace(edit, muted=True)])
    assert plain.blend is None
    assert torch.equal(plain.ws, edited(latent, [edit]).ws)
    assert generator_for(g, plain) is g


def test_a_refined_face_is_edited_in_its_own_generator(tiny_generator: StyleGAN2) -> None:
    g, size = tiny_generator, tiny_generator.size_px
    torch.manual_seed(5)
    ws = le.random_latent(g, 3).ws
    refinement = Refinement({8: torch.randn(g.config.channels_at(8), 8, 8) * 0.3}, {}, ws.clone(), 1.5)
    latent = g.latent(ws, method="pivotal", refinement=refinement)
    edit = Edit(pushed(g), 1.0, region=half())
    before, after = drawn(g, latent), drawn(g, edited(latent, [edit]))
    whole = drawn(g, edited(latent, [replace(edit, region=None)]))
    torch.testing.assert_close(after[..., -size // 8 :], before[..., -size // 8 :], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[..., : size // 8], whole[..., : size // 8], atol=1e-5, rtol=0)
    other = le.random_latent(g, 9)
    interpolates = Direction("their left", other.ws, 0.0, 1.0, interpolates=True)
    aimed = edited(latent, [Edit(interpolates, 1.0)]).ws
    synthesis = generator_for(g, latent).synthesis
    assert isinstance(synthesis, PivotGain)
    torch.testing.assert_close(synthesis.apply_gain(aimed[None])[0], other.ws)


def test_all_of_the_picture_is_the_edit_alone(tiny_generator: StyleGAN2) -> None:
    """Previews, activations and several latents at once."""
    g = tiny_generator
    latent, edit = le.random_latent(g, 3), Edit(pushed(g), 1.0, region=Region.of(np.ones((16, 16)), "all"))
    now, everywhere = edited(latent, [edit]), edited(latent, [replace(edit, region=None)])
    ws = everywhere.ws
    drawing = generator_for(g, now)
    assert isinstance(drawing, Blended)
    torch.testing.assert_close(drawing.activations(now.ws[None], 16), g.activations(ws[None], 16))
    many = torch.stack([now.ws, now.ws + 0.1])
    torch.testing.assert_close(
        drawing.synthesize(many), g.synthesize(torch.stack([ws, ws + 0.1])), atol=1e-5, rtol=1e-4
    )
    small = le.render(g, now, size_px=16)
    assert np.abs(np.asarray(small, int) - np.asarray(le.render(g, everywhere, size_px=16), int)).max() <= 1
    from latent_editor.generators.preview import small as preview

    torch.testing.assert_close(preview(drawing, 16).synthesize(now.ws[None]), preview(g, 16).synthesize(ws[None]))


def test_stylegan3_blends_where_its_layers_are(tiny_stylegan3: StyleGAN3) -> None:
    g, size = tiny_stylegan3, tiny_stylegan3.size_px
    latent, edit = le.random_latent(g, 3), Edit(pushed(g), 1.0, region=half())
    before, after = drawn(g, latent), drawn(g, edited(latent, [edit]))
    whole = drawn(g, edited(latent, [replace(edit, region=None)]))
    changed = (whole - before).abs().mean(dim=(0, 1))
    left = (after - before).abs().mean(dim=(0, 1))
    assert left[-size // 8 :].mean() < 0.1 * changed[-size // 8 :].mean()
    assert (after - whole)[..., : size // 8].abs().mean() < 0.1 * changed[: size // 8].mean()
    turned = BlendMasks(torch.eye(REGION_PX)[None], 4).resample(40, 20.0, torch.eye(3))
    torch.testing.assert_close(turned, BlendMasks(torch.eye(REGION_PX)[None], 4).resample(40, 20.0))


@pytest.fixture
def tiny_stylegan3() -> StyleGAN3:
    torch.manual_seed(0)
    config = StyleGAN3Config(z_dim=16, w_dim=16, img_resolution=64, channel_base=512, channel_max=8, num_layers=6)
    g = StyleGAN3(config).eval().requires_grad_(False)
    g.bundle = Bundle("tiny 3")
    return g


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros((16, 16)), "empty"),
        (np.full((16, 16), np.nan), "no numbers"),
        (np.full((16, 16), 1.5), "outside 0..1"),
        (np.ones((16, 12)), "square"),
        (np.ones((3, 16, 16)), "square"),
        (np.full((4, 4), "a"), "numbers"),
    ],
)
def test_a_region_that_cannot_be_is_refused(values: np.ndarray, match: str) -> None:
    with pytest.raises(le.BadValue, match=match):
        Region.of(values)


def test_masks_are_checked_wherever_they_come_from() -> None:
    with pytest.raises(le.BadValue, match="uint8"):
        Region(torch.ones(16, 16))
    with pytest.raises(le.BadValue, match="expected 8"):
        Region(torch.full((4, 4), 255, dtype=torch.uint8))
    white = Region.of(Image.new("L", (40, 40), 255))
    assert white.mask.shape == (REGION_PX, REGION_PX)
    assert int(white.mask.min()) == 255


def test_an_edited_face_is_saved_and_edited_again(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    g = tiny_generator
    now = edited(le.random_latent(g, 3), [Edit(pushed(g), 1.0, region=half())])
    now.save(tmp_path / "a.latent")
    again = Latent.load(tmp_path / "a.latent")
    torch.testing.assert_close(drawn(g, again), drawn(g, now), atol=0.02, rtol=0)  # weights are kept in 8 bits
    more = Edit(pushed(g, seed=2), 1.0, region=half(left=False))
    twice = edited(again, [more])
    assert twice.blend is not None
    assert len(twice.blend.weights) == 2
    size = g.size_px
    torch.testing.assert_close(drawn(g, twice)[..., : size // 8], drawn(g, now)[..., : size // 8], atol=0.02, rtol=0)


def test_a_damaged_blend_is_refused() -> None:
    good = Blend(torch.zeros(1, 4, 8), torch.ones(1, 16, 16)).tensors()
    bad = [
        {"blend/offsets": good["blend/offsets"]},
        {**good, "blend/weights": good["blend/weights"][:, :8]},
        {**good, "blend/weights": good["blend/weights"].float()},
        {**good, "blend/offsets": torch.full((1, 4, 8), torch.nan)},
    ]
    for tensors in bad:
        with pytest.raises(le.BadLatent):
            Blend.of(tensors, "a.latent")
    assert float(Blend.of(good, "a.latent").weights.min()) == 1


def test_recipes_keep_regions_and_what_is_taken(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    g = tiny_generator
    interpolates = Direction("their mouth", le.random_latent(g, 9).ws, 0.0, 1.0, (1, 4), "taken", interpolates=True)
    edits = [Edit(pushed(g), 1.5, region=half()), Edit(interpolates, 0.8, region=half(left=False))]
    le.Recipe.of(edits, g).save(tmp_path / "a.recipe")
    back = le.Recipe.load(tmp_path / "a.recipe").edits(g)
    assert [e.region.name for e in back if e.region] == ["left", "right"]
    assert back[1].direction.interpolates
    assert (back[1].direction.low, back[1].direction.high) == (0.0, 1.0)
    latent = le.random_latent(g, 3)
    torch.testing.assert_close(drawn(g, edited(latent, back)), drawn(g, edited(latent, edits)))


@pytest.mark.parametrize("region", [{"name": "x", "mask": "AAAA"}, {"name": "x"}, {"mask": "!"}, {"shape": 1}, []])
def test_a_recipe_with_a_damaged_region_is_refused(region: object) -> None:
    import json

    data = {"format": "latent-editor recipe", "version": 1, "edits": [{"slider": "a", "strength": 1, "region": region}]}
    with pytest.raises(le.BadRecipe):
        le.Recipe.from_bytes(json.dumps(data).encode())


def test_an_amount_is_from_0_to_1(tiny_generator: StyleGAN2) -> None:
    interpolates = Direction("their mouth", le.random_latent(tiny_generator, 9).ws, 0.0, 1.0, interpolates=True)
    for amount in (-0.1, 1.1):
        with pytest.raises(le.BadValue, match="0 \\(none"):
            Edit(interpolates, amount)


def test_what_is_taken_is_the_other_face_in_the_region(tiny_generator: StyleGAN2) -> None:
    g, size = tiny_generator, tiny_generator.size_px
    g.bundle.about["faces"] = False
    latent, other = le.random_latent(g, 3), le.random_latent(g, 9)
    all_of_it = le.transfer_part(g, latent, other, half(), name="Ann")
    assert all_of_it.direction.name == "left of Ann"
    now = drawn(g, edited(latent, [all_of_it]))
    torch.testing.assert_close(now[..., : size // 8], drawn(g, other)[..., : size // 8], atol=1e-5, rtol=0)
    torch.testing.assert_close(now[..., -size // 8 :], drawn(g, latent)[..., -size // 8 :], atol=1e-5, rtol=0)
    nothing = edited(latent, [le.transfer_part(g, latent, other, half(), amount=0.0)])
    assert torch.equal(drawn(g, nothing), drawn(g, latent))
    with pytest.raises(le.BadValue, match="shows no faces"):
        le.transfer_part(g, latent, other, "mouth")
    with pytest.raises(le.BadLatent):
        le.transfer_part(g, latent, replace(other, fingerprint="x"), half())


def test_painted_regions_stay_on_another_face_and_parts_are_looked_for(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    g.bundle.about["faces"] = False
    latent, painted = le.random_latent(g, 3), Edit(pushed(g), 1.0, region=half())
    assert le.retarget_edits(g, latent, [painted])[0].region is painted.region
    mouth = replace(painted, region=Region(half().mask, "mouth"))
    with pytest.raises(le.BadValue, match="no mouth to be found"):
        le.retarget_edits(g, latent, [mouth])
    with pytest.raises(le.BadLatent, match="in regions"):
        le.interpolate(g, [edited(latent, [painted]), latent], 0.5)


def test_parts_lie_where_the_face_is(portraits: le.Generator) -> None:
    latent, points = le.random_latent(portraits, 24), portraits.bundle.about["canonical_points"]
    regions = {
        part: region.share for part, region in zip(le.PARTS, face_parts(portraits, latent, list(le.PARTS)), strict=True)
    }
    for part, point in (("mouth", "mouth"), ("eyes", "left_eye"), ("eyes", "right_eye"), ("nose", "nose")):
        x, y = (int(fraction * REGION_PX) for fraction in points[point])
        assert regions[part][y, x] > 0.5, part
        assert max(regions["hair"][y, x], regions["background"][y, x]) < 0.2, part
        assert regions["face"].sum() > 2 * regions[part].sum()
    assert max(regions["mouth"][:2].max(), regions["eyes"][-2:].max()) == 0
    with pytest.raises(le.BadValue, match="expected one of"):
        le.face_part(portraits, latent, "elbow")
