"""The face teacher, the discriminator heads on its features, and a training run with both."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from latent_editor.core.errors import BadModel
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.perceptual import Discriminator
from latent_editor.train import gan
from latent_editor.train.networks import Networks
from latent_editor.train.objective import Faces, Objective, forward, generator_loss
from latent_editor.train.pictures import match_labels, read_labels, read_pictures
from latent_editor.train.projected import ProjectedHeads, fooling_loss, hinge_loss
from latent_editor.train.teacher import TAP_CHANNELS, FaceTeacher, identity_loss, maps_loss, read_teacher


def teacher(seed: int = 0) -> FaceTeacher:
    torch.manual_seed(seed)
    return FaceTeacher(32).eval().requires_grad_(False)


def networks() -> Networks:
    torch.manual_seed(0)
    config = StyleGAN2Config(z_dim=16, w_dim=16, img_resolution=16, channel_base=128, channel_max=8, mapping_layers=0)
    g = StyleGAN2(config)
    return Networks(g, Encoder(16, g.num_ws, 16, width=8, max_width=16), Discriminator(16, width=8, max_width=16))


def pictures(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_maps_have_the_strides_of_a_mobilenet() -> None:
    maps = teacher().maps(torch.rand(2, 3, 48, 48) * 2 - 1)  # resized to its 32
    assert [tuple(m.shape) for m in maps] == [(2, c, s, s) for c, s in zip(TAP_CHANNELS, (8, 4, 2, 1), strict=True)]
    torch.testing.assert_close(FaceTeacher.identity(maps).norm(dim=1), torch.ones(2))


def test_losses_are_zero_for_equal_images() -> None:
    net = teacher()
    maps = net.maps(torch.rand(2, 3, 32, 32) * 2 - 1)
    other = net.maps(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert identity_loss(net.identity(maps), net.identity(maps)).abs() < 1e-6
    assert maps_loss(maps, maps) == 0
    assert maps_loss(maps, other) > 0


def test_the_teacher_recognizes_people(shared_folder: Path) -> None:
    net = read_teacher(shared_folder / "real" / "teacher.safetensors", size_px=160)
    tar = shared_folder / "data" / "officials" / "validation.tar"
    found = read_pictures(tar, 160, limit=12)
    assert len(match_labels(found, read_labels(tar.with_suffix(".jsonl")))) == 12
    x = found.images.float() / 127.5 - 1
    dimmed = x * 0.8 - 0.1
    people, again = (net.identity(net.maps(y)) for y in (x, dimmed.flip(3)))
    alike = people @ again.t()
    assert alike.diag().min() > 0.8  # the same person, mirrored and relit
    assert (alike - torch.eye(12) * 9).max() < alike.diag().min()  # nobody is closer to someone else than to themselves


def test_other_networks_are_rejected(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(BadModel, match="not a MobileNet"):
        read_teacher(tmp_path / "a.safetensors")


def test_heads_learn_to_separate_real_from_generated() -> None:
    torch.manual_seed(0)
    heads = ProjectedHeads()
    maps = [torch.cat([torch.rand(4, c, 4, 4) + 1, torch.rand(4, c, 4, 4) - 1]) for c in TAP_CHANNELS]
    optimizer = torch.optim.Adam(heads.trainable(), 0.01)
    first = hinge_loss(heads(maps), 4).item()
    for _ in range(20):
        optimizer.zero_grad()
        loss = hinge_loss(heads(maps), 4)
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 2
    generated = [m[4:] for m in maps]
    assert fooling_loss(heads(generated)) > fooling_loss(heads([m[:4] for m in maps]))


def test_grayscale_images_are_compared_by_luminance_only() -> None:
    torch.manual_seed(0)
    o = Objective(batch=6, random=2, photographic=3)
    f = forward(networks(), pictures(), o, torch.float32, last_gray=2)
    for x in (f.target, f.rebuilt):
        spread = x.std(dim=1).amax(dim=(1, 2))
        assert bool((spread[-2:] < 1e-6).all())
        assert bool((spread[:-2] > 1e-3).all())
    assert f.clean == 3  # no discriminator sees them


def test_the_generator_learns_identity() -> None:
    torch.manual_seed(0)
    nets, net = networks(), teacher()
    o = Objective(batch=6, random=2, photographic=1)
    f = forward(nets, pictures(), o, torch.float32)
    _, terms = generator_loss(nets, f, o, 0.0, torch.float32, torch.ones(1, 1, 1, 1), Faces(net, ProjectedHeads()))
    assert {"identity", "face_maps", "fool_heads"} <= set(terms)
    without, terms = generator_loss(nets, f, o, 0.0, torch.float32, torch.ones(1, 1, 1, 1), None)
    assert "identity" not in terms
    assert bool(torch.isfinite(without))


def test_a_run_with_photographs_and_a_teacher_resumes(tmp_path: Path) -> None:
    for name in ("paintings", "photographs", "archive"):
        (tmp_path / name).mkdir()
        for i, p in enumerate(pictures(4)):
            Image.fromarray(p.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{i}.png")
    networks().write(tmp_path / "start")
    save_file(teacher().state_dict(), tmp_path / "teacher.safetensors")
    parser = argparse.ArgumentParser()
    gan.add_arguments(parser)
    words = [
        "--data", tmp_path / "paintings", "--photographs", tmp_path / "photographs",
        "--grayscale", tmp_path / "archive",
        "--grayscale-count", 1, "--teacher", tmp_path / "teacher.safetensors", "--start", tmp_path / "start",
        "--run", tmp_path / "run", "--export", tmp_path / "out", "--batch", 4, "--minutes", 0.005, "--resume",
        "--channels", "12,12,8", "--deep-width", 24,
    ]  # fmt: skip
    for _ in range(2):
        gan.main(parser.parse_args([str(word) for word in words]))
    rows = [json.loads(line) for line in (tmp_path / "run" / "gan.jsonl").read_text().splitlines()]
    assert rows[-1]["images"] > rows[0]["images"] > 0
    assert -1 <= rows[-1]["validation_identity"] <= 1
    out = Networks.read(tmp_path / "out")
    assert out.encoder.config["deep_width"] == 24
    assert out.generator.config.channels_at(4) == 12
