"""Reconstructs the cropped photo, live; Stop keeps the best result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent, OnStep, Step
from latent_editor.inversion import invert
from latent_editor.ui.api.views import fidelity_view
from latent_editor.ui.jobs.job import Answer, LiveJob, Models, Run, run_job

DEFAULT_SECONDS, MAX_SECONDS = 20.0, 120.0


@dataclass(frozen=True)
class ReconstructJob(LiveJob[Latent]):
    """Inverts the pending crop and starts with the resulting face."""

    seconds: float
    method: str

    def prepare(self, run: Run) -> Callable[[OnStep], Latent]:
        pending = run.session.pending
        if pending is None or pending.crop is None:
            raise BadValue("There is no crop to reconstruct. Choose a photo and a face first.")
        g, crop = run.service.g, pending.crop
        return lambda on_step: invert(g, crop, method=self.method, seconds=self.seconds, on_step=on_step)

    def progress(self, step: Step) -> Answer | None:
        answer = super().progress(step)
        return answer and {**answer, "likeness": fidelity_view(step.psnr_db)}

    def result_so_far(self, run: Run, step: Step) -> Latent | None:
        assert step.ws is not None
        return run.service.g.latent(step.ws, method=self.method, psnr_db=step.psnr_db, refinement=step.refinement)

    def finish(self, run: Run, result: Latent) -> Answer:
        sliders = run.service.first_sliders()
        return run.update(lambda s: s.started_with(result, sliders, from_pending=True))


def reconstruct_event(models: Models) -> Callable[[str, float, str], Iterator[Answer]]:
    def reconstruct(session_id: str, seconds: float = DEFAULT_SECONDS, method: str = "auto") -> Iterator[dict]:
        """Reconstructs the cropped photo of a session; yields progress with pictures, then the session."""
        limited_s = min(max(float(seconds), 0.0), MAX_SECONDS)
        yield from run_job(models, session_id, "reconstruct", lambda: ReconstructJob(limited_s, method))

    return reconstruct
