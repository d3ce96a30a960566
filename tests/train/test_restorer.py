"""The restorer: it begins with the encoder's guess, learns what was there, and its files come back."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from latent_editor.core.errors import BadModel
from latent_editor.degradations import Downsampled, Grayscale, Masked
from latent_editor.generators.pictures import to_image
from latent_editor.networks.colorizer import COLORIZER_FILE, Colorizer, read_colorizer
from latent_editor.networks.encoder import save_encoder
from latent_editor.networks.restorer import RESTORER_FILE, Restorer, case_of, read_restorer, save_restorer
from latent_editor.train.__main__ import main
from latent_editor.train.learning import CHECKPOINT
from latent_editor.train.networks import Networks
from latent_editor.train.restorer import Teacher, figures, lesson_of, random_hole, random_lesson

SIZE = 32


def teacher(seed: int = 0) -> Teacher:
    torch.manual_seed(seed)
    return Teacher(Networks.new(SIZE))


def pictures(teacher: Teacher, count: int = 8) -> torch.Tensor:
    """What the generator can draw, so that there is something to be found."""
    g = teacher.nets.generator
    with torch.no_grad():
        return g.synthesize(g.map(torch.randn(count, g.z_dim))).clamp(-1, 1)


def test_a_case_keeps_what_is_known_and_fills_the_rest_for_the_encoder() -> None:
    x = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    hidden = torch.zeros(1, 1, SIZE, SIZE)
    hidden[..., 8:16, 8:16] = 1
    case = case_of(None, Masked(hidden)(x), hidden)
    known = hidden[0, 0] == 0
    assert torch.equal(case.picture[..., known], x[..., known])
    assert torch.equal(case.guess[..., known], x[..., known])
    assert case.picture[..., ~known].abs().max() == 0
    assert case.guess[..., ~known].abs().max() > 0
    few = Downsampled(4)
    torch.testing.assert_close(case_of(few, few(x)).picture, few.guess(few(x)).clamp(-1, 1))


def test_an_untrained_restorer_changes_nothing() -> None:
    t = teacher()
    x = pictures(t, 2)
    lesson = lesson_of(Grayscale(), Grayscale()(x), None)
    picture, features = t.restored(t.new_restorer(), lesson)
    assert float(features.detach().abs().max()) == 0
    ws = t.nets.encoder(lesson.case.guess, t.dtype)
    torch.testing.assert_close(picture, t.nets.generator.synthesize(ws, dtype=t.dtype), atol=0.03, rtol=0)


def test_it_learns_what_was_there() -> None:
    t = teacher()
    x, trainer = pictures(t), t.trainer(t.new_restorer(), 3e-3)
    few = Downsampled(8)
    lesson = lesson_of(few, few(x), None)

    def error() -> float:
        with torch.no_grad():
            return float((lesson.agree(t.restored(trainer.net, lesson)[0]) - x).square().mean())

    before = error()
    for _ in range(60):
        trainer.learn((x, lesson), 0.0)
    assert error() < 0.5 * before


def test_grey_pictures_are_given_colours_first() -> None:
    t = teacher()
    x = pictures(t, 2)
    t.colorizer = Colorizer(SIZE, width=16, max_width=32)
    torch.nn.init.normal_(t.colorizer.last.weight)
    grey = Grayscale()
    with torch.no_grad():
        case = lesson_of(grey, grey(x), None, t.colour).case
        wanted = t.colorizer(grey(x), dtype=t.dtype).clamp(-1, 1)
        few = lesson_of(Downsampled(4), Downsampled(4)(x), None, t.colour).case
    torch.testing.assert_close(case.guess, wanted)
    assert float((case.guess - grey(x)).abs().max()) > 0.01
    torch.testing.assert_close(few.guess, Downsampled(4).guess(Downsampled(4)(x)).clamp(-1, 1))  # it has its own


def test_a_file_comes_back_and_another_kind_is_refused(tmp_path: Path) -> None:
    t = teacher()
    x = pictures(t)
    lesson = lesson_of(Grayscale(), Grayscale()(x), None)
    trainer = t.trainer(t.new_restorer(), 1e-2)
    trainer.learn((x, lesson), 0.0)
    save_restorer(trainer.net, tmp_path / "a.safetensors")
    back = read_restorer(tmp_path / "a.safetensors")
    assert isinstance(back, Restorer)
    with torch.no_grad():
        a, b = (t.restored(net, lesson)[0] for net in (trainer.net, back))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)
    save_encoder(t.nets.encoder, tmp_path / "b.safetensors")
    with pytest.raises(BadModel, match="restorer"):
        read_restorer(tmp_path / "b.safetensors")


def test_damages_are_many_and_holes_never_hide_all() -> None:
    rng = random.Random(0)
    x = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    kinds = set()
    for _ in range(60):
        lesson = random_lesson(x, rng)
        case = lesson.case
        assert lesson.agree(x).shape == x.shape
        assert case.picture.shape == case.guess.shape == x.shape
        assert torch.isfinite(case.guess).all()
        grey = float((case.guess - case.guess.mean(1, keepdim=True)).abs().max()) < 1e-3
        kinds.add((grey, bool((case.known == 0).any()), float((case.picture - x).abs().mean()) > 0.01))
        hidden = random_hole(SIZE, rng)
        assert 0 < float(hidden.mean()) < 0.95
    assert len(kinds) >= 4


def test_figures_compare_with_a_plain_repair() -> None:
    t = teacher()
    found, rows = figures(t, t.new_restorer(), pictures(t, 2))
    assert set(found) == {f"{kind}_{what}" for kind in ("8x", "grey", "hole") for what in ("perceptual", "colours")}
    assert len(rows) == 7


def test_the_commands_export_what_they_go_on_from(tmp_path: Path) -> None:
    """First the colorizer, then the restorer that is shown its colours, each begun anew and gone on with."""
    model, data = tmp_path / "model", tmp_path / "data"
    t = teacher()
    model.mkdir()
    t.nets.write(model)
    data.mkdir()
    for i, picture in enumerate(pictures(t, 12)):
        to_image(picture).save(data / f"{i}.png")
    for part, path in (("colorizer", model / COLORIZER_FILE), ("restorer", model / RESTORER_FILE)):
        words = [part, "--data", str(data), "--validation", str(data), "--start", str(model), "--export", str(model)]
        words += ["--run", str(tmp_path / part), "--minutes", "0.01", "--threads", str(torch.get_num_threads())]
        main(words)
        first = path.read_bytes()
        state = torch.load(tmp_path / part / CHECKPOINT, weights_only=True)
        main([*words, "--resume"])
        assert torch.load(tmp_path / part / CHECKPOINT, weights_only=True)["step"] > state["step"]
        assert path.read_bytes() != first
        assert list((tmp_path / part / "sheets").glob("*.jpg"))
    read_colorizer(model / COLORIZER_FILE)
    read_restorer(model / RESTORER_FILE)
