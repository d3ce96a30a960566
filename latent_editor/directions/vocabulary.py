"""The vocabulary of sliders: attributes of portraits, with texts for a CLIP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """An attribute, and two texts that describe its ends.

    Attributes:
        name: Name of the positive end.
        family: Terms of one family mean nearly the same, or go together in most faces.
        more, less: Texts of the positive and the negative end: a CLIP compares better than it judges.
        worth: Preference over others of its family that fit as well: the whole rather than one of its signs.
    """

    name: str
    family: str
    more: str
    less: str
    worth: float = 1.0


#: Attributes in which portraits differ.
VOCABULARY = (
    Term("age", "age", "an old person with wrinkles", "a young person"),
    Term("feminine", "sex", "a woman", "a man"),
    Term("beard", "sex", "a person with a beard", "a clean-shaven person"),
    Term("moustache", "sex", "a person with a moustache", "a person without a moustache", 0.7),
    Term("stubble", "sex", "an unshaven man with stubble", "a clean-shaven man", 0.7),
    Term("make-up", "sex", "a person with make-up", "a person without make-up", 0.7),
    Term("long hair", "hair length", "a person with long hair", "a person with short hair"),
    Term("bald", "bald", "a bald person", "a person with hair"),
    Term("blond hair", "hair color", "a person with blond hair", "a person with dark hair"),
    Term("red hair", "hair color", "a person with red hair", "a person with brown hair"),
    Term("black hair", "hair color", "a person with black hair", "a person with light hair"),
    Term("grey hair", "hair color", "a person with grey hair", "a person with brown hair"),
    Term("white hair", "hair color", "a person with white hair", "a person with brown hair"),
    Term("blue hair", "hair color", "a person with blue hair", "a person with brown hair"),
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
    Term("photographic", "style", "a photographic style", "a stylised picture"),
    Term("monochrome", "vividness", "a black and white portrait", "a colourful portrait"),
)

#: Attributes that are measured better than a CLIP reads them.
MEASURED_NAMES = ("turn to the right", "light from the left")
#: No slider is named after these: the model draws neither crowns nor the frames of glasses, and brown hair is no
#: direction, because it lies between black, blond and red. The encoder measures them all the same, so that other
#: sliders avoid them.
UNNAMED = ("crown", "glasses", "brown hair")
