"""Routes for recipes: the edits of one face as a file, and their replay on another face."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Edit
from latent_editor.editing.retarget import retarget_edits
from latent_editor.media.exports import file_name
from latent_editor.recipes import Recipe
from latent_editor.sessions.basis import SAME_FACE
from latent_editor.sessions.session import SLIDER_LIMIT, Session
from latent_editor.sessions.slider import LAYER_NAMES, NAME_LIMIT, Slider
from latent_editor.ui.api.requests import ServiceOf, SessionOf, WorkersOf, download, file_stem, read_upload
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")


@router.get("/s/{session_id}/save/edits.recipe")
def save_recipe(session: SessionOf, service: ServiceOf) -> Response:
    """The sliders that are not at zero, to be replayed on another face."""
    recipe = Recipe.of(_edits(session), service.g, placement=session.placement)
    return download(recipe.to_bytes(), file_name(file_stem(session), ".recipe"), "application/json")


@router.post("/s/{session_id}/recipe")
async def load_recipe(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Replays a recipe as one entry of the history; sliders that it does not contain go to zero."""
    data, name = await read_upload(request)
    return await workers.compute(lambda: _load_recipe(service, session, data, name))


def _load_recipe(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    latent = service.latent(session)
    recipe = Recipe.from_bytes(data, name)
    edits = service.on_gpu(lambda: retarget_edits(service.g, latent, recipe.edits(service.g)))()
    label = f"recipe {recipe.name or name.removesuffix('.recipe')}"[:NAME_LIMIT]
    placement = recipe.placement if service.g.has_transform else session.placement

    def replay(now: Session) -> Session:
        return now.sliders_replaced(label, _sliders(service, now, edits), placement)

    return update_view(service.store, session, replay, SAME_FACE)


def _sliders(service: ModelService, session: Session, edits: list[Edit]) -> tuple[Slider, ...]:
    """The edits of a recipe as sliders, then the other sliders of the panel at zero."""
    groups = {service.layer_range(name): name for name in reversed(LAYER_NAMES)}
    known = {d.name: f"d{i}" for i, d in enumerate(service.directions)}
    sliders: list[Slider] = []
    for i, edit in enumerate(edits):
        key = known.pop(edit.direction.name, None) or f"r{session.next_id}x{i}"
        sliders.append(Slider(key, edit, groups.get(edit.layers, "own")))
    names = {edit.direction.name for edit in edits}
    rest = [s for s in session.sliders if s.edit.direction.name not in names]
    sliders += [replace(s, edit=replace(s.edit, strength=0.0)) for s in rest]
    return tuple(sliders[:SLIDER_LIMIT])


def _edits(session: Session) -> list[Edit]:
    """The edits of sliders that are not at zero. Raises BadValue if there are none."""
    edits = [edit for edit in session.edits if edit.strength]
    if not edits:
        raise BadValue("Nothing is changed yet. Move a slider first.")
    return edits
