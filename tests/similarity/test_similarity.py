"""The likeness meter: its measures against oracles, its words and advice on pictures whose faults are known."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab
from sklearn.metrics import roc_auc_score
from torch import Tensor

import latent_editor as le
from latent_editor.cli import main
from latent_editor.core.errors import BadLatent, BadModel, BadValue, Stopped
from latent_editor.core.face_geometry import ARCFACE_LANDMARKS_PX, FractionLandmarks
from latent_editor.core.values import Crop, Photo
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import to_image
from latent_editor.models.bundle import Bundle
from latent_editor.networks.face_views import FRAME, augmented_views, blurred, face_views
from latent_editor.networks.identity import IDENTITY_VARIABLE, OnnxIdentity, auc, learn_scale
from latent_editor.networks.picture_properties import Range, picture_properties, typical_ranges
from latent_editor.networks.similarity_statistics import (
    SimilarityStatistics,
    build_similarity_statistics,
    learn_domain,
    load_similarity_statistics,
)
from latent_editor.similarity import heat_map
from latent_editor.similarity.advice import RULES, Measurements, sentences, share_outside
from latent_editor.similarity.heat_map import MAX_DIFFERENCE, _lab, residual
from latent_editor.similarity.meter import ELSE, LITTLE, OTHER, SAME, STILL


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(seed: int, size: int = 64, count: int = 1) -> Tensor:
    """Smooth coloured pictures [N, 3, S, S]."""
    noise = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic").clamp(-1, 1)


# --- what is compared ----------------------------------------------------------------------------------------------


def test_blur_is_that_of_opencv() -> None:
    x = picture(0, 48)
    want = cv2.GaussianBlur(x[0].permute(1, 2, 0).numpy(), (13, 13), 2.0, borderType=cv2.BORDER_REFLECT_101)
    assert np.allclose(blurred(x, 2.0)[0].permute(1, 2, 0).numpy(), want, atol=1e-5)


def test_colours_are_those_of_skimage() -> None:
    x = picture(1, 16)
    want = rgb2lab(((x[0].permute(1, 2, 0).numpy() + 1) / 2).astype(np.float64))
    assert np.allclose(_lab(x)[0].permute(1, 2, 0).numpy(), want, atol=0.05)


def test_a_face_view_lays_the_face_into_the_frame() -> None:
    """A picture whose points lie elsewhere, turned and smaller, gives the view of the one that lies in the frame."""
    x = torch.nn.functional.interpolate(picture(2, 64), size=(256, 256), mode="bicubic").clamp(-1, 1)
    angle, scale = np.radians(20), 0.8
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = {name: tuple(turn @ (np.array(p) - 0.5) + 0.5) for name, p in FRAME.items()}
    a = np.column_stack([turn, 128 - turn @ [128, 128]])
    a[:, 2] += turn @ [0.5, 0.5] - 0.5
    moved = cv2.warpAffine(x[0].permute(1, 2, 0).numpy(), a, (256, 256), flags=cv2.INTER_CUBIC)
    moved_tensor = torch.from_numpy(moved).permute(2, 0, 1)[None]
    want, got = face_views(x, FRAME, 256), face_views(moved_tensor, points, 256)
    assert (want - got).abs().mean() < 0.02
    assert want[..., 0].abs().max() < 0.01
    assert (want - face_views(moved_tensor, FRAME, 256)).abs().mean() > 0.1


def test_other_views_are_reproducible_and_keep_the_range() -> None:
    x = picture(3, 64, count=6)
    a, b, c = augmented_views(x, seed=1), augmented_views(x, seed=1), augmented_views(x, seed=2)
    assert torch.equal(a, b)
    assert (a - c).abs().mean() > 0.05
    assert a.shape == x.shape
    assert a.min() >= -1
    assert a.max() <= 1


def test_auc_is_that_of_sklearn() -> None:
    random = np.random.default_rng(0)
    positive, negative = random.normal(1, 1, 200).round(1), random.normal(0, 1, 300).round(1)
    want = roc_auc_score([1] * 200 + [0] * 300, np.concatenate([positive, negative]))
    assert auc(torch.tensor(positive), torch.tensor(negative)) == pytest.approx(want)


# --- the scale of identity -----------------------------------------------------------------------------------------


class Colours:
    """Says who somebody is by the colours in a few places, of which light changes all alike."""

    fingerprint = "colours"

    def __init__(self, *, recognizes_people: bool) -> None:
        self.recognizes_people = recognizes_people

    def embed(self, pictures: Tensor, points: FractionLandmarks) -> Tensor:
        small = torch.nn.functional.adaptive_avg_pool2d(face_views(pictures, points, 64)[:, :, 24:64, 16:48], (4, 3))
        return torch.nn.functional.normalize(small.flatten(1) + 0.3, dim=1)


def test_the_metric_learns_what_does_not_change_a_person() -> None:
    people = 0.5 * picture(3, 64) + 0.15 * picture(4, 64, count=80)  # of one family
    plain = learn_scale(Colours(recognizes_people=True), people, FRAME)
    learned = learn_scale(Colours(recognizes_people=False), people, FRAME)
    assert torch.equal(plain.metric, torch.eye(len(plain.mean)))
    assert learned.auc > plain.auc + 0.005
    for scale in (plain, learned):
        assert scale.strangers < scale.same_limit < 1
        assert scale.degree(scale.strangers) == 0
        assert scale.degree(1.0) == 1
        assert [scale.grade(cosine) for cosine in (1.0, scale.same_limit - 0.01, scale.strangers)] == [0, 2, 2]
    assert float(learned.cosine(*[Colours(recognizes_people=False).embed(people[:1], FRAME)] * 2)) == pytest.approx(1)


def test_a_scale_needs_some_people() -> None:
    with pytest.raises(BadValue, match="at least 16"):
        learn_scale(Colours(recognizes_people=True), picture(5, 64, count=5), FRAME)


# --- typical ranges ------------------------------------------------------------------------------------------------


def test_the_domain_knows_its_own_and_not_others() -> None:
    random = torch.Generator().manual_seed(0)
    spread = torch.linspace(2, 0.01, 48)
    ws = (torch.randn(800, 1, 48, generator=random) * spread).expand(-1, 5, -1) + 3
    domain = learn_domain(ws[:400])
    assert (domain.distances(ws[400:]) > 1).float().mean() < 0.05
    along_rare = torch.full((1, 5, 48), 3.0)
    along_rare[..., -1] += 1.0  # 100 standard deviations, though a short way
    assert domain.distances(along_rare)[0] > 1
    assert domain.distances(torch.full((1, 5, 48), 3.0))[0] < 0.5


def test_usual_ranges_hold_what_was_seen() -> None:
    values = torch.linspace(0, 1, 501)
    found = typical_ranges({"light": values})["light"]
    assert -0.2 < found.low < 0.01
    assert 0.99 < found.high < 1.2


def test_facts_follow_the_picture() -> None:
    x = picture(6, 128, count=2) * 0.5
    plain = picture_properties(None, x, FRAME)
    assert set(plain) == {"light", "contrast", "detail", "colour"}
    assert (picture_properties(None, x - 0.4, FRAME)["light"] < plain["light"] - 0.1).all()
    assert (picture_properties(None, blurred(x, 4), FRAME)["detail"] < plain["detail"]).all()
    assert (picture_properties(None, x + torch.randn_like(x) * 0.2, FRAME)["detail"] > plain["detail"]).all()
    assert picture_properties(None, x.mean(dim=1, keepdim=True), FRAME)["colour"].max() < 1e-5
    assert (picture_properties(None, x * 0.3, None)["contrast"] < plain["contrast"]).all()


def test_statistics_round_trip(tmp_path: Path) -> None:
    scale = learn_scale(Colours(recognizes_people=False), picture(7, 64, count=40), FRAME)
    domain = learn_domain(torch.randn(64, 3, 20, generator=torch.Generator().manual_seed(1)))
    made = SimilarityStatistics("a+b", {"light": Range(0.1, 0.9)}, scale, domain, 40, True)
    made.save(tmp_path / "a.safetensors")
    read = SimilarityStatistics.load(tmp_path / "a.safetensors")
    assert (read.fingerprint, read.ranges, read.count, read.from_data) == ("a+b", {"light": Range(0.1, 0.9)}, 40, True)
    assert read.identity is not None
    assert (read.identity.same, read.identity.same_limit) == (scale.same, scale.same_limit)
    assert torch.allclose(read.identity.metric, scale.metric, atol=2e-3, rtol=2e-3)
    assert read.domain is not None
    assert read.domain.limit == domain.limit
    SimilarityStatistics("none").save(tmp_path / "b.safetensors")
    assert SimilarityStatistics.load(tmp_path / "b.safetensors").identity is None


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.pop("ranges"),
        lambda about: about["identity"].pop("same"),
        lambda about: about.update(domain=[]),
        lambda about: about.update(ranges={"light": 3}),
    ],
)
def test_damaged_statistics_are_refused(tmp_path: Path, change: Callable[[dict], object]) -> None:
    import safetensors.torch

    path = tmp_path / "a.safetensors"
    scale = learn_scale(Colours(recognizes_people=False), picture(7, 64, count=16), FRAME)
    SimilarityStatistics("a+b", {}, scale, learn_domain(torch.randn(16, 1, 8))).save(path)
    with safetensors.safe_open(str(path), "pt") as f:
        tensors, metadata = {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata())  # noqa: SIM118
    about = json.loads(metadata["about"])
    change(about)
    safetensors.torch.save_file(tensors, str(path), {**metadata, "about": json.dumps(about)})
    with pytest.raises(BadModel, match="Build it again"):
        SimilarityStatistics.load(path)


def test_a_model_learns_from_its_own_pictures_and_keeps_it(tiny_generator: Generator, tmp_path: Path) -> None:
    g = tiny_generator
    g.bundle = Bundle("tiny", tmp_path)
    g.bundle.about["faces"] = False
    made = load_similarity_statistics(g)
    assert made.identity is None
    assert made.domain is None
    assert not made.from_data
    assert SimilarityStatistics.load(tmp_path / "likeness.safetensors").fingerprint == made.fingerprint
    with pytest.raises(Stopped):
        build_similarity_statistics(g, on_step=lambda step: True)


# --- advice --------------------------------------------------------------------------------------------------------

USUAL = {"light": Range(0.2, 0.8), "detail": Range(-2, -1), "colour": Range(0.05, 0.3), "misfit": Range(0, 0.1)} | {
    "turn": Range(-0.3, 0.3)
}
WELL = {"face": 0.99, "light": 0.5, "detail": -1.5, "colour": 0.1, "misfit": 0.05, "turn": 0.0}


@pytest.mark.parametrize(
    ("name", "values", "other"),
    [
        ("no face", {"face": 0.2, "light": 0.1}, {}),
        ("turned", {"turn": -0.6}, {}),
        ("hidden", {"misfit": 0.4}, {}),
        ("dark", {"light": 0.05}, {}),
        ("bright", {"light": 0.95}, {}),
        ("blurred", {"detail": -2.5}, {}),
        ("grainy", {"detail": -0.2}, {}),
        ("cut off", {}, {"outside": 0.3}),
        ("small", {}, {"enlargement": 5.0}),
        ("without color", {"colour": 0.0}, {"distance": 1.2}),
        ("far", {}, {"distance": 1.2, "recognizable": False}),
    ],
)
def test_each_fault_has_its_sentence(name: str, values: dict, other: dict) -> None:
    assert sentences(Measurements(WELL, USUAL)) == ()
    said = sentences(Measurements({**WELL, **values}, USUAL, **other))
    assert said == (next(rule.sentence for rule in RULES if rule.name == name),)


def test_two_sentences_at_most_and_silence_where_it_came_out_well() -> None:
    faults = {**WELL, "turn": 0.9, "misfit": 0.5, "light": 0.0, "detail": -3.0}
    assert len(sentences(Measurements(faults, USUAL, distance=2.0, recognizable=False))) == 2
    assert sentences(Measurements(WELL, USUAL, distance=2.0, recognizable=True)) == ()
    assert sentences(Measurements({}, {})) == ()


def test_every_sentence_says_what_to_do_or_expect() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.sentence.count(". ") == 0
        assert rule.sentence.endswith(".")
        assert len(rule.sentence) < 170


def test_the_share_of_a_face_beyond_the_edge() -> None:
    crop = Crop(Image.new("RGB", (64, 64)), np.array([[2.0, 0, 10], [0, 2.0, 10]]))
    assert share_outside(crop, (300, 300), FRAME) == 0
    middle = 10 + 0.5 * 128  # the ellipse is centred at half of the width
    assert share_outside(crop, (round(middle), 300), FRAME) == pytest.approx(0.5, abs=0.03)


# --- the whole meter -----------------------------------------------------------------------------------------------


def test_a_model_without_faces_has_a_meter_too(tiny_generator: Generator) -> None:
    g = tiny_generator
    g.bundle.about["faces"] = False
    latent = le.random_latent(g, 0)
    image = le.render(g, latent, precision="fp32")
    same, other = le.compare(g, image, latent), le.compare(g, image, le.random_latent(g, 1))
    assert same.psnr_db > 45
    assert (same.identity, same.face_psnr_db, same.words) == (None, None, "the same")
    assert other.psnr_db < same.psnr_db
    assert other.residual.mean() > same.residual.mean()
    assert le.identity_change(g, latent, le.random_latent(g, 1)) is None
    with pytest.raises(BadValue, match="expected one picture"):
        le.compare(g, image, torch.zeros(2, 3, 32, 32))


def test_heat_shows_where_and_how_much() -> None:
    a = picture(8, 64)
    b = a.clone()
    b[:, :, 8:24, 40:56] = (b[:, :, 8:24, 40:56] + 0.8).clamp(-1, 1)
    assert residual(a, a).max() < 1e-4
    r = residual(a, b)
    assert r[12:20, 44:52].min() > 10
    assert r[40:, :30].max() < 0.5
    image = heat_map(r, a, size_px=128)
    assert image.width == 128
    assert image.height > 128
    pixels = np.asarray(heat_map(r, a, size_px=128, legend=False), np.float32)
    warm = pixels[..., :2].mean(-1) - pixels[..., 2]
    assert warm[28:36, 92:100].mean() > warm[90:, :60].mean() + 40


def test_the_colours_grow_lighter_all_the_way() -> None:
    """What the colour-blind, and a printer without colours, tell them apart by."""
    ramp = torch.linspace(0, 1, 64).square().mul(MAX_DIFFERENCE).expand(64, 64).contiguous()
    drawn = heat_map(ramp, torch.zeros(1, 3, 64, 64), size_px=64, legend=False).convert("L")
    row = np.asarray(drawn, np.float32)[32]
    assert (np.diff(row[4:-4]) > -2).all()
    assert row[-8] > row[8] + 60


def test_a_face_is_itself_and_nobody_else(portraits: Generator) -> None:
    a, b = le.random_latent(portraits, 14), le.random_latent(portraits, 27)
    image = le.render(portraits, a)
    itself, stranger = le.compare(portraits, image, a), le.compare(portraits, image, b)
    assert itself.words == SAME
    assert itself.identity is not None
    assert itself.identity > 0.95
    assert itself.perceptual is not None
    assert itself.face_psnr_db is not None
    assert stranger.words == OTHER
    assert stranger.psnr_db < itself.psnr_db
    assert stranger.face_psnr_db is not None
    assert stranger.face_psnr_db < itself.face_psnr_db
    assert stranger.perceptual is not None
    assert stranger.perceptual > itself.perceptual


def test_the_scale_tells_faces_from_strangers(portraits: Generator) -> None:
    scale = load_similarity_statistics(portraits).identity
    assert scale is not None
    assert scale.auc > 0.95


def test_edits_move_identity_step_by_step(portraits: Generator) -> None:
    latent, other = le.random_latent(portraits, 14), le.random_latent(portraits, 27).ws
    moved = [le.identity_change(portraits, latent, torch.lerp(latent.ws, other, share)) for share in (0, 0.2, 0.5, 1.0)]
    amounts = [m.change for m in moved if m is not None]
    assert amounts == sorted(amounts)
    words = [m.words for m in moved if m is not None]
    assert words[0] == STILL
    assert words[-1] == ELSE
    assert set(words) <= {STILL, LITTLE, ELSE}


def test_a_latent_of_another_model_is_refused(portraits: Generator, tiny_generator: Generator) -> None:
    image = le.render(portraits, le.random_latent(portraits, 14))
    with pytest.raises(BadLatent):
        le.compare(portraits, image, le.random_latent(tiny_generator, 0))


# --- on photographs ------------------------------------------------------------------------------------------------


def turned_head(image: Image.Image, angle_deg: float) -> Image.Image:
    """The face as if on a cylinder that is turned: a half profile, with what it hides."""
    picture = np.asarray(image)
    side = picture.shape[0]
    radius, middle = 0.3 * side, 0.5 * side
    at = np.arange(side) + 0.5 - middle
    inside = np.abs(at) < radius
    angle = np.arcsin(np.clip(at / radius, -1, 1)) - np.radians(angle_deg)
    source = np.where(inside, radius * np.sin(np.clip(angle, -np.pi / 2, np.pi / 2)), at) + middle - 0.5
    x = np.tile(source[None].astype(np.float32), (side, 1))
    y = np.tile(np.arange(side, dtype=np.float32)[:, None], (1, side))
    return Image.fromarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR))


@pytest.fixture(scope="module")
def photo_crops(portraits: Generator, shared_folder: Path) -> dict[str, tuple[Photo, Crop]]:
    found = {}
    for name in ("astronaut.png", "lisa1.jpg", "lisa2.jpg", "portrait_60cm.jpg"):
        photo = le.open_photo(shared_folder / "photos" / name)
        found[name] = photo, le.align(photo, portraits)
    return found


def said(g: Generator, image: Image.Image | Crop, photo: Photo | None = None) -> list[str]:
    from latent_editor.similarity import advise

    given = advise(g, image, photo=photo, recognizable=True)
    return [rule.name for rule in RULES if rule.sentence in given]


def test_good_photographs_get_no_advice(portraits: Generator, photo_crops: dict[str, tuple[Photo, Crop]]) -> None:
    given = {name: said(portraits, crop, photo) for name, (photo, crop) in photo_crops.items()}
    assert not any(given.values()), given


def test_faulty_pictures_get_advice(
    portraits: Generator, shared_folder: Path, photo_crops: dict[str, tuple[Photo, Crop]]
) -> None:
    cat = le.open_photo(shared_folder / "photos" / "chelsea.png")
    face = photo_crops["portrait_60cm.jpg"][1].image
    side = face.width
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (side, side, 3)).astype(np.uint8))
    assert said(portraits, le.crop_by_hand(cat, portraits, (120, 0, 260)), cat) == ["no face"]
    assert said(portraits, noise) == ["no face"]
    assert said(portraits, Image.new("RGB", (side, side), (128, 128, 128))) == ["no face"]
    array = np.asarray(face)
    blur = said(portraits, Image.fromarray(cv2.GaussianBlur(array, (0, 0), side * 12 / 256)))
    assert blur in (["blurred"], ["no face"])
    assert "blurred" in said(portraits, Image.fromarray(cv2.GaussianBlur(array, (0, 0), side * 5 / 256)))
    assert said(portraits, turned_head(photo_crops["lisa2.jpg"][1].image, 45)) == ["turned"]
    assert "dark" in said(portraits, Image.fromarray((array * 0.1).astype(np.uint8)))


def test_a_face_at_the_edge_is_told(portraits: Generator, photo_crops: dict[str, tuple[Photo, Crop]]) -> None:
    photo, crop = photo_crops["lisa2.jpg"]
    eyes = (np.array(crop.landmarks["left_eye"]) + np.array(crop.landmarks["right_eye"])) / 2
    x, y = crop.crop_to_photo @ [*eyes, 1]
    half = Photo(photo.image.crop((int(x), 0, photo.image.width, photo.image.height)))
    shifted = Crop(crop.image, crop.crop_to_photo - np.array([[0, 0, int(x)], [0, 0, 0]]))
    assert "cut off" in said(portraits, shifted, half)
    assert y > 0


# --- a network of one's own ----------------------------------------------------------------------------------------


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def onnx_network(size: int = 112, kernel: int = 16) -> bytes:
    """An ONNX file of one average pooling and one flattening, written field by field."""

    def numbers(name: str, values: Sequence[int]) -> bytes:  # AttributeProto of INTS
        return field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7)

    def tensor(name: str, shape: Sequence[int]) -> bytes:  # ValueInfoProto of float32
        dims = b"".join(field(1, field(1, n)) for n in shape)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))

    pool = field(1, "x") + field(2, "p") + field(4, "AveragePool")
    pool += field(5, numbers("kernel_shape", [kernel] * 2)) + field(5, numbers("strides", [kernel] * 2))
    flat = field(1, "p") + field(2, "y") + field(4, "Flatten")
    graph = field(1, pool) + field(1, flat) + field(2, "tiny") + field(11, tensor("x", (1, 3, size, size)))
    graph += field(12, tensor("y", (1, 3 * (size // kernel) ** 2)))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def test_an_onnx_network_gives_the_means_of_an_aligned_face(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(onnx_network())
    net = OnnxIdentity(path)
    # Points where the template has them: the face fills the picture, and nothing is resampled.
    points = {name: (x / 112, y / 112) for name, (x, y) in ARCFACE_LANDMARKS_PX.items()}
    x = picture(9, 112)
    want = torch.nn.functional.normalize(torch.nn.functional.avg_pool2d(x, 16).flatten(1), dim=1)
    assert torch.allclose(net.embed(x, points), want, atol=1e-4)
    assert net.recognizes_people


@pytest.mark.parametrize("data", [b"", b"no network", struct.pack("<Q", 7) * 9, onnx_network()[:60]])
def test_what_is_no_face_network_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(data)
    with pytest.raises(BadModel, match=IDENTITY_VARIABLE):
        OnnxIdentity(path)


def test_a_missing_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="cannot be read"):
        OnnxIdentity(tmp_path / "none.onnx")


def test_the_environment_names_a_network(portraits: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.onnx"
    monkeypatch.setenv(IDENTITY_VARIABLE, str(path))
    latent = le.random_latent(portraits, 14)
    image = le.render(portraits, latent)
    with pytest.raises(BadModel):
        le.compare(portraits, image, latent)
    path.write_bytes(onnx_network())
    by_mine = le.compare(portraits, image, latent)
    assert by_mine.words == SAME
    monkeypatch.delenv(IDENTITY_VARIABLE)
    assert le.compare(portraits, image, latent).auc != by_mine.auc


# --- the shell -----------------------------------------------------------------------------------------------------


def test_the_shell_tells_it(
    portraits: Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str], shared_folder: Path
) -> None:
    photo = shared_folder / "photos" / "lisa2.jpg"
    crop = le.align(le.open_photo(photo), portraits)
    le.invert(portraits, crop, method="encoder").save(tmp_path / "a.latent")
    le.random_latent(portraits, 3).save(tmp_path / "b.latent")
    words = ["compare", str(photo), str(tmp_path / "a.latent"), "-o", str(tmp_path / "heat.png")]
    assert main([*words, "--edited", str(tmp_path / "b.latent"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["psnr_db"] == pytest.approx(le.Latent.load(tmp_path / "a.latent").psnr_db, abs=0.2)
    assert data["identity_moved"] > 0.3
    assert data["advice"] == []
    with Image.open(tmp_path / "heat.png") as heat:
        assert heat.width == 512
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "dB" in text
    assert "identity" in text
    assert main([*words, "--identity", str(photo)]) == 2


def test_pictures_are_taken_in_every_form(portraits: Generator) -> None:
    latent = le.random_latent(portraits, 14)
    tensor = portraits.synthesize(random_ws(portraits, [14])).clamp(-1, 1)
    image = to_image(tensor[0])
    forms = [latent, latent.ws, tensor, tensor[0], image, Crop(image, np.eye(2, 3))]
    found = [le.compare(portraits, image, form).psnr_db for form in forms]
    assert min(found) > 45
