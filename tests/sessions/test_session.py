from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadValue, UnknownDirection
from latent_editor.core.values import Crop, Direction, Latent, Photo
from latent_editor.sessions.placement import IDENTITY, Placement
from latent_editor.sessions.session import HISTORY_LIMIT, SLIDER_LIMIT, WORKSPACE_LIMIT, Session, edits_with
from latent_editor.sessions.slider import Slider

AGE = Direction("age", torch.ones(4, 8))
SMILE = Direction("smile", torch.zeros(4, 8), layers=(0, 2))
FACE = Latent(torch.zeros(4, 8), "tiny", "0" * 12)


@pytest.fixture
def session() -> Session:
    return Session("x").started_with(FACE, (Slider.from_direction("d0", AGE), Slider.from_direction("d1", SMILE)))


def strengths(session: Session) -> dict[str, float]:
    return {s.key: s.edit.strength for s in session.sliders}


class TestSliders:
    def test_a_session_cannot_be_changed_in_place(self, session: Session) -> None:
        with pytest.raises(FrozenInstanceError):
            session.cursor = 3  # type: ignore[misc]

    def test_move_changes_one_slider_of_a_new_session(self, session: Session) -> None:
        moved = session.moved("d0", 1.5)
        assert strengths(moved) == {"d0": 1.5, "d1": 0.0}
        assert strengths(session) == {"d0": 0.0, "d1": 0.0}

    def test_a_move_to_the_same_value_adds_no_entry(self, session: Session) -> None:
        assert session.moved("d0", 0.0) is session

    def test_a_slider_is_added_at_the_top_and_only_once(self, session: Session) -> None:
        added = session.added(Slider.from_direction("t1", AGE, 1.0))
        assert [s.key for s in added.sliders] == ["t1", "d0", "d1"]
        assert added.added(Slider.from_direction("t1", SMILE)) is added

    def test_undo_restores_a_removed_slider(self, session: Session) -> None:
        removed = session.moved("d1", -2.0).removed("d1")
        assert strengths(removed) == {"d0": 0.0}
        assert strengths(removed.undone()) == {"d0": 0.0, "d1": -2.0}

    def test_layers_mute_and_rename(self, session: Session) -> None:
        limited = session.limited_to_layers("d0", "coarse", (0, 2))
        assert limited.slider("d0").edit.layers == (0, 2)
        assert limited.limited_to_layers("d0", "own", None).slider("d0").edit.layers is None
        assert session.muted("d0", True).slider("d0").edit.muted
        assert session.renamed("d0", "  older \n").slider("d0").edit.direction.name == "older"

    def test_reset_sets_all_to_zero_in_one_step(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d1", 2.0)
        reset = moved.all_reset()
        assert strengths(reset) == {"d0": 0.0, "d1": 0.0}
        assert strengths(reset.undone()) == {"d0": 1.0, "d1": 2.0}
        assert session.all_reset() is session

    @pytest.mark.parametrize("strength", [float("nan"), float("inf"), 11, -11])
    def test_invalid_strengths_are_refused(self, session: Session, strength: float) -> None:
        with pytest.raises(BadValue, match="expected a number"):
            session.moved("d0", strength)
        with pytest.raises(BadValue, match="expected a number"):
            edits_with(session, {"d0": strength})

    def test_bad_names_layers_and_keys_are_refused(self, session: Session) -> None:
        for name in ("", "   ", "x" * 61):
            with pytest.raises(BadValue, match="1 to 60"):
                session.renamed("d0", name)
        with pytest.raises(BadValue, match="coarse"):
            session.limited_to_layers("d0", "deep", None)
        with pytest.raises(UnknownDirection, match="d9"):
            session.moved("d9", 1)

    def test_the_number_of_sliders_is_limited(self, session: Session) -> None:
        for i in range(SLIDER_LIMIT - 2):
            session = session.added(Slider.from_direction(f"t{i}", AGE))
        with pytest.raises(BadValue, match="Remove some first"):
            session.added(Slider.from_direction("one too many", AGE))

    def test_edits_while_dragging_replace_strengths_without_history(self, session: Session) -> None:
        edits = edits_with(session.moved("d1", 1.0), {"d0": 2.5, "gone": 1.0})
        assert [(e.direction.name, e.strength) for e in edits] == [("age", 2.5), ("smile", 1.0)]


class TestHistory:
    def test_undo_and_redo_stop_at_the_ends(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d0", 2.0)
        assert strengths(moved.undone())["d0"] == 1.0
        assert strengths(moved.undone().undone().undone())["d0"] == 0.0
        assert strengths(moved.undone().undone().redone().redone().redone())["d0"] == 2.0

    def test_a_change_after_undo_drops_what_came_later(self, session: Session) -> None:
        forked = session.moved("d0", 1.0).undone().moved("d0", -1.0)
        assert [m.label for m in forked.history] == ["start", "age -1.0"]
        assert forked.redone() is not None
        assert strengths(forked.redone())["d0"] == -1.0

    def test_jump_to_any_entry_by_its_id(self, session: Session) -> None:
        moved = session.moved("d0", 1.0).moved("d0", 2.0)
        assert strengths(moved.jumped_to(moved.history[1].id))["d0"] == 1.0
        with pytest.raises(BadValue, match="no entry 999"):
            moved.jumped_to(999)

    def test_ids_are_never_reused(self, session: Session) -> None:
        first = session.moved("d0", 1.0).history[-1].id
        assert session.moved("d0", 1.0).undone().moved("d0", 2.0).history[-1].id > first

    def test_the_history_keeps_the_newest_entries(self, session: Session) -> None:
        for i in range(HISTORY_LIMIT + 5):
            session = session.moved("d0", (i + 1) / 100)
        assert len(session.history) == HISTORY_LIMIT
        assert strengths(session)["d0"] == (HISTORY_LIMIT + 5) / 100


class TestPhotos:
    def test_the_old_face_stays_until_inversion_has_finished(self, session: Session) -> None:
        photo = Photo(Image.new("RGB", (8, 8)), "new.png")
        crop = Crop(photo.image, torch.eye(3)[:2].double().numpy())
        under_way = session.moved("d0", 1.0).opened(photo).cropped(crop).run_started()
        assert under_way.latent is FACE
        assert strengths(under_way)["d0"] == 1.0
        assert under_way.cancelled().pending is None
        new = under_way.started_with(FACE, (), from_pending=True)
        assert new.photo is photo
        assert new.crop is crop
        assert new.pending is None
        assert new.revision == session.revision + 1
        assert not new.sliders

    def test_a_random_face_drops_the_photo(self, session: Session) -> None:
        photo = Photo(Image.new("RGB", (8, 8)))
        assert session.opened(photo).started_with(FACE).photo is None

    def test_runs_are_numbered_and_stopping_ends_one_of_them(self, session: Session) -> None:
        stopping = session.run_started().run_stopping()
        assert stopping.stopping
        again = stopping.run_started()
        assert not again.stopping
        assert again.run > stopping.run

    def test_a_crop_without_a_photo_is_refused(self, session: Session) -> None:
        with pytest.raises(BadValue, match="Choose a photo"):
            session.cropped(Crop(Image.new("RGB", (8, 8)), torch.eye(3)[:2].double().numpy()))


class TestModels:
    def test_the_work_with_a_model_returns_with_the_model(self, session: Session) -> None:
        moved = session.moved("d0", 1.5)
        away = moved.switched("cats")
        assert away.latent is None
        assert away.sliders == ()
        other = away.started_with(FACE, (Slider.from_direction("d0", SMILE),))
        back = other.switched("")
        assert (back.latent, back.history, back.cursor) == (moved.latent, moved.history, moved.cursor)
        assert strengths(back.undone()) == {"d0": 0.0, "d1": 0.0}
        assert back.switched("cats").sliders == other.sliders
        assert back.switched("") is back

    def test_revisions_and_ids_differ_between_models(self, session: Session) -> None:
        away = session.moved("d0", 1.5).switched("cats")
        back = away.switched("")
        assert session.revision < away.revision < back.revision
        assert away.started_with(FACE).history[0].id not in {m.id for m in back.history}
        assert away.run > session.run  # a reconstruction under way sees that it is not wanted any more

    def test_the_photo_of_the_previous_model_is_offered_to_the_next(self, session: Session) -> None:
        photo = Photo(Image.new("RGB", (8, 8)), "me.png")
        crop = Crop(photo.image, torch.eye(3)[:2].double().numpy())
        drawn = session.opened(photo).cropped(crop).started_with(FACE, from_pending=True)
        assert drawn.offered is None
        away = drawn.switched("cats")
        assert away.offered is not None
        assert away.offered.photo is photo
        assert away.offered.crop is crop
        here_too = away.opened(photo).cropped(crop).started_with(FACE, from_pending=True)
        assert here_too.offered is None
        assert here_too.switched("").offered is None
        assert session.switched("cats").offered is None  # a random face

    def test_the_number_of_workspaces_is_limited(self, session: Session) -> None:
        for i in range(WORKSPACE_LIMIT + 3):
            session = session.switched(f"m{i}").started_with(FACE)
        assert list(session.workspaces) == [f"m{i}" for i in range(2, WORKSPACE_LIMIT + 2)]


class TestPlacement:
    def test_it_is_undone_and_reset_like_a_slider(self, session: Session) -> None:
        placed = session.placed("position-x", 0.25).placed("position-turn", -30)
        assert placed.placement == Placement(0.25, 0, -30)
        assert placed.moved("d0", 1.0).placement == placed.placement
        assert placed.undone().placement == Placement(0.25)
        assert placed.all_reset().placement == IDENTITY
        assert placed.placed("position-x", 0.25) is placed
        assert placed.started_with(FACE).placement == IDENTITY

    def test_while_moving_it_adds_no_entry(self, session: Session) -> None:
        dragged = session.placed("position-x", 0.5).placement.moved_all({"position-y": -0.5, "d0": 2.0})
        assert dragged == Placement(0.5, -0.5)

    @pytest.mark.parametrize(
        ("axis", "value"), [("position-x", 1.1), ("position-turn", float("nan")), ("position-z", 0.0), ("", 0.0)]
    )
    def test_invalid_values_are_refused(self, session: Session, axis: str, value: float) -> None:
        with pytest.raises(BadValue):
            session.placed(axis, value)

    def test_its_matrix_maps_the_picture_to_the_content(self) -> None:
        assert IDENTITY.matrix() is None
        matrix = Placement(x=0.25, y=0.5, angle_deg=90).matrix()
        assert matrix is not None
        # The middle of the content lies at (0.25, 0.5) now; its right neighbour, turned clockwise, below that.
        for seen, content in (((0.25, 0.5), (0, 0)), ((0.25, 0.6), (0.1, 0))):
            found = matrix @ torch.tensor([*seen, 1.0])
            assert torch.allclose(found, torch.tensor([*content, 1.0]), atol=1e-6)
