"""A repair agrees with what is known, finds the rest, and is no worse than what one does without a model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import latent_editor as le
from latent_editor.cli.commands.repair import _hints_in_crop
from latent_editor.cli.shell import main
from latent_editor.degradations import Degradation, Downsampled, Grayscale, Masked, degradation_of
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype, to_image, to_tensor
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.colorizer import load_colorizer
from latent_editor.networks.perceptual import load_discriminator, perceptual_distance, psnr_db
from latent_editor.restoration.repair import hidden_part


def face(g: Generator, seed: int = 14) -> torch.Tensor:
    """A face of nobody: [1, C, S, S]."""
    return to_tensor(le.render(g, le.random_latent(g, seed), precision="fp32"), g.size_px)


def middle(g: Generator) -> torch.Tensor:
    hidden, s = torch.zeros(1, 1, g.size_px, g.size_px), g.size_px
    hidden[..., s // 3 : s // 3 + s // 2, s // 4 : s // 4 + s // 2] = 1
    return hidden


@pytest.mark.parametrize("name", ["mask", "few pixels"])
def test_a_repair_beats_what_is_done_without_a_model(portraits: Generator, name: str) -> None:
    g, discriminator = portraits, load_discriminator(portraits)
    assert discriminator is not None
    damage: Degradation = Masked(middle(g)) if name == "mask" else Downsampled(8)
    true = face(g)
    damaged = damage(true)
    found = le.repair(g, to_image(damaged[0]), damage, seconds=0)
    repaired, plain = to_tensor(found.image, g.size_px), damage.guess(damaged)
    assert found.agreement_db > 40
    assert float(psnr_db(repaired, true)) > float(psnr_db(plain, true)) + 0.5
    assert float(perceptual_distance(discriminator, repaired, true)) < 0.8 * float(
        perceptual_distance(discriminator, plain, true)
    )


def test_colors_are_added_and_luminance_is_kept(portraits: Generator) -> None:
    before, after = 0.0, 0.0
    for seed in (14, 18, 27, 23, 45, 34):  # one face's colors may be far from usual
        true = face(portraits, seed)
        gray = Grayscale()(true)
        repaired = to_tensor(
            le.repair(portraits, to_image(gray[0]), grayscale=True, seconds=0).image, portraits.size_px
        )
        torch.testing.assert_close(Grayscale()(repaired), gray, atol=3 / 127.5, rtol=0)
        before += float((gray - true).square().mean())
        after += float((repaired - true).square().mean())
    assert after < 0.9 * before


def test_color_hints_are_followed(portraits: Generator) -> None:
    """Of the background, whose color cannot be seen."""
    g, change = portraits, {}
    gray = to_image(Grayscale()(face(g))[0])
    for color in ("#2050c0", "#b04020"):
        hints = [le.ColorHint(x, 0.08, color, radius=0.03) for x in (0.08, 0.92)]
        corner = to_tensor(le.repair(g, gray, grayscale=True, color_hints=hints).image, g.size_px)[..., :24, :24]
        change[color] = corner.mean(dim=[0, 2, 3])
    red_less_blue = {color: float(rgb[0] - rgb[2]) for color, rgb in change.items()}
    assert red_less_blue["#b04020"] > red_less_blue["#2050c0"] + 0.1


def test_color_hints_need_a_grayscale_picture_and_a_colorizer(portraits: Generator, tiny_generator: StyleGAN2) -> None:
    hints = [le.ColorHint(0.5, 0.5, "red")]
    with pytest.raises(le.BadValue, match="with colors"):
        le.repair(portraits, to_image(face(portraits)[0]), scale=2, color_hints=hints)
    with pytest.raises(le.MissingPart, match="no colorizer"):
        le.repair(tiny_generator, to_image(face(tiny_generator)[0]), grayscale=True, color_hints=hints, seconds=0)


def test_a_grayscale_picture_has_the_colorizers_colors_where_it_is_known(portraits: Generator) -> None:
    g, net = portraits, load_colorizer(portraits)
    assert net is not None
    gray, hidden = Grayscale()(face(g)), middle(g)
    with torch.no_grad():
        wanted = net(gray, dtype=fastest_dtype(gray.device)).clamp(-1, 1)
    found = to_tensor(le.repair(g, to_image(gray[0]), grayscale=True).image, g.size_px)
    assert float((found - wanted).abs().mean()) < 1 / 127.5  # but for pixels that would be brighter than white
    torn = degradation_of(hidden=hidden, grayscale=True)
    found = to_tensor(le.repair(g, to_image(torn(face(g))[0]), torn).image, g.size_px)
    hole = found[hidden.expand_as(found) > 0].view(3, -1)
    assert float((hole - hole.mean(dim=0)).abs().mean()) > 0.02  # colors also where nothing was known


def test_other_models_of_faces_are_lent_the_colorizer(
    tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = tiny_generator
    gray = Grayscale()(face(g, 3))
    plain = le.repair(g, to_image(gray[0]), grayscale=True, seconds=0)
    monkeypatch.setitem(g.bundle.about, "faces", True)
    assert load_colorizer(g) is not None
    lent = le.repair(g, to_image(gray[0]), grayscale=True, seconds=0)
    assert lent.agreement_db > 40
    assert np.asarray(lent.image).tobytes() != np.asarray(plain.image).tobytes()


def test_sliders_work_on_a_repaired_face(portraits: Generator) -> None:
    g = portraits
    found = le.repair(g, to_image(Grayscale()(face(g))[0]), grayscale=True, seconds=0)
    edit = le.Edit(le.named_directions(g)[0], 2.0)
    drawn = [to_tensor(le.render(g, le.edited(found.latent, edits)), g.size_px) for edits in ((), (edit,))]
    assert float((drawn[0] - drawn[1]).abs().mean()) > 0.01


def test_several_faults_at_once_and_stopping(portraits: Generator) -> None:
    g, steps = portraits, []
    damage = degradation_of(hidden=middle(g), scale=2, grayscale=True, jpeg=50)

    def stop(step: le.Step) -> bool:
        steps.append(step)
        return len(steps) == 2

    found = le.repair(g, to_image(damage(face(g))[0].clamp(-1, 1)), damage, seconds=30, on_step=stop)
    assert len(steps) <= 3
    assert found.image.size == (g.size_px, g.size_px)
    assert math.isfinite(found.agreement_db)


def test_a_small_picture_is_taken_as_it_is(portraits: Generator) -> None:
    g = portraits
    small = le.render(g, le.random_latent(g, 14)).resize((g.size_px // 8,) * 2, Image.Resampling.BOX)
    found = le.repair(g, small, scale=8, seconds=0)
    again = found.image.resize(small.size, Image.Resampling.BOX)
    assert float(psnr_db(to_tensor(again, small.width), to_tensor(small, small.width))) > 40


def test_models_without_an_encoder_are_optimized(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    true = face(g, 3)
    damage = Masked(middle(g))
    first, later = (le.repair(g, to_image(damage(true)[0]), damage, seconds=s) for s in (0, 600))
    likeness = [found.latent.psnr_db or 0.0 for found in (first, later)]
    assert likeness[1] > likeness[0] > 0


def test_bad_input(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    image = le.render(g, le.random_latent(g, 1))
    white, black = (Image.new("L", image.size, value) for value in (255, 0))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "expected at least one"),
        ({"scale": 1000}, "scale"),
        ({"scale": math.nan}, "scale"),
        ({"blur_px": math.nan}, "blur"),
        ({"jpeg": 0}, "JPEG"),
        ({"grayscale": True, "seconds": math.nan}, "seconds"),
        ({"grayscale": True, "seconds": -1}, "seconds"),
        ({"mask": white}, "whole picture"),
        ({"mask": black}, "hides nothing"),
        ({"mask": Image.new("L", (7, 5))}, "expected the same"),
        ({"degradation": lambda x: x[..., :8]}, "shape"),
    ]
    for arguments, words in wrong:
        with pytest.raises(le.BadValue, match=words):
            le.repair(g, image, **arguments)


def test_masks_hide_what_they_touch() -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (17, 17, 33, 33))
    hidden = hidden_part(mask, (64, 64), 32)
    assert set(hidden.unique().tolist()) == {0, 1}
    assert bool((hidden[..., 9:16, 9:16] == 1).all())
    assert float(hidden.sum()) <= 11**2


def test_the_command(portraits: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    g = portraits
    image = to_image(Grayscale()(face(g))[0])
    mask = Image.new("L", image.size)
    mask.paste(255, (g.size_px // 2, g.size_px // 2, g.size_px // 2 + 12, g.size_px // 2 + 12))
    image.save(tmp_path / "damaged.png")
    mask.save(tmp_path / "mask.png")
    words = ["repair", str(tmp_path / "damaged.png"), "-o", str(tmp_path / "out" / "fixed.png"), "--aligned", "--json"]
    more = ["--grayscale", "--color-hint", "0.9,0.1=navy", "--mask", str(tmp_path / "mask.png")]
    more += ["--seconds", "0.5", "--latent", str(tmp_path / "a.latent")]
    assert main([*words, *more]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["agreement_db"] > 30
    with Image.open(data["output"]) as fixed:
        assert fixed.size == (g.size_px, g.size_px)
    g.check(le.Latent.load(data["latent"]))
    assert main(words) == 2
    assert "expected at least one" in capsys.readouterr().err
    for wrong, told in (("0.9=navy", "a point and a color"), ("0.9,2=navy", "from 0 to 1"), ("0.9,0.1=n", "no color")):
        assert main([*words, "--grayscale", "--color-hint", wrong]) == 2
        assert told in capsys.readouterr().err
    mask.resize((30, 20)).save(tmp_path / "mask.png")
    assert main([*words, *more]) == 2
    assert "expected the same" in capsys.readouterr().err


def test_places_in_a_photo_become_places_in_its_crop() -> None:
    photo = le.Photo(Image.new("RGB", (400, 200)))
    crop = le.Crop(Image.new("RGB", (64, 64)), np.array([[2.0, 0, 100], [0, 2.0, 50]]))  # 128 pixels of the photo
    inside, beside = le.ColorHint(0.41, 0.57, "red"), le.ColorHint(0.1, 0.5, "blue")
    (found,) = _hints_in_crop([inside, beside], photo, crop)
    assert (found.x, found.y, found.color) == (pytest.approx(0.5), pytest.approx(0.5), "red")
    assert _hints_in_crop([beside], photo, photo.image) == [beside]
