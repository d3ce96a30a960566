"""Modulated convolutions and layers to RGB in one pass: packed weights, kernels, their place in a network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.compiled_ops import running_on
from torch import Tensor

from latent_editor import ops
from latent_editor.generators import construction, modulation, random_ws
from latent_editor.ops import building, kernels, library
from latent_editor.ops.modulated_conv import has_kernel, has_taps, modulated_conv_reference, pack_weight, unpack_weight
from latent_editor.ops.toolchain import BuildFailed, toolchain_for

OPS = torch.ops.latent_editor
SMALL = {"z_dim": 32, "w_dim": 32, "img_resolution": 64, "channel_base": 2048, "channel_max": 48, "conv_clamp": 256}


@pytest.fixture
def kernel() -> Iterator[None]:
    """The kernels switched on; skips where the processor does not multiply bfloat16."""
    with running_on("cpu"):
        if not kernels.registered("modulated_conv", "cpu"):
            pytest.skip("this processor does not multiply bfloat16")
        yield


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def far(got: Tensor, want: Tensor) -> float:
    assert got.shape == want.shape
    return float((got.double() - want.double()).abs().max() / want.double().abs().max())


@pytest.mark.parametrize(("outputs", "inputs"), [(16, 32), (5, 7), (33, 65)])
def test_packed_weights_come_back(outputs: int, inputs: int) -> None:
    weight = noise(outputs, inputs, 3, 3).bfloat16()
    assert torch.equal(unpack_weight(pack_weight(weight), outputs, inputs), weight)


def test_the_reference_is_the_paper() -> None:
    """Weights of each sample modulated and demodulated, one grouped convolution (eq. 1 and 3)."""
    n, outputs, inputs = 2, 6, 5
    x, weight = noise(n, inputs, 8, 7), noise(outputs, inputs, 3, 3, seed=1).bfloat16().float()
    styles, b = noise(n, inputs, seed=2), noise(outputs, seed=3)
    modulated = weight * styles[:, None, :, None, None]
    scale = (modulated.square().sum(dim=[2, 3, 4]) + 1e-8).rsqrt()
    grouped = (modulated * scale[:, :, None, None, None]).flatten(0, 1)
    y = F.conv2d(x.reshape(1, n * inputs, 8, 7), grouped, padding=1, groups=n).view(n, outputs, 8, 7)
    want = F.leaky_relu(y + b[:, None, None], 0.2) * 2**0.5
    got = modulated_conv_reference(
        x, pack_weight(weight).float(), styles, scale, b, None, None, act="lrelu", alpha=0.2, gain=2**0.5, clamp=None
    )
    assert far(got, want) <= 1e-5


@pytest.mark.parametrize(
    "shape", [(1, 32, 32, 4, 4), (2, 3, 1, 1, 1), (2, 96, 40, 9, 140), (3, 16, 16, 70, 5)], ids=str
)
@pytest.mark.parametrize("up", [1, 2])
def test_the_kernel_agrees_with_the_reference(kernel: None, shape: tuple[int, ...], up: int) -> None:
    n, inputs, outputs, height, width = shape
    x = noise(n, inputs, height, width).bfloat16()
    weight = pack_weight(noise(outputs, inputs, 3, 3, seed=1) / (3 * inputs**0.5))
    styles, scale, b = noise(n, inputs, seed=2), noise(n, outputs, seed=3).abs(), noise(outputs, seed=4)
    f = torch.tensor([1.0, 2.0, 3.0, 0.5])  # not symmetric: a flip would show
    taps = None if up == 1 else f.outer(f + 0.5) / 30
    grain = noise(height * up, width * up, seed=5)
    got = ops.modulated_conv(x, weight, styles, scale, b, grain, f=taps, clamp=4.0)
    want = library._modulated_conv(x.float(), weight.float(), styles, scale, b, grain, taps, 2, 0.2, 2**0.5, 4.0)
    assert far(got, want) <= 0.01
    assert got.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_colors_are_added_to_the_picture_so_far(kernel: None, channels: int) -> None:
    n, inputs, height, width = 2, 40, 6, 36
    x = noise(n, inputs, height, width).bfloat16()
    weight, styles = pack_weight(noise(channels, inputs, 1, 1, seed=1) / inputs**0.5), noise(n, inputs, seed=2)
    b, image = noise(channels, seed=3), noise(n, channels, height // 2, width // 2, seed=4)
    f = torch.tensor([1.0, 2.0, 3.0, 0.5])
    for taps in (f.outer(f) / 40, torch.eye(3) / 3, torch.ones(1, 1)):
        got = ops.to_rgb(x, weight, styles, b, image, f=taps, clamp=1.5)
        rgb = library._to_rgb(x.float(), weight.float(), styles, b, None, None, 1.5)
        assert far(got, rgb + ops.upsample2d(image, taps)) <= 0.01
        assert got.is_contiguous()
    with pytest.raises(RuntimeError, match="half the size"):
        ops.to_rgb(x, weight, styles, b, image[:, :, 1:], f=f.outer(f))


def test_what_is_not_a_number_stays_so(kernel: None) -> None:
    x = torch.ones(1, 32, 8, 8).bfloat16()
    x[0, 0, 4, 4] = float("nan")
    one = torch.ones(1, 32)
    y = ops.modulated_conv(x, pack_weight(torch.ones(32, 32, 3, 3)), one, one, clamp=1.0)
    assert y[0, :, 3:6, 3:6].isnan().all()
    assert y.isnan().sum() == 32 * 9
    assert y[0, 0, 0, 0] == 1


def test_wrong_tensors_are_refused(kernel: None) -> None:
    x, weight = torch.ones(1, 32, 8, 8), pack_weight(torch.ones(32, 32, 3, 3))
    one = torch.ones(1, 32)
    for wrong in ((x, weight), (x.bfloat16().contiguous(memory_format=torch.channels_last), weight[:1])):
        with pytest.raises(RuntimeError, match="Expected"):
            OPS.modulated_conv(*wrong, one, one, None, None, None, 2, 0.2, 1.0, None)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_opcheck(backend: str) -> None:
    with running_on(backend):
        x = noise(2, 5, 6, 4).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_(True)
        weight, one = pack_weight(noise(7, 5, 3, 3)), (noise(2, 5), noise(2, 7), noise(7))
        for f in (None, noise(4).outer(noise(4))):
            torch.library.opcheck(OPS.modulated_conv, (x, weight, *one, None, f, 2, 0.2, 1.5, 1.0))
        rgb_weight, image, f = pack_weight(noise(3, 5, 1, 1)), noise(2, 3, 3, 2), noise(4, 4)
        torch.library.opcheck(OPS.to_rgb, (x, rgb_weight, noise(2, 5), noise(3), image, f, 1.0))


def test_a_network_uses_it_where_no_gradient_is_wanted(kernel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    g = construction.random("stylegan2", SMALL).eval().requires_grad_(False)
    for name, parameter in g.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.3)
    calls: list[str] = []

    def counted(op: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*inputs: Any, **options: Any) -> Tensor:
            calls.append(op.__name__)
            return op(*inputs, **options)

        return run

    for op in (ops.modulated_conv, ops.to_rgb):
        monkeypatch.setattr(modulation, op.__name__, counted(op))
    for batch in (1, 3):
        ws = random_ws(g, list(range(batch)))
        exact = g.synthesize(ws)
        assert not calls
        with torch.no_grad():
            got = g.synthesize(ws, dtype=torch.bfloat16)
        assert calls.count("modulated_conv") == 9  # one at 4², two at each size up to 64²
        assert calls.count("to_rgb") == 5
        assert far(got, exact) <= 0.03
        calls.clear()
        g.synthesize(ws.clone().requires_grad_(True), dtype=torch.bfloat16)
        assert not calls


@torch.no_grad()
def test_a_face_is_the_same_to_the_bit_whoever_is_drawn_with_it(kernel: None) -> None:
    g = construction.random("stylegan2", SMALL).eval().requires_grad_(False)
    ws = random_ws(g, list(range(5)))
    together = g.synthesize(ws, dtype=torch.bfloat16)
    for w, picture in zip(ws, together, strict=True):
        assert torch.equal(g.synthesize(w[None], dtype=torch.bfloat16)[0], picture)


def test_where_the_kernel_does_not_apply(kernel: None) -> None:
    x = torch.zeros(1, 4, 4, 4).bfloat16()
    assert has_kernel(x, "lrelu")
    assert not has_kernel(x, "tanh")
    assert not has_kernel(x.float(), "lrelu")
    assert not has_kernel(x[:, :1], "lrelu")
    f = torch.tensor([1.0, 3.0, 3.0, 1.0])
    assert has_taps(f.outer(f))
    assert not has_taps(torch.eye(4))
    assert not has_taps(f[:3].outer(f[:3]))


PROGRAM = r"""
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include "tiles.h"
using namespace latent_editor;
int main() {
  if (!has_bf16() || !has_tiles()) { std::puts("nothing to compare"); return 0; }
  auto* a = static_cast<uint16_t*>(std::aligned_alloc(64, 1 << 16));
  auto* b = static_cast<uint16_t*>(std::aligned_alloc(64, 1 << 16));
  for (int i = 0; i < 1 << 15; ++i) { a[i] = 0x3f00 + std::rand() % 256; b[i] = 0xbf00 + std::rand() % 256; }
  const std::vector<Step> steps = {{0, 0}, {4096, 2048}, {64, 4096}};
  float worst = 0;
  TileSetting setting(true);
  for (int rows = 1; rows <= 4; ++rows) {
    for (int columns = 1; columns <= 2; ++columns) {
      alignas(64) static float tiles[64 * 40], pairs[64 * 40];
      multiply(true, tiles, 40, rows, columns, (uint8_t*)a, (uint8_t*)b, 1024, steps);
      multiply(false, pairs, 40, rows, columns, (uint8_t*)a, (uint8_t*)b, 1024, steps);
      for (int i = 0; i < 64 * 40; ++i) { worst = std::fmax(worst, std::fabs(tiles[i] - pairs[i])); }
    }
  }
  std::printf("worst %g of %g\n", worst, 96.0);
  return worst < 1e-3 ? 0 : 1;
}
"""


def test_tiles_and_dot_products_agree(tmp_path: Path) -> None:
    """The two ways to multiply, of which a processor takes the faster."""
    try:
        tools = toolchain_for("cpu")
    except BuildFailed as e:
        pytest.skip(str(e))
    if not any("x86-64" in flag for flag in tools.cxx_flags):
        pytest.skip("not an x86-64 processor with vectors")
    source, binary = tmp_path / "compare.cpp", tmp_path / "compare"
    source.write_text(PROGRAM, encoding="utf-8")
    flags = [flag for flag in tools.cxx_flags if flag.startswith(("-std", "-m"))]
    subprocess.run([tools.cxx, *flags, "-O2", f"-I{building.SOURCES}", source, "-o", binary], check=True, timeout=120)
    done = subprocess.run([binary], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    if "nothing" in done.stdout:
        pytest.skip("this processor has no tiles")
