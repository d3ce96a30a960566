from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.errors import SessionExpired, UnknownDirection
from latent_editor.core.values import Crop, Latent, Photo
from latent_editor.sessions.basis import (
    LATEST_REQUEST,
    SAME_FACE,
    SAME_MODEL,
    SAME_PHOTO,
    SAME_RUN,
    Superseded,
)
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore

FACE = Latent(torch.zeros(4, 8), "tiny", "0" * 12)


def test_ids_are_long_and_different() -> None:
    store = SessionStore()
    ids = {store.create().id for _ in range(20)}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 32


def test_update_is_seen_by_get() -> None:
    store = SessionStore()
    session = store.create()
    store.update(session.id, lambda s: s.started_with(FACE))
    assert store.get(session.id).latent is FACE


def test_unused_sessions_expire_and_used_ones_stay() -> None:
    now = [0.0]
    store = SessionStore(lifetime_s=100, clock=lambda: now[0])
    idle, used = store.create(), store.create()
    now[0] = 60
    store.get(used.id)
    now[0] = 120
    assert store.get(used.id).id == used.id
    with pytest.raises(SessionExpired, match="again"):
        store.get(idle.id)
    assert len(store) == 1


def test_the_least_recently_used_session_is_displaced() -> None:
    store = SessionStore(capacity=2)
    first, second = store.create(), store.create()
    store.get(first.id)
    store.create()
    assert store.get(first.id)
    with pytest.raises(SessionExpired):
        store.get(second.id)


def test_empty_sessions_are_displaced_first() -> None:
    store = SessionStore(capacity=3)
    work = store.update(store.create().id, lambda s: s.started_with(FACE))
    for _ in range(10):
        newest = store.create()
    assert store.get(work.id).latent is FACE
    assert store.get(newest.id) is newest
    assert len(store) == 3


def test_a_failed_change_leaves_the_session_as_it_was() -> None:
    store = SessionStore()
    session = store.update(store.create().id, lambda s: s.started_with(FACE))
    with pytest.raises(UnknownDirection):
        store.update(session.id, lambda s: s.moved("nothing", 1))
    assert store.get(session.id) is session


def test_a_face_made_with_another_model_counts_as_work() -> None:
    store = SessionStore(capacity=2)
    work = store.update(store.create().id, lambda s: s.started_with(FACE).switched("cats"))
    store.create()
    store.create()
    assert store.holds(work.id)


OTHER_FACE = Latent(torch.ones(4, 8), "tiny", "0" * 12)
PHOTO, OTHER_PHOTO = (Photo(Image.new("RGB", (8, 8), color)) for color in ("red", "blue"))


def crop_of(photo: Photo) -> Crop:
    return Crop(photo.image, np.eye(2, 3))


def with_photo(session: Session) -> Session:
    return session.started_with(FACE).requested().opened(PHOTO)


def answered(change: Callable[[Session], Session]) -> Callable[[Session], Session]:
    """A request for another photo, face or model, and its answer."""

    def request_and_answer(session: Session) -> Session:
        asked = session.requested()
        return replace(change(asked), answered=asked.request)

    return request_and_answer


#: What visitors do while a result is computed, and what each kind of result survives.
CHANGES: dict[str, tuple[Callable[[Session], Session], set[str]]] = {
    "nothing": (lambda s: s, {"model", "face", "request", "photo", "run"}),
    "a slider": (lambda s: s.placed("position-x", 0.5), {"model", "face", "request", "photo", "run"}),
    "undo": (Session.undone, {"model", "face", "request", "photo", "run"}),
    "a job": (Session.run_started, {"model", "face", "request", "photo"}),
    "stop": (Session.run_stopping, {"model", "face", "request", "photo", "run"}),
    "cancel": (Session.cancelled, {"model", "face", "request"}),
    "a request without an answer": (Session.requested, {"model", "face", "request", "photo", "run"}),
    "another photo": (answered(lambda s: s.opened(OTHER_PHOTO)), {"model", "face"}),
    "a crop": (answered(lambda s: s.cropped(crop_of(PHOTO))), {"model", "face"}),
    "another face": (answered(lambda s: s.started_with(OTHER_FACE)), {"model"}),
    "another model": (answered(lambda s: s.switched("cats")), set()),
    "another model and back": (lambda s: s.switched("cats").switched(s.model), {"model", "face", "request"}),
}
BASES = {"model": SAME_MODEL, "face": SAME_FACE, "request": LATEST_REQUEST, "photo": SAME_PHOTO, "run": SAME_RUN}


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("meanwhile", CHANGES)
def test_a_late_result_applies_only_to_what_it_was_computed_from(kind: str, meanwhile: str) -> None:
    store = SessionStore()
    seen = store.update(store.create("dogs").id, with_photo)
    change, survivors = CHANGES[meanwhile]
    now = store.update(seen.id, change)

    def apply() -> Session:
        return store.update_if(seen, lambda s: replace(s, next_id=s.next_id + 100), BASES[kind])

    if kind in survivors:
        assert apply().next_id == now.next_id + 100
    else:
        with pytest.raises(Superseded) as dropped:
            apply()
        assert dropped.value.session is store.get(seen.id) is now
        assert str(dropped.value).count(". ") >= 1  # what happened, then what to do


def test_the_newest_request_wins_whichever_is_ready_first() -> None:
    for first_ready in (0, 1):
        store = SessionStore()
        session_id = store.create().id
        seen = [store.update(session_id, Session.requested) for _ in range(2)]
        for i in (first_ready, 1 - first_ready):
            photo = (PHOTO, OTHER_PHOTO)[i]
            late = pytest.raises(Superseded) if i < first_ready else contextlib.nullcontext()
            with late:
                store.update_if(seen[i], lambda s, p=photo: s.opened(p), LATEST_REQUEST)  # type: ignore[misc]
        pending = store.get(session_id).pending
        assert pending is not None
        assert pending.photo is OTHER_PHOTO


def test_crops_of_one_photo_replace_each_other_in_the_order_of_their_requests() -> None:
    for ready in ([0, 1], [1, 0]):
        store, crops = SessionStore(), [crop_of(PHOTO) for _ in range(2)]
        session_id = store.update(store.create().id, lambda s: s.opened(PHOTO)).id
        seen = [store.update(session_id, Session.requested) for _ in crops]
        for i in ready:
            with contextlib.suppress(Superseded):
                store.update_if(seen[i], lambda s, c=crops[i]: s.cropped(c), SAME_PHOTO)  # type: ignore[misc]
        pending = store.get(session_id).pending
        assert pending is not None
        assert pending.crop is crops[1]
