"""The CLIP: loading through open_clip, its vectors, its losses, and a training run that goes on where it stopped."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, MissingPart
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import Bundle
from latent_editor.networks.clip import (
    WORDS_KEY,
    ClipModel,
    import_open_clip,
    load_clip,
    make_model,
    read_clip,
    words_of,
)
from latent_editor.train import clip as training
from latent_editor.train.clip_evaluation import auc, encode_all, evaluate

TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
LABELS = {
    "sex": "man", "age": "young", "hair_colour": "red", "hair_length": "short", "facial_hair": "none", "skin": "tan",
    "expression": "neutral", "headwear": "none", "pointed_ears": False, "makeup": False, "background": "red",
    "style": "painted", "pose": "frontal",
}  # fmt: skip


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "clip.json").write_text(json.dumps(TINY))
    torch.manual_seed(0)
    model, _ = make_model("clip", config=folder / "clip.json")
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    tensor_files.write_tensors(folder / "clip.safetensors", tensors, {WORDS_KEY: "a beard hair man person red"})
    return folder


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> ClipModel:
    return read_clip(clip_folder / "clip.safetensors")


def test_weights_are_loaded_by_open_clip(clip_folder: Path, clip: ClipModel) -> None:
    open_clip = import_open_clip()
    open_clip.add_model_config(clip_folder / "clip.json")
    model, _, preprocess = open_clip.create_model_and_transforms(
        "clip", pretrained=str(clip_folder / "clip.safetensors")
    )
    array = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    image = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        want = model.eval().encode_image(preprocess(Image.fromarray(array))[None], normalize=True)
        tokens = open_clip.get_tokenizer("clip")(["a beard"])
        want_text = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(clip.encode_image(image), want, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(clip.encode_text(["a beard"]), want_text, atol=1e-5, rtol=1e-4)


def test_vectors_have_length_one_and_pictures_of_any_size(clip: ClipModel) -> None:
    images = torch.rand(2, 3, 50, 50) * 2 - 1
    for vectors in (clip.encode_image(images), clip.encode_text(["red hair", "a man"])):
        assert vectors.shape == (2, 16)
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert clip.encode_prompt("red hair").shape == (16,)
    half = clip.encode_image(images, dtype=torch.bfloat16)
    assert torch.cosine_similarity(half, clip.encode_image(images)).min() > 0.95


def test_gradients_reach_the_picture(clip: ClipModel) -> None:
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    (clip.encode_image(image) @ clip.encode_prompt("red hair")).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in clip.model.parameters())


def test_unknown_words(clip: ClipModel) -> None:
    assert clip.unknown_words("A RED zyx-hair, zyx!") == ["zyx"]
    assert ClipModel(clip.model, clip.tokenizer).unknown_words("zyx") == []
    assert words_of("Grey-haired Ünal's") == ["grey", "haired", "ünal", "s"]


def test_a_model_without_clip_says_so(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(MissingPart, match="text prompts"):
        load_clip(tiny_generator)


def test_the_clip_of_a_model_is_built_once_and_may_have_another_name(
    tiny_generator: StyleGAN2, clip_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "Other-1.json").write_text(json.dumps(TINY))
    (tmp_path / "other.safetensors").write_bytes((clip_folder / "clip.safetensors").read_bytes())
    about = {"clip": {"model": "Other-1", "pretrained": "other.safetensors"}}
    tiny_generator.bundle = Bundle("tiny", tmp_path, about)
    first = load_clip(tiny_generator)
    assert load_clip(tiny_generator) is first
    assert first.size_px == 32


def test_damaged_files(clip_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.safetensors").write_bytes((clip_folder / "clip.safetensors").read_bytes())
    (tmp_path / "clip.json").write_text(json.dumps({**TINY, "embed_dim": 24}))
    with pytest.raises(BadModel, match="cannot be loaded"):
        read_clip(tmp_path / "clip.safetensors")
    with pytest.raises(BadModel, match="cannot be loaded"):
        read_clip(tmp_path / "clip.safetensors", name="no-such-model")
    (tmp_path / "clip.json").write_text(json.dumps(TINY))
    (tmp_path / "clip.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(BadModel, match="cannot be loaded"):
        read_clip(tmp_path / "clip.safetensors")


def test_auc() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    scores = torch.randn(200, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    truth = (torch.arange(200) % 3 == 0).float()
    assert auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))
    truth[0] = float("nan")
    assert auc(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth[1:], scores[1:]))


def test_soft_losses_are_least_for_the_truth() -> None:
    truth = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    prior = torch.tensor([0.5, 0.5])
    right = torch.tensor([[9.0, -9.0, -9.0, 9.0], [0.0, 0.0, 0.0, 0.0]])
    judged, ranked = training.soft_losses(right, truth, prior)
    assert float(judged) == pytest.approx(0.5 * np.log(2), abs=1e-3)  # the text that says nothing cannot be better
    assert float(ranked) == pytest.approx(np.log(2), abs=1e-3)  # two pictures share it
    wrong = training.soft_losses(-right, truth, prior)
    assert wrong[0] > judged
    assert wrong[1] > ranked


def test_soft_losses_leave_out_what_is_unknown() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    truth = torch.tensor([[1.0, 0, 0, 0, 1]]).repeat(3, 1)
    truth[:, 4] = float("nan")
    judged, ranked = training.soft_losses(logits, truth, torch.full([3], 0.2))
    (judged + ranked).backward()
    assert logits.grad is not None
    assert logits.grad[:, 4].abs().max() == 0
    assert logits.grad[:, :4].abs().min() > 0


def write_data(folder: Path, count: int = 24) -> tuple[Path, Path]:
    """Red and blue squares, labelled by their colour."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rows = []
    for i in range(count):
        colour = "red" if i % 2 else "blue"
        Image.new("RGB", (32, 32), (230, 40, 40) if i % 2 else (40, 40, 230)).save(pictures / f"{i:02}.png")
        rows.append({"file": f"{i:02}.png", "prompt": "", "attributes": {**LABELS, "background": colour}})
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return pictures, folder / "labels.jsonl"


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> None:
    monkeypatch.setattr(training, "config_for", lambda size_px, deep_width=0: TINY)
    parser = argparse.ArgumentParser()
    training.add_arguments(parser)
    data = ["--data", str(folder / "pictures"), "--labels", str(folder / "labels.jsonl")]
    threads = ["--threads", str(torch.get_num_threads())]
    sizes = ["--size-px", "32", "--batch", "8", "--minutes", "0.01"]
    training.main(parser.parse_args([*data, *sizes, *threads, "--run", str(folder / "run"), *more]))


def test_training_resumes_and_exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pictures, labels = write_data(tmp_path)
    run(monkeypatch, tmp_path)
    first = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert first["step"] > 0
    check = ["--check-data", str(pictures), "--check-labels", str(labels)]
    run(monkeypatch, tmp_path, "--resume", *check, "--export", str(tmp_path / "out"))
    second = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert second["step"] > first["step"]
    assert second["seconds"] > first["seconds"]
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert "blue background" in lines[-1]["auc"]
    clip = read_clip(tmp_path / "out" / "clip.safetensors")
    assert clip.words is not None
    assert {"person", "face"} <= clip.words
    state = {k: v.half().float() if v.is_floating_point() else v for k, v in second["average"].items()}
    for name, value in clip.model.state_dict().items():
        torch.testing.assert_close(value, state[name])


def test_training_learns_to_tell_by_a_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(training, "config_for", lambda size_px, deep_width=0: TINY)
    pictures, labels = write_data(tmp_path)
    torch.manual_seed(0)
    data = training.Data.read(str(pictures), str(labels), 32)
    trainer = training.Trainer(tmp_path / "run", data, size_px=32, lr=0.005, batch=16)
    trainer.random.seed(0)
    for _ in range(80):
        trainer.train_step(0.5)
    assert evaluate(trainer.clip(), data.pictures, data.rows)["blue background"] > 0.9
    assert encode_all(trainer.clip(), data.pictures).shape == (24, 16)
