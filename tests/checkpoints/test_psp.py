"""Checkpoints of pSp and e4e: the generator, the encoder beside it, and what is left out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import latent_editor as le
from latent_editor.checkpoints.formats import detect_format, read_checkpoint
from latent_editor.checkpoints.psp import read_psp
from latent_editor.core.errors import BadModel, MissingPart
from latent_editor.generators import construction, load_generator, save_generator
from latent_editor.generators.pictures import to_tensor
from latent_editor.networks.encoder import has_encoder, load_encoder
from latent_editor.networks.psp_encoder import PspConfig, PspEncoder

NUM_WS, W_DIM = 8, 16
E4E = {"encoder_type": "Encoder4Editing", "start_from_latent_avg": True, "progressive_steps": [0, 2000]}
PSP = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": True, "output_size": 32}


def decoder() -> dict[str, Tensor]:
    """A tiny generator of random weights in rosinality's names."""
    kwargs = {"z_dim": W_DIM, "w_dim": W_DIM, "img_resolution": 32, "channel_base": 128, "channel_max": 8}
    ours = construction.random("stylegan2", {**kwargs, "mapping_kwargs": {"num_layers": 2}}).state_dict()
    state = {"input.input": ours["synthesis.b4.const"][None]}
    for i in range(2):
        for kind in ("weight", "bias"):
            state[f"style.{i + 1}.{kind}"] = ours[f"mapping.fc{i}.{kind}"]
    layers = [("synthesis.b4.conv1", "conv1"), ("synthesis.b4.torgb", "to_rgb1")]
    for k, size in enumerate((8, 16, 32)):
        layers += [(f"synthesis.b{size}.conv{j}", f"convs.{2 * k + j}") for j in range(2)]
        layers += [(f"synthesis.b{size}.torgb", f"to_rgbs.{k}")]
    noises = 0
    for our, their in layers:
        state[f"{their}.conv.weight"] = ours[f"{our}.weight"][None]
        state[f"{their}.conv.modulation.weight"] = ours[f"{our}.affine.weight"]
        state[f"{their}.conv.modulation.bias"] = ours[f"{our}.affine.bias"]
        if "rgb" in their:
            state[f"{their}.bias"] = ours[f"{our}.bias"][None, :, None, None]
        else:
            state[f"{their}.activate.bias"] = ours[f"{our}.bias"]
            state[f"{their}.noise.weight"] = ours[f"{our}.noise_strength"][None]
            state[f"noises.noise_{noises}"] = ours[f"{our}.noise_const"][None, None]
            noises += 1
    return state


def checkpoint(options: Any, **changes: Any) -> dict[str, Any]:
    """What a training program of pSp or e4e saves, with a narrow encoder."""
    torch.manual_seed(0)
    config = PspConfig(8, (8, 8, 8, 8), (2, 2, 2, 2), W_DIM, pools=(4, 4, 4, 5, 5, 5, 5, 6))
    state = {f"decoder.{k}": v.clone() for k, v in decoder().items()}
    state |= {f"encoder.{k}": v for k, v in PspEncoder(config).state_dict().items()}
    return {"state_dict": state, "latent_avg": torch.randn(NUM_WS, W_DIM), "opts": options, **changes}


def picture() -> Tensor:
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("options", [E4E, argparse.Namespace(**E4E), {"progressive_steps": [0]}, {}, None])
def test_e4e_from_a_file(tmp_path: Path, options: Any) -> None:
    data = checkpoint(options)
    path = tmp_path / "model.pt"
    torch.save(data, path)
    assert detect_format(path) == "psp"
    read = read_checkpoint(path)
    assert (read.format, read.kind, read.notes) == ("psp", "stylegan2", ())
    g = load_generator(path)
    torch.testing.assert_close(g.w_avg, data["latent_avg"].mean(dim=0))
    net = load_encoder(g)
    assert isinstance(net, PspEncoder)
    assert net.config.offsets
    # The encoder as it was before it went through the file.
    want = PspEncoder(net.config, data["latent_avg"]).eval()
    want.load_state_dict({k[8:]: v for k, v in data["state_dict"].items() if k.startswith("encoder.")})
    with torch.no_grad():
        torch.testing.assert_close(net(picture()), want(picture()))


@pytest.mark.parametrize("options", [PSP, argparse.Namespace(**PSP), {"output_size": 32}])
def test_psp_takes_each_latent_as_it_is(options: Any) -> None:
    g = generator_of(read_psp("x.pt", checkpoint(options)))
    encoder = load_encoder(g)
    assert isinstance(encoder, PspEncoder)
    assert not encoder.config.offsets


def generator_of(read: Any) -> Any:
    g = construction.build(read.kind, read.init_kwargs, read.state)
    g.bundle.extras.update(read.extras)
    return g


def test_without_a_start_from_the_mean() -> None:
    g = generator_of(read_psp("x.pt", checkpoint({**PSP, "start_from_latent_avg": False})))
    assert not load_encoder(g).latent_avg.any()


@pytest.mark.parametrize("rows", [(W_DIM,), (1, W_DIM), (NUM_WS, W_DIM)])
def test_a_mean_in_any_layout(rows: tuple[int, ...]) -> None:
    average = torch.randn(rows)
    g = generator_of(read_psp("x.pt", checkpoint(E4E, latent_avg=average)))
    torch.testing.assert_close(load_encoder(g).latent_avg, average.expand(NUM_WS, W_DIM))


def test_without_a_mean_the_generator_s_own_is_added() -> None:
    data = checkpoint(E4E)
    del data["latent_avg"]
    g = generator_of(read_psp("x.pt", data))
    torch.testing.assert_close(load_encoder(g).latent_avg, g.w_avg.expand(NUM_WS, -1))


@pytest.mark.parametrize("method", ["encoder", "auto"])
def test_invert_uses_the_encoder(tmp_path: Path, method: str) -> None:
    torch.save(checkpoint(E4E), tmp_path / "e4e.pt")
    g = load_generator(tmp_path / "e4e.pt")
    crop = Image.effect_noise((32, 32), 60).convert("RGB")
    latent = le.invert(g, crop, method=method, seconds=0)
    assert latent.method == "encoder"
    assert latent.ws.shape == (NUM_WS, W_DIM)
    torch.testing.assert_close(latent.ws, load_encoder(g)(to_tensor(crop, 32))[0])


def test_the_encoder_goes_along_when_the_generator_is_saved(tmp_path: Path) -> None:
    torch.save(checkpoint(PSP), tmp_path / "psp.pt")
    g = load_generator(tmp_path / "psp.pt")
    save_generator(g, tmp_path / "mine.safetensors", dtype=torch.float32)
    again = load_generator(tmp_path / "mine.safetensors")
    torch.testing.assert_close(load_encoder(again)(picture()), load_encoder(g)(picture()))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoder_type": "BackboneEncoderUsingLastLayerIntoWPlus"}, "BackboneEncoder"),
        ({"encoder_type": "ProgressiveBackboneEncoder"}, "ProgressiveBackbone"),
    ],
)
def test_encoders_of_another_kind_are_left_out(options: dict[str, Any], says: str) -> None:
    read = read_psp("x.pt", checkpoint(options))
    assert says in " ".join(read.notes)
    g = generator_of(read)
    assert not has_encoder(g)
    with pytest.raises(MissingPart):
        load_encoder(g)


def test_encoders_of_other_pictures_are_left_out() -> None:
    data = checkpoint(E4E)
    data["state_dict"]["encoder.input_layer.0.weight"] = torch.zeros(8, 6, 3, 3)
    read = read_psp("x.pt", data)
    assert read.extras == {}
    assert "6 channels" in " ".join(read.notes)


def test_a_decoder_alone_is_a_generator() -> None:
    data = checkpoint(E4E)
    data["state_dict"] = {k: v for k, v in data["state_dict"].items() if k.startswith("decoder.")}
    read = read_psp("x.pt", data)
    assert read.extras == {}
    assert read.notes == ("the file has no encoder",)


def test_the_rest_is_told() -> None:
    data = checkpoint(E4E, optimizer={}, discriminator_state_dict={})
    assert "left out: discriminator_state_dict, optimizer" in " ".join(read_psp("x.pt", data).notes)


def test_damage_is_named() -> None:
    data = checkpoint(E4E)
    del data["state_dict"]["decoder.convs.2.conv.weight"]
    with pytest.raises(BadModel, match=r"convs\.2\.conv\.weight"):
        read_psp("x.pt", data)
    data = checkpoint(E4E)
    data["state_dict"]["encoder.latlayer1.bias"] = "zeros"
    with pytest.raises(BadModel, match=r"encoder\.latlayer1\.bias"):
        read_psp("x.pt", data)
    with pytest.raises(BadModel, match=r"'latent_avg' has 3 rows"):
        read_psp("x.pt", checkpoint(E4E, latent_avg=torch.zeros(3, W_DIM)))
    data = checkpoint(E4E)
    del data["state_dict"]["encoder.body.9.res_layer.3.weight"]
    with pytest.raises(BadModel, match=r"body\.9\.res_layer\.3\.weight"):
        load_encoder(generator_of(read_psp("x.pt", data)))
    read_psp("x.pt", checkpoint({"start_from_latent_avg": torch.zeros(3), "encoder_type": 3}))  # no reason to fail
    for nothing in (None, {}, {"state_dict": 3}, {"state_dict": {}}):
        with pytest.raises(BadModel):
            read_psp("x.pt", nothing)
