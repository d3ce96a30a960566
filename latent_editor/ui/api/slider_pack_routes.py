"""Routes for slider packs: sliders as a file, to keep, share and import."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Directions
from latent_editor.directions import import_directions, write_directions
from latent_editor.media.exports import file_name
from latent_editor.sessions.basis import SAME_MODEL
from latent_editor.sessions.session import SLIDER_LIMIT, Session
from latent_editor.sessions.slider import NAME_LIMIT, Slider
from latent_editor.ui.api.requests import ServiceOf, SessionOf, WorkersOf, download, read_upload
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")

PACK_SUFFIX = ".sliders"


@router.get("/s/{session_id}/save/pack.sliders")
def save_pack(session: SessionOf, service: ServiceOf, key: str | None = None) -> Response:
    """All sliders of the panel as a file, or one of them. Raises UnknownDirection."""
    directions = [session.slider(key).edit.direction] if key else [s.edit.direction for s in session.sliders]
    if not directions:
        raise BadValue("There is no slider to save. Add one first.")
    name = directions[0].name if len(directions) == 1 else f"{len(directions)} sliders"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack"
        write_directions(Directions(directions), path, fingerprint=service.g.fingerprint)
        return download(path.read_bytes(), file_name(name, PACK_SUFFIX), "application/octet-stream")


@router.post("/s/{session_id}/pack")
async def load_pack(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Adds the sliders of a file, of this program or of another, at the top of the panel, all at zero."""
    data, name = await read_upload(request)
    return await workers.compute(lambda: _load_pack(service, session, data, name))


def _load_pack(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    service.latent(session)  # raises if there is no face yet
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name(name, "")
        path.write_bytes(data)
        count = SLIDER_LIMIT if name.endswith(PACK_SUFFIX) else None  # of files with hundreds the first ones
        directions = service.on_gpu(lambda: import_directions(path, service.g, count=count))()

    def add(now: Session) -> Session:
        sliders = (Slider.from_direction(f"p{now.next_id}x{i}", d) for i, d in enumerate(directions))
        return now.added(*sliders, label=f"open {name.removesuffix(PACK_SUFFIX)}"[:NAME_LIMIT])

    return update_view(service.store, session, add, SAME_MODEL)  # a pack fits every face of the model
