"""The routes of recipes: what was done to a face, kept as a file, replayed on another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Edit
from latent_editor.editing.retarget import retarget_edits
from latent_editor.media.exports import file_name
from latent_editor.recipes import Recipe
from latent_editor.sessions.session import LAYER_NAMES, SLIDER_LIMIT, Session, Slider
from latent_editor.ui.api.requests import SessionOf, StudioOf, download, read_upload
from latent_editor.ui.api.views import session_view
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")


@router.get("/s/{session_id}/save/edits.recipe")
def save_recipe(session: SessionOf, service: StudioOf) -> Response:
    """The sliders that change something, to be opened again on another face."""
    recipe = Recipe.of(_edits(session), service.g, placement=session.placement)
    return download(recipe.to_bytes(), file_name(_stem(session), ".recipe"), "application/json")


@router.post("/s/{session_id}/recipe")
async def load_recipe(session: SessionOf, request: Request, service: StudioOf) -> dict[str, Any]:
    """Does what a recipe says, as one entry of the history; what was done before it goes back to zero."""
    data, name = await read_upload(request)
    return await run_in_threadpool(_load_recipe, service, session, data, name)


def _load_recipe(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    latent = service.latent(session)
    recipe = Recipe.from_bytes(data, name)
    edits = service.on_gpu(lambda: retarget_edits(service.g, latent, recipe.edits(service.g)))()
    label = f"recipe {recipe.name or name.removesuffix('.recipe')}"[:60]
    placement = recipe.placement if service.g.has_transform else session.placement

    def replayed(now: Session) -> Session:
        return now.replayed(label, _sliders(service, now, edits), placement)

    return session_view(service.store.update_same(session, replayed))


def _sliders(service: ModelService, session: Session, edits: list[Edit]) -> tuple[Slider, ...]:
    """A recipe's edits as sliders, and those of the panel that it does not name at zero after them."""
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
    """The sliders that stand elsewhere than at zero. Raises BadValue where none does."""
    edits = [edit for edit in session.edits if edit.strength]
    if not edits:
        raise BadValue("Nothing is changed yet. Move a slider first.")
    return edits


def _stem(session: Session) -> str:
    return session.photo.name if session.photo else "face"
