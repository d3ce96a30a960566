"""New sliders on request: from descriptions, from examples, or disentangled from an existing slider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pydantic import BaseModel, Field

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, OnStep
from latent_editor.directions import disentangle_direction, fit_direction, fit_direction_from_examples
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import NAME_LIMIT, Slider
from latent_editor.ui.jobs.job import Answer, Job, Models, Run, checked, run_job
from latent_editor.ui.service.other_faces import example_set

#: The strength that a new slider starts with.
FIRST_STRENGTH = 1.0
#: Marks a disentangled slider, whose name has to differ: key frames identify sliders by name.
DISENTANGLED = ", isolated"


class FitRequest(BaseModel, extra="forbid"):
    """A slider between two descriptions, or between two sets of examples given by their keys."""

    name: str = Field(default="", max_length=NAME_LIMIT)
    more: str | list[str] = Field(max_length=300)
    less: str | list[str] = Field(default="", max_length=300)


@dataclass(frozen=True)
class FitJob(Job[Direction]):
    """Fits a direction and adds it to the panel."""

    request: FitRequest

    def prepare(self, run: Run) -> Callable[[OnStep], Direction]:
        g, more, less, name = run.service.g, self.request.more, self.request.less, self.request.name.strip()
        run.service.latent(run.session)  # raises if there is no face yet
        if isinstance(more, str) and isinstance(less, str):
            opposite = less if less.strip() else None
            return lambda on_step: fit_direction(g, more, opposite, name=name or None, on_step=on_step)
        if isinstance(more, str) or isinstance(less, str):
            raise BadValue("Got a set of examples and a description; expected two of a kind. Choose one of them.")
        sets = [example_set(run.service, run.session, keys) for keys in (more, less)]
        return lambda on_step: fit_direction_from_examples(g, *sets, name=name or "my examples", on_step=on_step)

    def finish(self, run: Run, result: Direction) -> Answer:
        return run.update(lambda s: s.added(Slider.from_direction(f"f{s.next_id}", result, FIRST_STRENGTH)))


@dataclass(frozen=True)
class DisentangleJob(Job[Direction]):
    """Removes from a slider what it changes besides its own attribute, and replaces the slider."""

    key: str

    def prepare(self, run: Run) -> Callable[[OnStep], Direction]:
        direction = run.session.slider(self.key).edit.direction
        original = replace(direction, name=direction.name.removesuffix(DISENTANGLED))  # the name it is measured by
        return lambda on_step: disentangle_direction(run.service.g, original, on_step=on_step)

    def finish(self, run: Run, result: Direction) -> Answer:
        before = run.session.slider(self.key)
        direction = replace(result, name=f"{result.name}{DISENTANGLED}")

        def exchange(now: Session) -> Session:
            slider = next((s for s in now.sliders if s.key == self.key), before)
            # A new key, so that browsers do not show cached pictures of the old slider.
            new = replace(slider, key=f"c{now.next_id}", edit=replace(slider.edit, direction=direction))
            return now.slider_replaced(self.key, new, f"isolate {result.name}")

        return run.update(exchange)


def fit_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    def fit(session_id: str, request: dict) -> Iterator[dict]:
        """Adds a slider, {"more": "a happy person", "less": "a sad person"}; yields progress, then the session."""
        yield from run_job(models, session_id, "fit", lambda: FitJob(checked(FitRequest, request)))

    return fit


def disentangle_event(models: Models) -> Callable[[str, str], Iterator[Answer]]:
    def clean(session_id: str, key: str) -> Iterator[dict]:
        """Disentangles a slider from the other attributes; yields progress, then the session."""
        yield from run_job(models, session_id, "disentangle", lambda: DisentangleJob(key))

    return clean
