"""Names for directions: what changes in the pictures, in words that the model's CLIP knows and by measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.directions.encoder_probe import opinions
from latent_editor.directions.measures import Measure, measures, watched
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.clip import ClipModel


@dataclass(frozen=True)
class Term:
    """A name, and two texts that lie at its positive and its negative end.

    Attributes:
        name: What more of it is called.
        family: Terms of one family say nearly the same, or go together in most faces.
        more, less: Both ends are described, because a CLIP compares better than it judges.
        worth: How gladly it is given where others of its family fit as well: a whole rather than one of its signs.
    """

    name: str
    family: str
    more: str
    less: str
    worth: float = 1.0


#: What portraits differ in.
VOCABULARY = (
    Term("age", "age", "an old person with wrinkles", "a young person"),
    Term("feminine", "sex", "a woman", "a man"),
    Term("beard", "sex", "a person with a beard", "a clean-shaven person"),
    Term("moustache", "sex", "a person with a moustache", "a person without a moustache", 0.7),
    Term("stubble", "sex", "an unshaven man with stubble", "a clean-shaven man", 0.7),
    Term("make-up", "sex", "a person with make-up", "a person without make-up", 0.7),
    Term("long hair", "hair length", "a person with long hair", "a person with short hair"),
    Term("bald", "bald", "a bald person", "a person with hair"),
    Term("blond hair", "hair colour", "a person with blond hair", "a person with dark hair"),
    Term("red hair", "hair colour", "a person with red hair", "a person with brown hair"),
    Term("black hair", "hair colour", "a person with black hair", "a person with light hair"),
    Term("grey hair", "hair colour", "a person with grey hair", "a person with brown hair"),
    Term("white hair", "hair colour", "a person with white hair", "a person with brown hair"),
    Term("blue hair", "hair colour", "a person with blue hair", "a person with brown hair"),
    Term("pale skin", "skin", "a person with pale skin", "a person with tan skin"),
    Term("dark skin", "skin", "a person with dark skin", "a person with pale skin"),
    Term("tan skin", "skin", "a person with tan skin", "a person with pale skin"),
    Term("smile", "expression", "a smiling person", "a serious person"),
    Term("angry", "expression", "an angry person", "a calm person"),
    Term("sad", "expression", "a sad person", "a happy person"),
    Term("elf ears", "ears", "a person with pointed ears", "a person with round ears"),
    Term("blue background", "background", "a person on a blue background", "a person on a grey background"),
    Term("dark background", "background", "a person on a black background", "a person on a white background"),
    Term("green background", "background", "a person on a green background", "a person on a grey background"),
    Term("red background", "background", "a person on a red background", "a person on a grey background"),
    Term("brown background", "background", "a person on a brown background", "a person on a grey background"),
    Term("monochrome", "vividness", "a black and white portrait", "a colourful portrait"),
)

#: A change from −2 to +2 that is this many standard deviations of random faces is plain.
PLAIN_CHANGE = 2.5
#: A name needs so large a share of the faces to change in its way.
AGREEMENT = 0.8
#: What is better measured than read by a CLIP.
MEASURED_NAMES = ("turn to the right", "light from the left")
#: What no slider is named after: what portraits hardly show, and brown, which is no way, because it lies between black,
#: blond and red. The encoder looks for them all the same, lest other sliders bring them along.
UNNAMED = ("crown", "brown hair")
#: A term with this cosine to one of the vocabulary says about the same.
SAME_TERM = 0.5
#: What a measured name is worth: a word says more to people.
MEASURED_WORTH = 0.6


class Name(NamedTuple):
    """A name for a direction.

    Attributes:
        text: The name.
        score: How sure it is, 0..1: that the change is plain, and that nothing else changes more.
        sign: 1 or −1, so that the name points upwards.
    """

    text: str
    score: float
    sign: int


def _difference(clip: ClipModel, term: Term) -> Tensor:
    return clip.encode_prompt(term.more) - clip.encode_prompt(term.less)


def _family(axes: Tensor, axis: Tensor, terms: Sequence[Term]) -> str | None:
    """The family of the term whose axis, of axes [T, D], says about what ``axis`` [D] says; None where none does."""
    alike = F.cosine_similarity(axes, axis[None].to(axes)).abs()
    return terms[int(alike.argmax())].family if alike.max() > SAME_TERM else None


def agreed(changes: Tensor) -> Tensor:
    """The mean [T] of changes [N, T], 0 where the faces do not agree in which way they change."""
    mean = changes.mean(dim=0)
    return mean * ((changes.sign() == mean.sign()).float().mean(dim=0) >= AGREEMENT)


class Namer:
    """Scores directions against the vocabulary and the measures.

    Args:
        g: The generator.
        clip: The CLIP that reads its pictures; None leaves the words out and the measures alone.
        ws: Faces to try directions on, [N, num_ws, w_dim].
        vectors: CLIP vectors of many pictures [M, D], to tell how far a term spreads; None takes the faces alone.
        axes: By name, what reads it in the CLIP's space, [D], instead of the texts of the term of that name, or as a
            further term.

    Attributes:
        names, families, worth: Of each term and measure, [T].
        names_seen, families_seen: Of these, and of all that :meth:`readings` watch besides, [S], S ≥ T. What says the
            same in another way has the same name.
    """

    def __init__(
        self,
        g: Generator,
        clip: ClipModel | None,
        ws: Tensor,
        *,
        vectors: Tensor | None = None,
        axes: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.g, self.clip, self.ws = g, clip, ws
        self._measures = measures(g)
        terms = VOCABULARY if clip is not None else ()
        worded = {t.name for t in terms}
        extra = {name: axis for name, axis in (axes or {}).items() if name not in worded and name not in UNNAMED}
        self.names = [*(t.name for t in terms), *extra, *(m.name for m in self._measures)]
        self.worth = torch.tensor(
            [t.worth for t in terms] + [1.0] * len(extra) + [MEASURED_WORTH] * len(self._measures)
        )
        families = [t.family for t in terms]
        self._axes: Tensor | None = None
        with torch.no_grad():
            if clip is not None:
                said = torch.stack([_difference(clip, t) for t in terms])
                families += [_family(said, axis, terms) or name for name, axis in extra.items()]
                read = [(axes or {}).get(t.name, way) for t, way in zip(terms, said, strict=True)]
                self._axes = torch.stack([axis.to(said) for axis in (*read, *extra.values())])  # [T, D]
            self.families = families + [m.family for m in self._measures]
            self._spread = self._read(ws).std(dim=0).clamp_min(1e-6)
            if self._axes is not None and vectors is not None:
                # Twenty faces hardly differ in what is rare; the data tell what is much of it.
                known = (vectors.to(self._axes) @ self._axes.T).std(dim=0)
                self._spread[: len(known)] = torch.maximum(self._spread[: len(known)], known)

    @cached_property
    def _watched(self) -> tuple[Measure, ...]:
        of_names = {t.name: t.family for t in VOCABULARY} | {m.name: m.family for m in self._measures}
        return (*watched(self.g), *opinions(self.g, of_names))

    @cached_property
    def names_seen(self) -> list[str]:
        return self.names + [m.name for m in self._watched]

    @cached_property
    def families_seen(self) -> list[str]:
        return self.families + [m.family for m in self._watched]

    @cached_property
    def _spread_seen(self) -> Tensor:
        """How far faces spread in all that :meth:`readings` tells: [S]."""
        with torch.no_grad():
            spread = self._read(self.ws, self._watched).std(dim=0).clamp_min(1e-6)
        return torch.cat([self._spread, spread[len(self.names) :]])

    def _read(self, ws: Tensor, besides: Sequence[Measure] = ()) -> Tensor:
        """Terms, measures, and what is looked at besides, of the pictures of ws: [N, T + besides]."""
        return torch.cat([self._columns(some, fastest_dtype(self.g.device), besides) for some in ws.split(16)])

    def _columns(self, ws: Tensor, dtype: torch.dtype, besides: Sequence[Measure]) -> Tensor:
        pictures = self.g.synthesize(ws, dtype=dtype).float().clamp(-1, 1)
        columns = [torch.stack([m.read(pictures) for m in (*self._measures, *besides)], dim=1)]
        if self.clip is not None and self._axes is not None:
            columns.insert(0, self.clip.encode_image(pictures, dtype=dtype) @ self._axes.T)
        return torch.cat(columns, dim=1)

    def readings(self, ws: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
        """What is seen in the faces ws [N, num_ws, w_dim], in standard deviations of faces: [N, S], differentiable."""
        return self._columns(ws, dtype or fastest_dtype(self.g.device), self._watched) / self._spread_seen

    def effects(self, offset: Tensor) -> Tensor:
        """What ``offset`` [num_ws, w_dim] does from −2 to +2, in standard deviations of faces: [T].

        0 where the faces do not agree in which way they change.
        """
        return agreed(self.changes(offset))

    def changes(self, offset: Tensor) -> Tensor:
        """What ``offset`` [num_ws, w_dim] does to each face from −2 to +2, in standard deviations of faces: [N, T]."""
        with torch.inference_mode():
            return (self._read(self.ws + 2 * offset) - self._read(self.ws - 2 * offset)) / self._spread

    def scores(self, effects: Tensor) -> Tensor:
        """How well each name fits each direction, 0..1.

        Args:
            effects: [K, T], a row of :meth:`effects` for each direction.

        Returns:
            [K, T]: min(1, e / PLAIN_CHANGE) · min(1, e / r)², with r the largest effect in another family.
        """
        largest, own = self._by_family(effects)
        families = torch.arange(largest.shape[1])
        others = [largest[:, families != at].amax(dim=1) if len(families) > 1 else largest[:, 0] * 0 for at in families]
        rival = torch.stack(others, dim=1)[:, own].clamp_min(1e-6)
        size = effects.abs()
        return (size / PLAIN_CHANGE).clamp_max(1) * (size / rival).clamp_max(1).square()

    def shares(self, effects: Tensor) -> Tensor:
        """How much of all that a direction changes is what each name says: [K, T], 0..1, by squared effects."""
        largest, own = self._by_family(effects)
        rest = largest.square().sum(dim=1, keepdim=True) - largest[:, own].square()
        return effects.square() / (effects.square() + rest).clamp_min(1e-12)

    def _by_family(self, effects: Tensor) -> tuple[Tensor, Tensor]:
        """The largest effect in each family [K, families], and which family each name is of [T]."""
        families = sorted(set(self.families))
        own = torch.tensor([families.index(f) for f in self.families])
        largest = torch.stack([effects.abs()[:, own == at].amax(dim=1) for at in range(len(families))], dim=1)
        return largest, own

    def name(self, effects: Tensor, scores: Tensor, at: int) -> Name:
        """The name at position ``at`` for a direction with these effects and scores [T]."""
        return Name(self.names[at], round(scores[at].item(), 3), 1 if effects[at] >= 0 else -1)

    def assign(self, effects: Tensor, *, given: Sequence[str] = ()) -> list[Name | None]:
        """Gives each direction the name that fits it best, and each name only once, surest first.

        Args:
            effects: [K, T], a row of :meth:`effects` for each direction.
            given: Names that others have.

        Returns:
            A name each, or None where none is left that says anything of it.
        """
        scores = self.scores(effects)
        named: dict[int, Name] = {}
        taken = set(given)
        for flat in scores.flatten().argsort(descending=True, stable=True).tolist():
            k, t = divmod(flat, len(self.names))
            if k not in named and self.names[t] not in taken and scores[k, t] > 0:
                taken.add(self.names[t])
                named[k] = self.name(effects[k], scores[k], t)
        return [named.get(k) for k in range(len(effects))]
