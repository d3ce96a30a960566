"""Directions of other projects: every container, shapes that do not fit, the size of a step, the user's list."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import latent_editor as le
from latent_editor.cli import main
from latent_editor.core.errors import BadDirection, BadValue, UnknownDirection
from latent_editor.core.values import Direction, Directions
from latent_editor.directions import import_directions, named_directions, write_directions
from latent_editor.directions.calibration import MAX_STEP, VISIBLE_CHANGE, picture_change
from latent_editor.directions.imports import DEFAULT_COUNT, import_file
from latent_editor.directions.library import add_directions, imported_directions, own_directions, remove_direction
from latent_editor.directions.slider_pack import add_to_pack, pack_file, read_pack
from latent_editor.generators import Generator, construction, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import CACHE_VARIABLE

W, ROWS = 32, 8  # of the tiny generator, of 32 pixels
RNG = np.random.default_rng(0)
VECTOR = RNG.standard_normal(W)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def ffhq_like() -> Generator:
    """A narrow random StyleGAN2 that takes the latents of FFHQ's at 1024 pixels."""
    kwargs = {"z_dim": 512, "w_dim": 512, "c_dim": 0, "img_resolution": 1024, "img_channels": 3}
    return construction.random("stylegan2", {**kwargs, "channel_base": 2048, "channel_max": 32})


def saved(save: Callable[[Any], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def points_along(direction: Direction, expected: np.ndarray) -> bool:
    """Whether a direction has this shape and points there, whatever its length."""
    a, b = (
        direction.vector.double().numpy().ravel(),
        np.broadcast_to(expected, direction.vector.shape).ravel().astype(float),
    )
    return bool(a @ b > 0.99999 * np.linalg.norm(a) * np.linalg.norm(b))


# The files that people have.


def test_a_w_direction_of_e4e_is_read(shared_folder: Path, ffhq_like: Generator) -> None:
    path = shared_folder / "fixtures" / "directions" / "e4e_interfacegan_age.pt"
    (found,) = import_directions(path, ffhq_like)
    expected = torch.load(path, weights_only=True, map_location="cpu").numpy()
    assert points_along(found, expected)
    assert (found.name, found.source, found.layers, found.score) == ("e4e interfacegan age", "imported", None, None)
    assert "does not say" in found.detail


@pytest.mark.parametrize("name", ["e4e_interfacegan_pose.pt", "stit_age.npy"])
def test_a_w_plus_direction_is_read(name: str, shared_folder: Path, ffhq_like: Generator) -> None:
    path = shared_folder / "fixtures" / "directions" / name
    (found,) = import_directions(path, ffhq_like)
    plain = np.load(path) if path.suffix == ".npy" else torch.load(path, weights_only=True, map_location="cpu").numpy()
    assert points_along(found, plain.reshape(18, 512))
    assert "18 × 512" in found.detail


@pytest.mark.parametrize("name", ["pti_rotation.pt", "interfacegan_smile_w_boundary.npy"])
def test_a_boundary_is_read(name: str, shared_folder: Path, portraits: Generator) -> None:
    result = import_file(shared_folder / "fixtures" / "directions" / name, portraits)
    assert len(result.directions) == result.in_file == 1
    assert "does not say in which model it was found; only its shape fits the loaded 'portraits'" in result.caution


def test_principal_components_are_read(shared_folder: Path, portraits: Generator) -> None:
    path = shared_folder / "fixtures" / "directions" / "e4e_ganspace_ffhq_pca.pt"
    result = import_file(path, portraits, count=3, name="ganspace")
    assert (result.in_file, result.directions.names) == (80, ["ganspace 1", "ganspace 2", "ganspace 3"])
    components = torch.load(path, weights_only=True, map_location="cpu")["comp"]
    for direction, component in zip(result.directions, components, strict=False):
        assert points_along(direction, component.numpy())


def test_a_named_direction_of_ganspace_is_read(shared_folder: Path, ffhq_like: Generator) -> None:
    path = shared_folder / "fixtures" / "directions" / "ganspace_light_direction.pkl"
    result = import_file(path, ffhq_like)
    (found,) = result.directions
    assert (found.name, found.layers) == ("Light direction", (8, 9))
    stored = pickle.loads(path.read_bytes())  # the fixture is known to be plain; only the test may do this
    assert points_along(found, -stored["lat_comp"].reshape(1, 512))  # its range is negative: turned round
    assert "StyleGAN2 ffhq" in found.detail
    assert "whether the loaded 'random' is that model cannot be checked" in result.caution.replace(
        repr(ffhq_like.name), "'random'"
    )


@pytest.mark.parametrize("name", ["e4e_interfacegan_pose.pt", "stit_age.npy"])
def test_what_belongs_to_a_larger_model_says_so(name: str, shared_folder: Path, portraits: Generator) -> None:
    with pytest.raises(BadDirection) as refusal:
        import_directions(shared_folder / "fixtures" / "directions" / name, portraits)
    mine = f"'portraits' of {portraits.size_px} pixels", f"{portraits.num_ws} × 512"
    for words in (name, "18 × 512", "a StyleGAN2 of 1024 pixels", *mine):
        assert words in str(refusal.value)


def test_what_belongs_to_a_wider_w_says_so(shared_folder: Path, tiny_generator: StyleGAN2) -> None:
    for path in sorted((shared_folder / "fixtures" / "directions").iterdir()):
        with pytest.raises(
            BadDirection, match=r"512 numbers.* belongs to .*; loaded is 'tiny' of 32 pixels, .* 8 × 32"
        ):
            import_directions(path, tiny_generator)


# Every container and every shape.


CONTAINERS: dict[str, bytes] = {
    "npy": saved(lambda f: np.save(f, VECTOR)),
    "npy of columns": saved(lambda f: np.save(f, np.asfortranarray(VECTOR.reshape(1, 1, W)))),
    "npy in half": saved(lambda f: np.save(f, VECTOR.astype(">f2"))),
    "npz": saved(lambda f: np.savez(f, age=VECTOR)),
    "packed npz": saved(lambda f: np.savez_compressed(f, age=VECTOR, intercept=np.array(0.5))),
    "torch": saved(lambda f: torch.save(torch.from_numpy(VECTOR), f)),
    "old torch": saved(lambda f: torch.save(torch.from_numpy(VECTOR)[None], f, _use_new_zipfile_serialization=False)),
    "torch dictionary": saved(lambda f: torch.save({"age": torch.from_numpy(VECTOR).half(), "std": 2.0}, f)),
    "torch parameter": saved(lambda f: torch.save(torch.nn.Parameter(torch.from_numpy(VECTOR)), f)),
    "pickle": pickle.dumps(VECTOR, protocol=4),
    "pickled dictionary": pickle.dumps({"age": VECTOR[None], "who": "me"}, protocol=2),
    "JSON": json.dumps(VECTOR.tolist()).encode(),
    "JSON by name": json.dumps({"age": [VECTOR.tolist()]}).encode(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_container_is_known_by_its_content(container: str, tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "a.wrong_ending"
    path.write_bytes(CONTAINERS[container])
    (found,) = import_directions(path, tiny_generator)
    stored = VECTOR.astype("f2") if "half" in container or container == "torch dictionary" else VECTOR
    assert points_along(found, stored)
    by_name = "dictionary" in container or "npz" in container or "name" in container
    assert found.name == ("age" if by_name else "a")


def test_a_dictionary_of_tensors_as_safetensors(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    from latent_editor.core import tensor_files

    tensor_files.write_tensors(tmp_path / "d.safetensors", {"age": torch.ones(W), "smile": torch.ones(ROWS, W)})
    found = import_directions(tmp_path / "d.safetensors", tiny_generator)
    assert found.names == ["age", "smile"]


@pytest.mark.parametrize(
    ("shape", "count"),
    [((W,), 1), ((1, W), 1), ((ROWS, W), 1), ((1, ROWS, W), 1), ((3, W), 3), ((3, 1, W), 3), ((5, ROWS, W), 5),
     ((1, 1, 1, W), 1), ((40, W), 40)],
)  # fmt: skip
def test_shapes_tell_layers_from_directions(
    shape: tuple[int, ...], count: int, tiny_generator: StyleGAN2, tmp_path: Path
) -> None:
    np.save(tmp_path / "some_thing.npy", RNG.standard_normal(shape))
    result = import_file(tmp_path / "some_thing.npy", tiny_generator)
    assert result.in_file == count
    assert len(result.directions) == min(count, DEFAULT_COUNT)
    assert result.directions.names[0] == ("some thing" if count == 1 else "some thing 1")
    assert len(import_directions(tmp_path / "some_thing.npy", tiny_generator, count=99)) == count


@pytest.mark.parametrize(
    ("rows", "model"), [(18, "1024 pixels"), (14, "256 pixels"), (16, "512 pixels or a StyleGAN3")]
)
def test_rows_tell_which_model(rows: int, model: str, tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((rows, W)))
    with pytest.raises(BadDirection, match=f"{rows} × {W} numbers, which belongs to a StyleGAN2 of {model}"):
        import_directions(tmp_path / "a.npy", tiny_generator)


def test_factors_of_the_weights_are_columns(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    factors = torch.linalg.qr(torch.randn(W, W, generator=torch.Generator().manual_seed(1)))[0]
    torch.save({"ckpt": "some/path.pt", "eigvec": factors}, tmp_path / "factor.pt")
    first, second = import_directions(tmp_path / "factor.pt", tiny_generator, count=2)
    assert points_along(first, factors[:, 0].numpy())
    assert points_along(second, factors[:, 1].numpy())


def test_components_of_ganspace_are_scaled(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    components = RNG.standard_normal((3, 1, W))
    np.savez(tmp_path / "c.npz", lat_comp=components, lat_stdev=np.array([3.0, 2.0, 1.0]), lat_mean=np.zeros(W))
    found = import_directions(tmp_path / "c.npz", tiny_generator)
    assert [points_along(d, components[i]) for i, d in enumerate(found)] == [True] * 3


# Units.


def test_one_unit_is_a_visible_step(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    changes = []
    ws = random_ws(tiny_generator, list(range(8)), truncation_psi=1.0)
    for length in (1e-12, 1.0, 1e12):
        np.save(tmp_path / "a.npy", VECTOR * length)
        (found,) = import_directions(tmp_path / "a.npy", tiny_generator)
        changes.append(picture_change(tiny_generator, ws, found.vector))
        spread = (ws - ws.mean(dim=0)).square().mean().sqrt()
        at_limit = found.vector.norm(dim=1).max() >= 0.95 * MAX_STEP * spread
        assert at_limit or changes[-1] == pytest.approx(VISIBLE_CHANGE, rel=0.35)
    assert changes == pytest.approx([changes[0]] * 3, rel=1e-3)


def ganspace(**change: Any) -> bytes:
    saved_one = {
        "name": "Eyes open", "sigma_range": 2.0, "component_index": 4, "act_comp": VECTOR, "act_stdev": 1.0,
        "lat_comp": VECTOR.reshape(1, 1, W), "lat_stdev": 1.5, "latent_space": "W", "model_name": "StyleGAN2",
        "output_class": "cat", "edit_type": "latent", "edit_start": 2, "edit_end": 4, "decomposition": {},
        "truncation": 0.9, **change,
    }  # fmt: skip
    return pickle.dumps(saved_one, protocol=3)


def test_ganspace_directions_keep_their_layers_and_range(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(ganspace())
    (found,) = import_directions(path, tiny_generator)
    assert (found.name, found.layers) == ("Eyes open", (2, 4))
    length = float(found.vector[0].norm())
    assert (
        found.high == -found.low == pytest.approx(min(max(2 * 1.5 * np.linalg.norm(VECTOR) / length, 1), 6), abs=0.06)
    )
    path.write_bytes(ganspace(edit_start=5, edit_end=18))
    assert import_directions(path, tiny_generator)[0].layers == (5, 8)
    path.write_bytes(ganspace(edit_start=12, edit_end=18))
    with pytest.raises(BadDirection, match=r"for the layers 12 to 17; loaded is 'tiny', whose layers end at 7"):
        import_directions(path, tiny_generator)


@pytest.mark.parametrize(
    "change",
    [{"latent_space": "Z"}, {"edit_type": "activation"}, {"edit_start": -1}, {"edit_end": 1}, {"edit_end": "x"}],
)
def test_ganspace_directions_that_cannot_be_added_are_refused(
    change: dict[str, Any], tiny_generator: StyleGAN2, tmp_path: Path
) -> None:
    (tmp_path / "a.pkl").write_bytes(ganspace(**change))
    with pytest.raises(BadDirection):
        import_directions(tmp_path / "a.pkl", tiny_generator)


def test_directions_of_this_program_keep_their_unit(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    own = Directions([Direction("age", torch.full((ROWS, W), 0.25), low=-1, high=2, layers=(0, 3))])
    write_directions(own, tmp_path / "d.safetensors", fingerprint=tiny_generator.fingerprint)
    result = import_file(tmp_path / "d.safetensors", tiny_generator)
    (found,) = result.directions
    assert (found.name, found.low, found.high, found.layers) == ("age", -1, 2, (0, 3))
    assert torch.equal(found.vector, own[0].vector)
    assert result.caution == ""
    write_directions(own, tmp_path / "d.safetensors", fingerprint="abc")
    assert (
        "model abc, which is not the loaded 'tiny'" in import_file(tmp_path / "d.safetensors", tiny_generator).caution
    )


def test_it_can_be_stopped(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RNG.standard_normal((5, W)))
    fractions: list[float] = []
    found = import_directions(
        tmp_path / "a.npy", tiny_generator, on_step=lambda s: fractions.append(s.fraction) or s.step == 2
    )
    assert (len(found), fractions) == (2, [0.2, 0.4])


# Bad files.


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def header(shape: str, descr: str = "'<f8'", body: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + body


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"<!doctype html>", b"\x93NUMPY", b"\x93NUMPY\x09\x00", header("(32,)"), header("(10**12,)"),
        header("(1000000000000,)"), header("(-1, -32)", body=b"x" * 256), header("(4,)", "'|O'", b"x" * 32),
        header("(1,)", "'<c16'", b"x" * 16), header("(32,)", "'<f8'", b"x" * 255), header("()", body=b"x" * 8),
        header("(0, 32)"),
        header("(2,)", "'<f4'", b"\x01\0\xa0\x7f" * 2), header("(((((", body=b"x"),
        b"PK\x03\x04", b"PK\x05\x06" + b"\0" * 18,
        b"\x80\x04.", b"\x80\x04N.", pickle.dumps("text"), pickle.dumps({"a": {}}), pickle.dumps([[]]),
        b"[" * 100_000, b"[]", b"{}", b'{"a": "b"}', b"[1, [2]]", b'[1, "a"]', b"null", b"[NaN, 1]", b"[0, 0, 0]",
        b"\xff" * 8 + b"{", struct.pack("<Q", 2) + b"{}",
        pickle.dumps(np.array([VECTOR, "a"], dtype=object)), json.dumps({"a": [1.5, 1e999] * 16}).encode(),
    ],
)  # fmt: skip
def test_bad_files_are_refused(content: bytes, tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "strange.npy"
    path.write_bytes(content)
    with pytest.raises(BadDirection, match="strange"):
        import_directions(path, tiny_generator)


def test_a_missing_file_is_named(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    with pytest.raises(BadDirection, match=r"there.npy cannot be read: No such file"):
        import_directions(tmp_path / "there.npy", tiny_generator)
    with pytest.raises(BadDirection, match="cannot be read"):
        import_directions(tmp_path, tiny_generator)


@pytest.mark.parametrize("container", CONTAINERS)
def test_truncated_files_are_refused(container: str, tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path, content = tmp_path / "a", CONTAINERS[container]
    for percent in range(0, 100, 7):
        path.write_bytes(content[: len(content) * percent // 100])
        with pytest.raises(BadDirection):
            import_directions(path, tiny_generator)


def test_nothing_in_a_file_is_run(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "a"
    array = np.array([Canary(canary)] * W, dtype=object)
    contents = [pickle.dumps({"age": Canary(canary)}, protocol=p) for p in range(6)]
    contents += [saved(lambda f: np.save(f, array, allow_pickle=True)), saved(lambda f: np.savez(f, a=array))]
    contents += [saved(lambda f: torch.save({"a": Canary(canary)}, f))]
    contents += [saved(lambda f: torch.save(Canary(canary), f, _use_new_zipfile_serialization=False))]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(BadDirection):
            import_directions(path, tiny_generator)
        assert not canary.exists()


def test_a_bomb_does_not_unfold(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z, z.open("a.npy", "w") as f:
        f.write(header("(128000000,)"))
        for _ in range(300):
            f.write(b"\0" * (1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BadDirection, match="unpacks to more"):
        import_directions(path, tiny_generator)


def test_a_network_is_no_direction(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    torch.save(tiny_generator.state_dict(), tmp_path / "g.pt")
    with pytest.raises(BadDirection, match=r"no file of directions. A model is named with --model|no direction"):
        import_directions(tmp_path / "g.pt", tiny_generator)


def test_bad_options_are_refused(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTOR)
    with pytest.raises(BadValue, match="count 0"):
        import_directions(tmp_path / "a.npy", tiny_generator, count=0)
    with pytest.raises(BadValue, match="name"):
        import_directions(tmp_path / "a.npy", tiny_generator, name=" \n")


def test_strange_names_become_plain(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(ganspace(name="red\x1b[31m\n hair" + "!" * 5000, model_name="x" * 5000))
    (found,) = import_directions(path, tiny_generator)
    assert found.name.startswith("red [31m hair!")
    assert len(found.name) <= 60
    assert len(found.detail) < 400


# The user's list.


def one(name: str, value: float = 1.0) -> Directions:
    return Directions([Direction(name, torch.full((ROWS, W), value), source="imported")])


def test_imported_directions_follow_the_models_own(tiny_generator: StyleGAN2, cache: Path) -> None:
    own_directions.put(tiny_generator, one("age"))
    assert named_directions(tiny_generator).names == ["age"]
    add_to_pack(tiny_generator, one("smile"))
    add_to_pack(tiny_generator, one("Age"))
    assert pack_file(tiny_generator).is_relative_to(cache)
    assert named_directions(tiny_generator).names == ["age", "smile", "Age (2)"]
    add_to_pack(tiny_generator, one("smile", 2.0))  # again: the new one instead
    assert named_directions(tiny_generator).names == ["age", "Age (2)", "smile"]
    assert named_directions(tiny_generator)["smile"].vector.max() == 2
    assert imported_directions(tiny_generator).names == ["Age (2)", "smile"]
    assert remove_direction(tiny_generator, "SMILE").name == "smile"
    for gone in ("smile", "age"):  # the model's own is not an imported one
        with pytest.raises(UnknownDirection, match="There are: Age"):
            remove_direction(tiny_generator, gone)
    remove_direction(tiny_generator, "age (2)")
    assert not pack_file(tiny_generator).exists()
    with pytest.raises(UnknownDirection, match="No direction was imported"):
        remove_direction(tiny_generator, "age (2)")


def test_an_added_direction_is_returned_under_the_name_that_finds_it(tiny_generator: StyleGAN2) -> None:
    own_directions.put(tiny_generator, one("beard"))
    for value in (2.0, 3.0):  # the second one replaces the first
        for name, listed in (("beard", "beard (2)"), ("scar", "scar")):
            (added,) = add_directions(tiny_generator, one(name, value))
            assert added.name == listed
            assert named_directions(tiny_generator)[listed].vector.max() == value
    assert named_directions(tiny_generator)["beard"].vector.max() == 1
    assert add_directions(tiny_generator, Directions()) == ()


def test_another_model_does_not_see_them(tiny_generator: StyleGAN2) -> None:
    add_to_pack(tiny_generator, one("smile"))
    other = construction.random("stylegan2", tiny_generator.config.to_init_kwargs(), seed=5)
    assert read_pack(other) == ()


def test_a_damaged_list_does_not_take_the_models_own_along(tiny_generator: StyleGAN2) -> None:
    own_directions.put(tiny_generator, one("age"))
    add_to_pack(tiny_generator, one("smile"))
    pack_file(tiny_generator).write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match="Imported directions are left out"):
        assert named_directions(tiny_generator).names == ["age"]


def test_an_imported_direction_moves_a_latent(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTOR)
    (found,) = import_directions(tmp_path / "a.npy", tiny_generator)
    latent = le.random_latent(tiny_generator, 1)
    assert torch.allclose(le.edited(latent, [le.Edit(found, 2.0)]).ws, latent.ws + 2 * found.vector)


# The command.


def test_the_command_makes_sliders(
    shared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    folder = shared_folder / "fixtures" / "directions"
    assert main(["directions", "import", str(folder / "ganspace_light_direction.pkl"), "--name", "light"]) == 0
    out, err = capsys.readouterr()
    assert "light: -" in out
    assert "The file says that it was found in StyleGAN2 ffhq" in out
    assert 'edit --set "light=1"' in out
    assert "Importing" in err
    assert main(["directions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["directions"][-1]["name"] == "light"
    latent, picture = tmp_path / "a.latent", tmp_path / "a.png"
    assert main(["random", "--seed", "1", "-o", str(latent)]) == 0
    assert main(["edit", str(latent), "-o", str(picture), "--set", "light=1"]) == 0
    capsys.readouterr()
    assert main(["directions", "import", "--list", "--json"]) == 0
    assert [d["name"] for d in json.loads(capsys.readouterr().out)["directions"]] == ["light"]
    file = str(folder / "ganspace_light_direction.pkl")
    assert main(["directions", "import", file, "--name", "smile"]) == 0  # the model has a slider of this name
    out, _ = capsys.readouterr()
    assert 'edit --set "smile (2)=1"' in out
    assert main(["directions", "--json", "import", "--remove", "smile (2)"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == "smile (2)"
    assert main(["directions", "--json", "import", "--remove", "light"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == "light"
    assert list(cache.rglob("*.safetensors")) == []


def test_the_command_writes_a_file(shared_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pca = shared_folder / "fixtures" / "directions" / "e4e_ganspace_ffhq_pca.pt"
    output = tmp_path / "pca.safetensors"
    assert main(["directions", "import", str(pca), "--count", "2", "-o", str(output)]) == 0
    out = capsys.readouterr().out
    assert "The first 2 of 80; --count 80 imports all." in out
    assert main(["directions", "import", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [d["name"] for d in told["directions"]] == ["e4e ganspace ffhq pca 1", "e4e ganspace ffhq pca 2"]
    assert told["caution"] == ""


def test_the_command_refuses(shared_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = str(shared_folder / "fixtures" / "directions" / "stit_age.npy")
    for words, expected in (
        ([wrong], "a StyleGAN2 of 1024 pixels"),
        ([], "Expected one of a FILE"),
        ([wrong, "--list"], "Expected one of a FILE"),
        ([wrong, "-o", str(tmp_path / "a.pkl")], ".safetensors"),
        ([wrong, "--count", "x"], "integer"),
        (["--remove", "x"], "No direction was imported"),
    ):
        assert main(["directions", "import", *words]) == 2, words
        out, err = capsys.readouterr()
        assert out == ""
        assert expected in err
