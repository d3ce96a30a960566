"""Fits attribute boundaries in a model's latent space to labeled portraits, for its sliders (Shen et al. 2020).

``python -m latent_editor.train boundaries --data T.tar … --labels T.jsonl …`` writes boundaries.safetensors into the
model's folder. Repeat whenever the generator or the encoder changes, before ``latent-editor directions --rebuild``;
this takes about two minutes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.networks.boundaries import (
    BOUNDARIES_FILE,
    Boundary,
    boundaries_fingerprint,
    fit_boundary,
    latent_whitening,
    write_boundaries,
)
from latent_editor.networks.clip import load_clip
from latent_editor.networks.encoder import load_encoder
from latent_editor.train.model_folders import load_with_folder
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

Rule = Callable[[dict[str, Any]], bool]


def _is(attribute: str, *values: object) -> Rule:
    return lambda a: a.get(attribute) in values


def _both(*rules: Rule) -> Rule:
    return lambda a: all(rule(a) for rule in rules)


_MAN, _WOMAN = _is("sex", "man"), _is("sex", "woman")
#: Attribute that holds the number of an image's dataset. Balanced over it, a boundary separates an attribute, and not
#: photographs from paintings.
DATASET = "dataset"
_ALIKE = ("sex", "age", DATASET)
_COLORS = ("black", "brown", "blond", "red")
#: Slider name → (positive class, negative class, attributes to balance between the two).
RULES: dict[str, tuple[Rule, Rule, tuple[str, ...]]] = {
    "smile": (_is("expression", "smile", "open smile"), _is("expression", "neutral", "angry", "sad"), _ALIKE),
    "angry": (_is("expression", "angry"), _is("expression", "neutral", "smile"), _ALIKE),
    "age": (_is("age", "old"), _is("age", "young"), ("sex", DATASET)),
    "feminine": (_WOMAN, _MAN, ("age", DATASET)),
    "beard": (
        _both(_MAN, _is("facial_hair", "beard", "goatee")),
        _both(_MAN, _is("facial_hair", "none")),
        ("age", DATASET),
    ),
    "make-up": (_both(_WOMAN, _is("makeup", True)), _both(_WOMAN, _is("makeup", False)), ("age", DATASET)),
    "long hair": (_is("hair_length", "long"), _is("hair_length", "short"), _ALIKE),
    "bald": (_is("hair_length", "bald"), _is("hair_length", "short"), _ALIKE),
    "blond hair": (_is("hair_colour", "blond"), _is("hair_colour", "black", "brown"), _ALIKE),
    "red hair": (_is("hair_colour", "red"), _is("hair_colour", "black", "brown", "blond"), _ALIKE),
    "black hair": (_is("hair_colour", "black"), _is("hair_colour", "brown", "blond", "red"), _ALIKE),
    "brown hair": (_is("hair_colour", "brown"), _is("hair_colour", "black", "blond", "red"), _ALIKE),
    # Gray and blue are close in latent space, so each is a negative of the other.
    "grey hair": (_is("hair_colour", "grey", "white"), _is("hair_colour", *_COLORS, "blue"), _ALIKE),
    "blue hair": (_is("hair_colour", "blue"), _is("hair_colour", *_COLORS, "grey", "white"), _ALIKE),
    "dark skin": (_is("skin", "brown", "dark"), _is("skin", "light", "tan"), _ALIKE),
    "pale skin": (_is("skin", "pale"), _is("skin", "tan", "light"), _ALIKE),
    "elf ears": (_is("pointed_ears", True), _is("pointed_ears", False), _ALIKE),
    "blue background": (_is("background", "blue"), _is("background", "grey", "black", "brown"), _ALIKE),
    "green background": (_is("background", "green"), _is("background", "grey", "black", "brown"), _ALIKE),
    "red background": (_is("background", "red"), _is("background", "grey", "black", "blue"), _ALIKE),
    "dark background": (_is("background", "black"), _is("background", "grey", "white", "blue"), _ALIKE),
    "monochrome": (_is("style", "monochrome"), _is("style", "painted", "photographic"), _ALIKE),
    "turn to the right": (_is("pose", "turned right"), _is("pose", "turned left"), (DATASET,)),
    "moustache": (_is("facial_hair", "moustache"), _is("facial_hair", "none"), _ALIKE),
    "stubble": (_is("facial_hair", "stubble"), _is("facial_hair", "none"), _ALIKE),
    "white hair": (_is("hair_colour", "white"), _is("hair_colour", "black", "brown", "blond"), _ALIKE),
    "sad": (_is("expression", "sad"), _is("expression", "neutral", "smile"), _ALIKE),
    "crown": (_is("headwear", "crown"), _is("headwear", "none"), _ALIKE),
    "glasses": (_is("glasses", True), _is("glasses", False), _ALIKE),
    # Nearly all images of one dataset are photographs, so this one is balanced over both.
    "photographic": (_is("style", "photographic"), _is("style", "painted"), ("sex", "age")),
}


def alike(attributes: Sequence[dict[str, Any]], more: Sequence[bool], keys: Sequence[str]) -> Tensor:
    """Sample weights [N] that give both classes the same distribution over combinations of ``keys``.

    A combination missing from one class gets weight 0, since there is nothing to compare it with.
    """
    cells = [tuple(a.get(k) for k in keys) for a in attributes]
    sides = Counter(zip(cells, more, strict=True))
    shared = {cell: min(sides[cell, True], sides[cell, False]) for cell in set(cells)}
    return torch.tensor([shared[c] / sides[c, m] for c, m in zip(cells, more, strict=True)])


#: The largest factor that makes up for the small size of a dataset.
MAX_DATASET_FACTOR = 4.0


def evened(weights: Tensor, datasets: Sequence[int]) -> Tensor:
    """Weights [N] with the same total in each dataset, except that none is multiplied by more than
    :data:`MAX_DATASET_FACTOR`."""
    of = torch.tensor(datasets)
    totals = torch.zeros(int(of.max()) + 1).index_add(0, of, weights)
    return weights * (totals.max() / totals.clamp_min(1e-6)).clamp_max(MAX_DATASET_FACTOR)[of]


#: Principal components over all layers used by the encoder probes, and the inverse regularization of the regressions.
COMPONENTS, REGRESSION_C = 600, 1e-3


def fit_boundaries(
    g: Generator, ws: Tensor, clip_vectors: Tensor, attributes: Sequence[dict[str, Any]], *, limit: int | None = None
) -> list[Boundary]:
    """Fits the boundaries of :data:`RULES`, each with linear probes on CLIP vectors and on encoder latents.

    Args:
        g: The generator.
        ws: The portraits' latents, [N, num_ws, w_dim].
        clip_vectors: CLIP vectors of the portraits and of their reconstructions, [N, 2, D].
        attributes: Their labels.
        limit: Fit the boundaries on the first ``limit`` portraits only, because this step dominates the run time;
            the probes always use all.
    """
    vectors = (clip_vectors - clip_vectors.mean(dim=(0, 1))) / clip_vectors.std(dim=0).mean()
    white, (components, basis) = latent_whitening(g).whitened(ws), _components(g, ws)
    found = []
    for name, (has, lacks, keys) in RULES.items():
        rows, side, counts = _sides(attributes, has, lacks, keys)
        early = rows < (limit or len(attributes))
        more, less = early & side, early & ~side
        weights = torch.cat([counts[more], counts[less]])
        boundary = fit_boundary(white[rows[more]], white[rows[less]], name=name, weights=weights)
        clip_probe = fit_probe(vectors[rows].flatten(0, 1), side.repeat_interleave(2), counts.repeat_interleave(2))
        encoder_probe = (basis @ fit_probe(components[rows], side, counts)).view(ws.shape[1:])
        probes = {"clip_probe": F.normalize(clip_probe, dim=0), "encoder_probe": encoder_probe / encoder_probe.norm()}
        found.append(replace(boundary, **probes))
        print(f"{name}: {boundary.count} portraits, held-out accuracy {boundary.accuracy:.1%}", flush=True)
    return found


def fit_probe(x: Tensor, side: Tensor, counts: Tensor) -> Tensor:
    """Weights [D] of a logistic regression in which both classes have the same total weight.

    Args:
        x: [N, D], scaled to about unit variance.
        side: True for the positive class, bool [N].
        counts: Sample weights, [N].
    """
    halves = torch.where(side, counts[side].sum(), counts[~side].sum())
    regression = LogisticRegression(C=REGRESSION_C, max_iter=300)
    regression.fit(x.numpy(), side.numpy(), sample_weight=(counts / halves * len(x) / 2).numpy())
    return torch.from_numpy(regression.coef_[0]).float()


def _sides(
    attributes: Sequence[dict[str, Any]], has: Rule, lacks: Rule, keys: Sequence[str]
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the portraits in either class, their class (bool), and their sample weights."""
    chosen = [i for i, a in enumerate(attributes) if has(a) or lacks(a)]
    sides = [has(attributes[i]) for i in chosen]
    weights = alike([attributes[i] for i in chosen], sides, keys)
    if DATASET in keys:
        weights = evened(weights, [attributes[i].get(DATASET, 0) for i in chosen])
    kept = weights > 0
    return torch.tensor(chosen)[kept], torch.tensor(sides)[kept], weights[kept]


def _components(g: Generator, ws: Tensor) -> tuple[Tensor, Tensor]:
    """Principal components of whitened W+ codes [N, K], and the matrix that maps ws to them [num_ws · w_dim, K]."""
    whitening = latent_whitening(g)
    x = ((ws - whitening.mean) @ whitening.whiten).flatten(1)
    basis = torch.pca_lowrank(x - x.mean(dim=0), q=min(COMPONENTS, *x.shape))[2]
    components = (x - x.mean(dim=0)) @ basis
    scale = components.std(dim=0).mean()
    whitened = basis.view(*ws.shape[1:], -1)  # the same basis in ws: whiten is symmetric
    return components / scale, torch.einsum("ij,ljk->lik", whitening.whiten, whitened).flatten(0, 1) / scale


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", nargs="+", required=True, help="folders or tars of aligned portraits")
    parser.add_argument("--labels", nargs="+", required=True, help="a JSON Lines file for each")
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--limit", type=int, help="fit boundaries on the first N portraits, probes on all")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


@torch.no_grad()
def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    g, folder = load_with_folder(args.model)
    clip, encoder, dtype = load_clip(g), load_encoder(g), fastest_dtype(g.device)
    datasets = [read_pictures(path, clip.size_px) for path in args.data]
    labels = [match_labels(d, read_labels(path)) for d, path in zip(datasets, args.labels, strict=True)]
    attributes = [{**row["attributes"], DATASET: i} for i, rows in enumerate(labels) for row in rows]
    preview = small(g, clip.size_px)
    latents, clip_vectors = [], []
    for batch in torch.cat([d.images for d in datasets]).split(32):
        image = batch.to(g.device).float() / 127.5 - 1
        ws = encoder(image, dtype)
        latents.append(ws.float().cpu())
        both = image, preview.synthesize(ws, dtype=dtype).clamp(-1, 1)
        clip_vectors.append(torch.stack([clip.encode_image(x, dtype=dtype).cpu() for x in both], dim=1))
    vectors = torch.cat(clip_vectors).float()
    boundaries = fit_boundaries(g, torch.cat(latents), vectors, attributes, limit=args.limit)
    path = folder / BOUNDARIES_FILE
    write_boundaries(boundaries, path, fingerprint=boundaries_fingerprint(g, with_clip=True))
    print(f"wrote {path}")
