"""StyleGAN3: the golden, translation and rotation, latents, gradients, precision, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.small_stylegan3 import R, small_stylegan3
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators import construction
from latent_editor.generators.base import transform_matrix
from latent_editor.generators.stylegan3 import StyleGAN3, StyleGAN3Config


class Golden:
    """The golden file, and the generator that it describes."""

    def __init__(self, path: Path) -> None:
        self.data = np.load(path)
        self.meta = json.loads(bytes(self.data["meta"]))
        self.state = {n.removeprefix("state/"): self[n] for n in self.data.files if n.startswith("state/")}
        self.g = StyleGAN3(StyleGAN3Config.from_init_kwargs(self.meta["init_kwargs"])).eval().requires_grad_(False)
        self.designed = {name: t.clone() for name, t in self.g.state_dict().items() if name.endswith("_filter")}
        self.g.load_state_dict(self.state)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.data[name]))

    def check(self, got: Tensor, name: str) -> None:
        want = self[name]
        assert got.shape == want.shape
        assert (got - want).abs().max() <= 1e-5 * want.abs().max(), name


@pytest.fixture(scope="module")
def golden(shared_folder: Path) -> Golden:
    return Golden(shared_folder / "goldens" / "stylegan3_t_32.npz")


@pytest.fixture
def turning() -> StyleGAN3:
    """A random network of configuration R whose w turns and moves the input."""
    g = small_stylegan3(**R)
    g.synthesis.input.affine.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    return g


def latents(g: StyleGAN3, count: int = 1) -> Tensor:
    return g.map(torch.randn(count, g.z_dim, generator=torch.Generator().manual_seed(1)))


def psnr_db(a: Tensor, b: Tensor) -> float:
    """For pictures from −1 to 1."""
    return float(-10 * torch.log10((a - b).square().mean() / 4))


# The golden.


def test_mapping_equals_the_golden(golden: Golden) -> None:
    golden.check(golden.g.map(golden["in/z"]), "out/ws")
    golden.check(golden.g.map(golden["in/z"], truncation_psi=0.7), "out/ws_psi0.7")
    golden.check(golden.g.map(golden["in/z"], truncation_psi=0.5, truncation_cutoff=4), "out/ws_psi0.5_cutoff4")


def test_pictures_equal_the_golden(golden: Golden) -> None:
    ws = golden["out/ws"]
    for noise in ("const", "none", "random"):
        golden.check(golden.g.synthesize(ws, noise=noise), "out/image")
    golden.check(golden.g(golden["in/z"]), "out/image")
    golden.check(golden.g.synthesize(ws, transform=torch.eye(3)), "out/image")


def test_designed_filters_equal_the_golden(golden: Golden) -> None:
    assert len(golden.designed) == 12
    for name, taps in golden.designed.items():
        assert torch.allclose(taps, golden.state[name], rtol=0, atol=1e-7), name


def test_the_shape_is_public(golden: Golden) -> None:
    kwargs, g = golden.meta["init_kwargs"], golden.g
    assert (g.size_px, g.channels, g.c_dim) == (kwargs["img_resolution"], kwargs["img_channels"], kwargs["c_dim"])
    assert (g.z_dim, g.w_dim, g.num_ws) == (kwargs["z_dim"], kwargs["w_dim"], golden.meta["num_ws"])
    assert g.has_transform


def test_filters_may_be_missing_from_a_state(golden: Golden) -> None:
    rest = {name: t for name, t in golden.state.items() if not name.endswith("_filter")}
    g = construction.build("stylegan3", golden.meta["init_kwargs"], rest)
    golden.check(g.synthesize(golden["out/ws"]), "out/image")


# Translation and rotation.


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 4), (-5, 2)])
def test_the_content_moves_by_whole_pixels(golden: Golden, right: int, down: int) -> None:
    ws, size = golden["out/ws"][:1], golden.g.size_px
    still = golden.g.synthesize(ws)
    moved = golden.g.synthesize(ws, transform=transform_matrix((right / size, down / size)))
    back = moved.roll((-down, -right), dims=(2, 3))
    inside = slice(6, -6)
    still, back = still[:, :, inside, inside], back[:, :, inside, inside]
    assert (back - still).square().mean() < 1e-3 * still.var()


def test_r_turns_exactly_by_right_angles(turning: StyleGAN3) -> None:
    ws = latents(turning)
    still = turning.synthesize(ws)
    for quarters in (1, 2, 3):
        turned = turning.synthesize(ws, transform=transform_matrix(angle_deg=90 * quarters))
        want = torch.rot90(still, quarters, dims=(2, 3))  # counter-clockwise
        assert (turned - want).abs().max() < 1e-3 * want.abs().max(), quarters


def test_r_turns_by_any_angle(turning: StyleGAN3) -> None:
    ws, angle = latents(turning), 30
    still = turning.synthesize(ws)
    turned = turning.synthesize(ws, transform=transform_matrix(angle_deg=angle))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    grid = F.affine_grid(torch.tensor([[[cos, -sin, 0], [sin, cos, 0]]]), still.shape, align_corners=False)
    want = F.grid_sample(still, grid, mode="bicubic", align_corners=False)
    inside = slice(8, -8)
    still, turned, want = (x[:, :, inside, inside] for x in (still, turned, want))
    assert (turned - want).square().mean() < 0.02 * (still - want).square().mean()


def test_w_turns_and_moves_like_the_transform(turning: StyleGAN3) -> None:
    """The input's affine layer gives (cos, sin, x, y): first the picture is turned, then moved, as the paper says."""
    ws, layer = latents(turning), turning.synthesis.input.affine
    cos, sin, x, y = 0.6, 0.8, 0.1, -0.2
    layer.weight.zero_()
    layer.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    rows = torch.tensor([[cos, -sin, sin * y - cos * x], [sin, cos, -sin * x - cos * y], [0, 0, 1]])
    want = turning.synthesize(ws, transform=rows)
    layer.bias.copy_(torch.tensor([cos, sin, x, y]) * 3)  # of any length
    assert torch.allclose(turning.synthesize(ws), want, atol=1e-5)


def test_each_picture_has_its_own_transform(golden: Golden) -> None:
    ws = golden["out/ws"]
    both = torch.stack([transform_matrix((0.1, 0)), transform_matrix(angle_deg=20)])
    together = golden.g.synthesize(ws, transform=both)
    for i in range(2):
        assert torch.allclose(golden.g.synthesize(ws[i : i + 1], transform=both[i])[0], together[i], atol=1e-5)


def test_shifts_are_in_picture_widths_for_any_size() -> None:
    g = small_stylegan3(img_resolution=48)
    ws = latents(g)
    still, moved = g.synthesize(ws), g.synthesize(ws, transform=transform_matrix((12 / 48, 0)))
    inside = slice(8, -20)
    difference = moved.roll(-12, dims=3)[..., 8:-8, inside] - still[..., 8:-8, inside]
    assert difference.square().mean() < 1e-2 * still.var()


def test_a_transform_matrix_undoes_what_it_shows() -> None:
    turn_then_move = transform_matrix((0.25, -0.5), 90)
    # What is seen a quarter to the right and half up of the center is the center of the content.
    assert torch.allclose(turn_then_move @ torch.tensor([0.25, -0.5, 1.0]), torch.tensor([0.0, 0, 1]), atol=1e-6)
    # The content's right is seen above it.
    assert torch.allclose(turn_then_move @ torch.tensor([0.25, -0.6, 1.0]), torch.tensor([0.1, 0, 1]), atol=1e-6)
    assert torch.equal(transform_matrix(), torch.eye(3))
    with pytest.raises(BadValue, match="finite"):
        transform_matrix((math.nan, 0))


# Latents, gradients, precision.


def test_each_w_acts_on_its_layer(turning: StyleGAN3) -> None:
    ws = latents(turning)
    image = turning.synthesize(ws)
    for layer in range(turning.num_ws):
        moved = ws.clone()
        moved[:, layer] += 1
        assert not torch.allclose(turning.synthesize(moved), image), layer


def test_the_order_of_a_batch_does_not_matter(turning: StyleGAN3) -> None:
    ws = latents(turning, 3)
    together = turning.synthesize(ws)
    for i in range(3):
        assert torch.allclose(turning.synthesize(ws[i : i + 1])[0], together[i], atol=1e-5)


def test_gradients_reach_the_latent_and_the_transform(turning: StyleGAN3) -> None:
    generator = torch.Generator().manual_seed(0)
    ws, towards = latents(turning), torch.randn(1, turning.num_ws, 16, generator=generator)
    transform, way = transform_matrix((0.1, 0.05), 10), torch.zeros(3, 3)
    way[0, 2] = 1
    weight = torch.randn(1, 3, 32, 32, generator=generator)
    inputs = ws.clone().requires_grad_(True), transform.clone().requires_grad_(True)
    slopes = torch.autograd.grad((turning.synthesize(inputs[0], transform=inputs[1]) * weight).sum(), inputs)
    assert all((slope.abs().sum(dim=-1) > 0).all() for slope in slopes[0])
    for slope, step, of_ws, of_transform in ((slopes[0], towards, 1, 0), (slopes[1], way, 0, 1)):
        ahead, behind = (
            turning.synthesize(ws + s * of_ws * towards, transform=transform + s * of_transform * way)
            for s in (1e-3, -1e-3)
        )
        measured = ((ahead - behind).double() * weight).sum() / 2e-3
        assert (slope * step).sum() == pytest.approx(measured.item(), rel=0.02)


@pytest.mark.parametrize("kwargs", [{}, R], ids=["T", "R"])
def test_bf16_stays_close(kwargs: dict) -> None:
    g = small_stylegan3(**kwargs)
    ws = latents(g, 2)
    exact, half = g.synthesize(ws), g.synthesize(ws, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert psnr_db(half, exact) > 40
    assert (half - exact).square().mean() < 1e-3 * exact.square().mean()


def test_activations_are_pictures_without_margins(golden: Golden) -> None:
    g, ws = golden.g, golden["out/ws"]
    assert g.activation_sizes == [16, 32]
    layer = g.synthesis.layers[-1]
    last = g.activations(ws, 32)
    assert torch.allclose(layer(last, ws[:, -1]) * g.config.output_scale, golden["out/image"], atol=1e-6)
    moved = g.synthesis.config.activation_layers[16]
    assert g.activations(ws, 16).shape == (2, g.config.layers[moved].outputs, 16, 16)
    with pytest.raises(ValueError, match=r"20.*\[16, 32\]"):
        g.activations(ws, 20)


# Bad input.


def test_wrong_arguments_are_named(golden: Golden) -> None:
    ws = golden["out/ws"]
    with pytest.raises(ValueError, match="'fixed'.*const, none, random"):
        golden.g.synthesize(ws, noise="fixed")
    for wrong in (ws[0], ws[:, :-1], ws[:, :, :-1]):
        with pytest.raises(ValueError, match=r"expected \[N, 8, 32\]"):
            golden.g.synthesize(wrong)
    with pytest.raises(ValueError, match=r"\[2, 3\]; expected \[3, 3\]"):
        golden.g.synthesize(ws, transform=torch.eye(3)[:2])
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        small_stylegan3(c_dim=3).map(torch.randn(1, 16))
