"""Varied captions generated from labels.

:func:`compose` writes a caption that is true of one image; :func:`statement` writes a short text whose truth is known
for every image, as soft targets require.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from latent_editor.networks.clip import words_of
from latent_editor.train.vocabulary import Attributes, Concept

#: Templates around a person. The bare one keeps short prompts short.
TEMPLATES = (
    "{}", "{}", "{}", "{}", "a photo of {}", "a portrait of {}", "a picture of {}", "a painting of {}",
    "an image of {}", "the face of {}", "a close-up of {}", "a headshot of {}", "this is {}", "a drawing of {}",
    "a painted portrait of {}",
)  # fmt: skip
PEOPLE = ("person", "person", "someone", "face", "human", "character")
#: Uninformative texts, which fit every image equally well.
NEUTRAL = (
    "a person", "a face", "a portrait", "someone", "a human face", "a character", "a head", "a portrait of a person",
    "a photo of a person", "a picture of a face", "a photo of someone", "an image of a person", "the face of a person",
)  # fmt: skip


def with_article(words: str) -> str:
    """Prepends an article: "old man" → "an old man"; a phrase that has a determiner or needs none stays as it is."""
    first = words.split(" ", 1)[0]
    if first in ("a", "an", "the", "someone", "no"):
        return words
    return f"{'an' if first[0] in 'aeio' else 'a'} {words}"


def phrase(concept: Concept, random: Random) -> str:
    """A random wording of a concept: "ginger hair", "a photo of someone with a beard", "an elderly person"."""
    ways = []
    if concept.adjectives:
        ways += ["adjective", "bare adjective"]
    if concept.nouns:
        ways += ["noun", "noun"]
    if concept.having:
        ways += ["having", "having", "with", "has"]
    way = random.choice(ways)
    template, person = random.choice(TEMPLATES), random.choice(PEOPLE)
    if way == "bare adjective":
        return random.choice(concept.adjectives)
    if way == "adjective":
        adjective = random.choice(concept.adjectives)
        return template.format(with_article(f"{adjective} {'person' if person == 'someone' else person}"))
    if way == "noun":
        return template.format(with_article(random.choice(concept.nouns)))
    having = random.choice(concept.having)
    if way == "having":
        return template.format(having) if random.random() < 0.4 else having
    if way == "has":
        return f"{with_article(person)} {random.choice(('has', 'having', 'who has'))} {having}"
    return template.format(f"{with_article(person)} with {having}")


def truth_table(rows: Sequence[Attributes], known: Sequence[Concept]) -> Tensor:
    """Truth of each concept for each image: float32 [len(known), len(rows)], 0..1, NaN where unlabeled."""
    values = [[math.nan if (x := c.rule(a)) is None else x for a in rows] for c in known]
    return torch.tensor(values, dtype=torch.float32)


def known_words(prompts: Sequence[str], known: Sequence[Concept], *, min_count: int = 20) -> frozenset[str]:
    """The words that training covers: those of the concepts, and those in the prompts of at least ``min_count`` images.

    A word in only a few prompts is seen but not learned.
    """
    texts = [w for c in known for w in (*c.adjectives, *c.nouns, *c.having)] + [*TEMPLATES, *PEOPLE, *NEUTRAL]
    counts = Counter(word for prompt in prompts for word in set(words_of(prompt)))
    often = {word for word, count in counts.items() if count >= min_count}
    return frozenset(often | {w for t in (*texts, "with without has having who no and an") for w in words_of(t)})


@dataclass(frozen=True)
class Statement:
    """A text stating that all of some concepts are true or, if negated, that they are not.

    Attributes:
        text: The words.
        parts: Indices of the concepts in the truth table; empty for an uninformative text.
        negated: Whether the text denies them.
    """

    text: str
    parts: tuple[int, ...]
    negated: bool = False

    def truth(self, table: Tensor) -> Tensor:
        """The statement's truth for each image, [N], given :func:`truth_table` [C, N]; 0.5 if uninformative."""
        if not self.parts:
            return torch.full(table.shape[1:], 0.5)
        each = table[list(self.parts)]
        value = each.prod(dim=0)
        value = torch.where((each == 0).any(dim=0), torch.zeros_like(value), value)
        return 1 - value if self.negated else value


def statement(random: Random, known: Sequence[Concept], *, at: int | None = None) -> Statement:
    """A random short text: one concept, one negated concept, or a kind of person with an attribute.

    Args:
        random: Source of randomness.
        known: The concepts.
        at: Index of the concept; None picks one at random.
    """
    at = random.randrange(len(known)) if at is None else at
    concept, kind = known[at], random.random()
    if kind < 0.12 and concept.having:
        having = random.choice(concept.having)
        if not having.startswith("no "):
            bare = having.removeprefix("a ").removeprefix("an ")
            person = with_article(random.choice(PEOPLE))
            return Statement(random.choice((f"{person} without {having}", f"no {bare}")), (at,), negated=True)
    if kind < 0.35 and concept.having:
        who = random.choice([i for i, c in enumerate(known) if c.nouns and i != at])
        person = with_article(random.choice(known[who].nouns))
        text = random.choice(TEMPLATES).format(f"{person} with {random.choice(concept.having)}")
        return Statement(text, (at, who))
    return Statement(phrase(concept, random), (at,))


def compose(attributes: Attributes, prompt: str, random: Random, known: Sequence[Concept]) -> str:
    """A caption that makes several true statements about one image, or the image's own prompt.

    Several, because the other images of a batch serve as negatives for this caption: the more specific it is, the fewer
    of them it fits by accident.
    """
    if prompt and random.random() < 0.2:
        return random.choice(TEMPLATES).format(with_article(prompt) if random.random() < 0.5 else prompt)
    true = [c for c in known if (c.rule(attributes) or 0) >= 0.99 and not c.name.startswith("no ")]
    random.shuffle(true)
    nouns = [c for c in true if c.nouns]
    adjectives = [c for c in true if c.adjectives][: random.randint(1, 3)]
    noun = nouns[0] if nouns else None
    person = random.choice(noun.nouns) if noun else random.choice(("person", "character"))
    words = [random.choice(c.adjectives) for c in adjectives if c is not noun]
    having = [c for c in true if c.having and c is not noun and c not in adjectives][: random.randint(2, 4)]
    text = with_article(" ".join([*words, person]))
    things = [random.choice(c.having) for c in having]
    if len(things) > 1:
        text += " with " + ", ".join(things[:-1]) + " and " + things[-1]
    elif things:
        text += " with " + things[0]
    if prompt and random.random() < 0.3:
        text += f", {prompt}"
    return random.choice(TEMPLATES).format(text)
