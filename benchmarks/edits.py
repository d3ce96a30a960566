"""What does each slider change, and what else? Judged by readers that took no part in making it.

The reader of an attribute is a logistic regression of the labels on features of the model's discriminator, of
reconstructed portraits, with sex and age in equal shares on both sides; its own accuracy on held-out portraits stands
beside what it
says. What can be measured plainly is measured: the colour of hair, skin and background, side light, pose. All changes
are counted in standard deviations of portraits::

    python benchmarks/edits.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl

writes ``benchmarks/results/edits.json`` and the tables of ``docs/edits.md``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from environment import environment
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tables import put
from torch import Tensor

import latent_editor as le
from latent_editor.directions.entanglement import Identity
from latent_editor.directions.image_measures import image_measures, part_color_measures
from latent_editor.directions.measurement import acting
from latent_editor.generators import random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.encoder import load_encoder
from latent_editor.networks.perceptual import load_discriminator
from latent_editor.train.boundaries import RULES, Rule, alike
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "edits.json", ROOT / "docs" / "edits.md"
STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
#: A smaller step back, in standard deviations, still counts as monotone: noise of reading.
TOLERANCE = 0.1
COMPONENTS, READER_PENALTY = 200, 1e-2


#: What is no leak of what: families, by reader or measure. What says part of the same shares one.
FAMILIES: dict[str, tuple[str, ...]] = {
    "age": ("age",),
    "sex": ("feminine", "beard", "make-up", "moustache", "stubble"),
    "hair length": ("long hair", "bald"),
    "hair colour": (
        "blond hair", "red hair", "black hair", "brown hair", "grey hair", "blue hair", "white hair",
        "hair light", "hair warmth", "hair blueness",
    ),
    "skin": ("dark skin", "pale skin", "brightness", "warm colours", "skin light"),
    "expression": ("smile", "angry", "sad"),
    "ears": ("elf ears",),
    "background": (
        "blue background", "green background", "red background", "dark background", "bright background",
        "warm background", "background light", "background blueness",
    ),
    "colourfulness": ("monochrome", "vivid colours"),
    "headwear": ("crown",),
    "turn": ("turn to the right",),
    "roll": ("head roll",),
    "length": ("long face",),
    "side light": ("light from the left",),
    "contrast": ("contrast",),
    "detail": ("fine detail",),
}  # fmt: skip
FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
#: What an attribute means by its nature, so that it is no leak of it: a picture without colours has pale skin.
IMPLIED = {"monochrome": ("skin", "hair colour", "background"), "bald": ("hair colour",), "brightness": ("contrast",)}
#: Sliders under another name than their reader, and which way it goes.
READ_BY = {"brown background": ("warm background", 1)}
#: Prompts, what reads them, and which way.
PROMPTS: dict[str, tuple[str, int]] = {
    "a beard": ("beard", 1), "a moustache": ("moustache", 1), "stubble": ("stubble", 1), "bald": ("bald", 1),
    "short hair": ("long hair", -1), "long hair": ("long hair", 1), "black hair": ("black hair", 1),
    "brown hair": ("brown hair", 1), "blond hair": ("blond hair", 1), "red hair": ("red hair", 1),
    "grey hair": ("grey hair", 1), "white hair": ("white hair", 1), "blue hair": ("blue hair", 1),
    "an old person": ("age", 1), "a young person": ("age", -1), "a man": ("feminine", -1), "a woman": ("feminine", 1),
    "dark skin": ("dark skin", 1), "pale skin": ("pale skin", 1), "angry": ("angry", 1), "sad": ("sad", 1),
    "a smile": ("smile", 1), "elf ears": ("elf ears", 1), "a crown": ("crown", 1), "make-up": ("make-up", 1),
    "a blue background": ("blue background", 1), "monochrome": ("monochrome", 1),
}  # fmt: skip


#: No line tells brown hair from black and from blond: it lies between them, and the odds of a regression with an
#: answer for each colour tell it.
BETWEEN, BETWEEN_OF, BETWEEN_VALUES = "brown hair", "hair_colour", ("brown", "black", "blond", "red")


class Readers:
    """Reads attributes off pictures in standard deviations of portraits.

    Attributes:
        names: Of the columns that :meth:`read` gives: attributes, then measures.
        accuracy_: By attribute, on held-out portraits: (balanced accuracy, area under the curve).
    """

    def __init__(self, g: le.Generator) -> None:
        discriminator = load_discriminator(g)
        assert discriminator is not None, "this benchmark reads attributes in the discriminator's features"
        self.g, self.discriminator = g, discriminator
        self.plain = {m.name: m.read for m in (*image_measures(g), *part_color_measures(g))}
        self.names = [*RULES, *(name for name in self.plain if name not in RULES)]
        self.accuracy_: dict[str, tuple[float, float]] = {}

    def fit(self, pictures: Tensor, rows: list[dict[str, Any]], held: Tensor, held_rows: list[dict[str, Any]]) -> None:
        """pictures, held: [N, C, S, S] as the generator makes them; rows: their labels."""
        x = self._features(pictures)
        self._mean, self._std = x.mean(0), x.std(0) + 1e-6
        self._pca = PCA(min(COMPONENTS, len(x) // 3), svd_solver="randomized", random_state=0)
        scores = self._pca.fit_transform((x - self._mean) / self._std)
        self._scale = scores.std(0).mean()
        scores, seen = scores / self._scale, self._components(held)
        columns = []
        for name, (has, lacks, keys) in RULES.items():
            chosen, y, w = _sides(rows, has, lacks, keys)
            fitted = LogisticRegression(C=READER_PENALTY, max_iter=300).fit(scores[chosen], y, sample_weight=w)
            columns.append(fitted.coef_[0])
            at, truth, _ = _sides(held_rows, has, lacks, ())
            if 0 < truth.sum() < len(truth):
                told = fitted.decision_function(seen[at])
                self.accuracy_[name] = _accuracy(truth, told)
            if name == BETWEEN:
                self._fit_between(scores, rows)
                self.accuracy_[name] = _accuracy(truth, self._between(seen[at]))
        self._columns = np.stack(columns, axis=1)
        self._spread = np.ones(len(self.names))
        self._spread = self.read(held).std(0)

    def read(self, pictures: Tensor) -> np.ndarray:
        """[N, C, S, S], −1..1 → float64 [N, len(names)], in standard deviations of portraits."""
        components = self._components(pictures)
        told = components @ self._columns
        told[:, list(RULES).index(BETWEEN)] = self._between(components)
        with torch.inference_mode():
            wanted = [self.plain[n] for n in self.names[len(RULES) :]]
            # All of one batch before the next: those that look for landmarks share what was found.
            measured = torch.cat([torch.stack([m(p) for m in wanted], dim=1) for p in pictures.split(16)])
        return np.concatenate([told, measured.numpy()], axis=1) / self._spread

    def _fit_between(self, scores: np.ndarray, rows: list[dict[str, Any]]) -> None:
        """A regression with an answer for each of several, for the one that lies between the others."""
        told = [row["attributes"][BETWEEN_OF] for row in rows]
        chosen = [i for i, value in enumerate(told) if value in BETWEEN_VALUES]
        model = LogisticRegression(C=READER_PENALTY, max_iter=300, class_weight="balanced")
        self._several = model.fit(scores[chosen], [told[i] for i in chosen])

    def _between(self, components: np.ndarray) -> np.ndarray:
        """Log odds of the one between, [N]."""
        share = self._several.predict_proba(components)[:, list(self._several.classes_).index(BETWEEN_VALUES[0])]
        share = share.clip(1e-6, 1 - 1e-6)
        odds: np.ndarray = np.log(share / (1 - share))
        return odds

    def _components(self, pictures: Tensor) -> np.ndarray:
        return self._pca.transform((self._features(pictures) - self._mean) / self._std) / self._scale

    @torch.no_grad()
    def _features(self, pictures: Tensor) -> np.ndarray:
        """The discriminator's maps, pooled, and colours on a grid of eight by eight: float32 [N, F]."""
        parts = []
        for x in pictures.split(32):
            maps = self.discriminator.maps(x, fastest_dtype(self.g.device))
            pooled = [F.adaptive_avg_pool2d(m.float(), 4 if m.shape[-1] <= 16 else 2).flatten(1) for m in maps]
            parts.append(torch.cat([*pooled, F.adaptive_avg_pool2d(x, 8).flatten(1)], dim=1))
        return torch.cat(parts).numpy()


def _accuracy(truth: np.ndarray, told: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy, and the area under the curve."""
    return round(float(balanced_accuracy_score(truth, told > 0)), 3), round(float(roc_auc_score(truth, told)), 3)


def _sides(
    rows: Sequence[dict[str, Any]], has: Rule, lacks: Rule, keys: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rows have or lack something, whether they have it, and weights that make ``keys`` alike on both sides."""
    labels = [row["attributes"] for row in rows]
    chosen = [i for i, a in enumerate(labels) if has(a) or lacks(a)]
    y = np.array([has(labels[i]) for i in chosen], dtype=bool)
    w = alike([labels[i] for i in chosen], y.tolist(), keys).numpy().astype(float)
    keep = w > 0
    chosen, y, w = np.array(chosen)[keep], y[keep], w[keep]
    w /= np.where(y, w[y].sum(), w[~y].sum()) / len(y) * 2
    return chosen, y, w


@torch.no_grad()
def render(g: le.Generator, ws: Tensor) -> Tensor:
    return torch.cat([g.synthesize(w, dtype=fastest_dtype(g.device)).clamp(-1, 1).float() for w in ws.split(16)])


@torch.no_grad()
def encode(g: le.Generator, pictures: Tensor) -> Tensor:
    encoder = load_encoder(g)
    return torch.cat([encoder(p.float() / 127.5 - 1, fastest_dtype(g.device)) for p in pictures.split(32)])


def moved(g: le.Generator, ws: Tensor, d: le.Direction, strength: float) -> Tensor:
    """ws [N, num_ws, w_dim] with one edit."""
    return torch.stack([le.edited(g.latent(w, method="measured"), [le.Edit(d, strength)]).ws for w in ws])


def measure_slider(
    readers: Readers, ws: Tensor, seen: np.ndarray, identity: Identity, d: le.Direction
) -> dict[str, Any]:
    """What one slider does to the faces ``ws``, whose readings are ``seen``."""
    g = readers.g
    at = {s: readers.read(render(g, moved(g, ws, d, s))) for s in STRENGTHS}
    own, sign = READ_BY.get(d.name, (d.name, 1))
    back = moved(g, moved(g, ws, d, 2.0), d, -2.0)
    row: dict[str, Any] = {
        "source": d.source,
        "low": d.low,
        "high": d.high,
        "identity_kept": round(1 - float(identity.distance(2 * acting(d)) or 0), 2),
        "reversed_to": float((back - ws).abs().max()),
    }
    if own not in readers.names:
        return row
    track = sign * np.stack([at[-2.0], at[-1.0], seen, at[1.0], at[2.0]])[:, :, readers.names.index(own)]  # [5, N]
    monotone = (np.diff(track, axis=0) > -TOLERANCE).all(axis=0).mean()
    return {**row, **against_leaks(readers, at[2.0] - at[-2.0], own, sign), "monotone": round(float(monotone), 3)}


def against_leaks(readers: Readers, changes: np.ndarray, own: str, sign: int) -> dict[str, Any]:
    """What was meant, and how it went, beside what else changed; changes: [N, T], of faces and readings."""
    mean, column = changes.mean(axis=0), readers.names.index(own)
    passed = {FAMILY.get(own, own), *IMPLIED.get(own, ())}
    leaks = {n: float(m) for n, m in zip(readers.names, mean, strict=True) if FAMILY.get(n, n) not in passed}
    ranked = sorted(leaks, key=lambda n: -abs(leaks[n]))
    worst, effect = leaks[ranked[0]], sign * float(mean[column])
    return {
        "read_by": own,
        "own": round(effect, 2),
        "largest_leak": [ranked[0], round(worst, 2)],
        "ratio": round(effect / max(abs(worst), 1e-6), 2),
        "right_way": round(float((sign * changes[:, column] > 0).mean()), 3),
        "leaks": {n: round(leaks[n], 2) for n in ranked[:6]},
    }


def measure_prompt(readers: Readers, ws: Tensor, seen: np.ndarray, prompt: str, method: str = "fast") -> dict[str, Any]:
    """What a prompt's sliders at +2 do to the faces ``ws``, one made for each of them as the page does."""
    g, began = readers.g, time.perf_counter()
    latents = [g.latent(w, method="measured") for w in ws]
    each = [le.text_direction(g, prompt, latent=latent, method=method) for latent in latents]
    seconds = (time.perf_counter() - began) / len(ws)
    after = torch.stack([le.edited(x, [le.Edit(d, 2.0)]).ws for x, d in zip(latents, each, strict=True)])
    told = against_leaks(readers, readers.read(render(g, after)) - seen, *PROMPTS[prompt])
    return {**told, "score": each[-1].score, "seconds": round(seconds, 2)}


def tables(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    faces = found["faces"]
    lines = [
        f"{faces['random']} random and {faces['inverted']} inverted faces, −2 to +2, in standard deviations of "
        f"portraits; model {found['model']['fingerprint']}.",
        "",
        "| slider | source | range | own effect | largest leak | ratio | monotone | identity kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, d in found["sliders"].items():
        cells = "nobody reads it | | | "
        if "own" in d:
            leak, value = d["largest_leak"]
            cells = f"{d['own']:.1f} | {leak} {value:+.1f} | {d['ratio']:.1f} | {d['monotone']:.0%}"
        reach = f"{d['low']:+g} … {d['high']:+g}"
        lines.append(f"| {name} | {d['source']} | {reach} | {cells} | {d['identity_kept']:.2f} |")
    lines += ["", "| prompt at +2 | own effect | faces that move the right way |", "|---|---|---|"]
    lines += [f"| {name} | {p['own']:.1f} | {p['right_way']:.0%} |" for name, p in found["prompts"].items()]
    lines += ["", "| classifier | accuracy on held-out portraits | area under the curve |", "|---|---|---|"]
    lines += [f"| {name} | {right:.0%} | {auc:.3f} |" for name, (right, auc) in found["readers"].items()]
    s = found["summary"]
    lines += [
        "",
        f"Ratio of 3 or more: {s['clean_sliders']} of {s['read_sliders']} sliders. Monotone on 95 % of faces: "
        f"{s['monotone_sliders']}. Prompts that move 80 % of faces the right way: {s['right_prompts']} of "
        f"{len(found['prompts'])}. +2 and then −2 gives the same latent within {s['reversed_to']:.0e}.",
    ]
    return "\n".join(lines)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    read = [d for d in found["sliders"].values() if "own" in d]
    return {
        "read_sliders": len(read),
        "clean_sliders": sum(d["ratio"] >= 3 for d in read),
        "monotone_sliders": sum(d["monotone"] >= 0.95 for d in read),
        "right_prompts": sum(p["right_way"] >= 0.8 for p in found["prompts"].values()),
        "reversed_to": max(d["reversed_to"] for d in found["sliders"].values()),
    }


def arguments(description: str, *, random: int, inverted: int) -> argparse.ArgumentParser:
    """What every benchmark with these readers takes: labelled portraits, and how many faces to edit."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", default="portraits")
    parser.add_argument("--random", type=int, default=random, help="random faces (default %(default)s)")
    parser.add_argument("--inverted", type=int, default=inverted, help="held-out portraits (default %(default)s)")
    parser.add_argument("--portraits", type=int, help="learn the readers from the first so many")
    return parser


def judged(args: argparse.Namespace) -> tuple[Readers, Tensor, dict[str, Any]]:
    """The readers, the faces to edit [N, num_ws, w_dim], and the head of the results."""
    g = le.load_generator(args.model)
    train, held = (read_pictures(p, g.size_px, limit=n) for p, n in ((args.train, args.portraits), (args.data, None)))
    readers, latents = Readers(g), encode(g, held.images)
    readers.fit(
        render(g, encode(g, train.images)), match_labels(train, read_labels(args.train_labels)),
        render(g, latents), match_labels(held, read_labels(args.labels)),
    )  # fmt: skip
    ws = torch.cat([random_ws(g, list(range(2000, 2000 + args.random))), latents[:: len(latents) // args.inverted]])
    head = {
        "setting": environment(),
        "model": {"name": g.name, "fingerprint": g.fingerprint, "size_px": g.size_px},
        "faces": {"random": args.random, "inverted": args.inverted},
        "readers": readers.accuracy_,
    }
    return readers, ws[: args.random + args.inverted], head


def main() -> None:
    began = time.monotonic()
    readers, ws, head = judged(arguments(__doc__ or "", random=64, inverted=16).parse_args())
    g = readers.g
    print(f"readers after {time.monotonic() - began:.0f} s: {readers.accuracy_}", flush=True)
    seen, identity = readers.read(render(g, ws)), Identity(g, ws[:16])
    found: dict[str, Any] = {**head, "sliders": {}, "prompts": {}}
    for prompt in PROMPTS:
        found["prompts"][prompt] = measure_prompt(readers, ws, seen, prompt)
        print(f"{time.monotonic() - began:.0f} s, {prompt}: {found['prompts'][prompt]}", flush=True)
    for d in le.named_directions(g):
        found["sliders"][d.name] = measure_slider(readers, ws, seen, identity, d)
        print(f"{time.monotonic() - began:.0f} s, {d.name}: {found['sliders'][d.name]}", flush=True)
    found["summary"] = summary(found)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    put(PAGE, "edits", tables(found))
    print(tables(found))


if __name__ == "__main__":
    main()
