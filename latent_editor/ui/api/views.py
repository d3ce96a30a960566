"""Sessions and errors as the JSON that the page reads."""

from __future__ import annotations

import re
from typing import Any

from latent_editor.core.errors import BadInput, LatentEditorError, MissingPart, SessionExpired
from latent_editor.core.values import Direction
from latent_editor.editing.edits import strength_scale
from latent_editor.editing.style_mixing import SOURCE as MIXED
from latent_editor.networks.colorizer import COLORIZER_FILE
from latent_editor.sessions.basis import Superseded
from latent_editor.sessions.placement import AXES
from latent_editor.sessions.session import HistoryEntry, Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.service.background import Progress
from latent_editor.ui.service.model_listing import ModelEntry
from latent_editor.ui.service.model_service import ModelService

#: Lower bounds of PSNR in dB, with the number of filled dots of five and a word. From 24 dB a person is recognizable.
FIDELITY = ((28.0, 5, "very good"), (24.0, 4, "good"), (21.0, 3, "fair"), (18.0, 2, "weak"))
#: Names with a lower score are marked as uncertain.
CERTAIN_SCORE = 0.6


def about_view(service: ModelService) -> dict[str, Any]:
    """A model, and the progress of its preparation.

    A failed search for directions is reported once; the next call starts it again.
    """
    g, about = service.g, service.g.bundle.about
    finding, problem = _poll_directions(service)
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
        "finding": finding,
        "directions_problem": problem,
        "preparing": _progress_view(service.progress),
        "text_problem": error_view(service.text_problem) if service.text_problem else None,
        "examples": list(service.example_seeds),
    }


def _poll_directions(service: ModelService) -> tuple[bool, dict[str, Any] | None]:
    """Whether the directions are still being computed, and why they could not be."""
    try:
        return service.directions_task.poll() is None, None
    except Exception as e:
        return False, error_view(e)


def _class_names(c_dim: int, names: Any) -> list[str]:
    """A name for each class, or its number if the model names none."""
    known = names if isinstance(names, list) and len(names) == c_dim else range(c_dim)
    return [str(name)[:60] for name in known]


def _progress_view(progress: Progress) -> dict[str, Any] | None:
    """The progress of a preparation; None if none is running."""
    if not progress.running:
        return None
    step = progress.step
    return {
        "fraction": round(step.fraction, 3) if step else None,
        "seconds": round(step.seconds) if step else 0,
        "label": step.label if step else "",
        "stopping": progress.stopping,
    }


def entry_view(entry: ModelEntry) -> dict[str, Any]:
    """A model for the model picker, without its path."""
    return {
        "key": entry.key,
        "title": entry.title,
        "source": entry.source,
        "size_px": entry.size_px,
        "licence": entry.license,
        "credit": entry.credit,
    }


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
        "unsure": direction.score is not None and direction.score < CERTAIN_SCORE,
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


def fidelity_view(psnr_db: float | None) -> dict[str, Any] | None:
    """The fidelity of a reconstruction: PSNR, filled dots of five, and a word; None if unknown."""
    if psnr_db is None:
        return None
    dots, word = next(((n, w) for min_db, n, w in FIDELITY if psnr_db >= min_db), (1, "poor"))
    return {"psnr_db": round(psnr_db, 1), "dots": dots, "word": word}


def session_view(session: Session) -> dict[str, Any]:
    """The state of a session."""
    latent, offered = session.latent, session.offered
    return {
        "ready": latent is not None,
        "photo": session.photo.name if session.photo else None,
        "likeness": fidelity_view(latent.psnr_db if latent and session.photo else None),
        "revision": session.revision,
        "model": session.model,
        "offer": offered.photo.name if offered and offered.photo else None,
        "position": {axis: session.placement.value(axis) for axis in AXES},
        "sliders": [slider_view(s) for s in session.sliders],
        "kept": round(strength_scale(session.edits), 3),
        "history": [_entry_view(entry) for entry in session.history],
        "at": session.cursor,
    }


def _entry_view(entry: HistoryEntry) -> dict[str, Any]:
    return {"id": entry.id, "label": entry.label}


def error_view(error: Exception) -> dict[str, Any]:
    """An error as two parts: what happened, and what to do. Hides the details of unexpected errors."""
    if not isinstance(error, LatentEditorError):
        return {
            "kind": "unexpected",
            "what": "An unexpected error occurred.",
            "todo": "Try again; your work is not lost.",
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
    if isinstance(error, Superseded):
        return 409
    return 422 if isinstance(error, BadInput) else 500
