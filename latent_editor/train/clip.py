"""Trains a small CLIP on labeled portraits: open_clip's model and contrastive loss, plus a soft-target loss.

``python -m latent_editor.train clip --data T.tar --labels T.jsonl --run runs/clip --minutes 30 [--resume]``

Two losses share the logit scale s:

1. open_clip's ClipLoss between images and captions with several attributes each. In a batch, a caption also fits some
   of the other images, which this loss treats as negatives; long captions make that rare, but not absent.
2. Two soft-target terms on short statements ("a beard", "a woman without a hat") whose truth y is known for every
   image. First, the binary cross-entropy of s·cos + log(p / (1 − p)) against y, where p is the frequency of the
   statement. With the prior added, s·cos only has to learn the log likelihood ratio (logit adjustment, Menon et al.
   2021), so 0 means the same for every text. Second, the cross-entropy of softmax(s·cos) over the images of the batch
   against y / Σy, which ranks images by text. Uninformative texts get y = p = ½: they become orthogonal to whatever
   distinguishes faces, a good zero to compare prompts with. SigLIP's loss (Zhai et al. 2023) was rejected because its
   single bias cannot serve both "a man" (half of the images) and "a crown" (one in eighty).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core import tensor_files
from latent_editor.networks.clip import CLIP_FILE, CLIP_NAME, WORDS_KEY, ClipModel, import_open_clip, make_model
from latent_editor.networks.clip_trunk import trunk_name
from latent_editor.networks.encoder import ENCODER_FILE, read_encoder
from latent_editor.train.augmentation import degrade, mirror, relight, shift_turn_scale, uniform
from latent_editor.train.captions import NEUTRAL, Statement, compose, known_words, statement, truth_table
from latent_editor.train.clip_evaluation import evaluate
from latent_editor.train.pictures import Paths, Pictures, match_labels, read_labels, read_pictures
from latent_editor.train.sources import photograph_weight
from latent_editor.train.vocabulary import concepts

LOG_FILE, STATE_FILE = "log.jsonl", "state.pt"


def config_for(size_px: int, deep_width: int = 0) -> dict[str, Any]:
    """The open_clip config of a CLIP small enough to train on two cores: the encoder's trunk and three text layers."""
    tower = {"timm_model_name": trunk_name(size_px, deep_width), "timm_model_pretrained": False, "timm_pool": ""}
    vision = {"image_size": size_px, **tower, "timm_proj": "linear"}
    text = {"context_length": 32, "vocab_size": 49408, "width": 96, "heads": 4, "layers": 3}
    return {"embed_dim": 128, "vision_cfg": vision, "text_cfg": text}


@dataclass
class Data:
    """Training images, their labels, and sampling weights."""

    pictures: Pictures
    rows: list[dict[str, Any]]
    truth: Tensor  # [C, N]
    weights: Tensor  # [N], sum 1

    @staticmethod
    def read(data: Paths, labels: Paths, size_px: int) -> Data:
        pictures = read_pictures(data, size_px)
        rows = match_labels(pictures, read_labels(labels))
        attributes = [row["attributes"] for row in rows]
        weights = torch.tensor([_weight(a) for a in attributes])
        return Data(pictures, rows, truth_table(attributes, concepts()), weights / weights.sum())


def _weight(a: dict[str, Any]) -> float:
    """Sampling weight of an image: higher for attributes that are rare among paintings, or among photographs."""
    if a.get("style") == "photographic":
        return photograph_weight(a)
    weight = 1.0 + 3.0 * (a["skin"] in ("brown", "dark"))
    weight += 1.0 * (a["expression"] in ("smile", "open smile")) + 1.5 * bool(a["pointed_ears"])
    return weight + 1.5 * (a["hair_length"] == "bald") + 1.5 * (a["headwear"] == "crown") + 0.7 * (a["age"] == "old")


def augment(images: Tensor) -> Tensor:
    """uint8 [N, 3, S, S] → float32 −1..1, moved and mirrored, and some of them relit, blurred and noisy.

    Colors vary less than for the encoder, because captions name them; most images stay sharp, because a smile is small.
    """
    x = images.float() / 127.5 - 1
    x = shift_turn_scale(mirror(x), shift=0.06, angle_deg=8, scale=0.12)
    first, second = len(x) // 2, len(x) * 7 // 10  # the order is already random
    relit = x[:first].lerp(relight(x[:first]), uniform(x[:first], 0, 0.6).expand_as(x[:first]))
    worse = degrade(torch.cat([relit[first - len(x) // 5 :], x[first:second]]))
    return torch.cat([relit[: first - len(x) // 5], worse, x[second:]])


class Trainer:
    """One training run: model, averaged model, optimizer, and the folder of its state."""

    def __init__(self, run: Path, data: Data, *, size_px: int, lr: float, batch: int, deep_width: int = 0) -> None:
        self.run, self.data, self.lr, self.batch = run, data, lr, batch
        run.mkdir(parents=True, exist_ok=True)
        config = run / f"{CLIP_NAME}.json"
        tensor_files.write_bytes(config, json.dumps(config_for(size_px, deep_width), indent=1).encode())
        self.model, self.tokenizer = make_model(CLIP_NAME, config=config)
        self.model.train().visual.to(memory_format=torch.channels_last)
        self.live = ClipModel(self.model, self.tokenizer)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        decay = [p for n, p in self.model.named_parameters() if p.ndim > 1 and "embedding" not in n]
        plain = [p for n, p in self.model.named_parameters() if p.ndim <= 1 or "embedding" in n]
        groups = [{"params": decay, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)
        self.loss = import_open_clip().ClipLoss()
        self.known = concepts()
        self.step, self.images, self.seconds = 0, 0, 0.0
        self.words = known_words([str(row.get("prompt", "")) for row in data.rows], self.known)
        self.random = random.Random()

    def clip(self) -> ClipModel:
        """The averaged model, ready to use."""
        return ClipModel(self.average, self.tokenizer, words=self.words)

    def start_from(self, folder: Path) -> None:
        """Initializes the image tower from a model's encoder, and the text tower from its CLIP if it has one.

        The encoder has learned how portraits differ from all of their pixels; labels alone teach a tower less.
        """
        trunk = read_encoder(folder / ENCODER_FILE).trunk.state_dict()
        state = {f"visual.trunk.trunk.{k}": v for k, v in trunk.items()}
        if (folder / CLIP_FILE).is_file():
            tensors, _ = tensor_files.read_tensors(folder / CLIP_FILE)
            state |= {k: v.float() for k, v in tensors.items() if not k.startswith("visual.")}
        for model in (self.model, self.average):
            _, unexpected = model.load_state_dict(state, strict=False)
            assert not unexpected, unexpected

    def save(self) -> None:
        """Writes everything that :meth:`load` needs, atomically."""
        state = {
            "model": self.model.state_dict(), "average": self.average.state_dict(), "step": self.step,
            "optimizer": self.optimizer.state_dict(), "seconds": self.seconds, "images": self.images,
        }  # fmt: skip
        temporary = self.run / f".{STATE_FILE}"
        torch.save(state, temporary)
        temporary.replace(self.run / STATE_FILE)

    def load(self) -> None:
        state = torch.load(self.run / STATE_FILE, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.images, self.seconds = state["step"], state["images"], state["seconds"]

    def export(self, folder: Path) -> None:
        """Writes the averaged model in half precision, with its config and the words it has learned."""
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in self.average.state_dict().items()}
        tensor_files.write_tensors(
            folder / CLIP_FILE, tensors, {"kind": "clip", WORDS_KEY: " ".join(sorted(self.words))}
        )
        tensor_files.write_bytes(folder / f"{CLIP_NAME}.json", (self.run / f"{CLIP_NAME}.json").read_bytes())

    def texts(self, at: list[int]) -> tuple[list[str], list[Statement]]:
        """A caption for each of the given images, and a statement for every concept, so that no step skips one."""
        rows = [self.data.rows[i] for i in at]
        captions = [compose(r["attributes"], str(r.get("prompt", "")), self.random, self.known) for r in rows]
        statements = [statement(self.random, self.known, at=i) for i in range(len(self.known))]
        statements += [Statement(self.random.choice(NEUTRAL), ()) for _ in range(4)]
        return captions, statements

    def losses(self) -> dict[str, Tensor]:
        """The losses described in the module's docstring, on a new batch."""
        at = torch.multinomial(self.data.weights, self.batch)
        captions, statements = self.texts(at.tolist())
        images = augment(self.data.pictures.images[at])
        # The same code as at inference, so that preprocessing is identical.
        image = self.live.encode_image(images, dtype=torch.bfloat16)
        text = self.live.encode_text([*captions, *(s.text for s in statements)], dtype=torch.bfloat16)
        scale = self.model.logit_scale.exp()
        contrastive = self.loss(image, text[: self.batch], scale)
        truth = torch.stack([s.truth(self.data.truth) for s in statements])  # [K, N], over all images, for the prior
        known = truth.isnan().logical_not()
        prior = (truth.nan_to_num() @ self.data.weights) / (known.float() @ self.data.weights).clamp_min(1e-6)
        binary, ranking = soft_losses(scale * text[self.batch :] @ image.t(), truth[:, at], prior)
        return {"contrastive": contrastive, "binary": binary, "ranking": ranking}

    def train_step(self, progress: float) -> dict[str, float]:
        """One step; ``progress`` 0..1 sets the learning rate: a short warm-up, then cosine decay to a fiftieth."""
        rate = self.lr * min(1.0, (self.step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self.losses()
        total = 0.3 * losses["contrastive"] + 3 * losses["binary"] + losses["ranking"]
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(math.log(5), math.log(100))
            self._update_average(min(0.995, (1 + self.step) / (10 + self.step)))
        self.step += 1
        self.images += self.batch
        scale = float(self.model.logit_scale.exp().detach())
        return {**{k: float(v.detach()) for k, v in losses.items()}, "scale": scale}

    def _update_average(self, decay: float) -> None:
        live = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(live[name], 1 - decay)
            else:
                value.copy_(live[name])


def soft_losses(logits: Tensor, truth: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of statement–image logits against the truth of the statements.

    Args:
        logits: [K, B], s·cos.
        truth: [K, B], 0..1, NaN where unknown.
        prior: [K], frequency of each statement; NaN where no image is labeled.

    Returns:
        Binary cross-entropy with the log odds of the prior added, and softmax cross-entropy over the images, for the
        statements that are true of any.
    """
    known = truth.isnan().logical_not()
    y = truth.nan_to_num()
    adjusted = logits + prior.nan_to_num(0.5).clamp(1e-3, 1 - 1e-3).logit()[:, None]
    each = F.binary_cross_entropy_with_logits(adjusted, y, reduction="none")
    binary = (each * known).sum() / known.sum().clamp_min(1)
    share = y / y.sum(dim=1, keepdim=True).clamp_min(1e-6)
    log_share = logits.masked_fill(~known, -1e4).log_softmax(dim=1)
    some = (y.sum(dim=1) > 0.5) & (y.amax(dim=1) > y.amin(dim=1))  # a text equally true of all images cannot rank them
    ranking = -(share * log_share).sum(dim=1)[some].mean() if some.any() else logits.sum() * 0
    return binary, ranking


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", required=True, help="folder or tar of images; several are mixed")
    parser.add_argument("--labels", nargs="+", required=True, help="JSON Lines with file, prompt, attributes")
    parser.add_argument("--check-data", nargs="+", help="folder or tar for measuring zero-shot AUC")
    parser.add_argument("--check-labels", nargs="+", help="its labels")
    parser.add_argument("--run", required=True, help="folder for checkpoint and log")
    parser.add_argument("--minutes", type=float, default=30, help="training time of this session (default %(default)s)")
    parser.add_argument("--start", type=Path, help="model folder whose encoder initializes the image tower")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--export", help="folder for clip.safetensors and clip.json at the end")
    parser.add_argument("--size-px", type=int, default=128, help="image size in pixels (default %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="images per step (default %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    data = Data.read(args.data, args.labels, args.size_px)
    deep_width = read_encoder(args.start / ENCODER_FILE).config.get("deep_width", 0) if args.start else 0
    trainer = Trainer(Path(args.run), data, size_px=args.size_px, lr=args.lr, batch=args.batch, deep_width=deep_width)
    if args.start:
        trainer.start_from(args.start)
    if args.resume and (trainer.run / STATE_FILE).exists():
        trainer.load()
    check = None
    if args.check_data and args.check_labels:
        pictures = read_pictures(args.check_data, args.size_px)
        check = (pictures, match_labels(pictures, read_labels(args.check_labels)))
    start, saved, before = time.monotonic(), time.monotonic(), trainer.seconds
    while (spent := time.monotonic() - start) < args.minutes * 60:
        figures = trainer.train_step(spent / (args.minutes * 60))
        trainer.seconds = before + time.monotonic() - start
        if trainer.step % 25 == 0:
            _log(trainer, figures)
        if time.monotonic() - saved > 240:
            trainer.save()
            saved = time.monotonic()
            if check:
                _log(trainer, {"auc": evaluate(trainer.clip(), *check)})
    trainer.save()
    if check:
        _log(trainer, {"auc": evaluate(trainer.clip(), *check)})
    if args.export:
        trainer.export(Path(args.export))


def _log(trainer: Trainer, figures: dict[str, Any]) -> None:
    line = {"step": trainer.step, "images": trainer.images, "seconds": round(trainer.seconds, 1)}
    line |= {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    with (trainer.run / LOG_FILE).open("a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
