"""Drags points of the picture, live; Stop keeps the best result, which becomes one slider."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent, OnStep, Step
from latent_editor.editing.edits import edited
from latent_editor.editing.point_drag import DragStep, Handle, drag, drag_direction
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.jobs.job import Answer, LiveJob, Models, Run, run_job
from latent_editor.ui.service.model_service import ModelService

DEFAULT_SECONDS, MAX_SECONDS = 15.0, 60.0


@dataclass(frozen=True)
class PointDragJob(LiveJob[Latent]):
    """Moves each handle's first point to its second."""

    handles: Sequence[Handle]
    seconds: float

    def prepare(self, run: Run) -> Callable[[OnStep], Latent]:
        g, start = run.service.g, _visible_latent(run.service, run.session)
        return lambda on_step: drag(g, start, self.handles, seconds=self.seconds, on_step=on_step)

    def progress(self, step: Step) -> Answer | None:
        if not isinstance(step, DragStep):
            return None
        answer = super().progress(step)
        assert answer is not None
        points = [[round(x, 4), round(y, 4)] for x, y in step.points]
        return {**answer, "left": round(step.remaining, 4), "points": points}

    def result_so_far(self, run: Run, step: Step) -> Latent | None:
        assert step.ws is not None
        return run.service.g.latent(step.ws, method="drag", refinement=step.refinement)

    def finish(self, run: Run, result: Latent) -> Answer:
        start = _visible_latent(run.service, run.session)
        if bool((result.ws == start.ws).all()):
            raise BadValue("The points came no closer to their targets. Choose points on edges, or closer targets.")
        direction = drag_direction(start, result, self.handles)
        return run.update(lambda s: s.added(Slider.from_direction(f"h{s.next_id}", direction, 1.0)))


def _visible_latent(service: ModelService, session: Session) -> Latent:
    """The latent with the sliders applied, which is what the visitor sees and drags."""
    latent = service.latent(session)
    if session.placement.matrix() is not None:
        raise BadValue("The picture is moved or turned. Reset its values under *Position* first.")
    return edited(latent, session.edits)


def drag_event(models: Models) -> Callable[[str, list, float], Iterator[Answer]]:
    def drag_points(session_id: str, handles: list, seconds: float = DEFAULT_SECONDS) -> Iterator[dict]:
        """Moves points, [[[x, y], [x, y]], …] in fractions of the side; yields progress, then the session."""
        limited_s = min(float(seconds), MAX_SECONDS)
        yield from run_job(models, session_id, "point drag", lambda: PointDragJob(handles, limited_s))

    return drag_points
