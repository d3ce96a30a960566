"""The gradio events: what takes seconds, goes through gradio's queue, and is the API for other programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent, Step
from latent_editor.media.exports import jpeg_bytes
from latent_editor.rendering import to_image
from latent_editor.sessions.session import Session, Slider
from latent_editor.ui.api.requests import data_address
from latent_editor.ui.api.views import likeness_view, session_view
from latent_editor.ui.jobs.job import Answer, Models, answer_of, events_of
from latent_editor.ui.service.model_service import TEXT_STRENGTH, ModelService

DEFAULT_SECONDS = 20.0
MAX_SECONDS = 120.0
#: A page that gets more pictures a second than this spends its time on decoding them.
MIN_GAP_S = 0.08


def reconstruct_event(models: Models) -> Callable[[str, float, str], Iterator[Answer]]:
    """The event that reconstructs the session's crop, live."""

    def reconstruct(session_id: str, seconds: float = DEFAULT_SECONDS, method: str = "auto") -> Iterator[dict]:
        """Reconstructs the cropped photo of a session; yields progress with pictures, then the session."""
        limited_s = min(max(float(seconds), 0.0), MAX_SECONDS)
        yield from events_of("reconstruct", lambda: _reconstruct(models, session_id, limited_s, method))

    return reconstruct


def _reconstruct(models: Models, session_id: str, seconds: float, method: str) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    run = session.run
    service = models.service_of(session)
    if session.pending is None or session.pending.crop is None:
        raise BadValue("There is no crop to reconstruct. Choose a photo and a face first.")
    best: Step | None = None
    latent: Latent | None = None
    shown_s = 0.0
    steps = service.refine(session.pending.crop, method=method, seconds=seconds)
    for item in steps:
        now = service.store.get(session_id)
        if now.run != run:  # another photo took its place
            return
        if isinstance(item, Latent):
            latent = item
            break
        best = item if item.ws is not None else best
        if now.stopping and best is not None:
            break
        if time.monotonic() - shown_s >= MIN_GAP_S:
            shown_s = time.monotonic()
            yield _progress(item)
    if latent is None and best is not None and best.ws is not None:
        latent = service.g.latent(best.ws, method=method, psnr_db=best.psnr_db, refinement=best.refinement)
    if latent is None:
        raise BadValue("The reconstruction ended before it began. Try again.")
    yield {"session": session_view(_finish(service, session_id, run, latent))}


def _finish(service: ModelService, session_id: str, run: int, latent: Latent) -> Session:
    def finish(session: Session) -> Session:
        return session.begun(latent, service.first_sliders(), from_draft=True) if session.run == run else session

    return service.store.update(session_id, finish)


def _progress(step: Step) -> Answer:
    return {
        "fraction": round(step.fraction, 3),
        "seconds": round(step.seconds, 1),
        "likeness": likeness_view(step.psnr_db),
        "image": data_address(jpeg_bytes(to_image(step.image))) if step.image is not None else None,
    }


def describe_event(models: Models) -> Callable[[str, str], Answer]:
    """The event that makes a slider from a text."""

    def describe(session_id: str, prompt: str) -> dict:
        """Adds a slider for a described change, such as "red hair", to a session; returns the session."""
        return answer_of("describe", lambda: _describe(models, session_id, prompt))

    return describe


def _describe(models: Models, session_id: str, prompt: str) -> Answer:
    session = models.store.get(session_id)
    service = models.service_of(session)
    direction = service.described(service.latent(session), prompt)

    def add(session: Session) -> Session:
        return session.added(Slider.of(f"t{session.next_id}", direction, TEXT_STRENGTH))

    return {"session": session_view(models.store.update_same(session, add))}
