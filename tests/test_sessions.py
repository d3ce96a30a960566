from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from PIL import Image

from latent_editor.errors import BadValue, UnknownDirection
from latent_editor.sessions import (
    HISTORY_LIMIT,
    SLIDER_LIMIT,
    Session,
    Slider,
    edits_with,
)
from latent_editor.types import Crop, Direction, Latent, Photo

AGE = Direction("age", torch.ones(4, 8))
SMILE = Direction("smile", torch.zeros(4, 8), layers=(0, 2))
FACE = Latent(torch.zeros(4, 8), "tiny", "0" * 12)


@pytest.fixture
def session() -> Session:
    return Session("x").begun(FACE, (Slider.of("d0", AGE), Slider.of("d1", SMILE)))


def strengths(session: Session) -> dict[str, float]:
    return {s.key: s.edit.strength for s in session.sliders}


class TestSliders:
    def test_a_session_cannot_be_changed_in_place(self, session: Session) -> None:
        with pytest.raises(FrozenInstanceError):
            session.at = 3  # type: ignore[misc]

    def test_move_changes_one_slider_and_leaves_the_old_session_alone(self, session: Session) -> None:
        moved = session.moved("d0", 1.5)
        assert strengths(moved) == {"d0": 1.5, "d1": 0.0}
        assert strengths(session) == {"d0": 0.0, "d1": 0.0}

    def test_a_move_to_the_same_place_makes_no_history(self, session: Session) -> None:
        assert session.moved("d0", 0.0) is session

    def test_added_comes_first_and_only_once(self, session: Session) -> None:
        added = session.added(Slider.of("t1", AGE, 1.0))
        assert [s.key for s in added.sliders] == ["t1", "d0", "d1"]
        assert added.added(Slider.of("t1", SMILE)) is added

    def test_remove_and_undo_bring_it_back_as_it_was(self, session: Session) -> None:
        removed = session.moved("d1", -2.0).removed("d1")
        assert strengths(removed) == {"d0": 0.0}
        assert strengths(removed.undone()) == {"d0": 0.0, "d1": -2.0}

    def test_layers_mute_and_rename(self, session: Session) -> None:
        limited = session.limited("d0", "coarse", (0, 2))
        assert limited.slider("d0").edit.layers == (0, 2)
        assert limited.limited("d0", "own", None).slider("d0").edit.layers is None
        assert session.muted("d0", True).slider("d0").edit.muted
        assert session.renamed("d0", "  older \n").slider("d0").edit.direction.name == "older"

    def test_reset_sets_all_to_zero_in_one_step(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d1", 2.0)
        reset = moved.all_reset()
        assert strengths(reset) == {"d0": 0.0, "d1": 0.0}
        assert strengths(reset.undone()) == {"d0": 1.0, "d1": 2.0}
        assert session.all_reset() is session

    @pytest.mark.parametrize("strength", [float("nan"), float("inf"), 11, -11])
    def test_senseless_strengths_are_refused(self, session: Session, strength: float) -> None:
        with pytest.raises(BadValue, match="expected a number"):
            session.moved("d0", strength)
        with pytest.raises(BadValue, match="expected a number"):
            edits_with(session, {"d0": strength})

    def test_bad_names_layers_and_keys_are_refused(self, session: Session) -> None:
        for name in ("", "   ", "x" * 61):
            with pytest.raises(BadValue, match="1 to 60"):
                session.renamed("d0", name)
        with pytest.raises(BadValue, match="coarse"):
            session.limited("d0", "deep", None)
        with pytest.raises(UnknownDirection, match="d9"):
            session.moved("d9", 1)

    def test_the_panel_is_bounded(self, session: Session) -> None:
        for i in range(SLIDER_LIMIT - 2):
            session = session.added(Slider.of(f"t{i}", AGE))
        with pytest.raises(BadValue, match="Remove one first"):
            session.added(Slider.of("one too many", AGE))

    def test_edits_while_dragging_replace_strengths_without_history(self, session: Session) -> None:
        edits = edits_with(session.moved("d1", 1.0), {"d0": 2.5, "gone": 1.0})
        assert [(e.direction.name, e.strength) for e in edits] == [("age", 2.5), ("smile", 1.0)]


class TestHistory:
    def test_undo_and_redo_walk_and_stop_at_the_ends(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d0", 2.0)
        assert strengths(moved.undone())["d0"] == 1.0
        assert strengths(moved.undone().undone().undone())["d0"] == 0.0
        assert strengths(moved.undone().undone().redone().redone().redone())["d0"] == 2.0

    def test_a_change_after_undo_drops_what_came_later(self, session: Session) -> None:
        forked = session.moved("d0", 1.0).undone().moved("d0", -1.0)
        assert [m.label for m in forked.moments] == ["start", "age -1.0"]
        assert forked.redone() is not None
        assert strengths(forked.redone())["d0"] == -1.0

    def test_go_to_any_moment_by_its_id(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d0", 2.0)
        assert strengths(moved.gone_to(moved.moments[1].id))["d0"] == 1.0
        with pytest.raises(BadValue, match="no entry 999"):
            moved.gone_to(999)

    def test_ids_are_never_used_twice(self, session: Session) -> None:
        first = session.moved("d0", 1.0).moments[-1].id
        assert session.moved("d0", 1.0).undone().moved("d0", 2.0).moments[-1].id > first

    def test_the_history_is_bounded_and_keeps_the_newest(self, session: Session) -> None:
        for i in range(HISTORY_LIMIT + 5):
            session = session.moved("d0", (i + 1) / 100)
        assert len(session.moments) == HISTORY_LIMIT
        assert strengths(session)["d0"] == (HISTORY_LIMIT + 5) / 100


class TestPhotos:
    def test_the_old_face_stays_until_the_new_latent_is_there(self, session: Session) -> None:
        photo = Photo(Image.new("RGB", (8, 8)), "new.png")
        crop = Crop(photo.image, torch.eye(3)[:2].double().numpy())
        under_way = session.moved("d0", 1.0).opened(photo).cropped(crop).run_started()
        assert under_way.latent is FACE
        assert strengths(under_way)["d0"] == 1.0
        assert under_way.cancelled().draft is None
        new = under_way.begun(FACE, (), from_draft=True)
        assert new.photo is photo
        assert new.crop is crop
        assert new.draft is None
        assert new.revision == session.revision + 1
        assert not new.sliders

    def test_a_face_from_no_photo_forgets_the_photo(self, session: Session) -> None:
        photo = Photo(Image.new("RGB", (8, 8)))
        assert session.opened(photo).begun(FACE).photo is None

    def test_a_new_run_is_told_apart_and_stopping_is_for_one_run(self, session: Session) -> None:
        stopping = session.run_started().run_stopping()
        assert stopping.stopping
        again = stopping.run_started()
        assert not again.stopping
        assert again.run > stopping.run

    def test_a_crop_without_a_photo_is_refused(self, session: Session) -> None:
        with pytest.raises(BadValue, match="Choose a photo"):
            session.cropped(Crop(Image.new("RGB", (8, 8)), torch.eye(3)[:2].double().numpy()))
