"""Trains the last layers of a CLIP again, on features that are computed once: its text tower and the picture's head.

``python -m latent_editor.train clip_heads --data T.tar --labels T.jsonl --model weights/portraits --minutes 10``

The convolutions hold more about a face than the CLIP's vectors tell: a logistic regression on their output tells smiles
(one picture in eleven) at an AUC of 0.88 where the vectors reached 0.64. With the convolutions fixed, a step costs a
hundredth, and a batch of a thousand pictures has ninety smiles to rank instead of six. The losses are those of
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
from latent_editor.networks.clip import CLIP_FILE, WORDS_KEY, ClipModel, read_clip
from latent_editor.train.captions import NEUTRAL, Statement, compose, statement
from latent_editor.train.clip import Data, augment, soft_losses
from latent_editor.train.clip_evaluation import evaluate
from latent_editor.train.pictures import Pictures, match_labels, read_labels, read_pictures
from latent_editor.train.vocabulary import concepts

#: How many of a batch take part in open_clip's contrast of pictures and captions, whose cost is in the captions.
CAPTIONS = 64
_BATCH = 64


class Heads(nn.Module):
    """What is trained: from the convolutions' output to the CLIP's vector, and the text tower.

    Args:
        clip: The CLIP; its weights are changed in place. Its image tower has to be one of ours.
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

    def keep(self, images: Tensor) -> Tensor:
        """uint8 or −1..1 pictures [N, 3, S, S] → the last feature maps, float16 [N, C, 4, 4]."""
        kept = []
        with torch.inference_mode():
            for x in images.split(_BATCH):
                x = x.float() / 127.5 - 1 if x.dtype == torch.uint8 else x
                kept.append(self.trunk.maps(x, torch.bfloat16)[-1].half())
        return torch.cat(kept).clone()

    def forward(self, kept: Tensor) -> Tensor:
        """Kept maps → float32 vectors [N, dim], of length 1."""
        return F.normalize(self.project(self.trunk.vector(kept)), dim=-1)


def keep_views(heads: Heads, images: Tensor, count: int) -> Tensor:
    """The maps of the pictures, of their mirror images, and of ``count`` augmented copies: [2 + count, N, C, 4, 4]."""
    views = [heads.keep(images), heads.keep(images.flip(-1))]
    for _ in range(count):
        views.append(torch.cat([heads.keep(augment(x)) for x in images.split(256)]))
    return torch.stack(views)


def losses(heads: Heads, data: Data, views: Tensor, batch: int, chance: random.Random) -> dict[str, Tensor]:
    """The losses of :mod:`latent_editor.train.clip` on a new batch: open_clip's, judged and ranked statements."""
    known = concepts()
    at = torch.randint(len(data.rows), (batch,))
    image = heads(views[torch.randint(len(views), (batch,)), at])
    statements = [statement(chance, known, at=i) for i in range(len(known))]
    statements += [Statement(chance.choice(NEUTRAL), ()) for _ in range(4)]
    rows = [data.rows[i] for i in at[:CAPTIONS].tolist()]
    captions = [compose(r["attributes"], str(r.get("prompt", "")), chance, known) for r in rows]
    text = heads.clip.encode_text([*captions, *(s.text for s in statements)], dtype=torch.bfloat16)
    scale = heads.clip.model.logit_scale.exp()
    pairs = scale * image[: len(captions)] @ text[: len(captions)].t()
    right = torch.arange(len(captions))
    contrastive = (F.cross_entropy(pairs, right) + F.cross_entropy(pairs.t(), right)) / 2
    truth = torch.stack([s.truth(data.truth) for s in statements])  # [K, N], of all pictures for the prior
    prior = truth.nanmean(dim=1)
    judged, ranked = soft_losses(scale * text[len(captions) :] @ image.t(), truth[:, at], prior)
    return {"contrastive": contrastive, "judged": judged, "ranked": ranked}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help="folder or tar of pictures")
    parser.add_argument("--labels", required=True, help="one JSON object a line: file, prompt, attributes")
    parser.add_argument("--check-data", help="folder or tar to measure zero-shot AUC on")
    parser.add_argument("--check-labels", help="its labels")
    parser.add_argument("--model", type=Path, required=True, help="the folder whose CLIP is trained")
    parser.add_argument("--export", type=Path, help="folder to write it into (default: the same)")
    parser.add_argument("--minutes", type=float, default=10, help="how long to train (default %(default)s)")
    parser.add_argument("--views", type=int, default=4, help="augmented copies of each picture (default %(default)s)")
    parser.add_argument("--batch", type=int, default=1024, help="pictures a step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    clip = read_clip(args.model / CLIP_FILE)
    data = Data.read(args.data, args.labels, clip.size_px)
    check: tuple[Pictures, list[dict[str, Any]]] | None = None
    if args.check_data and args.check_labels:
        pictures = read_pictures(args.check_data, clip.size_px)
        check = (pictures, match_labels(pictures, read_labels(args.check_labels)))
    heads = Heads(clip)
    views = keep_views(heads, data.pictures.images, args.views)
    print(json.dumps({"pictures": len(data.rows), "views": len(views)}), flush=True)
    train(heads, data, views, minutes=args.minutes, batch=args.batch, lr=args.lr, check=check)
    export(clip, args.model, args.export or args.model)


def train(
    heads: Heads,
    data: Data,
    views: Tensor,
    *,
    minutes: float,
    batch: int,
    lr: float,
    check: tuple[Pictures, list[dict[str, Any]]] | None = None,
) -> None:
    """Trains for some minutes with AdamW, the rate on half a cosine, and prints a line of figures now and then."""
    optimizer = torch.optim.AdamW(heads.trained, lr=lr, betas=(0.9, 0.98), weight_decay=0.05)
    chance = random.Random()
    began, step = time.monotonic(), 0
    while (done := (time.monotonic() - began) / (minutes * 60)) < 1:
        rate = lr * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        parts = losses(heads, data, views, batch, chance)
        total = 0.3 * parts["contrastive"] + 3 * parts["judged"] + parts["ranked"]
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


def export(clip: ClipModel, model: Path, folder: Path) -> None:
    """Writes the CLIP in half precision into ``folder``, with the description that it had in ``model``."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in clip.model.state_dict().items()}
    words = " ".join(sorted(clip.words or ()))
    tensor_files.write_tensors(folder / CLIP_FILE, tensors, {"kind": "clip", WORDS_KEY: words})
    description = (model / CLIP_FILE).with_suffix(".json")
    if folder != model:
        tensor_files.write_bytes(folder / description.name, description.read_bytes())
