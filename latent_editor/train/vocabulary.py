"""The concepts of portraits: the words for each, and the rule that derives its truth from labeled attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Attributes = Mapping[str, Any]
#: Truth of a concept: 1 true, 0 false, in between partly true; None if the labels leave it open.
Rule = Callable[[Attributes], float | None]


@dataclass(frozen=True)
class Concept:
    """A concept that may apply to a portrait.

    Attributes:
        name: Short name.
        rule: Maps an image's attributes to the truth of the concept.
        adjectives: Words before the person ("bearded").
        nouns: Words for the person ("grandmother").
        having: Phrases that follow "with" or stand alone ("a beard").
    """

    name: str
    rule: Rule
    adjectives: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    having: tuple[str, ...] = ()


def _is(key: str, *values: Any, partly: Mapping[Any, float] | None = None, unknown: tuple[Any, ...] = ()) -> Rule:
    def rule(a: Attributes) -> float | None:
        value = a.get(key)
        if value is None or value in unknown:
            return None
        return 1.0 if value in values else (partly or {}).get(value, 0.0)

    return rule


def _both(first: Rule, second: Rule) -> Rule:
    def rule(a: Attributes) -> float | None:
        x, y = first(a), second(a)
        if x == 0 or y == 0:
            return 0.0
        return None if x is None or y is None else x * y

    return rule


_MAN = _is("sex", "man", unknown=("unclear",))
_WOMAN = _is("sex", "woman", unknown=("unclear",))
_OLD = _is("age", "old")
_YOUNG = _is("age", "young")
_BALD = _is("hair_length", "bald")
_BEARD = _is("facial_hair", "beard", "goatee")
_SMILE = _is("expression", "smile", "open smile")


def _hair(*values: str, also: str = "", partly: Mapping[Any, float] | None = None) -> tuple[Rule, tuple[str, ...]]:
    words = (*values, *also.split())
    having = tuple(t.format(w) for w in words for t in ("{} hair", "{} hair", "{}-coloured hair", "{} colored hair"))
    return _is("hair_colour", *values, partly=partly), having


def _hair_colors() -> list[Concept]:
    near_gray: dict[Any, float] = {"white": 0.3}
    near_white: dict[Any, float] = {"grey": 0.3}
    table: list[tuple[str, tuple[Rule, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]] = [
        ("black hair", _hair("black", also="dark"), ("black-haired", "dark-haired"), ()),
        ("brown hair", _hair("brown", also="brunette chestnut"), ("brown-haired", "brunette"), ("brunette",)),
        (
            "blond hair",
            _hair("blond", also="blonde golden yellow fair"),
            ("blond", "blonde", "fair-haired"),
            ("blonde",),
        ),
        (
            "red hair",
            _hair("red", also="ginger orange auburn copper"),
            ("redheaded", "red-haired", "ginger"),
            ("redhead",),
        ),
        ("grey hair", _hair("grey", also="gray silver", partly=near_gray), ("grey-haired", "gray-haired"), ()),
        ("white hair", _hair("white", also="snow-white", partly=near_white), ("white-haired",), ()),
        ("blue hair", _hair("blue"), ("blue-haired",), ()),
        ("purple hair", _hair("purple", also="violet"), ("purple-haired",), ()),
        ("green hair", _hair("green"), ("green-haired",), ()),
        ("pink hair", _hair("pink"), ("pink-haired",), ()),
    ]
    return [Concept(name, rule, adjectives, nouns, having) for name, (rule, having), adjectives, nouns in table]


def _backgrounds() -> list[Concept]:
    table = {
        "grey": "gray",
        "black": "dark",
        "blue": "sky-blue",
        "green": "",
        "brown": "",
        "red": "",
        "white": "bright",
    }
    concepts = []
    for color, also in table.items():
        templates = ("a {} background", "{} background", "a {} backdrop", "a {} wall behind")
        having = tuple(t.format(w) for w in (color, color, *also.split()) for t in templates)
        concepts.append(Concept(f"a {color} background", _is("background", color), having=having))
    return concepts


def _people() -> list[Concept]:
    old = ("old", "elderly", "aged", "senior", "wrinkled", "ancient")
    young = ("young", "youthful", "teenage", "girlish", "boyish")
    women = ("woman", "woman", "female", "lady", "female person")
    men = ("man", "man", "male", "guy", "gentleman", "male person")
    wrinkles = ("wrinkles", "an old face", "wrinkled skin", "old age", "an aged face")
    girl, boy = ("girl", "young lady"), ("boy", "young man", "lad")
    return [
        Concept("a man", _MAN, ("male", "masculine", "manly"), men, ("masculine features", "a masculine face")),
        Concept("a woman", _WOMAN, ("female", "feminine", "womanly"), women, ("feminine features", "a feminine face")),
        Concept("an old person", _OLD, old, ("senior", "pensioner"), wrinkles),
        Concept("a young person", _YOUNG, young, ("youth", "youngster"), ("a young face", "smooth skin", "youth")),
        Concept("a middle-aged person", _is("age", "adult"), ("adult", "middle-aged", "mature"), ("adult",)),
        Concept(
            "a grandmother", _both(_WOMAN, _OLD), nouns=("grandmother", "granny", "old lady", "crone", "old woman")
        ),
        Concept("a grandfather", _both(_MAN, _OLD), nouns=("grandfather", "grandpa", "old man", "elder")),
        Concept("a young woman", _both(_WOMAN, _YOUNG), nouns=girl),
        Concept("a young man", _both(_MAN, _YOUNG), nouns=boy),
    ]


def _facial_hair() -> list[Concept]:
    beard = ("a beard", "beard", "a full beard", "a bushy beard", "facial hair", "whiskers", "a long beard")
    shaven = ("no beard", "no facial hair", "a shaved face", "a clean shave", "a smooth chin")
    return [
        Concept("a beard", _BEARD, ("bearded",), (), beard),
        Concept(
            "a moustache",
            _is("facial_hair", "moustache", partly={"goatee": 0.5, "beard": 0.5}),
            ("moustached",),
            (),
            ("a moustache", "moustache", "a mustache", "mustache"),
        ),
        Concept("stubble", _is("facial_hair", "stubble"), ("unshaven", "stubbly"), (), ("stubble", "a stubble beard")),
        Concept("a goatee", _is("facial_hair", "goatee", partly={"beard": 0.3}), (), (), ("a goatee", "goatee")),
        Concept("clean-shaven", _is("facial_hair", "none"), ("clean-shaven", "beardless", "shaved"), (), shaven),
    ]


def _expressions() -> list[Concept]:
    smile: tuple[str, ...] = ("a smile", "smile", "a happy face", "a grin", "a happy expression")
    angry = ("an angry face", "an angry expression", "anger", "a frown", "a scowl", "a grumpy look")
    unsmiling = ("a neutral expression", "a serious face", "no smile", "a calm face")
    return [
        Concept("a smile", _SMILE, ("smiling", "happy", "cheerful", "grinning", "laughing", "friendly"), (), smile),
        Concept(
            "an open smile",
            _is("expression", "open smile", partly={"smile": 0.2}),
            ("laughing",),
            (),
            ("an open smile", "visible teeth", "teeth", "a toothy smile", "a laugh"),
        ),
        Concept("an angry face", _is("expression", "angry"), ("angry", "grumpy", "furious", "mad"), (), angry),
        Concept("a sad face", _is("expression", "sad"), ("sad", "unhappy", "gloomy"), (), ("a sad face", "sadness")),
        Concept("a neutral expression", _is("expression", "neutral"), ("serious", "calm"), (), unsmiling),
    ]


def _adornments() -> list[Concept]:
    makeup = ("make-up", "makeup", "lipstick", "heavy make-up", "eyeliner", "eye shadow", "red lips", "mascara")
    glasses = ("glasses", "glasses", "eyeglasses", "spectacles", "reading glasses", "a pair of glasses")
    bare = ("no make-up", "no makeup", "a natural face", "bare skin")
    return [
        Concept("make-up", _is("makeup", True), ("made-up", "glamorous"), (), makeup),
        Concept("no make-up", _is("makeup", False), ("natural",), (), bare),
        Concept("glasses", _is("glasses", True), ("bespectacled",), (), glasses),
        Concept("no glasses", _is("glasses", False), (), (), ("no glasses", "bare eyes")),
        Concept(
            "pointed ears",
            _is("pointed_ears", True),
            ("elven", "elvish"),
            ("elf", "elf"),
            ("pointed ears", "elf ears", "pointy ears", "elven ears", "long ears"),
        ),
        Concept(
            "a crown", _is("headwear", "crown"), ("crowned",), (), ("a crown", "crown", "a tiara", "a golden crown")
        ),
        Concept(
            "something on the head",
            _is("headwear", "crown", "hat", "hood", "other"),
            (),
            (),
            ("headwear", "something on the head", "a headdress", "a hat", "a helmet"),
        ),
    ]


def _skins() -> list[Concept]:
    dark = _is("skin", "brown", "dark", partly={"tan": 0.1})
    tan = _is("skin", "tan", partly={"brown": 0.3})
    pale = _is("skin", "pale", partly={"light": 0.15})
    odd = ("strange skin", "coloured skin", "colored skin", "blue skin", "green skin", "painted skin")
    return [
        Concept(
            "dark skin",
            dark,
            ("dark-skinned", "brown-skinned", "black", "african"),
            (),
            ("dark skin", "brown skin", "a dark complexion", "black skin", "deep brown skin"),
        ),
        Concept(
            "tanned skin", tan, ("tanned", "tan", "sunburnt"), (), ("tanned skin", "tan skin", "a tan", "olive skin")
        ),
        Concept("light skin", _is("skin", "light", partly={"pale": 0.6}), ("light-skinned",), (), ("light skin",)),
        Concept(
            "pale skin",
            pale,
            ("pale", "pale-skinned"),
            (),
            ("pale skin", "white skin", "a pale face", "porcelain skin"),
        ),
        Concept("unnatural skin", _is("skin", "unnatural"), ("alien",), (), odd),
    ]


def _shapes() -> list[Concept]:
    long_hair = _is("hair_length", "long", partly={"medium": 0.15})
    short_hair = _is("hair_length", "short", partly={"medium": 0.1, "bald": 0.2})
    return [
        Concept(
            "long hair", long_hair, ("long-haired",), (), ("long hair", "long hair", "very long hair", "flowing hair")
        ),
        Concept(
            "medium-length hair", _is("hair_length", "medium"), (), (), ("medium-length hair", "shoulder-length hair")
        ),
        Concept(
            "short hair",
            short_hair,
            ("short-haired",),
            (),
            ("short hair", "short hair", "cropped hair", "a short haircut"),
        ),
        Concept(
            "bald", _BALD, ("bald", "bald", "hairless", "bald-headed"), (), ("no hair", "a bald head", "a shaved head")
        ),
    ]


def _styles() -> list[Concept]:
    photo = _is("style", "photographic")
    return [
        Concept("a photographic style", photo, ("photorealistic", "realistic"), (), ("a photographic style",)),
        Concept("a monochrome picture", _is("style", "monochrome"), (), (), ("a monochrome style", "no colours")),
        Concept("a stylised picture", _is("style", "stylised"), ("cartoon", "stylised"), (), ("a cartoon style",)),
    ]


def concepts() -> tuple[Concept, ...]:
    """All concepts."""
    return (
        *_people(),
        *_shapes(),
        *_hair_colors(),
        *_facial_hair(),
        *_expressions(),
        *_adornments(),
        *_skins(),
        *_backgrounds(),
        *_styles(),
    )


def checks() -> dict[str, tuple[str, Rule]]:
    """The zero-shot checks: name → (prompt, rule). Partly true counts as false."""
    by_name = {c.name: c.rule for c in concepts()}
    strict = {
        "beard": _is("facial_hair", "beard"), "long hair": _is("hair_length", "long"), "pale skin": _is("skin", "pale"),
        "brown or dark skin": _is("skin", "brown", "dark"), "grey hair": _is("hair_colour", "grey"),
    }  # fmt: skip
    names = {
        "man": "a man", "woman": "a woman", "old": "an old person", "young": "a young person", "beard": "a beard",
        "bald": "bald", "long hair": "long hair", "short hair": "short hair", "blond": "blond hair",
        "red hair": "red hair", "black hair": "black hair", "brown hair": "brown hair", "grey hair": "grey hair",
        "make-up": "make-up", "glasses": "glasses", "angry": "an angry face", "smile": "a smile",
        "pale skin": "pale skin", "brown or dark skin": "dark skin", "pointed ears": "pointed ears", "crown": "a crown",
        "blue background": "a blue background", "black background": "a black background",
    }  # fmt: skip
    return {name: (text, strict.get(name) or by_name[text]) for name, text in names.items()}
