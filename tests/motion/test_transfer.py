"""Motion from a clip: a slider that moves in it moves the latent alike; a face that is carried about does not."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from support.random_generators import random_generator

from latent_editor.core.errors import BadValue, MissingPart, NoFaceFound, Stopped
from latent_editor.core.values import Direction, Edit, Step
from latent_editor.directions import named_directions
from latent_editor.editing.edits import edited
from latent_editor.generators import Generator, random_latent
from latent_editor.media.decode import VideoClip
from latent_editor.motion import Animation, extract_motion
from latent_editor.motion.transfer import smoothed, track_face
from latent_editor.networks.encoder import Encoder, load_encoder
from latent_editor.rendering import render

COUNT, FPS = 8, 5
STRENGTHS = -2 * np.cos(2 * np.pi * np.arange(COUNT) / COUNT)


def carried(picture: Image.Image, i: int) -> Image.Image:
    """A face somewhere else in each picture, a little turned, before its own background mirrored."""
    turn = 2 * np.pi * i / COUNT
    wide = np.pad(np.asarray(picture.resize((200, 200))), ((100, 100), (100, 100), (0, 0)), mode="reflect")
    matrix = cv2.getRotationMatrix2D((200, 200), 6 * math.sin(turn), 1 + 0.06 * math.cos(turn))
    matrix[:, 2] += [30 * math.cos(turn), 20 * math.sin(turn)]
    seen = cv2.warpAffine(wide, matrix, (400, 400), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return Image.fromarray(seen)


@pytest.fixture(scope="module")
def slider(portraits: Generator) -> Direction:
    return named_directions(portraits)[0]


@pytest.fixture(scope="module")
def moving(portraits: Generator, slider: Direction) -> VideoClip:
    driver = random_latent(portraits, 18)
    faces = [render(portraits, edited(driver, [Edit(slider, float(s))])) for s in STRENGTHS]
    return VideoClip(tuple(carried(face, i) for i, face in enumerate(faces)), FPS, "moving.mp4")


@pytest.fixture(scope="module")
def still(portraits: Generator) -> VideoClip:
    face = render(portraits, random_latent(portraits, 18))
    return VideoClip(tuple(carried(face, i) for i in range(COUNT)), FPS, "still.mp4")


def test_what_moves_in_the_clip_moves_the_latent(
    portraits: Generator, slider: Direction, moving: VideoClip, still: VideoClip
) -> None:
    steps: list[Step] = []
    motion = extract_motion(moving, portraits, smooth_s=0, on_step=steps.append)
    assert (len(motion.offsets), motion.fps) == (COUNT, FPS)
    assert (motion.offsets[0] == 0).all()
    assert (motion.offsets[:, 8:] == 0).all()  # coarse and middle layers only
    start, stop = slider.layers or (0, 8)
    acting = slice(start, min(stop, 8))
    along = (motion.offsets[:, acting] * slider.vector[acting]).sum((1, 2))
    assert np.corrcoef(along.numpy(), STRENGTHS)[0, 1] > 0.95
    rest = extract_motion(still, portraits, smooth_s=0)
    assert rest.offsets.norm(dim=(1, 2)).max() < 0.5 * motion.offsets.norm(dim=(1, 2)).max()
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_another_face_does_what_the_first_one_did(portraits: Generator, slider: Direction, moving: VideoClip) -> None:
    """As seen by the encoder in the pictures that come out."""
    target = random_latent(portraits, 34)
    motion = extract_motion(moving, portraits)
    animation = Animation(motion.seconds, True, motion=motion)
    pictures = [render(portraits, animation.latent_at(portraits, target, t)) for t in animation.times(FPS)]
    again = extract_motion(VideoClip(tuple(pictures), FPS), portraits, smooth_s=0)
    start, stop = slider.layers or (0, 8)
    acting = slice(start, min(stop, 8))
    along = (again.offsets[:, acting] * slider.vector[acting]).sum((1, 2))
    assert np.corrcoef(along.numpy(), STRENGTHS)[0, 1] > 0.8


def test_layers_amount_and_neutral_picture_are_as_chosen(portraits: Generator, still: VideoClip) -> None:
    clip = VideoClip(still.frames[:2], FPS)
    whole = extract_motion(clip, portraits, layers=["all"])
    half = extract_motion(clip, portraits, layers=["all"], amount=0.5)
    assert torch.allclose(half.offsets, whole.offsets / 2)
    some = extract_motion(clip, portraits, layers=[(2, 5)])
    assert torch.equal(some.offsets[:, 2:5], whole.offsets[:, 2:5])
    assert some.offsets.count_nonzero() == some.offsets[:, 2:5].count_nonzero()
    last = extract_motion(clip, portraits, layers=["all"], neutral=1)
    assert (last.offsets[1] == 0).all()
    assert torch.allclose(last.offsets - last.offsets[:1], whole.offsets, atol=1e-5)
    nearest = extract_motion(clip, portraits, layers=["all"], neutral=None)
    assert (nearest.offsets.flatten(1).norm(dim=1) == 0).sum() == 1


def test_the_face_is_followed(portraits: Generator, still: VideoClip) -> None:
    faces = track_face(still, portraits)
    centers = np.array([face.points.mean(0) for face in faces])
    turn = 2 * np.pi * np.arange(COUNT) / COUNT
    wanted = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for axis in range(2):  # the scale and the turn move it a little, too
        assert np.corrcoef(centers[:, axis], wanted[:, axis])[0, 1] > 0.95


def test_a_few_pictures_without_a_face_are_bridged(portraits: Generator, still: VideoClip) -> None:
    pictures = list(still.frames)
    pictures[4] = Image.new("RGB", pictures[0].size, "grey")
    faces = track_face(VideoClip(tuple(pictures), FPS), portraits)
    between = (faces[3].points + faces[5].points) / 2
    assert np.abs(faces[4].points - between).max() < 12
    nobody = VideoClip((Image.new("RGB", (320, 240), "grey"),) * 4, FPS, "wall.mp4")
    with pytest.raises(NoFaceFound, match=r"4 of the 4 frames of wall\.mp4"):
        extract_motion(nobody, portraits)


def test_smoothing_keeps_constants_lines_and_length() -> None:
    line = np.arange(20.0)[:, None] * np.ones(3)
    assert smoothed(line, 1.0).shape == line.shape
    assert smoothed(line, 1.0)[4:16] == pytest.approx(line[4:16])
    assert smoothed(np.ones((5, 2)), 2.0) == pytest.approx(np.ones((5, 2)))
    jitter = np.random.default_rng(0).normal(size=(200, 4))
    assert smoothed(jitter, 1.5).std() < 0.6 * jitter.std()
    assert smoothed(jitter, 0.0) is jitter


def test_a_model_without_faces_takes_the_middle() -> None:
    g = random_generator()
    g.bundle.about["faces"] = False
    torch.manual_seed(0)
    load_encoder.put(g, Encoder(g.size_px, g.num_ws, g.w_dim, width=8, max_width=8).eval())
    g.bundle.extras["encoder"] = {}
    pictures = tuple(Image.new("RGB", (64, 48), (20 * i, 90, 200 - 20 * i)) for i in range(5))
    motion = extract_motion(VideoClip(pictures, FPS), g, layers=["all"])
    assert motion.offsets.shape == (5, g.num_ws, g.w_dim)
    lengths = motion.offsets.flatten(1).norm(dim=1)
    assert lengths[0] == 0
    assert (lengths[1:] > 0).all()


def test_models_without_an_encoder_and_bad_wishes_are_refused(portraits: Generator, still: VideoClip) -> None:
    with pytest.raises(MissingPart, match="instant inversion"):
        extract_motion(still, random_generator())
    for wrong in ({"neutral": COUNT}, {"neutral": -1}, {"amount": math.nan}, {"amount": 1e9}, {"smooth_s": -1.0}):
        with pytest.raises(BadValue):
            extract_motion(still, portraits, **wrong)
    with pytest.raises(BadValue, match="hair"):
        extract_motion(still, portraits, layers=["hair"])
    with pytest.raises(BadValue, match="Face 7"):
        extract_motion(still, portraits, face=7)


def test_it_can_be_stopped(portraits: Generator, still: VideoClip) -> None:
    for at in (2, COUNT + 1):
        seen: list[Step] = []
        with pytest.raises(Stopped):
            extract_motion(
                still, portraits, on_step=lambda step, seen=seen, at=at: seen.append(step) or len(seen) == at
            )
        assert len(seen) == at
