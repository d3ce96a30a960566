from __future__ import annotations

import pytest
import torch

from latent_editor.core.errors import SessionExpired, UnknownDirection
from latent_editor.core.values import Latent
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
    store.update(session.id, lambda s: s.begun(FACE))
    assert store.get(session.id).latent is FACE


def test_unused_ones_expire_and_used_ones_stay() -> None:
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


def test_the_one_used_longest_ago_makes_room() -> None:
    store = SessionStore(capacity=2)
    first, second = store.create(), store.create()
    store.get(first.id)
    store.create()
    assert store.get(first.id)
    with pytest.raises(SessionExpired):
        store.get(second.id)


def test_empty_ones_make_room_before_work_is_lost() -> None:
    store = SessionStore(capacity=3)
    work = store.update(store.create().id, lambda s: s.begun(FACE))
    for _ in range(10):
        newest = store.create()
    assert store.get(work.id).latent is FACE
    assert store.get(newest.id) is newest
    assert len(store) == 3


def test_a_change_that_fails_leaves_the_session_as_it_was() -> None:
    store = SessionStore()
    session = store.update(store.create().id, lambda s: s.begun(FACE))
    with pytest.raises(UnknownDirection):
        store.update(session.id, lambda s: s.moved("nothing", 1))
    assert store.get(session.id) is session


def test_a_face_made_with_another_model_counts_as_work() -> None:
    store = SessionStore(capacity=2)
    work = store.update(store.create().id, lambda s: s.begun(FACE).switched("cats"))
    store.create()
    store.create()
    assert store.holds(work.id)


def test_what_was_made_for_one_model_is_not_put_on_another() -> None:
    store = SessionStore()
    asked = store.create("dogs")
    assert asked.model == "dogs"
    store.update(asked.id, lambda s: s.switched("cats"))
    assert store.update_same(asked, lambda s: s.begun(FACE)).latent is None
    assert store.update_same(store.get(asked.id), lambda s: s.begun(FACE)).latent is FACE
