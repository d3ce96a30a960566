"""Names directions after the attributes that they change, as the model's CLIP and plain measurements see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.directions.encoder_probe import encoder_measures
from latent_editor.directions.image_measures import Measure, image_measures, part_color_measures
from latent_editor.directions.vocabulary import UNNAMED, VOCABULARY, Term
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.clip import ClipModel

#: A change from −2 to +2 of so many standard deviations over random faces is clear.
CLEAR_CHANGE = 2.5
#: Share of the faces that have to change in the same sense.
AGREEMENT = 0.8
#: A term with this cosine to one of the vocabulary means about the same.
SAME_TERM = 0.5
#: Worth of measured names: words say more to people.
MEASURED_WORTH = 0.6


class Name(NamedTuple):
    """A name for a direction.

    Attributes:
        text: The name.
        score: Confidence, 0..1: the change is clear, and nothing else changes more.
        sign: 1, or −1 if the direction has to be flipped.
    """

    text: str
    score: float
    sign: int


def _difference(clip: ClipModel, term: Term) -> Tensor:
    return clip.encode_prompt(term.more) - clip.encode_prompt(term.less)


def _family(axes: Tensor, axis: Tensor, terms: Sequence[Term]) -> str | None:
    """The family of the term whose axis, of ``axes`` [T, D], is nearly parallel to ``axis`` [D]; None if none is."""
    alike = F.cosine_similarity(axes, axis[None].to(axes)).abs()
    return terms[int(alike.argmax())].family if alike.max() > SAME_TERM else None


def agreed(changes: Tensor) -> Tensor:
    """The mean [T] of changes [N, T], 0 where the faces disagree about the sign."""
    mean = changes.mean(dim=0)
    return mean * ((changes.sign() == mean.sign()).float().mean(dim=0) >= AGREEMENT)


class Namer:
    """Scores directions against the vocabulary and the measures.

    Args:
        g: The generator.
        clip: The CLIP for the vocabulary; None leaves only the measures.
        ws: Faces to measure directions on, [N, num_ws, w_dim].
        vectors: CLIP vectors of many pictures [M, D], for the spread of each term; None uses the faces alone.
        axes: Probes in CLIP space, [D] each, by name: they replace the texts of the term of that name, or add a term.

    Attributes:
        names, families, worth: Of each term and measure, [T].
        names_measured, families_measured: Of these and of all further columns of :meth:`readings`, [S], S ≥ T. Columns
            that measure the same attribute differently have the same name.
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
        self._measures = image_measures(g)
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
                # Twenty faces hardly differ in rare attributes; the data show their real spread.
                known = (vectors.to(self._axes) @ self._axes.T).std(dim=0)
                self._spread[: len(known)] = torch.maximum(self._spread[: len(known)], known)

    @cached_property
    def _extra_measures(self) -> tuple[Measure, ...]:
        of_names = {t.name: t.family for t in VOCABULARY} | {m.name: m.family for m in self._measures}
        return (*part_color_measures(self.g), *encoder_measures(self.g, of_names))

    @cached_property
    def names_measured(self) -> list[str]:
        return self.names + [m.name for m in self._extra_measures]

    @cached_property
    def families_measured(self) -> list[str]:
        return self.families + [m.family for m in self._extra_measures]

    @cached_property
    def _spread_measured(self) -> Tensor:
        """Standard deviation of each column of :meth:`readings` over faces: [S]."""
        with torch.no_grad():
            spread = self._read(self.ws, self._extra_measures).std(dim=0).clamp_min(1e-6)
        return torch.cat([self._spread, spread[len(self.names) :]])

    def _read(self, ws: Tensor, extra: Sequence[Measure] = ()) -> Tensor:
        """Terms, measures, and extra measures of the pictures of ws: [N, T + extra]."""
        return torch.cat([self._columns(some, fastest_dtype(self.g.device), extra) for some in ws.split(16)])

    def _columns(self, ws: Tensor, dtype: torch.dtype, extra: Sequence[Measure]) -> Tensor:
        pictures = self.g.synthesize(ws, dtype=dtype).float().clamp(-1, 1)
        columns = [torch.stack([m.read(pictures) for m in (*self._measures, *extra)], dim=1)]
        if self.clip is not None and self._axes is not None:
            columns.insert(0, self.clip.encode_image(pictures, dtype=dtype) @ self._axes.T)
        return torch.cat(columns, dim=1)

    def readings(self, ws: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
        """Measures the faces ws [N, num_ws, w_dim], in standard deviations over faces: [N, S], differentiable."""
        return self._columns(ws, dtype or fastest_dtype(self.g.device), self._extra_measures) / self._spread_measured

    def effects(self, offset: Tensor) -> Tensor:
        """The effects of ``offset`` [num_ws, w_dim] from −2 to +2, in standard deviations over faces: [T].

        0 where the faces disagree about the sign.
        """
        return agreed(self.changes(offset))

    def changes(self, offset: Tensor) -> Tensor:
        """The change of each face from −2 to +2 times ``offset`` [num_ws, w_dim], in standard deviations: [N, T]."""
        with torch.inference_mode():
            return (self._read(self.ws + 2 * offset) - self._read(self.ws - 2 * offset)) / self._spread

    def scores(self, effects: Tensor) -> Tensor:
        """How well each name fits each direction, 0..1.

        Args:
            effects: [K, T], a row of :meth:`effects` for each direction.

        Returns:
            [K, T]: min(1, e / CLEAR_CHANGE) · min(1, e / r)², with r the largest effect in another family.
        """
        largest, own = self._by_family(effects)
        families = torch.arange(largest.shape[1])
        others = [largest[:, families != at].amax(dim=1) if len(families) > 1 else largest[:, 0] * 0 for at in families]
        rival = torch.stack(others, dim=1)[:, own].clamp_min(1e-6)
        size = effects.abs()
        return (size / CLEAR_CHANGE).clamp_max(1) * (size / rival).clamp_max(1).square()

    def shares(self, effects: Tensor) -> Tensor:
        """The share of each name in all that a direction changes: [K, T], 0..1, by squared effects."""
        largest, own = self._by_family(effects)
        rest = largest.square().sum(dim=1, keepdim=True) - largest[:, own].square()
        return effects.square() / (effects.square() + rest).clamp_min(1e-12)

    def _by_family(self, effects: Tensor) -> tuple[Tensor, Tensor]:
        """The largest effect in each family [K, families], and the family of each name [T]."""
        families = sorted(set(self.families))
        own = torch.tensor([families.index(f) for f in self.families])
        largest = torch.stack([effects.abs()[:, own == at].amax(dim=1) for at in range(len(families))], dim=1)
        return largest, own

    def name(self, effects: Tensor, scores: Tensor, at: int) -> Name:
        """The name at position ``at`` for a direction with these effects and scores [T]."""
        return Name(self.names[at], round(scores[at].item(), 3), 1 if effects[at] >= 0 else -1)

    def assign(self, effects: Tensor, *, given: Sequence[str] = ()) -> list[Name | None]:
        """Gives each direction the name that fits best, and each name only once, most confident first.

        Args:
            effects: [K, T], a row of :meth:`effects` for each direction.
            given: Names that are used already.

        Returns:
            A name for each, or None if none is left that fits at all.
        """
        scores = self.scores(effects)
        named: dict[int, Name] = {}
        used = set(given)
        for flat in scores.flatten().argsort(descending=True, stable=True).tolist():
            k, t = divmod(flat, len(self.names))
            if k not in named and self.names[t] not in used and scores[k, t] > 0:
                used.add(self.names[t])
                named[k] = self.name(effects[k], scores[k], t)
        return [named.get(k) for k in range(len(effects))]
