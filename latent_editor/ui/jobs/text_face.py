"""Generates a face from a text prompt, live."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from latent_editor.core.values import Latent, OnStep, Step
from latent_editor.text import generate_from_text
from latent_editor.ui.jobs.job import Answer, LiveJob, Models, Run, run_job

SECONDS = 5.0


@dataclass(frozen=True)
class TextFaceJob(LiveJob[Latent]):
    """Generates a face and starts with it."""

    text: str

    def prepare(self, run: Run) -> Callable[[OnStep], Latent]:
        g, seed = run.service.g, random.SystemRandom().randrange(2**20)
        return lambda on_step: generate_from_text(g, self.text, seconds=SECONDS, seed=seed, on_step=on_step)

    def progress(self, step: Step) -> Answer | None:
        return super().progress(step) if step.image is not None else None

    def finish(self, run: Run, result: Latent) -> Answer:
        sliders = run.service.first_sliders()
        return run.update(lambda s: s.started_with(result, sliders))


def text_face_event(models: Models) -> Callable[[str, str], Iterator[Answer]]:
    def text_face(session_id: str, text: str) -> Iterator[dict]:
        """Generates a face from a text; yields progress with pictures, then the session with that face."""
        yield from run_job(models, session_id, "text face", lambda: TextFaceJob(text))

    return text_face
