"""The restorer: it starts from the encoder's result, learns to restore images, and its files round-trip."""

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
from latent_editor.train.restorer import FrozenModel, example_of, figures, random_example, random_hole

SIZE = 32


def frozen_model(seed: int = 0) -> FrozenModel:
    torch.manual_seed(seed)
    return FrozenModel(Networks.new(SIZE))


def pictures(model: FrozenModel, count: int = 8) -> torch.Tensor:
    """Images from the generator itself, so that an exact restoration exists."""
    g = model.nets.generator
    with torch.no_grad():
        return g.synthesize(g.map(torch.randn(count, g.z_dim))).clamp(-1, 1)


def test_a_case_keeps_known_pixels_and_fills_holes_for_the_encoder() -> None:
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
    model = frozen_model()
    x = pictures(model, 2)
    example = example_of(Grayscale(), Grayscale()(x), None)
    picture, features = model.restored(model.new_restorer(), example)
    assert float(features.detach().abs().max()) == 0
    ws = model.nets.encoder(example.case.guess, model.dtype)
    torch.testing.assert_close(picture, model.nets.generator.synthesize(ws, dtype=model.dtype), atol=0.03, rtol=0)


def test_it_learns_to_restore() -> None:
    model = frozen_model()
    x, trainer = pictures(model), model.trainer(model.new_restorer(), 3e-3)
    few = Downsampled(8)
    example = example_of(few, few(x), None)

    def error() -> float:
        with torch.no_grad():
            return float((example.agree(model.restored(trainer.net, example)[0]) - x).square().mean())

    before = error()
    for _ in range(60):
        trainer.learn((x, example), 0.0)
    assert error() < 0.5 * before


def test_grayscale_images_are_colorized_first() -> None:
    model = frozen_model()
    x = pictures(model, 2)
    model.colorizer = Colorizer(SIZE, width=16, max_width=32)
    torch.nn.init.normal_(model.colorizer.last.weight)
    grayscale = Grayscale()
    with torch.no_grad():
        case = example_of(grayscale, grayscale(x), None, model.colorize).case
        expected = model.colorizer(grayscale(x), dtype=model.dtype).clamp(-1, 1)
        few = example_of(Downsampled(4), Downsampled(4)(x), None, model.colorize).case
    torch.testing.assert_close(case.guess, expected)
    assert float((case.guess - grayscale(x)).abs().max()) > 0.01
    torch.testing.assert_close(few.guess, Downsampled(4).guess(Downsampled(4)(x)).clamp(-1, 1))  # its colors are known


def test_files_round_trip_and_other_kinds_are_rejected(tmp_path: Path) -> None:
    model = frozen_model()
    x = pictures(model)
    example = example_of(Grayscale(), Grayscale()(x), None)
    trainer = model.trainer(model.new_restorer(), 1e-2)
    trainer.learn((x, example), 0.0)
    save_restorer(trainer.net, tmp_path / "a.safetensors")
    back = read_restorer(tmp_path / "a.safetensors")
    assert isinstance(back, Restorer)
    with torch.no_grad():
        a, b = (model.restored(net, example)[0] for net in (trainer.net, back))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)
    save_encoder(model.nets.encoder, tmp_path / "b.safetensors")
    with pytest.raises(BadModel, match="restorer"):
        read_restorer(tmp_path / "b.safetensors")


def test_damage_varies_and_holes_never_cover_everything() -> None:
    rng = random.Random(0)
    x = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    kinds = set()
    for _ in range(60):
        example = random_example(x, rng)
        case = example.case
        assert example.agree(x).shape == x.shape
        assert case.picture.shape == case.guess.shape == x.shape
        assert torch.isfinite(case.guess).all()
        is_gray = float((case.guess - case.guess.mean(1, keepdim=True)).abs().max()) < 1e-3
        kinds.add((is_gray, bool((case.known == 0).any()), float((case.picture - x).abs().mean()) > 0.01))
        hidden = random_hole(SIZE, rng)
        assert 0 < float(hidden.mean()) < 0.95
    assert len(kinds) >= 4


def test_figures_compare_with_a_plain_repair() -> None:
    model = frozen_model()
    found, rows = figures(model, model.new_restorer(), pictures(model, 2))
    assert set(found) == {f"{kind}_{what}" for kind in ("8x", "grayscale", "hole") for what in ("perceptual", "chroma")}
    assert len(rows) == 7


def test_the_commands_continue_from_what_they_exported(tmp_path: Path) -> None:
    """First the colorizer, then the restorer that uses its colors; each is trained, exported and resumed."""
    folder, data = tmp_path / "model", tmp_path / "data"
    model = frozen_model()
    folder.mkdir()
    model.nets.write(folder)
    data.mkdir()
    for i, picture in enumerate(pictures(model, 12)):
        to_image(picture).save(data / f"{i}.png")
    for part, path in (("colorizer", folder / COLORIZER_FILE), ("restorer", folder / RESTORER_FILE)):
        words = [part, "--data", str(data), "--validation", str(data), "--start", str(folder), "--export", str(folder)]
        words += ["--run", str(tmp_path / part), "--minutes", "0.01", "--threads", str(torch.get_num_threads())]
        main(words)
        first = path.read_bytes()
        state = torch.load(tmp_path / part / CHECKPOINT, weights_only=True)
        main([*words, "--resume"])
        assert torch.load(tmp_path / part / CHECKPOINT, weights_only=True)["step"] > state["step"]
        assert path.read_bytes() != first
        assert list((tmp_path / part / "sheets").glob("*.jpg"))
    read_colorizer(folder / COLORIZER_FILE)
    read_restorer(folder / RESTORER_FILE)
