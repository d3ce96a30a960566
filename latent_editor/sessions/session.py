"""What one visitor is doing, as a value.

A session holds the photo, the crop, the latent and lists of sliders; never an edited pixel. Every change makes a new
session, so undo is a step back in a tuple and a picture can be made again from any moment of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from latent_editor.core.errors import BadValue, UnknownDirection
from latent_editor.core.region import Region
from latent_editor.core.values import Crop, Direction, Edit, Latent, Photo
from latent_editor.editing.edits import LAYER_GROUPS
from latent_editor.sessions.placement import AXES, IDENTITY, Placement

#: The names of layer ranges that a slider can be limited to; "own" leaves it to the direction.
LAYER_NAMES = ("own", *LAYER_GROUPS)
STRENGTH_LIMIT = 10.0
HISTORY_LIMIT = 60
SLIDER_LIMIT = 40
NAME_LIMIT = 60
#: How many models' faces a session keeps beside the one on the screen.
DESK_LIMIT = 6


@dataclass(frozen=True, eq=False)
class Slider:
    """One slider of the panel.

    Attributes:
        key: Unique within a session: where the direction comes from, then a number.
        edit: What it does now.
        layers: One of LAYER_NAMES; ``edit.layers`` is the range it stands for.
        pinned: Comes along to the next face of the same model.
    """

    key: str
    edit: Edit
    layers: str = "own"
    pinned: bool = False

    @staticmethod
    def of(key: str, direction: Direction, strength: float = 0.0) -> Slider:
        return Slider(key, Edit(direction, strength))


@dataclass(frozen=True, eq=False)
class HistoryEntry:
    """One entry of the history: sliders and position as they were, and what had been done.

    Attributes:
        id: Unique within a session, never used again.
        label: For people: "age +1.2".
    """

    id: int
    label: str
    sliders: tuple[Slider, ...] = ()
    placement: Placement = IDENTITY


@dataclass(frozen=True, eq=False)
class PendingPhoto:
    """A photo on its way in; it replaces the session's photo only when its latent is there."""

    photo: Photo
    crop: Crop | None = None


@dataclass(frozen=True, eq=False)
class ModelWorkspace:
    """What was made with one model, put aside while another one is used. The attributes are the session's."""

    photo: Photo | None = None
    crop: Crop | None = None
    latent: Latent | None = None
    history: tuple[HistoryEntry, ...] = ()
    cursor: int = 0


@dataclass(frozen=True, eq=False)
class Session:
    """Everything about one visitor.

    Attributes:
        id: Random and unguessable; whoever has it, has the session.
        draft: The photo being reconstructed, if any.
        photo, crop: What ``latent``, the unedited face, was made from; None for random faces and loaded latents.
        moments, at: The history and the place in it; undo goes back, redo forward.
        revision: Grows with every new latent, so that pictures of it can be kept by a browser.
        next_id: For the next moment or text slider.
        run: Grows with every reconstruction; an older one that still runs sees that it was replaced.
        stopping: The present run should keep its best and end.
        model: Key of the model that all of this belongs to; empty for the one that the page starts with.
        damaged: The photo and crop as they were before a repair, to be repaired in another way.
        desks: What was made with other models, by their keys, the one used last at the end.
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
    run: int = 0
    stopping: bool = False
    model: str = ""
    damaged: PendingPhoto | None = None
    workspaces: Mapping[str, ModelWorkspace] = field(default_factory=dict)

    @property
    def worked_on(self) -> bool:
        return self.latent is not None or self.pending is not None or bool(self.workspaces)

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
        """Raises UnknownDirection where the panel has no such slider."""
        for s in self.sliders:
            if s.key == key:
                return s
        raise UnknownDirection(f"No slider {key[:40]!r} is in use. Add it again, or undo its removal.")

    def entry(self, entry_id: int) -> HistoryEntry:
        """Raises BadValue where the history has no such moment."""
        for m in self.history:
            if m.id == entry_id:
                return m
        raise BadValue(f"The history has no entry {entry_id}. Choose one of those shown.")

    @property
    def offered(self) -> ModelWorkspace | None:
        """What another model drew last from a photo, if that photo is not this model's: it can be drawn here too."""
        drawn = [d for d in self.workspaces.values() if d.photo is not None and d.crop is not None]
        return drawn[-1] if drawn and drawn[-1].photo is not self.photo else None

    # Models

    def switched(self, model: str) -> Session:
        """What was made with another model, as it was left; nothing where that model is new here."""
        workspaces = {key: workspace for key, workspace in self.workspaces.items() if key not in (self.model, model)}
        if model == self.model:
            return self
        if self.latent is not None:
            workspaces[self.model] = ModelWorkspace(self.photo, self.crop, self.latent, self.history, self.cursor)
        back = self.workspaces.get(model) or ModelWorkspace(history=(HistoryEntry(self.next_id, "start"),))
        return replace(
            self,
            model=model,
            workspaces=dict(list(workspaces.items())[-DESK_LIMIT:]),
            pending=None,
            damaged=None,
            **vars(back),
            revision=self.revision + 1,
            next_id=self.next_id + 1,
        ).run_started()

    # A photo on its way in

    def opened(self, photo: Photo) -> Session:
        return replace(self, pending=PendingPhoto(photo), damaged=None).run_started()

    def cropped(self, crop: Crop) -> Session:
        """Raises BadValue where no photo was opened before."""
        if self.pending is None:
            raise BadValue("There is no photo to crop. Choose a photo first.")
        return replace(self, pending=replace(self.pending, crop=crop), damaged=None).run_started()

    def to_repair(self) -> PendingPhoto:
        """The photo and crop that a repair starts from: always as they came. Raises BadValue where there are none."""
        photo = PendingPhoto(self.photo, self.crop) if self.photo is not None else None
        found = self.damaged or self.pending or photo
        if found is None or found.crop is None:
            raise BadValue("There is no photo to repair. Choose a photo first.")
        return found

    def repaired(self, damaged: PendingPhoto, pending: PendingPhoto) -> Session:
        """A repaired photo on its way in, and what it was made of."""
        return replace(self, pending=pending, damaged=damaged).run_started()

    def run_started(self) -> Session:
        return replace(self, run=self.run + 1, stopping=False)

    def run_stopping(self) -> Session:
        return replace(self, stopping=True)

    def cancelled(self) -> Session:
        return replace(self, pending=None).run_started()

    def begun(self, latent: Latent, sliders: tuple[Slider, ...] = (), *, from_draft: bool = False) -> Session:
        """A new face: its history starts here, with the pinned sliders before ``sliders``.

        With ``from_draft`` the draft's photo and crop become the session's.
        """
        pending = self.pending if from_draft else None
        stay = (s for s in self.sliders if s.pinned and s.edit.direction.feature_patch is None)  # a graft fits one face
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

    # Sliders: each returns a session with one more moment

    def _done(self, label: str, sliders: tuple[Slider, ...], placement: Placement | None = None) -> Session:
        entry = HistoryEntry(self.next_id, label, sliders, self.placement if placement is None else placement)
        history = (*self.history[: self.cursor + 1], entry)[-HISTORY_LIMIT:]
        return replace(self, history=history, cursor=len(history) - 1, next_id=self.next_id + 1)

    def _changed(self, label: str, slider: Slider) -> Session:
        return self._done(label, tuple(slider if s.key == slider.key else s for s in self.sliders))

    def added(self, *sliders: Slider, label: str = "") -> Session:
        """Puts sliders on top of the panel, as one entry of the history; those that are there stay as they are."""
        keys = {s.key for s in self.sliders}
        new = tuple(s for s in sliders if s.key not in keys)
        if not new:
            return self
        if len(self.sliders) + len(new) > SLIDER_LIMIT:
            raise BadValue(f"{SLIDER_LIMIT} sliders are all that can be in use; {len(keys)} are. Remove some first.")
        return self._done(label or f"add {new[0].edit.direction.name}", (*new, *self.sliders))

    def moved(self, key: str, strength: float) -> Session:
        slider = self.slider(key)
        if slider.edit.strength == strength:
            return self
        edit = replace(slider.edit, strength=checked_strength(strength))
        return self._changed(f"{edit.direction.name} {strength:+.1f}", replace(slider, edit=edit))

    def placed(self, axis: str, value: float) -> Session:
        """Moves the picture along one of AXES. Raises BadValue."""
        placement = self.placement.moved(axis, value)
        if placement == self.placement:
            return self
        return self._done(f"{AXES[axis].name} {value:+.2g}", self.sliders, placement)

    def limited(self, key: str, layers: str, layer_range: tuple[int, int] | None) -> Session:
        """Limits a slider to layers: a name of LAYER_NAMES and the half-open range it stands for."""
        if layers not in LAYER_NAMES:
            raise BadValue(f"{layers[:40]!r} names no layers. Expected one of: {', '.join(LAYER_NAMES)}.")
        slider = self.slider(key)
        if slider.layers == layers:
            return self
        changed = replace(slider, layers=layers, edit=replace(slider.edit, layers=layer_range))
        return self._changed(f"{slider.edit.direction.name}: {layers} layers", changed)

    def placed_in(self, key: str, region: Region | None) -> Session:
        """Lets a slider act in a region only; None lets it act everywhere."""
        slider = self.slider(key)
        before = slider.edit.region
        if (before is None and region is None) or (before and region and before.digest == region.digest):
            return self
        where = "whole picture" if region is None else f"only {region.name}"
        return self._changed(
            f"{slider.edit.direction.name}: {where}", replace(slider, edit=replace(slider.edit, region=region))
        )

    def muted(self, key: str, muted: bool) -> Session:
        slider = self.slider(key)
        if slider.edit.muted == muted:
            return self
        label = f"{'hide' if muted else 'show'} {slider.edit.direction.name}"
        return self._changed(label, replace(slider, edit=replace(slider.edit, muted=muted)))

    def renamed(self, key: str, name: str) -> Session:
        """Raises BadValue for an empty or over-long name."""
        name = " ".join(name.split())
        if not 0 < len(name) <= NAME_LIMIT:
            raise BadValue(f"A name has 1 to {NAME_LIMIT} characters; this one has {len(name)}. Type another.")
        slider = self.slider(key)
        edit = replace(slider.edit, direction=slider.edit.direction.renamed(name))
        return self._changed(f"rename to {name}", replace(slider, edit=edit))

    def pinned(self, key: str, pinned: bool) -> Session:
        slider = self.slider(key)
        if slider.pinned == pinned:
            return self
        label = f"{'pin' if pinned else 'unpin'} {slider.edit.direction.name}"
        return self._changed(label, replace(slider, pinned=pinned))

    def exchanged(self, key: str, slider: Slider, label: str) -> Session:
        """Another slider in a slider's place; on top where that one was removed meanwhile."""
        if any(s.key == key for s in self.sliders):
            return self._done(label, tuple(slider if s.key == key else s for s in self.sliders))
        return self.added(slider)

    def removed(self, key: str) -> Session:
        slider = self.slider(key)
        return self._done(f"remove {slider.edit.direction.name}", tuple(s for s in self.sliders if s.key != key))

    def replayed(self, label: str, sliders: tuple[Slider, ...], placement: Placement) -> Session:
        """Other sliders in place of all that are there, as one entry of the history."""
        return self._done(label, sliders, placement)

    def all_reset(self) -> Session:
        """Every slider back to zero, and the picture to its place; the sliders stay."""
        if self.placement == IDENTITY and not any(s.edit.strength for s in self.sliders):
            return self
        sliders = tuple(replace(s, edit=replace(s.edit, strength=0.0)) for s in self.sliders)
        return self._done("all to zero", sliders, IDENTITY)

    # The history

    def undone(self) -> Session:
        return replace(self, cursor=max(self.cursor - 1, 0))

    def redone(self) -> Session:
        return replace(self, cursor=min(self.cursor + 1, len(self.history) - 1))

    def gone_to(self, entry_id: int) -> Session:
        return replace(self, cursor=self.history.index(self.entry(entry_id)))


def checked_strength(strength: float) -> float:
    """Raises BadValue for a strength that is not a finite number of a sensible size."""
    if not -STRENGTH_LIMIT <= strength <= STRENGTH_LIMIT:  # false for NaN too
        raise BadValue(
            f"A strength of {strength} was given; expected a number from −{STRENGTH_LIMIT:g} to {STRENGTH_LIMIT:g}."
        )
    return strength


def edits_with(session: Session, strengths: Mapping[str, float]) -> tuple[Edit, ...]:
    """The session's edits with some strengths replaced, as while a slider is dragged. Unknown keys are ignored: the
    slider may have been removed while the request was under way."""
    return tuple(
        replace(s.edit, strength=checked_strength(strengths[s.key])) if s.key in strengths else s.edit
        for s in session.sliders
    )
