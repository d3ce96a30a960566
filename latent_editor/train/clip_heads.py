"""Fine-tunes the last layers of a CLIP on precomputed features: the text tower and the head of the image tower.

``python -m latent_editor.train clip_heads --data T.tar --labels T.jsonl --model weights/portraits --minutes 10``

The convolutional features contain more about a face than the CLIP vectors: a logistic regression on them detects smiles
(one image in eleven) with an AUC of 0.88, where the vectors reached 0.64. With the convolutions frozen, a step costs a
hundredth, and a batch of a thousand images has ninety smiles to rank instead of six. The losses are those of
:mod:`latent_editor.train.clip`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core import tensor_files
from latent_editor.networks.clip import CLIP_FILE, CLIP_NAME, WORDS_KEY, ClipModel, make_model, read_clip
from latent_editor.networks.encoder import ENCODER_FILE, Encoder, read_encoder
from latent_editor.train.captions import NEUTRAL, Statement, compose, known_words, statement
from latent_editor.train.clip import Data, augment, config_for, soft_losses
from latent_editor.train.clip_evaluation import evaluate
from latent_editor.train.pictures import Pictures, match_labels, read_labels, read_pictures
from latent_editor.train.vocabulary import concepts

#: Images of a batch in the contrastive loss, whose cost is dominated by encoding the captions.
CAPTIONS = 64
_BATCH = 64
CONFIG_FILE = f"{CLIP_NAME}.json"


class Heads(nn.Module):
    """The trainable parts: everything after the convolutions in the image tower, and the text tower.

    Args:
        clip: The CLIP, trained in place. Its image tower must be a :mod:`~latent_editor.networks.clip_trunk`.
    """

    def __init__(self, clip: ClipModel) -> None:
        super().__init__()
        self.clip = clip
        self.trunk = clip.model.visual.trunk.trunk
        self.project = clip.model.visual.head
        clip.model.requires_grad_(True)
        clip.model.visual.trunk.trunk.requires_grad_(False)
        self.trunk.dense.requires_grad_(True)
        self.trained = [p for p in clip.model.parameters() if p.requires_grad]

    def features(self, images: Tensor) -> Tensor:
        """Images [N, 3, S, S], uint8 or −1..1 → the last feature maps, float16 [N, C, 4, 4]."""
        maps = []
        with torch.inference_mode():
            for x in images.split(_BATCH):
                x = x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x
                maps.append(self.trunk.maps(x, torch.bfloat16)[-1].half())
        return torch.cat(maps).clone()

    def forward(self, features: Tensor) -> Tensor:
        """Feature maps [N, C, 4, 4] → float32 unit vectors [N, dim]."""
        return F.normalize(self.project(self.trunk.vector(features)), dim=-1)


def feature_views(heads: Heads, images: Tensor, count: int) -> Tensor:
    """Features of the images, their mirror images, and ``count`` augmented copies: [2 + count, N, C, 4, 4]."""
    views = [heads.features(images), heads.features(images.flip(-1))]
    for _ in range(count):
        views.append(torch.cat([heads.features(augment(x)) for x in images.split(256)]))
    return torch.stack(views)


def losses(heads: Heads, data: Data, views: Tensor, batch: int, rng: random.Random) -> dict[str, Tensor]:
    """The losses of :mod:`latent_editor.train.clip` on a new batch, from precomputed features."""
    known = concepts()
    at = torch.randint(len(data.rows), (batch,))
    image = heads(views[torch.randint(len(views), (batch,)), at])
    statements = [statement(rng, known, at=i) for i in range(len(known))]
    statements += [Statement(rng.choice(NEUTRAL), ()) for _ in range(4)]
    rows = [data.rows[i] for i in at[:CAPTIONS].tolist()]
    captions = [compose(r["attributes"], str(r.get("prompt", "")), rng, known) for r in rows]
    text = heads.clip.encode_text([*captions, *(s.text for s in statements)], dtype=torch.bfloat16)
    scale = heads.clip.model.logit_scale.exp()
    pairs = scale * image[: len(captions)] @ text[: len(captions)].t()
    right = torch.arange(len(captions))
    contrastive = (F.cross_entropy(pairs, right) + F.cross_entropy(pairs.t(), right)) / 2
    truth = torch.stack([s.truth(data.truth) for s in statements])  # [K, N], over all images, for the prior
    prior = truth.nanmean(dim=1)
    binary, ranking = soft_losses(scale * text[len(captions) :] @ image.t(), truth[:, at], prior)
    return {"contrastive": contrastive, "binary": binary, "ranking": ranking}


def with_trunk(clip: ClipModel, encoder: Encoder, folder: Path) -> ClipModel:
    """A CLIP with the text tower of ``clip``, and a copy of an encoder's trunk as its image tower.

    Args:
        clip: A CLIP of this project.
        encoder: An encoder of images of the CLIP's size. The projection after its trunk is untrained.
        folder: For the new config.
    """
    config = config_for(clip.size_px, encoder.config.get("deep_width", 0))
    tensor_files.write_bytes(folder / CONFIG_FILE, json.dumps(config, indent=1).encode())
    model, tokenizer = make_model(CLIP_NAME, config=folder / CONFIG_FILE)
    text = {name: value for name, value in clip.model.state_dict().items() if not name.startswith("visual.")}
    image = {f"visual.trunk.trunk.{name}": value for name, value in encoder.trunk.state_dict().items()}
    model.load_state_dict({**text, **image}, strict=False)
    model.visual.to(memory_format=torch.channels_last)
    return ClipModel(model, tokenizer, words=clip.words)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", required=True, help="folder or tar of images; several are mixed")
    parser.add_argument("--labels", nargs="+", required=True, help="JSON Lines with file, prompt, attributes")
    parser.add_argument("--check-data", nargs="+", help="folder or tar for measuring zero-shot AUC")
    parser.add_argument("--check-labels", nargs="+", help="its labels")
    parser.add_argument("--model", type=Path, required=True, help="model folder whose CLIP to fine-tune")
    parser.add_argument("--trunk", type=Path, help="model folder whose encoder's trunk becomes the CLIP's image tower")
    parser.add_argument("--export", type=Path, help="output folder (default: that of --model)")
    parser.add_argument("--minutes", type=float, default=10, help="training time (default %(default)s)")
    parser.add_argument("--steps", type=int, help="train for so many steps instead of --minutes")
    parser.add_argument("--views", type=int, default=4, help="augmented copies of each image (default %(default)s)")
    parser.add_argument("--batch", type=int, default=1024, help="images per step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    clip, folder = read_clip(args.model / CLIP_FILE), args.export or args.model
    if args.trunk:
        clip = with_trunk(clip, read_encoder(args.trunk / ENCODER_FILE), folder)
    data = Data.read(args.data, args.labels, clip.size_px)
    check: tuple[Pictures, list[dict[str, Any]]] | None = None
    if args.check_data and args.check_labels:
        pictures = read_pictures(args.check_data, clip.size_px)
        check = (pictures, match_labels(pictures, read_labels(args.check_labels)))
    heads = Heads(clip)
    views = feature_views(heads, data.pictures.images, args.views)
    print(json.dumps({"pictures": len(data.rows), "views": len(views)}), flush=True)
    train(heads, data, views, minutes=args.minutes, steps=args.steps, batch=args.batch, lr=args.lr, check=check)
    prompts = [str(row.get("prompt", "")) for row in data.rows]
    clip.words = (clip.words or frozenset()) | known_words(prompts, concepts())
    export(clip, folder)
    if not args.trunk and folder != args.model:
        tensor_files.write_bytes(folder / CONFIG_FILE, (args.model / CONFIG_FILE).read_bytes())


def train(
    heads: Heads,
    data: Data,
    views: Tensor,
    *,
    minutes: float,
    steps: int | None = None,
    batch: int,
    lr: float,
    check: tuple[Pictures, list[dict[str, Any]]] | None = None,
) -> None:
    """Trains for ``steps``, or else for ``minutes``, with AdamW and cosine decay; prints losses every 100 steps."""
    optimizer = torch.optim.AdamW(heads.trained, lr=lr, betas=(0.9, 0.98), weight_decay=0.05)
    rng = random.Random()
    began, step = time.monotonic(), 0
    while (done := step / steps if steps else (time.monotonic() - began) / (minutes * 60)) < 1:
        rate = lr * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = losses(heads, data, views, batch, rng)
        total = 0.3 * parts["contrastive"] + 3 * parts["binary"] + parts["ranking"]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(heads.trained, 1.0)
        optimizer.step()
        with torch.no_grad():
            heads.clip.model.logit_scale.clamp_(math.log(5), math.log(100))
        step += 1
        if step % 100 == 0:
            _print(heads.clip, step, parts, check)
    _print(heads.clip, step, parts, check)


def _print(
    clip: ClipModel, step: int, parts: dict[str, Tensor], check: tuple[Pictures, list[dict[str, Any]]] | None
) -> None:
    line: dict[str, Any] = {"step": step, **{k: round(float(v.detach()), 4) for k, v in parts.items()}}
    if check:
        line["auc"] = evaluate(clip, *check)
    print(json.dumps(line), flush=True)


def export(clip: ClipModel, folder: Path) -> None:
    """Writes the CLIP in half precision into ``folder``."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in clip.model.state_dict().items()}
    words = " ".join(sorted(clip.words or ()))
    tensor_files.write_tensors(folder / CLIP_FILE, tensors, {"kind": "clip", WORDS_KEY: words})
