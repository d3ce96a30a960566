"""Fine-tuning the last layers of a CLIP fits the labels and leaves the convolutions unchanged."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from latent_editor.core import tensor_files
from latent_editor.generators import Generator
from latent_editor.networks.clip import CLIP_FILE, read_clip
from latent_editor.networks.encoder import Encoder, load_encoder
from latent_editor.train import clip_heads as training
from latent_editor.train.clip_evaluation import evaluate
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

LABELS = {
    "sex": "man", "age": "young", "hair_colour": "red", "hair_length": "short", "facial_hair": "none", "skin": "tan",
    "expression": "neutral", "headwear": "none", "pointed_ears": False, "makeup": False, "background": "grey",
    "style": "painted", "pose": "frontal",
}  # fmt: skip


def write_data(folder: Path) -> tuple[str, str]:
    """Red squares labeled as smiling and blue ones as neutral: an association that the CLIP cannot know beforehand."""
    pictures = folder / "pictures"
    pictures.mkdir()
    rows = []
    for i in range(24):
        Image.new("RGB", (128, 128), (200 - i, 40, 40) if i % 2 else (40, 40, 200 - i)).save(pictures / f"{i:02}.png")
        expression = "smile" if i % 2 else "neutral"
        rows.append({"file": f"{i:02}.png", "prompt": "", "attributes": {**LABELS, "expression": expression}})
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(pictures), str(folder / "labels.jsonl")


def test_only_the_last_layers_are_trained(
    portraits: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, labels = write_data(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    for name in (CLIP_FILE, "clip.json"):
        shutil.copy(portraits.bundle.file(name, "this test"), model / name)
    torch.manual_seed(0)
    parser = argparse.ArgumentParser()
    training.add_arguments(parser)
    words = ["--data", data, "--labels", labels, "--check-data", data, "--check-labels", labels, "--views", "1"]
    sizes = ["--batch", "24", "--steps", "30", "--lr", "3e-3", "--threads", str(torch.get_num_threads())]
    training.main(parser.parse_args([*words, *sizes, "--model", str(model), "--export", str(tmp_path / "out")]))

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed[0] == {"pictures": 24, "views": 3}
    assert printed[-1]["step"] > 0
    before, _ = tensor_files.read_tensors(model / CLIP_FILE)
    after, about = tensor_files.read_tensors(tmp_path / "out" / CLIP_FILE)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert about["words"]
    assert {n for n in changed if n.startswith("visual.")} == {
        "visual.trunk.trunk.dense.weight", "visual.trunk.trunk.dense.bias", "visual.head.proj.weight",
    }  # fmt: skip
    assert any(name.startswith("transformer.") for name in changed)
    clip = read_clip(tmp_path / "out" / CLIP_FILE)
    pictures = read_pictures(data, clip.size_px)
    assert evaluate(clip, pictures, match_labels(pictures, read_labels(labels)))["smile"] > 0.9


def test_an_encoders_trunk_becomes_the_image_tower(portraits: Generator, tmp_path: Path) -> None:
    clip, encoder = read_clip(portraits.bundle.file(CLIP_FILE, "this test")), load_encoder(portraits)
    assert isinstance(encoder, Encoder)
    new = training.with_trunk(clip, encoder, tmp_path)
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(new.model.visual.trunk.trunk(x), encoder.trunk(x), atol=1e-4, rtol=0)
        torch.testing.assert_close(new.encode_text(["a beard"]), clip.encode_text(["a beard"]), atol=1e-4, rtol=0)
