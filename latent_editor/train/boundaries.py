"""Learns what tells labelled portraits apart in a model's latents, for its sliders (Shen et al. 2020).

``python -m latent_editor.train boundaries --data T.tar --labels T.jsonl`` writes boundaries.safetensors into the
model's folder. To be repeated whenever the generator or the encoder changes, before ``latent-editor directions
--rebuild``; it takes about two minutes.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latent_editor.errors import MissingPart
from latent_editor.features.boundaries import (
    BOUNDARIES_FILE,
    Boundary,
    boundaries_fingerprint,
    fit_boundary,
    latent_spread,
    write_boundaries,
)
from latent_editor.features.clip import load_clip
from latent_editor.features.encoder import load_encoder
from latent_editor.generators import load_generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

Rule = Callable[[dict[str, Any]], bool]


def _is(attribute: str, *values: object) -> Rule:
    return lambda a: a[attribute] in values


def _both(*rules: Rule) -> Rule:
    return lambda a: all(rule(a) for rule in rules)


_MAN, _WOMAN = _is("sex", "man"), _is("sex", "woman")
_COLOURS = ("black", "brown", "blond", "red")
#: By the name of a slider: who has it, who lacks it, and which attributes shall be alike on both sides.
RULES: dict[str, tuple[Rule, Rule, tuple[str, ...]]] = {
    "smile": (_is("expression", "smile", "open smile"), _is("expression", "neutral", "angry", "sad"), ("sex", "age")),
    "angry": (_is("expression", "angry"), _is("expression", "neutral", "smile"), ("sex", "age")),
    "age": (_is("age", "old"), _is("age", "young"), ("sex",)),
    "feminine": (_WOMAN, _MAN, ("age",)),
    "beard": (_both(_MAN, _is("facial_hair", "beard", "goatee")), _both(_MAN, _is("facial_hair", "none")), ("age",)),
    "make-up": (_both(_WOMAN, _is("makeup", True)), _both(_WOMAN, _is("makeup", False)), ("age",)),
    "long hair": (_is("hair_length", "long"), _is("hair_length", "short"), ("sex", "age")),
    "bald": (_is("hair_length", "bald"), _is("hair_length", "short"), ("sex", "age")),
    "blond hair": (_is("hair_colour", "blond"), _is("hair_colour", "black", "brown"), ("sex", "age")),
    "red hair": (_is("hair_colour", "red"), _is("hair_colour", "black", "brown", "blond"), ("sex", "age")),
    "black hair": (_is("hair_colour", "black"), _is("hair_colour", "brown", "blond", "red"), ("sex", "age")),
    "brown hair": (_is("hair_colour", "brown"), _is("hair_colour", "black", "blond", "red"), ("sex", "age")),
    # Grey and blue look alike to the latents: each is told from the other too.
    "grey hair": (_is("hair_colour", "grey", "white"), _is("hair_colour", *_COLOURS, "blue"), ("sex", "age")),
    "blue hair": (_is("hair_colour", "blue"), _is("hair_colour", *_COLOURS, "grey", "white"), ("sex", "age")),
    "dark skin": (_is("skin", "brown", "dark"), _is("skin", "light", "tan"), ("sex", "age")),
    "pale skin": (_is("skin", "pale"), _is("skin", "tan", "light"), ("sex", "age")),
    "elf ears": (_is("pointed_ears", True), _is("pointed_ears", False), ("sex", "age")),
    "blue background": (_is("background", "blue"), _is("background", "grey", "black", "brown"), ("sex", "age")),
    "green background": (_is("background", "green"), _is("background", "grey", "black", "brown"), ("sex", "age")),
    "red background": (_is("background", "red"), _is("background", "grey", "black", "blue"), ("sex", "age")),
    "dark background": (_is("background", "black"), _is("background", "grey", "white", "blue"), ("sex", "age")),
    "monochrome": (_is("style", "monochrome"), _is("style", "painted"), ("sex", "age")),
    "turn to the right": (_is("pose", "turned right"), _is("pose", "turned left"), ()),
}


def alike(attributes: Sequence[dict[str, Any]], more: Sequence[bool], keys: Sequence[str]) -> Tensor:
    """Weights [N] with which both sides hold every combination of ``keys`` in equal shares.

    A combination that one side lacks gets no weight: there is nothing to compare it with.
    """
    cells = [tuple(a[k] for k in keys) for a in attributes]
    sides = Counter(zip(cells, more, strict=True))
    shared = {cell: min(sides[cell, True], sides[cell, False]) for cell in set(cells)}
    return torch.tensor([shared[c] / sides[c, m] for c, m in zip(cells, more, strict=True)])


def fit_boundaries(x: Tensor, seen: Tensor, attributes: Sequence[dict[str, Any]]) -> list[Boundary]:
    """The boundaries of :data:`RULES`, and how to read them off what a CLIP makes of pictures.

    Args:
        x: Even coordinates of the portraits' latents, [N, w_dim].
        seen: The CLIP's vectors of the portraits and of their reconstructions, [N, 2, D].
        attributes: Their labels.
    """
    vectors = (seen - seen.mean(dim=(0, 1))) / seen.std(dim=0).mean()
    found = []
    for name, (has, lacks, keys) in RULES.items():
        chosen = [i for i, a in enumerate(attributes) if has(a) or lacks(a)]
        sides = [has(attributes[i]) for i in chosen]
        weights = alike([attributes[i] for i in chosen], sides, keys)
        rows, side = torch.tensor(chosen)[weights > 0], torch.tensor(sides)[weights > 0]
        order = torch.cat([rows[side], rows[~side]])
        counts = torch.cat([weights[weights > 0][side], weights[weights > 0][~side]])
        parts = int(side.sum())
        way = fit_boundary(x[order[:parts]], x[order[parts:]], name=name, weights=counts)
        told = fit_boundary(
            vectors[order[:parts]].flatten(0, 1), vectors[order[parts:]].flatten(0, 1), name=name,
            weights=counts.repeat_interleave(2),
        )  # fmt: skip
        found.append(replace(way, reading=told.normal))
        print(f"{name}: {way.count} portraits; held-out ones told rightly by the latent {way.accuracy:.1%}", flush=True)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help="folder or tar of aligned portraits")
    parser.add_argument("--labels", required=True, help="their labels, one JSON object a line")
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--limit", type=int, help="take only the first so many portraits")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


@torch.no_grad()
def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    g = load_generator(args.model)
    if g.bundle.folder is None:
        raise MissingPart(f"The model {g.name!r} has no folder to write into. Load it from one.")
    clip, encoder, dtype = load_clip(g), load_encoder(g), fastest_dtype(g.device)
    pictures = read_pictures(args.data, g.size_px, limit=args.limit)
    labels = match_labels(pictures, read_labels(args.labels))
    even, seen = [], []
    for batch in pictures.images.split(32):
        image = batch.to(g.device).float() / 127.5 - 1
        ws = encoder(image, dtype)
        even.append(latent_spread(g).even(ws))
        both = image, g.synthesize(ws, dtype=dtype).clamp(-1, 1)
        seen.append(torch.stack([clip.encode_image(x, dtype=dtype).cpu() for x in both], dim=1))
    boundaries = fit_boundaries(torch.cat(even), torch.cat(seen), [row["attributes"] for row in labels])
    path = g.bundle.folder / BOUNDARIES_FILE
    write_boundaries(boundaries, path, fingerprint=boundaries_fingerprint(g, readings=True))
    print(f"wrote {path}")
