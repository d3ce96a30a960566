"""One model with everything that the page shares about it; holds no algorithm and no visitor."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from latent_editor.alignment import find_faces
from latent_editor.core.errors import BadValue, LatentEditorError, MissingPart
from latent_editor.core.values import Direction, Directions, Latent, Photo
from latent_editor.editing.edits import layer_range
from latent_editor.generators import Generator, random_latent
from latent_editor.inversion import invert
from latent_editor.inversion.gain import measure_typical_effects
from latent_editor.networks.clip import CLIP_FILE
from latent_editor.preparation import prepared
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import LAYER_NAMES, Slider
from latent_editor.sessions.store import SessionStore
from latent_editor.text import text_direction
from latent_editor.ui.service.background import BackgroundTask, Progress, prepare_directions
from latent_editor.ui.service.frame_renderer import FrameRenderer
from latent_editor.ui.service.similarity_cache import SimilarityCache
from latent_editor.ui.service.upload_store import UploadStore

log = logging.getLogger(__name__)

#: How many sliders a new face starts with; the other directions are offered below them.
FIRST_SLIDERS = 3
EXAMPLE_SEEDS = (1, 2, 3, 5, 8, 13, 21, 34)
#: How long a start waits for the directions; a model without a file of them is served while they are computed.
DIRECTIONS_S = 5.0


def identity(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function unchanged: the wrapper of heavy calls where none is needed."""
    return function


@dataclass(frozen=True, eq=False)
class ModelService:
    """One model and its shared parts.

    Attributes:
        g: The generator.
        directions_task: Computes the named directions.
        store: The visitors' sessions.
        on_gpu: Wraps each heavy call, as the ``spaces`` GPU decorator does; the identity elsewhere.
        example_seeds: Random faces to start from.
        progress: Of the preparation at a model's first use.
        frame_renderer: Renders for the screen; shared by all models of a server.
        uploads: Uploads besides photos, and finished videos.
        similarity: Similarity of the last few faces to their photos.
    """

    g: Generator
    directions_task: BackgroundTask[Directions]
    store: SessionStore = field(default_factory=SessionStore)
    on_gpu: Callable[[Callable[..., Any]], Callable[..., Any]] = identity
    example_seeds: tuple[int, ...] = EXAMPLE_SEEDS
    progress: Progress = field(default_factory=Progress)
    frame_renderer: FrameRenderer = field(default_factory=FrameRenderer)
    uploads: UploadStore = field(default_factory=UploadStore)
    similarity: SimilarityCache = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "similarity", SimilarityCache(self.g))  # the class is frozen

    @staticmethod
    def create(
        g: Generator,
        *,
        store: SessionStore | None = None,
        on_gpu: Callable[..., Any] = identity,
        turn: threading.Lock | None = None,
        frame_renderer: FrameRenderer | None = None,
    ) -> ModelService:
        """Builds the service of a generator and starts to prepare a model that is new here.

        Args:
            g: The generator.
            store: The visitors' sessions; None makes a new store.
            on_gpu: Wraps each heavy call.
            turn: Held during a preparation, so that only one model is prepared at a time.
            frame_renderer: None makes a new one.
        """
        progress, turn = Progress(), turn or threading.Lock()
        task = BackgroundTask(lambda: prepare_directions(g, progress, turn), "directions")
        started = task.start()
        if prepared(g):
            wait([started], DIRECTIONS_S)
        seeds = tuple(g.bundle.about.get("example_seeds", EXAMPLE_SEEDS))
        store = SessionStore() if store is None else store  # an empty one is false
        return ModelService(g, task, store, on_gpu, seeds, progress, frame_renderer or FrameRenderer())

    def service_of(self, session: Session) -> ModelService:
        """Returns itself for any session: a registry of one model."""
        return self

    @property
    def parameters(self) -> int:
        """Number of parameters and buffer elements of the generator."""
        return sum(p.numel() for p in self.g.parameters()) + sum(b.numel() for b in self.g.buffers())

    @property
    def shows_faces(self) -> bool:
        """Whether the model is known to show faces, so that photos can be searched for them."""
        about = self.g.bundle.about
        return bool(about.get("faces", True)) and "canonical_points" in about

    @property
    def text_problem(self) -> MissingPart | None:
        """Why this model cannot use text prompts; None if it can."""
        about = self.g.bundle.about.get("clip") or {}
        try:
            self.g.bundle.file(str(about.get("pretrained", CLIP_FILE)), "text prompts")
        except MissingPart as e:
            return e
        return None

    @property
    def directions(self) -> Directions:
        """The named directions; none while they are being computed, or if that failed."""
        return self.directions_task.value or Directions()

    def warm_up(self) -> None:
        """Does each kind of work once, so that the first visitor does not wait for lazily built parts."""
        blank = Image.new("RGB", (self.g.size_px, self.g.size_px), "gray")
        steps: list[Callable[[], Any]] = [
            lambda: self.frame_renderer.images(self.g, self.random(0).ws[None]),
            lambda: find_faces(Photo(blank), self.g),
            lambda: invert(self.g, blank, method="encoder"),
            lambda: measure_typical_effects(self.g),
            lambda: text_direction(self.g, "a smile", latent=self.random(0)),
        ]
        for step in steps:
            try:
                step()
            except LatentEditorError as e:
                log.info("Warming up: %s", e)

    def latent(self, session: Session) -> Latent:
        """The session's unedited face. Raises BadValue if there is none yet."""
        if session.latent is None:
            raise BadValue("There is no face to edit yet. Choose a photo first.")
        return session.latent

    def random(self, seed: int | None = None, class_index: int | None = None) -> Latent:
        """A random face; None draws a seed too. Raises BadValue for a class that the model does not have."""
        seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        return random_latent(self.g, seed, class_index=class_index)

    def first_sliders(self) -> tuple[Slider, ...]:
        """The sliders that a new face starts with."""
        return tuple(Slider.from_direction(f"d{i}", d) for i, d in enumerate(self.directions[:FIRST_SLIDERS]))

    def direction(self, session: Session, key: str) -> Direction:
        """The direction of a slider's key, in the panel or not. Raises UnknownDirection."""
        for slider in session.sliders:
            if slider.key == key:
                return slider.edit.direction
        if key[:1] == "d" and key[1:].isdecimal() and int(key[1:]) < len(self.directions):
            return self.directions[int(key[1:])]
        for entry in session.history:  # a slider that was removed
            for slider in entry.sliders:
                if slider.key == key:
                    return slider.edit.direction
        return session.slider(key).edit.direction  # raises

    def layer_range(self, name: str) -> tuple[int, int] | None:
        """The half-open range of one of LAYER_NAMES; None for "own". Raises BadValue for another name."""
        if name not in LAYER_NAMES:
            raise BadValue(f"Got the layers {name[:40]!r}; expected one of: {', '.join(LAYER_NAMES)}.")
        return None if name == "own" else layer_range(self.g, name)
