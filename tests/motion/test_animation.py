"""Animations: what is drawn when, seamless loops, and the videos they become."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.media_files import psnr, read_pictures
from support.random_generators import random_generator

from latent_editor.core.errors import BadLatent, BadValue, Stopped
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.generators import construction, random_latent
from latent_editor.generators.base import transform_matrix
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.media.encode import VIDEO_SUFFIXES, VideoConfig
from latent_editor.motion import (
    Animation,
    Curve,
    Keyframe,
    LatentPath,
    Motion,
    SliderTrack,
    animate,
    ramp,
    render_frames,
)
from latent_editor.rendering import render


@pytest.fixture
def latent(tiny_generator: StyleGAN2) -> Latent:
    return random_latent(tiny_generator, 1)


@pytest.fixture
def direction(tiny_generator: StyleGAN2) -> Direction:
    vector = torch.randn(tiny_generator.num_ws, tiny_generator.w_dim, generator=torch.Generator().manual_seed(5))
    return Direction("hair", vector * 0.3, layers=(0, 6))


def strengths(animation: Animation, fps: float) -> list[float]:
    return [animation.edits_at(t)[0].strength for t in animation.times(fps)]


def test_a_sweep_ends_where_it_was_told(direction: Direction) -> None:
    there = Animation(2.0, tracks=(ramp(direction, -2, 3, 2.0, loop=False),))
    assert len(there.times(10)) == 20
    found = strengths(there, 10)
    assert (found[0], found[-1]) == (-2, 3)
    assert found == sorted(found)


def test_the_first_picture_of_a_loop_follows_the_last_and_is_drawn_once(direction: Direction) -> None:
    loop = Animation(2.0, True, (ramp(direction, -2, 2, 2.0, loop=True),))
    found = strengths(loop, 10)
    assert len(found) == 20
    assert found[0] == -2
    assert max(found) == found[10] == 2
    assert found[1:] == pytest.approx(found[1:][::-1])  # back as it went
    assert found[-1] == pytest.approx(found[1])
    twice = [loop.edits_at(t + 2.0)[0].strength for t in loop.times(10)]
    assert twice == pytest.approx(found)


@pytest.mark.parametrize("ease", ["linear", "smooth", "spline"])
def test_a_loop_has_no_seam(ease: str, tiny_generator: StyleGAN2, latent: Latent, direction: Direction) -> None:
    slide = SliderTrack(direction, Curve((0.0, 0.7, 1.3), (-2.0, 2.0, 0.5), ease))
    frames = [
        np.asarray(p, float) for p in render_frames(tiny_generator, latent, Animation(2.0, True, (slide,)), fps=24)
    ]
    steps = [float(np.abs(b - a).mean()) for a, b in itertools.pairwise([*frames, frames[0]])]
    assert 0 < steps[-1] <= 1.2 * max(steps[:-1])


def test_lists_of_edits_are_key_frames(latent: Latent, direction: Direction) -> None:
    smile = Direction("smile", torch.ones_like(direction.vector))
    keys = [
        Keyframe(2.0, (Edit(smile, 2.0), Edit(direction, 5.0, muted=True))),
        Keyframe(0.0, (Edit(direction, 1.0),)),
        Keyframe(1.0, (Edit(direction, 3.0), Edit(smile, -1.0))),
    ]
    animation = Animation.from_keyframes(keys, 2.0, ease="linear")

    def at(time_s: float) -> dict[str, float]:
        return {e.direction.name: e.strength for e in animation.edits_at(time_s)}

    assert at(0) == {"hair": 1, "smile": 0}
    assert at(0.5) == {"hair": 2, "smile": -0.5}
    assert at(1) == {"hair": 3, "smile": -1}
    assert at(2) == {"hair": 0, "smile": 2}


def test_the_latent_at_a_time_is_the_edited_one(
    tiny_generator: StyleGAN2, latent: Latent, direction: Direction
) -> None:
    still = Edit(Direction("smile", torch.ones_like(direction.vector)), 0.5)
    slide = SliderTrack(direction, Curve((0.0, 1.0), (0.0, 2.0), "linear"), (2, 4))
    animation = Animation(1.0, tracks=(slide,), edits=(still,))
    expected = edited(latent, [still, Edit(direction, 1.0, (2, 4))]).ws
    assert torch.allclose(animation.latent_at(tiny_generator, latent, 0.5).ws, expected)


def test_in_a_loop_a_last_keyframe_like_the_first_is_the_first(latent: Latent, direction: Direction) -> None:
    a, b = (Edit(direction, 1.0),), (Edit(direction, 2.0),)
    loop = Animation.from_keyframes([Keyframe(0, a), Keyframe(1, b), Keyframe(2, a)], 2.0, loop=True)
    assert loop.tracks[0].curve.times_s == (0, 1)
    with pytest.raises(BadValue, match="end of a loop"):
        Animation.from_keyframes([Keyframe(0, a), Keyframe(2, b)], 2.0, loop=True)
    with pytest.raises(BadValue, match="end of a loop"):
        Animation.from_keyframes([Keyframe(0, a), Keyframe(2, a, latent)], 2.0, loop=True)


def test_a_path_passes_through_its_faces(tiny_generator: StyleGAN2, latent: Latent) -> None:
    faces = [random_latent(tiny_generator, seed) for seed in (2, 3, 4)]
    keys = [Keyframe(float(i), latent=face) for i, face in enumerate(faces)]
    for ease, path in itertools.product(("linear", "smooth", "spline"), ("linear", "spherical")):
        route = LatentPath((0.0, 1.0, 2.0), tuple(faces), ease, path)
        for i, face in enumerate(faces):
            found = Animation(3.0, True, path=route).latent_at(tiny_generator, latent, float(i))
            assert torch.allclose(found.ws, face.ws, atol=1e-5)
    loop = Animation.from_keyframes(keys, 3.0, loop=True)
    seam = loop.latent_at(tiny_generator, latent, 3.0 - 1e-6)
    assert torch.allclose(seam.ws, faces[0].ws, atol=1e-3)
    one = Animation.from_keyframes(keys[:1], 3.0)
    assert torch.equal(one.latent_at(tiny_generator, latent, 1.0).ws, faces[0].ws)


def test_motion_is_interpolated_between_its_frames(tiny_generator: StyleGAN2, latent: Latent) -> None:
    offsets = torch.arange(3.0)[:, None, None].expand(-1, *latent.ws.shape)
    animation = Animation(0.3, motion=Motion(offsets, 10))
    for time_s, offset in ((0, 0), (0.05, 0.5), (0.1, 1), (0.2, 2), (0.3, 2)):
        found = animation.latent_at(tiny_generator, latent, time_s).ws - latent.ws
        assert torch.allclose(found, torch.full_like(found, offset), atol=1e-5)
    with pytest.raises(BadLatent, match="different models"):
        Animation(0.3, motion=Motion(offsets[:, :1], 10)).latent_at(tiny_generator, latent, 0.1)


# Videos.


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_video_shows_what_is_rendered(
    suffix: str, tiny_generator: StyleGAN2, latent: Latent, direction: Direction, tmp_path: Path
) -> None:
    animation = Animation(1.0, True, (ramp(direction, -2, 2, 1.0, loop=True),))
    path = tmp_path / f"a{suffix}"
    video = animate(tiny_generator, latent, animation, path, size_px=96, config=VideoConfig(fps=10, quality=90))
    assert (video.frames, video.seconds, video.size) == (10, 1.0, (96, 96))
    seen = read_pictures(path)
    for time_s, picture in zip(animation.times(10), seen, strict=True):
        now = edited(latent, animation.edits_at(time_s))
        assert psnr(picture, np.asarray(render(tiny_generator, now, size_px=96))) > 26
    data = path.read_bytes()
    assert b"hair" in data
    assert b"tiny" in data


def test_a_refined_latent_is_drawn_by_its_own_generator(tiny_generator: StyleGAN2, latent: Latent) -> None:
    name = "synthesis.b16.conv1.weight"
    change = torch.ones_like(dict(tiny_generator.named_parameters())[name])
    own = Latent(latent.ws, latent.model, latent.fingerprint, refinement=Refinement(weights={name: change}))
    plain, refined = (next(render_frames(tiny_generator, x, Animation(0.1))) for x in (latent, own))
    assert plain.tobytes() == render(tiny_generator, latent).tobytes()
    assert plain.tobytes() != refined.tobytes()


def test_noise_of_a_seed_is_the_same_in_all_pictures() -> None:
    g = random_generator()
    latent, still = random_latent(g, 1), Animation(0.3)
    pictures = {
        seed: [p.tobytes() for p in render_frames(g, latent, still, fps=10, noise=seed)] for seed in (1, 2, "none")
    }
    assert all(len(set(some)) == 1 for some in pictures.values())
    assert len({some[0] for some in pictures.values()}) == 3


def test_a_stylegan3_moves_too(tmp_path: Path) -> None:
    g = construction.random("stylegan3", {"z_dim": 8, "w_dim": 8, "img_resolution": 16, "channel_base": 128}, seed=1)
    latent = random_latent(g, 1)
    loop = Animation(0.4, True, (ramp(Direction("a", torch.ones_like(latent.ws)), -1, 1, 0.4, loop=True),))
    assert animate(g, latent, loop, tmp_path / "a.gif", config=VideoConfig(fps=10)).frames == 4
    aside = transform_matrix((0.25, 0.0))
    assert (
        next(render_frames(g, latent, loop)).tobytes()
        != next(render_frames(g, latent, loop, transform=aside)).tobytes()
    )


def test_a_stopped_video_is_not_written(
    tiny_generator: StyleGAN2, latent: Latent, direction: Direction, tmp_path: Path
) -> None:
    animation = Animation(1.0, tracks=(ramp(direction, 0, 1, 1.0, loop=False),))
    with pytest.raises(Stopped):
        animate(tiny_generator, latent, animation, tmp_path / "a.mp4", on_step=lambda step: step.step == 3)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_is_refused_before_it_is_drawn(
    tiny_generator: StyleGAN2, latent: Latent, direction: Direction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latent_editor.motion.movies.render_frames", lambda *_, **__: pytest.fail("drawn"))
    for size_px, config in ((4, VideoConfig()), (9999, VideoConfig()), (None, VideoConfig(fps=0))):
        with pytest.raises(BadValue):
            animate(tiny_generator, latent, Animation(1.0), tmp_path / "a.mp4", size_px=size_px, config=config)
    for seconds in (0, -1, 7200, math.nan):
        with pytest.raises(BadValue, match="seconds"):
            Animation(seconds)
    with pytest.raises(BadValue, match="Make it longer"):
        Animation(1.0, tracks=(SliderTrack(direction, Curve((0.0, 2.0), (0.0, 1.0))),))
    with pytest.raises(BadValue, match="1 faces for 2"):
        LatentPath((0.0, 1.0), (latent,))


def test_latents_and_directions_of_other_models_are_refused(tiny_generator: StyleGAN2, latent: Latent) -> None:
    other = random_latent(random_generator(), 1)
    with pytest.raises(BadLatent):
        next(render_frames(tiny_generator, other, Animation(1.0)))
    with pytest.raises(BadLatent):
        next(
            render_frames(tiny_generator, latent, Animation(1.0, edits=(Edit(Direction("a", torch.ones(1, 1)), 1.0),)))
        )
    with pytest.raises(BadLatent):
        list(render_frames(tiny_generator, latent, Animation(1.0, path=LatentPath((0.0, 0.5), (latent, other))), fps=5))
