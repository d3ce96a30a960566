"""Sessions and errors as the JSON that the page reads."""

from __future__ import annotations

import re
from typing import Any

from latent_editor.errors import BadInput, LatentEditorError, MissingPart, SessionExpired
from latent_editor.sessions import Moment, Session, Slider
from latent_editor.types import Direction
from latent_editor.ui.studio import Studio

#: From how many dB on a likeness has how many of five dots, and its word. At 24 dB a person is plainly recognised.
LIKENESS = ((28.0, 5, "very good"), (24.0, 4, "good"), (21.0, 3, "fair"), (18.0, 2, "weak"))
#: A name whose score is below this is marked as unsure.
SURE_SCORE = 0.6


def about_view(studio: Studio) -> dict[str, Any]:
    """What does not change while the page is open."""
    about = studio.g.bundle.about
    return {
        "model": {
            "name": studio.g.name,
            "title": about.get("title", studio.g.name),
            "credit": about.get("credit", ""),
            "size_px": studio.g.size_px,
            "fingerprint": studio.g.fingerprint,
            "points": list(about.get("canonical_points", {}).values()),
        },
        "directions": [{"key": f"d{i}", **direction_view(d)} for i, d in enumerate(studio.directions)],
        "finding": not studio.found.done(),
        "examples": list(studio.example_seeds),
    }


def direction_view(direction: Direction) -> dict[str, Any]:
    return {
        "name": direction.name,
        "low": direction.low,
        "high": direction.high,
        "source": direction.source,
        "unsure": direction.score is not None and direction.score < SURE_SCORE,
    }


def slider_view(slider: Slider) -> dict[str, Any]:
    return {
        "key": slider.key,
        **direction_view(slider.edit.direction),
        "strength": slider.edit.strength,
        "layers": slider.layers if slider.edit.direction.layers or slider.layers != "own" else "all",
        "own_layers": slider.edit.direction.layers is not None,
        "muted": slider.edit.muted,
    }


def likeness_view(psnr_db: float | None) -> dict[str, Any] | None:
    """A word, dots of five, and the figure."""
    if psnr_db is None:
        return None
    dots, word = next(((n, w) for least, n, w in LIKENESS if psnr_db >= least), (1, "poor"))
    return {"psnr_db": round(psnr_db, 1), "dots": dots, "word": word}


def session_view(session: Session) -> dict[str, Any]:
    latent = session.latent
    return {
        "ready": latent is not None,
        "photo": session.photo.name if session.photo else None,
        "likeness": likeness_view(latent.psnr_db if latent and session.photo else None),
        "revision": session.revision,
        "sliders": [slider_view(s) for s in session.sliders],
        "history": [_moment_view(m) for m in session.moments],
        "at": session.at,
    }


def _moment_view(moment: Moment) -> dict[str, Any]:
    return {"id": moment.id, "label": moment.label}


def error_view(error: Exception) -> dict[str, Any]:
    """One part for what happened, one for what to do; nothing from the inside of an unexpected error is shown."""
    if not isinstance(error, LatentEditorError):
        return {
            "kind": "unexpected",
            "what": "Something went wrong here that should not have.",
            "todo": "Try again; nothing you made is lost.",
        }
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z“])", str(error))
    what, todo = (
        (sentences[:-1], sentences[-1]) if len(sentences) > 1 else (sentences, "Try again with something else.")
    )
    return {"kind": type(error).__name__, "what": " ".join(what), "todo": todo}


def error_status(error: LatentEditorError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, SessionExpired):
        return 410
    if isinstance(error, MissingPart):
        return 501
    return 422 if isinstance(error, BadInput) else 500
