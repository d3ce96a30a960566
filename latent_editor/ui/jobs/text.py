"""What words can do besides adding a slider: describe a face from nothing, and say a slider in another way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, Latent, Step
from latent_editor.media.exports import jpeg_bytes
from latent_editor.rendering import to_image
from latent_editor.sessions.session import Session
from latent_editor.text import generate_from_text, text_direction
from latent_editor.ui.api.requests import data_address
from latent_editor.ui.api.views import session_view
from latent_editor.ui.jobs.job import Answer, Models, answer_of, events_of
from latent_editor.ui.jobs.reconstruct import MIN_GAP_S
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.streaming import stream

SECONDS = 5.0


def imagine_event(models: Models) -> Callable[[str, str], Iterator[Answer]]:
    """The event that makes a face from a text, live."""

    def imagine_face(session_id: str, text: str) -> Iterator[dict]:
        """Makes a face that a text describes; yields progress with pictures, then the session with that face."""
        yield from events_of("imagine", lambda: _imagine(models, session_id, text))

    return imagine_face


def _imagine(models: Models, session_id: str, text: str) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    run, service = session.run, models.service_of(session)
    seed = random.SystemRandom().randrange(2**20)

    def work() -> Iterator[Step | Latent]:
        return stream(lambda on_step: generate_from_text(service.g, text, seconds=SECONDS, seed=seed, on_step=on_step))

    shown_s = 0.0
    for item in service.on_gpu(work)():
        if models.store.get(session_id).run != run:  # the visitor went elsewhere
            return
        if isinstance(item, Latent):
            yield {"session": session_view(_begun(service, session_id, run, item))}
        elif time.monotonic() - shown_s >= MIN_GAP_S and item.image is not None:
            shown_s = time.monotonic()
            picture = data_address(jpeg_bytes(to_image(item.image)))
            yield {"fraction": round(item.fraction, 3), "seconds": round(item.seconds, 1), "image": picture}


def _begun(service: ModelService, session_id: str, run: int, latent: Latent) -> Session:
    sliders = service.first_sliders()  # not within the update, which holds the store's lock

    def begin(session: Session) -> Session:
        return session.begun(latent, sliders) if session.run == run else session

    return service.store.update(session_id, begin)


def reread_event(models: Models) -> Callable[[str, str, str], Answer]:
    """The event that makes a text slider anew, by another method."""

    def reread(session_id: str, key: str, method: str) -> dict:
        """Makes a slider of a described change again by "fast", "global" or "optimize" (for this face); its strength
        and its place stay. Returns the session."""
        return answer_of("reread", lambda: _reread(models, session_id, key, method))

    return reread


def _reread(models: Models, session_id: str, key: str, method: str) -> Answer:
    session = models.store.get(session_id)
    service, slider = models.service_of(session), session.slider(key)
    prompt, latent = slider.edit.direction.prompt, service.latent(session)
    if prompt is None:
        raise BadValue(f"The slider {slider.edit.direction.name!r} was not made from words. Choose another one.")
    wanted: str = prompt

    def work() -> Direction:
        return text_direction(service.g, wanted, latent=latent, method=method)

    made: Direction = replace(service.on_gpu(work)(), name=slider.edit.direction.name)
    return {"session": session_view(models.store.update_same(session, lambda s: _with(s, key, made)))}


def _with(session: Session, key: str, direction: Direction) -> Session:
    """The session with another direction behind one slider, as one entry of its history."""
    slider = session.slider(key)
    other = replace(slider, edit=replace(slider.edit, direction=direction))
    sliders = tuple(other if s.key == key else s for s in session.sliders)
    return session.replayed(f"{direction.name} in another way", sliders, session.placement)
