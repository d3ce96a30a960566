"""The state of one visitor, as an immutable value.

A session holds the photo, the crop, the latent and lists of sliders, never edited pixels. Every change returns a new
session, so undo is a step back in a tuple, and any entry of the history can be rendered again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from latent_editor.core.errors import BadValue, UnknownDirection
from latent_editor.core.region import Region
from latent_editor.core.values import Crop, Edit, Latent, Photo
from latent_editor.sessions.placement import AXES, IDENTITY, Placement
from latent_editor.sessions.slider import LAYER_NAMES, Slider, checked_name, checked_strength

HISTORY_LIMIT = 60
SLIDER_LIMIT = 40
#: How many models' faces a session keeps besides the present one.
WORKSPACE_LIMIT = 6


@dataclass(frozen=True, eq=False)
class HistoryEntry:
    """One entry of the history.

    Attributes:
        id: Unique within a session, never reused.
        label: The change that led here, for the visitor: "age +1.2".
        sliders, placement: The panel after that change.
    """

    id: int
    label: str
    sliders: tuple[Slider, ...] = ()
    placement: Placement = IDENTITY


@dataclass(frozen=True, eq=False)
class PendingPhoto:
    """An uploaded photo; becomes the session's photo once inversion has finished."""

    photo: Photo
    crop: Crop | None = None


@dataclass(frozen=True, eq=False)
class ModelWorkspace:
    """A session's work with one model, kept while another model is used. The attributes are those of the session."""

    photo: Photo | None = None
    crop: Crop | None = None
    latent: Latent | None = None
    history: tuple[HistoryEntry, ...] = ()
    cursor: int = 0


@dataclass(frozen=True, eq=False)
class Session:
    """The state of one visitor.

    Attributes:
        id: Random and unguessable; it is the only access control.
        pending: The photo that is being cropped or reconstructed, if any.
        photo, crop: What ``latent``, the unedited face, was reconstructed from; None for random and loaded faces.
        latent: The unedited face; None before the first.
        history, cursor: The entries and the index of the present one; undo goes back, redo forward.
        revision: Grows with every new latent; part of picture addresses, so that browsers may cache them.
        next_id: For the next history entry or slider.
        request: Grows with every request for another photo, face or model, when it arrives.
        answered: The newest of these requests that has been answered; one that fails changes nothing.
        run: Grows with every job and whatever ends one; a running job compares it to see that it was superseded.
        stopping: The running job should end and keep its best result.
        model: Key of the model that all of this belongs to; empty for the default model.
        damaged: The photo and crop before a repair, so that the repair can be repeated with other settings.
        workspaces: The work with other models by their keys, the most recent last.
    """

    id: str
    pending: PendingPhoto | None = None
    photo: Photo | None = None
    crop: Crop | None = None
    latent: Latent | None = None
    history: tuple[HistoryEntry, ...] = (HistoryEntry(0, "start"),)
    cursor: int = 0
    revision: int = 0
    next_id: int = 1
    request: int = 0
    answered: int = 0
    run: int = 0
    stopping: bool = False
    model: str = ""
    damaged: PendingPhoto | None = None
    workspaces: Mapping[str, ModelWorkspace] = field(default_factory=dict)

    @property
    def worked_on(self) -> bool:
        return self.latent is not None or self.pending is not None or bool(self.workspaces)

    @property
    def pending_photo(self) -> Photo | None:
        return self.pending.photo if self.pending is not None else None

    @property
    def sliders(self) -> tuple[Slider, ...]:
        return self.history[self.cursor].sliders

    @property
    def placement(self) -> Placement:
        return self.history[self.cursor].placement

    @property
    def edits(self) -> tuple[Edit, ...]:
        return tuple(s.edit for s in self.sliders)

    def slider(self, key: str) -> Slider:
        """Raises UnknownDirection if the panel has no such slider."""
        for s in self.sliders:
            if s.key == key:
                return s
        raise UnknownDirection(f"The panel has no slider {key[:40]!r}. Add it again, or undo its removal.")

    def entry(self, entry_id: int) -> HistoryEntry:
        """Raises BadValue if the history has no such entry."""
        for entry in self.history:
            if entry.id == entry_id:
                return entry
        raise BadValue(f"The history has no entry {entry_id}. Choose one of the entries shown.")

    @property
    def offered(self) -> ModelWorkspace | None:
        """The latest workspace with a photo, unless this model uses that photo too; it can be reconstructed here."""
        with_photo = [w for w in self.workspaces.values() if w.photo is not None and w.crop is not None]
        return with_photo[-1] if with_photo and with_photo[-1].photo is not self.photo else None

    # Models

    def switched(self, model: str) -> Session:
        """Restores the work with another model, which is empty at first."""
        workspaces = {key: workspace for key, workspace in self.workspaces.items() if key not in (self.model, model)}
        if model == self.model:
            return self
        if self.latent is not None:
            workspaces[self.model] = ModelWorkspace(self.photo, self.crop, self.latent, self.history, self.cursor)
        back = self.workspaces.get(model) or ModelWorkspace(history=(HistoryEntry(self.next_id, "start"),))
        return replace(
            self,
            model=model,
            workspaces=dict(list(workspaces.items())[-WORKSPACE_LIMIT:]),
            pending=None,
            damaged=None,
            **vars(back),
            revision=self.revision + 1,
            next_id=self.next_id + 1,
        ).run_started()

    # A photo and its face

    def requested(self) -> Session:
        """Numbers a request for another photo, face or model; its answer supersedes those of earlier requests."""
        return replace(self, request=self.request + 1)

    def opened(self, photo: Photo) -> Session:
        return replace(self, pending=PendingPhoto(photo), damaged=None).run_started()

    def cropped(self, crop: Crop) -> Session:
        """Raises BadValue if there is no pending photo."""
        if self.pending is None:
            raise BadValue("There is no photo to crop. Choose a photo first.")
        return replace(self, pending=replace(self.pending, crop=crop), damaged=None).run_started()

    def repair_source(self) -> PendingPhoto:
        """The photo and crop that a repair starts from, always the original ones. Raises BadValue if there are none."""
        photo = PendingPhoto(self.photo, self.crop) if self.photo is not None else None
        found = self.damaged or self.pending or photo
        if found is None or found.crop is None:
            raise BadValue("There is no photo to repair. Choose a photo first.")
        return found

    def repaired(self, damaged: PendingPhoto, pending: PendingPhoto) -> Session:
        """Makes a repaired photo the pending one and keeps its original."""
        return replace(self, pending=pending, damaged=damaged).run_started()

    def run_started(self) -> Session:
        return replace(self, run=self.run + 1, stopping=False)

    def run_stopping(self) -> Session:
        return replace(self, stopping=True)

    def cancelled(self) -> Session:
        return replace(self, pending=None).run_started()

    def started_with(self, latent: Latent, sliders: tuple[Slider, ...] = (), *, from_pending: bool = False) -> Session:
        """Starts a new face with a new history: the pinned sliders at zero, then ``sliders``.

        With ``from_pending`` the pending photo and crop become the session's.
        """
        pending = self.pending if from_pending else None
        stay = (s for s in self.sliders if s.pinned and s.edit.direction.feature_patch is None)  # a patch fits one face
        pinned = tuple(replace(s, edit=replace(s.edit, strength=0.0, muted=False)) for s in stay)
        keys = {s.key for s in pinned}
        start = HistoryEntry(self.next_id, "start", (*pinned, *(s for s in sliders if s.key not in keys)))
        return replace(
            self,
            pending=None,
            damaged=self.damaged if pending else None,
            photo=pending.photo if pending else None,
            crop=pending.crop if pending else None,
            latent=latent,
            history=(start,),
            cursor=0,
            revision=self.revision + 1,
            next_id=self.next_id + 1,
        ).run_started()

    # Sliders: each method adds one entry to the history

    def _with_entry(self, label: str, sliders: tuple[Slider, ...], placement: Placement | None = None) -> Session:
        entry = HistoryEntry(self.next_id, label, sliders, self.placement if placement is None else placement)
        history = (*self.history[: self.cursor + 1], entry)[-HISTORY_LIMIT:]
        return replace(self, history=history, cursor=len(history) - 1, next_id=self.next_id + 1)

    def _with_slider(self, label: str, slider: Slider) -> Session:
        return self._with_entry(label, tuple(slider if s.key == slider.key else s for s in self.sliders))

    def added(self, *sliders: Slider, label: str = "") -> Session:
        """Adds sliders at the top of the panel, as one entry; skips those that are there. Raises BadValue."""
        keys = {s.key for s in self.sliders}
        new = tuple(s for s in sliders if s.key not in keys)
        if not new:
            return self
        if len(self.sliders) + len(new) > SLIDER_LIMIT:
            raise BadValue(f"At most {SLIDER_LIMIT} sliders fit; {len(keys)} are in use. Remove some first.")
        return self._with_entry(label or f"add {new[0].edit.direction.name}", (*new, *self.sliders))

    def moved(self, key: str, strength: float) -> Session:
        slider = self.slider(key)
        if slider.edit.strength == strength:
            return self
        edit = replace(slider.edit, strength=checked_strength(strength))
        return self._with_slider(f"{edit.direction.name} {strength:+.1f}", replace(slider, edit=edit))

    def placed(self, axis: str, value: float) -> Session:
        """Shifts or turns the picture along one of AXES. Raises BadValue."""
        placement = self.placement.moved(axis, value)
        if placement == self.placement:
            return self
        return self._with_entry(f"{AXES[axis].name} {value:+.2g}", self.sliders, placement)

    def limited_to_layers(self, key: str, layers: str, layer_range: tuple[int, int] | None) -> Session:
        """Limits a slider to layers: a name of LAYER_NAMES and the half-open range it stands for. Raises BadValue."""
        if layers not in LAYER_NAMES:
            raise BadValue(f"Got the layers {layers[:40]!r}; expected one of: {', '.join(LAYER_NAMES)}.")
        slider = self.slider(key)
        if slider.layers == layers:
            return self
        changed = replace(slider, layers=layers, edit=replace(slider.edit, layers=layer_range))
        return self._with_slider(f"{slider.edit.direction.name}: {layers} layers", changed)

    def limited_to_region(self, key: str, region: Region | None) -> Session:
        """Limits a slider to a region; None removes the limit."""
        slider = self.slider(key)
        before = slider.edit.region
        if (before is None and region is None) or (before and region and before.digest == region.digest):
            return self
        where = "whole picture" if region is None else f"only {region.name}"
        return self._with_slider(
            f"{slider.edit.direction.name}: {where}", replace(slider, edit=replace(slider.edit, region=region))
        )

    def muted(self, key: str, muted: bool) -> Session:
        slider = self.slider(key)
        if slider.edit.muted == muted:
            return self
        label = f"{'hide' if muted else 'show'} {slider.edit.direction.name}"
        return self._with_slider(label, replace(slider, edit=replace(slider.edit, muted=muted)))

    def renamed(self, key: str, name: str) -> Session:
        """Raises BadValue for an empty or overlong name."""
        slider, name = self.slider(key), checked_name(name)
        edit = replace(slider.edit, direction=slider.edit.direction.renamed(name))
        return self._with_slider(f"rename to {name}", replace(slider, edit=edit))

    def pinned(self, key: str, pinned: bool) -> Session:
        slider = self.slider(key)
        if slider.pinned == pinned:
            return self
        label = f"{'pin' if pinned else 'unpin'} {slider.edit.direction.name}"
        return self._with_slider(label, replace(slider, pinned=pinned))

    def slider_replaced(self, key: str, slider: Slider, label: str) -> Session:
        """Puts another slider in a slider's place, or at the top if that one was removed in the meantime."""
        if any(s.key == key for s in self.sliders):
            return self._with_entry(label, tuple(slider if s.key == key else s for s in self.sliders))
        return self.added(slider)

    def removed(self, key: str) -> Session:
        slider = self.slider(key)
        return self._with_entry(f"remove {slider.edit.direction.name}", tuple(s for s in self.sliders if s.key != key))

    def sliders_replaced(self, label: str, sliders: tuple[Slider, ...], placement: Placement) -> Session:
        """Replaces the whole panel, as one entry."""
        return self._with_entry(label, sliders, placement)

    def all_reset(self) -> Session:
        """Sets every slider and the placement back to zero; the sliders stay."""
        if self.placement == IDENTITY and not any(s.edit.strength for s in self.sliders):
            return self
        sliders = tuple(replace(s, edit=replace(s.edit, strength=0.0)) for s in self.sliders)
        return self._with_entry("reset all", sliders, IDENTITY)

    # The history

    def undone(self) -> Session:
        return replace(self, cursor=max(self.cursor - 1, 0))

    def redone(self) -> Session:
        return replace(self, cursor=min(self.cursor + 1, len(self.history) - 1))

    def jumped_to(self, entry_id: int) -> Session:
        return replace(self, cursor=self.history.index(self.entry(entry_id)))


def edits_with(session: Session, strengths: Mapping[str, float]) -> tuple[Edit, ...]:
    """The session's edits with some strengths replaced, as while a slider moves. Raises BadValue.

    Unknown keys are ignored: the slider may have been removed while the request was in flight.
    """
    return tuple(
        replace(s.edit, strength=checked_strength(strengths[s.key])) if s.key in strengths else s.edit
        for s in session.sliders
    )
