"""Sessions and errors as the JSON that the page reads."""

from __future__ import annotations

import re
from typing import Any

from latent_editor.core.errors import BadInput, LatentEditorError, MissingPart, SessionExpired
from latent_editor.core.values import Direction
from latent_editor.editing.edits import strength_scale
from latent_editor.editing.style_mixing import SOURCE as MIXED
from latent_editor.networks.colorizer import COLORIZER_FILE
from latent_editor.sessions.placement import AXES
from latent_editor.sessions.session import HistoryEntry, Session, Slider
from latent_editor.ui.service.background import Progress
from latent_editor.ui.service.model_listing import Entry
from latent_editor.ui.service.model_service import ModelService

#: From how many dB on a likeness has how many of five dots, and its word. At 24 dB a person is plainly recognised.
LIKENESS = ((28.0, 5, "very good"), (24.0, 4, "good"), (21.0, 3, "fair"), (18.0, 2, "weak"))
#: A name whose score is below this is marked as unsure.
SURE_SCORE = 0.6


def about_view(service: ModelService) -> dict[str, Any]:
    """What does not change while a model is in use, and how far its preparation is."""
    g, about = service.g, service.g.bundle.about
    return {
        "model": {
            "name": g.name,
            "title": about.get("title", g.name),
            "credit": about.get("credit", ""),
            "size_px": g.size_px,
            "fingerprint": g.fingerprint,
            "faces": service.shows_faces,
            "colorizer": g.bundle.has(COLORIZER_FILE),
            "points": list(about["canonical_points"].values()) if service.shows_faces else [],
            "classes": _class_names(g.c_dim, about.get("classes")),
            "axes": [{"key": k, "name": a.name, "limit": a.limit} for k, a in AXES.items()] if g.has_transform else [],
        },
        "directions": [{"key": f"d{i}", **direction_view(d)} for i, d in enumerate(service.directions)],
        "finding": not service.found.done(),
        "preparing": _progress_view(service.progress),
        "text_problem": error_view(service.text_problem) if service.text_problem else None,
        "examples": list(service.example_seeds),
    }


def _class_names(c_dim: int, names: Any) -> list[str]:
    """A name for each class; its number where the model tells none."""
    known = names if isinstance(names, list) and len(names) == c_dim else range(c_dim)
    return [str(name)[:60] for name in known]


def _progress_view(progress: Progress) -> dict[str, Any] | None:
    """How far the preparation of a model is; None where it is not under way."""
    if not progress.running:
        return None
    step = progress.step
    return {
        "fraction": round(step.fraction, 3) if step else None,
        "seconds": round(step.seconds) if step else 0,
        "label": step.label if step else "",
        "stopping": progress.stopping,
    }


def entry_view(entry: Entry) -> dict[str, Any]:
    """A model as the picker shows it; never its path."""
    shown = ("key", "title", "source", "size_px", "licence", "credit")
    return {name: getattr(entry, name) for name in shown}


def direction_view(direction: Direction) -> dict[str, Any]:
    return {
        "name": direction.name,
        "low": direction.low,
        "high": direction.high,
        "source": direction.source,
        "detail": direction.detail,
        "method": direction.provenance.method,
        "score": direction.score,
        "leakage": None if direction.entanglement is None else dict(direction.entanglement),
        "limit": 1 if direction.interpolates or direction.source == MIXED else 3,
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
        "region": slider.edit.region.name if slider.edit.region else None,
        "taken": slider.edit.direction.interpolates,
        "pinned": slider.pinned,
    }


def likeness_view(psnr_db: float | None) -> dict[str, Any] | None:
    """A word, dots of five, and the figure."""
    if psnr_db is None:
        return None
    dots, word = next(((n, w) for least, n, w in LIKENESS if psnr_db >= least), (1, "poor"))
    return {"psnr_db": round(psnr_db, 1), "dots": dots, "word": word}


def session_view(session: Session) -> dict[str, Any]:
    latent, offered = session.latent, session.offered
    return {
        "ready": latent is not None,
        "photo": session.photo.name if session.photo else None,
        "likeness": likeness_view(latent.psnr_db if latent and session.photo else None),
        "revision": session.revision,
        "model": session.model,
        "offer": offered.photo.name if offered and offered.photo else None,
        "position": {axis: session.placement.value(axis) for axis in AXES},
        "sliders": [slider_view(s) for s in session.sliders],
        "kept": round(strength_scale(session.edits), 3),
        "history": [_entry_view(m) for m in session.history],
        "at": session.cursor,
    }


def _entry_view(entry: HistoryEntry) -> dict[str, Any]:
    return {"id": entry.id, "label": entry.label}


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
