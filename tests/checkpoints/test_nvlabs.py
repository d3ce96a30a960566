"""NVIDIA's pickles: read to identical pictures, whatever the variant, and nothing in them is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile.nvidia import nvidia_pickle

from latent_editor.checkpoints.formats import detect_format, read_checkpoint
from latent_editor.core.errors import BadModel
from latent_editor.generators import Generator, construction, load_generator

STYLEGAN2 = {
    "z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "channel_base": 128,
    "channel_max": 8, "num_fp16_res": 2, "conv_clamp": 256, "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
ADA = {
    "z_dim": 16, "c_dim": 3, "w_dim": 16, "img_resolution": 16, "img_channels": 1, "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 128, "channel_max": 8, "num_fp16_res": 4, "conv_clamp": 256},
}  # fmt: skip
STYLEGAN3 = {
    "z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "channel_base": 128,
    "channel_max": 8, "num_layers": 4, "mapping_kwargs": {"num_layers": 2}, "magnitude_ema_beta": 0.999,
}  # fmt: skip
CONFIGS = {"stylegan2": ("stylegan2", STYLEGAN2), "ada": ("stylegan2", ADA), "stylegan3": ("stylegan3", STYLEGAN3)}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def render(g: Generator) -> torch.Tensor:
    z = torch.randn(2, g.z_dim, generator=torch.Generator().manual_seed(1))
    c = torch.eye(g.c_dim)[:2] if g.c_dim else None
    with torch.no_grad():
        return g.synthesize(g.map(z, c, truncation_psi=0.7))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("config", CONFIGS)
def test_real_structure_gives_identical_pictures(config: str, protocol: int, tmp_path: Path, canary: Path) -> None:
    kind, init_kwargs = CONFIGS[config]
    g = construction.random(kind, init_kwargs)
    path = tmp_path / "network.bin"
    path.write_bytes(nvidia_pickle(g.state_dict(), init_kwargs, canary, protocol=protocol))
    checkpoint = read_checkpoint(path)
    assert (checkpoint.format, checkpoint.kind) == ("nvlabs", kind)
    assert checkpoint.init_kwargs == init_kwargs
    assert set(checkpoint.state) == set(g.state_dict())
    assert detect_format(path) == "nvlabs"
    assert torch.equal(render(load_generator(path)), render(g))
    assert any("neither compiled nor run" in note for note in checkpoint.notes)
    assert any("left out: D, G, augment_pipe" in note for note in checkpoint.notes)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["stylegan2_cond_64", "stylegan2_skip_32", "stylegan3_t_32"])
def test_goldens_survive_a_pickle(name: str, shared_folder: Path, tmp_path: Path, canary: Path) -> None:
    golden = np.load(shared_folder / "goldens" / f"{name}.npz")
    meta = json.loads(bytes(golden["meta"]))
    state = {k.removeprefix("state/"): torch.from_numpy(golden[k]) for k in golden.files if k.startswith("state/")}
    path = tmp_path / "golden.pkl"
    path.write_bytes(nvidia_pickle(state, meta["init_kwargs"], canary))
    g = load_generator(path)
    c = torch.from_numpy(golden["in/c"]) if "in/c" in golden else None
    ws = g.map(torch.from_numpy(golden["in/z"]), c)
    image = g.synthesize(ws)
    for got, want in ((ws, golden["out/ws"]), (image, golden["out/image"])):
        assert np.abs(got.numpy() - want).max() <= 1e-4 * np.abs(want).max()


def test_positional_arguments_and_attributes_name_the_shape(tmp_path: Path, canary: Path) -> None:
    g = construction.random("stylegan2", STYLEGAN2)
    named = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
    rest = {k: v for k, v in STYLEGAN2.items() if k not in named}
    args = tuple(STYLEGAN2[k] for k in named[:3])
    attributes = {k: STYLEGAN2[k] for k in named[3:]}
    path = tmp_path / "a.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), rest, canary, init_args=args, **attributes))
    assert torch.equal(render(load_generator(path)), render(g))


@pytest.mark.parametrize("variant", [{"parts": ("G",)}, {"parts": ("G", "D")}, {"bare": True}])
def test_files_without_an_average_work(variant: dict[str, Any], tmp_path: Path, canary: Path) -> None:
    g = construction.random("stylegan2", STYLEGAN2)
    path = tmp_path / "a.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), STYLEGAN2, canary, **variant))
    assert torch.equal(render(load_generator(path)), render(g))


def test_half_precision_is_read(tmp_path: Path, canary: Path) -> None:
    g = construction.random("stylegan2", STYLEGAN2)
    state = {k: v.half() if "b16" in k and v.ndim == 4 else v for k, v in g.state_dict().items()}
    path = tmp_path / "a.pkl"
    path.write_bytes(nvidia_pickle(state, STYLEGAN2, canary))
    assert {t.dtype for t in read_checkpoint(path).state.values()} == {torch.float16, torch.float32}
    assert (render(load_generator(path)) - render(g)).abs().max() < 0.01


def test_tensors_outlive_their_file(tmp_path: Path, canary: Path) -> None:
    g = construction.random("stylegan2", STYLEGAN2)
    path = tmp_path / "a.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), STYLEGAN2, canary))
    loaded = load_generator(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    path.unlink()
    assert torch.equal(render(loaded), render(g))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": ("D",)}, "discriminator"),
        ({"parts": ("augment_pipe",)}, "augment_pipe"),
        ({"_init_args": (1, 2, 3, 4, 5, 6)}, "arguments of 'Generator' cannot be read"),
        ({"_init_kwargs": [1]}, "arguments of 'Generator' cannot be read"),
        ({"_modules": {}}, "submodules nothing; a generator has mapping and synthesis"),
        ({"_modules": [1]}, "_modules of the network 'Generator' is not a dict"),
        ({"_parameters": {"x": 1}}, "x is a int, expected a tensor"),
    ],
)
def test_what_is_no_generator_is_named(change: dict[str, Any], message: str, tmp_path: Path, canary: Path) -> None:
    g = construction.random("stylegan2", STYLEGAN2)
    path = tmp_path / "a.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), STYLEGAN2, canary, **change))
    with pytest.raises(BadModel, match=message):
        load_generator(path)
    assert not canary.exists()
