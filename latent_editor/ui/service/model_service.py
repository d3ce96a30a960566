"""The parts that the page works with, built once, and what it asks of them. Holds no algorithm and no visitor."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from latent_editor.alignment import align, crop_by_hand, find_faces
from latent_editor.core.errors import BadValue, LatentEditorError, MissingPart
from latent_editor.core.values import Crop, Direction, Directions, Edit, Latent, Photo, Step
from latent_editor.editing.edits import edited, layer_range
from latent_editor.editing.paste_back import paste_edit
from latent_editor.generators import Generator, random_latent
from latent_editor.generators.refined import generator_for
from latent_editor.inversion import invert
from latent_editor.inversion.gain import learn_usual_effects
from latent_editor.media.exports import jpeg_bytes
from latent_editor.media.photos import open_photo
from latent_editor.networks.clip import CLIP_FILE
from latent_editor.ops import affine
from latent_editor.preparation import prepared
from latent_editor.rendering import render
from latent_editor.sessions.placement import IDENTITY, Placement
from latent_editor.sessions.session import LAYER_NAMES, Session, Slider
from latent_editor.sessions.store import SessionStore
from latent_editor.text import text_direction
from latent_editor.ui.service.background import Progress, in_background, prepare_directions
from latent_editor.ui.service.frame_renderer import FrameRenderer
from latent_editor.ui.service.preview_choice import choose_generator
from latent_editor.ui.service.streaming import stream
from latent_editor.ui.service.upload_store import UploadStore

log = logging.getLogger(__name__)

#: Side of the pictures on the screen; a small model's are enlarged here, with a better filter than browsers use.
SCREEN_PX = 512
#: Side while a slider is dragged: 4 ms sooner on the screen, hardly to be told apart in motion.
MOVING_PX = 256
PAIR_PX = 96
MOMENT_PX = 80
EXAMPLE_PX = 160
PAIR_STRENGTHS = (-2.0, 2.0)
PLAY_STRENGTHS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
#: How many sliders a new face starts with; the others are offered below them.
FIRST_SLIDERS = 3
EXAMPLE_SEEDS = (1, 2, 3, 5, 8, 13, 21, 34)
TEXT_STRENGTH = 1.0
MAX_FACES = 12
#: How long a start waits for the directions; a model without a file of them is served while they are being found.
DIRECTIONS_S = 5.0


def as_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves a function as it is: where nothing has to be wrapped."""
    return function


class _NamedBytes(io.BytesIO):
    """Bytes that messages can call by their file's name."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


@dataclass(frozen=True, eq=False)
class ModelService:
    """One model with all its parts.

    Attributes:
        g: The generator.
        found: Its named directions, when they are found.
        store: The visitors' sessions.
        on_gpu: Wraps each heavy call, as the ``spaces`` GPU decorator does; the identity elsewhere.
        example_seeds: Random faces to start from.
        progress: Of what is worked out at a model's first use.
        frame_renderer: Where pictures for the screen are drawn, which all models of a server share.
        uploads: What visitors brought and asked for beside their photos.
    """

    g: Generator
    found: Future[Directions]
    store: SessionStore = field(default_factory=SessionStore)
    on_gpu: Callable[[Callable[..., Any]], Callable[..., Any]] = as_is
    example_seeds: tuple[int, ...] = EXAMPLE_SEEDS
    progress: Progress = field(default_factory=Progress)
    frame_renderer: FrameRenderer = field(default_factory=FrameRenderer)
    uploads: UploadStore = field(default_factory=UploadStore)

    @staticmethod
    def of(
        g: Generator,
        *,
        store: SessionStore | None = None,
        on_gpu: Callable[..., Any] = as_is,
        turn: threading.Lock | None = None,
        frame_renderer: FrameRenderer | None = None,
    ) -> ModelService:
        """Puts a service together around a generator, and begins to prepare a model that is new here.

        Args:
            g: The generator.
            store: The visitors' sessions; None makes a new store.
            on_gpu: Wraps each heavy call.
            turn: Held while a model is prepared, so that one is at a time.
            frame_renderer: Where to draw; None makes a new one.
        """
        progress = Progress()
        found = in_background(lambda: prepare_directions(g, progress, turn or threading.Lock()), "directions")
        if prepared(g):
            wait([found], DIRECTIONS_S)
        seeds = tuple(g.bundle.about.get("example_seeds", EXAMPLE_SEEDS))
        store = SessionStore() if store is None else store  # an empty one is false
        return ModelService(g, found, store, on_gpu, seeds, progress, frame_renderer or FrameRenderer())

    def service_of(self, session: Session) -> ModelService:
        """This one, whatever the session: a registry of one model."""
        return self

    @property
    def parameters(self) -> int:
        """How many numbers the generator has."""
        return sum(p.numel() for p in self.g.parameters()) + sum(b.numel() for b in self.g.buffers())

    @property
    def shows_faces(self) -> bool:
        """Whether the model is known to show faces, so that they can be looked for in photos."""
        about = self.g.bundle.about
        return bool(about.get("faces", True)) and "canonical_points" in about

    @property
    def text_problem(self) -> MissingPart | None:
        """Why this model understands no texts, or None where it does."""
        about = self.g.bundle.about.get("clip") or {}
        try:
            self.g.bundle.file(str(about.get("pretrained", CLIP_FILE)), "text prompts")
        except MissingPart as e:
            return e
        return None

    @property
    def directions(self) -> Directions:
        """The named directions; none while they are being found, and where the model comes without."""
        if not self.found.done() or self.found.exception() is not None:
            return Directions()
        return self.found.result()

    def warm_up(self) -> None:
        """Does each kind of work once, so that the first visitor does not wait for what is built at first use."""
        blank = Image.new("RGB", (self.g.size_px, self.g.size_px), "grey")
        steps: list[Callable[[], Any]] = [
            lambda: self.frame_renderer.images(self.g, self.random(0).ws[None]),
            lambda: find_faces(Photo(blank), self.g),
            lambda: invert(self.g, blank, method="encoder"),
            lambda: learn_usual_effects(self.g),
            lambda: text_direction(self.g, "a smile", latent=self.random(0)),
        ]
        for step in steps:
            try:
                step()
            except LatentEditorError as e:
                log.info("Warming up: %s", e)

    # Photos

    def open(self, data: bytes, name: str) -> Photo:
        """Raises BadImage."""
        return open_photo(_NamedBytes(data, name))

    def crop(self, photo: Photo, *, face: int | None = None, box: tuple[float, float, float] | None = None) -> Crop:
        """The crop of a face by its number, or of a square (x, y, side) drawn by hand.

        Raises:
            NoFaceFound, BadValue.
        """
        if box is not None:
            return crop_by_hand(photo, self.g, box)
        return align(photo, self.g, face=face or 0)

    def crops(self, photo: Photo) -> list[Crop]:
        """The crops of all faces, biggest first, at least one.

        Raises:
            NoFaceFound: there is none.
            MissingPart: the model cannot find faces.
        """
        if not self.shows_faces:  # any picture will do; its middle is taken
            return [align(photo, self.g)]
        faces = find_faces(photo, self.g)[:MAX_FACES]
        return [align(photo, self.g, face=face) for face in faces] or [align(photo, self.g)]

    def crop_again(self, photo: Photo, other: Crop) -> Crop:
        """The crop for this model of what another model's crop shows: the same face, else the same square."""
        across = other.image.width
        ((x, y),) = affine.transformed(other.crop_to_photo, np.array([[across / 2, across / 2]]))
        side = affine.scale_of(other.crop_to_photo) * across
        if self.shows_faces:
            with contextlib.suppress(MissingPart):
                away = {
                    math.dist(face.points.mean(axis=0), (x, y)): face for face in find_faces(photo, self.g)[:MAX_FACES]
                }
                if away and min(away) < side / 2:
                    return align(photo, self.g, face=away[min(away)])
        return crop_by_hand(photo, self.g, (x - side / 2, y - side / 2, side))

    def pasted(self, session: Session) -> Image.Image:
        """The whole photo with the edited face in its old place, whatever the session's position.

        Raises:
            BadValue: there is no photo.
        """
        if session.photo is None or session.crop is None:
            raise BadValue("This face comes from no photo. Save the picture itself, or start from a photo.")
        return paste_edit(self.g, session.photo, session.crop, self.latent(session), session.edits)

    # Faces

    def refine(self, crop: Crop, *, method: str, seconds: float) -> Iterator[Step | Latent]:
        """Inverts a crop: the newest steps while it runs, then the latent. Closing the iterator ends the work."""

        def work() -> Iterator[Step | Latent]:
            return stream(lambda on_step: invert(self.g, crop, method=method, seconds=seconds, on_step=on_step))

        yield from self.on_gpu(work)()

    def random(self, seed: int | None = None, class_index: int | None = None) -> Latent:
        """A face of nobody. Raises BadValue for a class that the model does not have."""
        seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        return random_latent(self.g, seed, class_index=class_index)

    # Sliders

    def first_sliders(self) -> tuple[Slider, ...]:
        return tuple(Slider.of(f"d{i}", d) for i, d in enumerate(self.directions[:FIRST_SLIDERS]))

    def direction(self, session: Session, key: str) -> Direction:
        """The direction behind a slider of the session, in use or not. Raises UnknownDirection."""
        for slider in session.sliders:
            if slider.key == key:
                return slider.edit.direction
        if key[:1] == "d" and key[1:].isdecimal() and int(key[1:]) < len(self.directions):
            return self.directions[int(key[1:])]
        for entry in session.history:  # a text slider that was removed
            for slider in entry.sliders:
                if slider.key == key:
                    return slider.edit.direction
        return session.slider(key).edit.direction  # raises

    def described(self, latent: Latent, prompt: str) -> Direction:
        """A direction for a text prompt. Raises BadPrompt, MissingPart."""

        def work() -> Direction:
            return text_direction(self.g, prompt, latent=latent)

        direction: Direction = self.on_gpu(work)()
        return direction

    def layer_range(self, name: str) -> tuple[int, int] | None:
        """Raises BadValue for a name that is not in LAYER_NAMES."""
        if name not in LAYER_NAMES:
            raise BadValue(f"{name[:40]!r} names no layers. Expected one of: {', '.join(LAYER_NAMES)}.")
        return None if name == "own" else layer_range(self.g, name)

    # Pictures

    def generator(self, latent: Latent) -> Generator:
        """What draws a latent. Raises BadLatent for one of another model."""
        return generator_for(self.g, latent)

    def picture(self, session: Session, edits: Sequence[Edit], placement: Placement = IDENTITY) -> Image.Image:
        """The edited face in the generator's own size, with alpha where the model has it."""
        return render(self.g, edited(self.latent(session), edits), transform=placement.matrix(), alpha=True)

    def frame(
        self, session: Session, edits: Sequence[Edit], placement: Placement = IDENTITY, *, size_px: int = SCREEN_PX
    ) -> bytes:
        """The edited face as a JPEG for the screen."""
        latent = edited(self.latent(session), edits)
        g = choose_generator(self.generator(latent), size_px, placement)
        return jpeg_bytes(
            self.frame_renderer.images(g, latent.ws[None], size_px=size_px, transform=placement.matrix())[0]
        )

    def row(self, session: Session, key: str, strengths: Sequence[float] = PAIR_STRENGTHS) -> bytes:
        """This face at some strengths of one direction, side by side, as a JPEG."""
        latent, direction = self.latent(session), self.direction(session, key)
        row = Image.new("RGB", (PAIR_PX * len(strengths), PAIR_PX))
        if direction.interpolates:  # of another face there is no less than nothing, and no more than all
            region = next((s.edit.region for s in session.sliders if s.key == key), None)
            amounts = [min(max(s, 0.0), 1.0) for s in strengths]
            faces = [edited(latent, [Edit(direction, amount, region=region)]) for amount in amounts]
            drawn = (
                self.frame_renderer.images(choose_generator(self.generator(f), PAIR_PX), f.ws[None], size_px=PAIR_PX)
                for f in faces
            )
            images = [image for images in drawn for image in images]
        else:
            ws = torch.stack([edited(latent, [Edit(direction, s)]).ws for s in strengths])
            images = self.frame_renderer.images(choose_generator(self.generator(latent), PAIR_PX), ws, size_px=PAIR_PX)
        for i, image in enumerate(images):
            row.paste(image, (i * PAIR_PX, 0))
        return jpeg_bytes(row, quality=85)

    def latent(self, session: Session) -> Latent:
        """Raises BadValue where the session has no face yet."""
        if session.latent is None:
            raise BadValue("There is no face to edit yet. Choose a photo first.")
        return session.latent
