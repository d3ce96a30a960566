"""Do text directions change what they say? Judged by readers that are not the CLIP.

For each prompt, portraits that lack what it asks for are edited at +2 and read before and after. The reader of an
attribute is a logistic regression of the labels on features of the model's critic and on a coarse grid of colours, of
real portraits and their reconstructions; neither the CLIP nor the encoder takes part. Its own AUC on held-out portraits
is reported beside what it says.

``python benchmarks/text_directions.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl``
"""

from __future__ import annotations

import as_the_app  # noqa: F401

# isort: split

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from latent_editor.features.encoder import load_encoder
from latent_editor.features.perceptual import Critic, load_critic
from latent_editor.generators import Generator, load_generator
from latent_editor.text import text_direction
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

Rule = Callable[[dict[str, Any]], bool]
#: Prompt → (attribute that should grow, its rule, which portraits to edit).
PROMPTS: dict[str, tuple[Rule, Rule]] = {
    "a beard": (lambda a: a["facial_hair"] in ("beard", "goatee"), lambda a: a["facial_hair"] == "none"),
    "red hair": (lambda a: a["hair_colour"] == "red", lambda a: a["hair_colour"] in ("black", "brown", "blond")),
    "an old person": (lambda a: a["age"] == "old", lambda a: a["age"] != "old"),
    "long hair": (lambda a: a["hair_length"] == "long", lambda a: a["hair_length"] in ("short", "medium")),
    "bald": (lambda a: a["hair_length"] == "bald", lambda a: a["hair_length"] in ("short", "medium")),
    "blond hair": (lambda a: a["hair_colour"] == "blond", lambda a: a["hair_colour"] in ("black", "brown", "red")),
    "a smile": (lambda a: "smile" in a["expression"], lambda a: a["expression"] == "neutral"),
    "an angry face": (lambda a: a["expression"] == "angry", lambda a: a["expression"] == "neutral"),
    "dark skin": (lambda a: a["skin"] in ("brown", "dark"), lambda a: a["skin"] in ("light", "pale", "tan")),
    "pale skin": (lambda a: a["skin"] == "pale", lambda a: a["skin"] in ("tan", "brown", "light")),
    "a blue background": (lambda a: a["background"] == "blue", lambda a: a["background"] in ("grey", "black", "brown")),
    "make-up": (lambda a: bool(a["makeup"]), lambda a: not a["makeup"]),
    "a man": (lambda a: a["sex"] == "man", lambda a: a["sex"] == "woman"),
    "a woman": (lambda a: a["sex"] == "woman", lambda a: a["sex"] == "man"),
    "a young person": (lambda a: a["age"] == "young", lambda a: a["age"] != "young"),
}
#: A smaller change of the reader's logit, in its standard deviations over portraits, does not count as a move.
MARGIN = 0.25


@torch.no_grad()
def features(critic: Critic, images: Tensor) -> np.ndarray:
    """[N, 3, S, S] −1..1 → float32 [N, F]: the critic's maps, pooled, and colours on a grid of eight by eight."""
    parts = []
    for x in images.split(64):
        maps = critic.trunk.maps(x, torch.bfloat16)
        pooled = [F.adaptive_avg_pool2d(m.float(), 4 if m.shape[-1] <= 16 else 2).flatten(1) for m in maps]
        parts.append(torch.cat([*pooled, F.adaptive_avg_pool2d(x, 8).flatten(1)], dim=1))
    return torch.cat(parts).numpy()


class Reader:
    """Reads attributes from pictures by logistic regressions."""

    def __init__(self, critic: Critic) -> None:
        self.critic = critic

    def fit(self, images: Tensor, rows: list[dict[str, Any]]) -> Reader:
        x = features(self.critic, images)
        self.mean_, self.std_ = x.mean(axis=0), x.std(axis=0) + 1e-6
        x = (x - self.mean_) / self.std_
        self.readings_, self.spread_ = {}, {}
        for prompt, (rule, _) in PROMPTS.items():
            y = np.array([rule(r["attributes"]) for r in rows])
            self.readings_[prompt] = LogisticRegression(C=1e-3, max_iter=200, class_weight="balanced").fit(x, y)
            self.spread_[prompt] = float(self.readings_[prompt].decision_function(x).std())
        return self

    def read(self, prompt: str, images: Tensor) -> np.ndarray:
        """Logits [N]."""
        x = (features(self.critic, images) - self.mean_) / self.std_
        return self.readings_[prompt].decision_function(x)


def as_images(pictures: Tensor) -> Tensor:
    return pictures.float() / 127.5 - 1


@torch.no_grad()
def encode(g: Generator, images: Tensor) -> Tensor:
    return torch.cat([load_encoder(g)(x, torch.bfloat16) for x in images.split(64)])


@torch.no_grad()
def render(g: Generator, ws: Tensor) -> Tensor:
    return torch.cat([g.synthesize(w, dtype=torch.bfloat16).clamp(-1, 1) for w in ws.split(32)])


def measure(g: Generator, reader: Reader, ws: Tensor, prompt: str, method: str) -> tuple[dict[str, Any], Tensor]:
    """Edits faces [N, num_ws, w_dim] at +2; the figures, and the pictures before, after and at −2."""
    seconds, vectors = [], []
    for w in ws:
        start = time.perf_counter()
        latent = g.latent(w, method="encoder")
        direction = text_direction(g, prompt, latent=latent, method=method)
        seconds.append(time.perf_counter() - start)
        vectors.append(direction.vector)
    v = torch.stack(vectors)
    before, after, less = render(g, ws), render(g, ws + 2 * v), render(g, ws - 2 * v)
    logits = [reader.read(prompt, x) for x in (before, after, less)]
    moved = (logits[1] - logits[0]) / reader.spread_[prompt]
    figures = {
        "moved_the_right_way": int((moved > MARGIN).sum()),
        "of": len(ws),
        "read_as_there_after": int((logits[1] > 0).sum()),
        "mean_change_in_sd": round(float(moved.mean()), 2),
        "mean_change_at_minus_2_in_sd": round(float((logits[2] - logits[0]).mean() / reader.spread_[prompt]), 2),
        "score": direction.score,
        "seconds_median": round(float(np.median(seconds)), 3),
    }
    return figures, torch.stack([before, after, less])


def sheet(rows: list[tuple[str, Tensor]], path: Path) -> None:
    """Before, +2 and −2 of each prompt, one prompt in three rows."""
    size, label = rows[0][1].shape[-1], 120
    width, height = label + size * rows[0][1].shape[1], size * 3 * len(rows)
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    for i, (prompt, images) in enumerate(rows):
        draw.text((4, size * 3 * i + 4), prompt, fill="black")
        for j, strength in enumerate(("0", "+2", "-2")):
            draw.text((90, size * (3 * i + j) + size // 2), strength, fill="black")
            for k, image in enumerate(images[j]):
                array = ((image + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
                page.paste(Image.fromarray(array), (label + size * k, size * (3 * i + j)))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", default="portraits")
    parser.add_argument("--method", default="fast", choices=("fast", "optimize"))
    parser.add_argument("--faces", type=int, default=10)
    parser.add_argument("--prompts", nargs="*", default=list(PROMPTS))
    parser.add_argument("--out", default="benchmarks/results/text_directions.json")
    parser.add_argument("--sheet", default="runs/text_directions.png")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    g = load_generator(args.model)
    critic = load_critic(g)
    assert critic is not None, "this benchmark reads attributes in the critic's features"
    train, held = read_pictures(args.train, g.size_px), read_pictures(args.data, g.size_px)
    train_rows = match_labels(train, read_labels(args.train_labels))
    rows = match_labels(held, read_labels(args.labels))
    images = as_images(train.images)
    reader = Reader(critic).fit(torch.cat([images, render(g, encode(g, images))]), train_rows * 2)
    faces = encode(g, as_images(held.images))
    seen = render(g, faces)
    results, pages = {}, []
    for prompt in args.prompts:
        rule, lacks = PROMPTS[prompt]
        truth = [rule(r["attributes"]) for r in rows]
        chosen = [i for i, r in enumerate(rows) if lacks(r["attributes"]) and not truth[i]][: args.faces]
        figures, views = measure(g, reader, faces[chosen], prompt, args.method)
        figures["reader_auc_on_reconstructions"] = round(float(roc_auc_score(truth, reader.read(prompt, seen))), 3)
        results[prompt] = figures
        pages.append((prompt, views))
        print(prompt, figures, flush=True)
    about = {"model": g.name, "fingerprint": g.fingerprint, "method": args.method, "strength": 2}
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps({**about, "prompts": results}, indent=1) + "\n")
    sheet(pages, Path(args.sheet))


if __name__ == "__main__":
    main()
