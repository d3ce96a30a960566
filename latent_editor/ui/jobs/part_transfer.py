"""Transfers a part of another face, as a slider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel, Field

from latent_editor.core.values import Edit, OnStep
from latent_editor.editing.part_transfer import transfer_part
from latent_editor.sessions.slider import Slider
from latent_editor.ui.jobs.job import Answer, Job, Models, Run, checked, run_job
from latent_editor.ui.service.other_faces import find_other_face

MAX_NAME = 40


class PartTransferRequest(BaseModel, extra="forbid"):
    """The part, and the face to take it from: the key of an uploaded face, or the seed of a random one."""

    part: str = Field(max_length=40)
    key: str = ""
    seed: int | None = Field(default=None, ge=0, lt=2**31)


@dataclass(frozen=True)
class PartTransferJob(Job[Edit]):
    """Fits the edit that transfers the part, and adds it as a slider."""

    request: PartTransferRequest

    def prepare(self, run: Run) -> Callable[[OnStep], Edit]:
        g, latent, part = run.service.g, run.service.latent(run.session), self.request.part
        other = find_other_face(run.service, run.session, self.request.key, self.request.seed)
        name = (other.name or "")[:MAX_NAME]
        return lambda on_step: transfer_part(
            g, latent, other.latent, part, photo=other.crop, name=name, on_step=on_step
        )

    def finish(self, run: Run, result: Edit) -> Answer:
        return run.update(lambda s: s.added(Slider(f"p{s.next_id}", result)))


def part_transfer_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    def transfer(session_id: str, request: dict) -> Iterator[dict]:
        """Transfers a part of another face, {"part": "mouth", "key": "…"}; yields progress, then the session."""
        yield from run_job(
            models, session_id, "part transfer", lambda: PartTransferJob(checked(PartTransferRequest, request))
        )

    return transfer
