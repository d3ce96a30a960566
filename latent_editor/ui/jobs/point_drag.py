"""The gradio event behind the tool for dragging points: live, *Stop* keeps its best, the outcome is one slider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent, Step
from latent_editor.editing.edits import edited
from latent_editor.editing.point_drag import DragStep, Handle, drag, drag_direction
from latent_editor.media.exports import jpeg_bytes
from latent_editor.rendering import to_image
from latent_editor.sessions.session import Session, Slider
from latent_editor.ui.api.requests import data_address
from latent_editor.ui.api.views import session_view
from latent_editor.ui.jobs.job import Answer, Models, events_of
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.streaming import stream

DEFAULT_SECONDS, MAX_SECONDS = 15.0, 60.0


def drag_event(models: Models) -> Callable[[str, list, float], Iterator[Answer]]:
    """The event that moves points of the session's picture, live."""

    def drag_points(session_id: str, handles: list, seconds: float = DEFAULT_SECONDS) -> Iterator[dict]:
        """Moves points, [[[x, y], [x, y]], …] in fractions of the side; yields progress, then the session."""
        limited_s = min(float(seconds), MAX_SECONDS)
        yield from events_of("drag", lambda: _drag(models, session_id, handles, limited_s))

    return drag_points


def _drag(models: Models, session_id: str, handles: Sequence[Handle], seconds: float) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service = models.service_of(session)
    start = _start(service, session)
    best, latent = None, None
    for item in moves(service, start, handles, seconds):
        now = service.store.get(session_id)
        if now.run != session.run:  # the visitor went elsewhere
            return
        if isinstance(item, Latent):
            latent = item
            break
        if not isinstance(item, DragStep):
            continue
        best = item
        if now.stopping:
            break
        yield _progress(item)
    if latent is None and best is not None and best.ws is not None:
        latent = service.g.latent(best.ws, method="drag", refinement=best.refinement)
    if latent is None or bool((latent.ws == start.ws).all()):
        raise BadValue("The points did not come nearer to their targets. Choose points on edges, or shorter ways.")
    direction = drag_direction(start, latent, handles)

    def finish(now: Session) -> Session:
        if now.run != session.run:
            return now
        return now.added(Slider.of(f"h{now.next_id}", direction, 1.0)).run_started()

    yield {"session": session_view(service.store.update(session_id, finish))}


def moves(service: ModelService, start: Latent, handles: Sequence[Handle], seconds: float) -> Iterator[Step | Latent]:
    """A drag's newest steps, then its latent. Closing the iterator ends the work."""

    def work() -> Iterator[Step | Latent]:
        return stream(lambda on_step: drag(service.g, start, handles, seconds=seconds, on_step=on_step))

    yield from service.on_gpu(work)()


def _start(service: ModelService, session: Session) -> Latent:
    """The latent with the sliders as they stand: what the visitor sees and takes hold of."""
    latent = service.latent(session)
    if session.placement.matrix() is not None:
        raise BadValue("The picture is moved or turned. Put it back to its place, by its values under *Position*.")
    return edited(latent, session.edits)


def _progress(step: DragStep) -> Answer:
    return {
        "fraction": round(step.fraction, 3),
        "seconds": round(step.seconds, 1),
        "left": round(step.left, 4),
        "points": [[round(x, 4), round(y, 4)] for x, y in step.points],
        "image": None if step.image is None else data_address(jpeg_bytes(to_image(step.image))),
    }
