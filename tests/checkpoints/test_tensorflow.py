"""Pickles of the TensorFlow StyleGAN2: round trips through files with the structure of the published ones."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.random_generators import random_generator

from latent_editor.checkpoints.formats import detect_format, read_checkpoint
from latent_editor.checkpoints.tensorflow import read_tensorflow
from latent_editor.checkpoints.unpickling import Instance
from latent_editor.core.errors import BadModel
from latent_editor.generators import load_generator
from latent_editor.generators.stylegan2 import StyleGAN2

CANARY = "import pathlib; pathlib.Path('canary').write_text('run')"


class Network:
    """Stands for dnnlib.tflib.network.Network, which is not installed: only its name goes into the pickle."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes :class:`Network` under its public name."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if obj is Network:
            self.write(b"cdnnlib.tflib.network\nNetwork\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch = pickle._Pickler.dispatch.copy()  # type: ignore[attr-defined]


_Pickler.dispatch[type] = _Pickler.save_global


def network(name: str, variables: list[tuple[str, Any]], arguments: dict[str, Any], **components: Network) -> Network:
    return Network(
        {
            "version": 4,
            "name": name,
            "static_kwargs": arguments,
            "components": dict(components),
            "build_module_src": CANARY,
            "build_func_name": "G_main",
            "variables": variables,
        }
    )


def as_tensorflow(g: StyleGAN2, *, concatenated: bool = False, name: str = "Gs", **arguments: Any) -> Network:
    """A generator as TensorFlow's program keeps it, layer by layer."""
    state = {k: v.double().numpy() for k, v in g.state_dict().items()}
    mapping: list[tuple[str, Any]] = []
    synthesis: list[tuple[str, Any]] = []

    def add(where: list[tuple[str, Any]], variable: str, value: Any) -> None:
        value = np.float32(value)
        where.append((variable, value if np.ndim(value) == 0 else np.ascontiguousarray(value)))

    if g.c_dim and concatenated:
        add(mapping, "LabelConcat/weight", state["mapping.embed.weight"].T / np.sqrt(g.c_dim))
    elif g.c_dim:
        add(mapping, "LabelEmbed/weight", state["mapping.embed.weight"].T)
        add(mapping, "LabelEmbed/bias", state["mapping.embed.bias"])
    for i in range(g.config.mapping_layers):
        add(mapping, f"Dense{i}/weight", state[f"mapping.fc{i}.weight"].T)
        add(mapping, f"Dense{i}/bias", state[f"mapping.fc{i}.bias"])

    def layer(ours: str, theirs: str, noise: int | None, turned: bool) -> None:
        weight = np.einsum("oihw->hwio", state[f"synthesis.{ours}.weight"])
        add(synthesis, f"{theirs}/weight", np.rot90(weight, 2) if turned else weight)
        add(synthesis, f"{theirs}/bias", state[f"synthesis.{ours}.bias"])
        add(synthesis, f"{theirs}/mod_weight", state[f"synthesis.{ours}.affine.weight"].T)
        add(synthesis, f"{theirs}/mod_bias", state[f"synthesis.{ours}.affine.bias"] - 1)
        if noise is not None and f"synthesis.{ours}.noise_const" in state:
            add(synthesis, f"{theirs}/noise_strength", state[f"synthesis.{ours}.noise_strength"])
            add(synthesis, f"noise{noise}", state[f"synthesis.{ours}.noise_const"][None, None])

    add(synthesis, "4x4/Const/const", state["synthesis.b4.const"][None])
    layer("b4.conv1", "4x4/Conv", 0, False)
    for i, size in enumerate(g.config.resolutions[1:]):
        layer(f"b{size}.conv0", f"{size}x{size}/Conv0_up", 2 * i + 1, True)
        layer(f"b{size}.conv1", f"{size}x{size}/Conv1", 2 * i + 2, False)
        if f"synthesis.b{size}.skip.weight" in state:
            skip = np.einsum("oihw->hwio", state[f"synthesis.b{size}.skip.weight"])
            add(synthesis, f"{size}x{size}/Skip/weight", skip)
    for size in g.config.resolutions:
        if f"synthesis.b{size}.torgb.weight" in state:
            layer(f"b{size}.torgb", f"{size}x{size}/ToRGB", None, False)
    own = [("lod", np.float32(0)), ("dlatent_avg", state["mapping.w_avg"].astype(np.float32))]
    parts = {
        "synthesis": network("G_synthesis", synthesis, arguments),
        "mapping": network("G_mapping", mapping, arguments),
    }
    return network(name, own, {"resolution": g.size_px, **arguments}, **parts)


def discriminator() -> Network:
    return network("D", [("4x4/Dense0/weight", np.zeros((2, 2), np.float32))], {"resolution": 32})


def written(path: Path, content: Any, protocol: int = 2) -> Path:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol).dump(content)
    path.write_bytes(buffer.getvalue())
    return path


def same_pictures(g: Any, want: StyleGAN2) -> None:
    seeded = torch.Generator().manual_seed(3)
    z = torch.randn(2, want.z_dim, generator=seeded)
    c = torch.eye(want.c_dim)[:2] if want.c_dim else None
    a, b = g.synthesize(g.map(z, c, truncation_psi=0.6)), want.synthesize(want.map(z, c, truncation_psi=0.6))
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def test_the_published_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    want = random_generator()
    file = written(
        tmp_path / "ffhq.pkl", (as_tensorflow(random_generator(), name="G"), discriminator(), as_tensorflow(want))
    )
    assert detect_format(file) == "tensorflow"
    read = read_checkpoint(file)
    assert (read.format, read.kind) == ("tensorflow", "stylegan2")
    assert read.notes == ("left out: G, D",)
    same_pictures(load_generator(file), want)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("alone", [True, False])
def test_containers(tmp_path: Path, protocol: int, alone: bool) -> None:
    want = random_generator()
    content = as_tensorflow(want) if alone else [as_tensorflow(want)]
    same_pictures(load_generator(written(tmp_path / "x.pkl", content, protocol)), want)


def test_a_dictionary_of_networks(tmp_path: Path) -> None:
    want = random_generator()
    networks = {"G": as_tensorflow(random_generator(), name="G"), "D": discriminator(), "Gs": as_tensorflow(want)}
    file = written(tmp_path / "ffhq.pkl", networks)
    assert detect_format(file) == "tensorflow"
    same_pictures(load_generator(file), want)


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({"architecture": "resnet"}, {}),
        ({"architecture": "orig"}, {}),
        ({"img_channels": 1}, {}),
        ({"img_resolution": 8}, {}),
        ({"img_resolution": 64, "channel_base": 512}, {}),
        ({"resample_filter": [1, 2, 1]}, {"resample_kernel": [1, 2, 1]}),
        ({"conv_clamp": 0.5}, {"conv_clamp": 0.5}),
        ({"activation": "relu"}, {"nonlinearity": "relu"}),
        ({"use_noise": False}, {}),
        ({"channels": [16, 12, 20, 6]}, {}),
        ({"mapping_kwargs": {"num_layers": 4, "layer_features": 12, "lr_multiplier": 0.1}}, {"mapping_lrmul": 0.1}),
        ({"mapping_kwargs": {"num_layers": 1}}, {}),
        ({"mapping_kwargs": {"num_layers": 0}}, {}),
        ({"z_dim": 12}, {}),
        ({"c_dim": 5}, {"label_size": 5}),
        ({"c_dim": 5, "mapping_kwargs": {"num_layers": 2, "embed_features": 7}}, {"label_size": 5}),
    ],
)
def test_whatever_the_variables_say(tmp_path: Path, changes: dict[str, Any], arguments: dict[str, Any]) -> None:
    want = random_generator(**changes)
    g = load_generator(written(tmp_path / "x.pkl", as_tensorflow(want, **arguments)))
    assert (g.size_px, g.channels, g.z_dim, g.c_dim, g.w_dim) == (
        want.size_px, want.channels, want.z_dim, want.c_dim, want.w_dim,
    )  # fmt: skip
    same_pictures(g, want)


def test_classes_of_the_first_version_are_normalized_with_z(tmp_path: Path) -> None:
    mapping = {"num_layers": 2, "joint_norm": True, "embed_features": 24}
    want = random_generator(c_dim=5, mapping_kwargs=mapping)
    want.mapping.embed.bias.zero_()
    g = load_generator(written(tmp_path / "x.pkl", as_tensorflow(want, concatenated=True)))
    same_pictures(g, want)
    # By hand: concatenate, normalize as one, two layers.
    z, c = torch.randn(2, 24).double(), torch.eye(5).double()[:2]
    variables = dict(as_tensorflow(want, concatenated=True).state["components"]["mapping"].state["variables"])
    x = np.concatenate([z.numpy(), c.numpy() @ variables["LabelConcat/weight"]], axis=1)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)
    for i in range(2):
        weight = variables[f"Dense{i}/weight"]
        x = x @ (weight * 0.01 / np.sqrt(len(weight))) + variables[f"Dense{i}/bias"] * 0.01
        x = np.where(x > 0, x, 0.2 * x) * np.sqrt(2)
    np.testing.assert_allclose(g.map(z.float(), c.float())[:, 0].numpy(), x, atol=1e-5 * np.abs(x).max())


def parsed(part: Network) -> Instance:
    """What the unpickler makes of a network."""
    components = {name: parsed(component) for name, component in part.state["components"].items()}
    return Instance("dnnlib.tflib.network.Network", {**part.state, "components": components})


def test_names_with_their_scopes() -> None:
    plain = parsed(as_tensorflow(random_generator()))
    scoped = parsed(as_tensorflow(random_generator()))
    for name, component in scoped.state["components"].items():
        component.state["variables"] = [(f"Gs/G_{name}/{k}:0", v) for k, v in component.state["variables"]]
    a, b = read_tensorflow("x.pkl", plain), read_tensorflow("x.pkl", {"Gs": scoped})
    assert a.init_kwargs == b.init_kwargs
    assert all(torch.equal(tensor, b.state[name]) for name, tensor in a.state.items())


def test_a_missing_mean_is_told() -> None:
    data = parsed(as_tensorflow(random_generator()))
    data.state["variables"] = []
    read = read_tensorflow("x.pkl", data)
    assert "no mean latent" in " ".join(read.notes)
    assert "mapping.w_avg" not in read.state


def changed(component: str, change: Callable[[dict[str, Any]], object]) -> Instance:
    data = parsed(as_tensorflow(random_generator()))
    state = data.state["components"][component].state
    variables = dict(state["variables"])
    change(variables)
    state["variables"] = list(variables.items())
    return data


@pytest.mark.parametrize(
    ("component", "change", "says"),
    [
        ("synthesis", lambda v: v.pop("8x8/Conv0_up/mod_bias"), "synthesis/8x8/Conv0_up/mod_bias"),
        ("synthesis", lambda v: v.pop("8x8/Conv1/weight"), "does not have|no tensor"),
        ("synthesis", lambda v: v.pop("4x4/Const/const"), "synthesis/4x4/Const/const"),
        ("synthesis", lambda v: v.pop("noise3"), "synthesis/noise3"),
        ("mapping", lambda v: v.pop("Dense1/bias"), "mapping/Dense1/bias"),
        ("mapping", lambda v: v.update({"Dense1/weight": np.zeros((3, 3))}), r"mapping/Dense1/weight.*\[3, 3\]"),
        ("mapping", lambda v: v.update({"Dense500/weight": np.zeros(1)}), "counts to 500"),
        ("mapping", lambda v: v.update({"surprise": np.zeros(1)}), "does not have: mapping/surprise"),
        ("mapping", lambda v: v.update({"Dense1/bias": "text"}), "mapping/Dense1/bias.*str"),
        ("synthesis", lambda v: v.update({"4x4/Conv/StyleMod/bias": np.zeros(1)}), "StyleGAN1"),
        ("synthesis", lambda v: v.update({"ToRGB_lod0/bias": np.zeros(1)}), "configuration B, C or D"),
    ],
)
def test_damage_is_named(component: str, change: Callable[[dict[str, Any]], object], says: str) -> None:
    with pytest.raises(BadModel, match=says):
        read_tensorflow("x.pkl", changed(component, change))


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    want = random_generator()
    want.synthesis.b8.conv1.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(BadModel, match=r"synthesis\.b8\.conv1\.weight.*not finite"):
        load_generator(written(tmp_path / "x.pkl", as_tensorflow(want)))


@pytest.mark.parametrize("variables", [3, "text", [3], [("a",)], [(3, 4)], [("x", 1)] * 6000, np.zeros(3), None])
def test_what_is_no_list_of_variables(variables: Any) -> None:
    data = parsed(as_tensorflow(random_generator()))
    data.state["components"]["mapping"].state["variables"] = variables
    with pytest.raises(BadModel):
        read_tensorflow("x.pkl", data)


def test_other_networks_are_refused() -> None:
    with pytest.raises(BadModel, match=r"'D'.*discriminator"):
        read_tensorflow("x.pkl", (parsed(discriminator()),))
    nested = parsed(as_tensorflow(random_generator()))
    nested.state["components"]["mapping"] = 3
    with pytest.raises(BadModel, match="'mapping' is a int"):
        read_tensorflow("x.pkl", nested)
    deep = parsed(discriminator())
    for _ in range(9):
        deep = Instance("dnnlib.tflib.network.Network", {"components": {"a": deep}, "variables": []})
    with pytest.raises(BadModel, match="more components"):
        read_tensorflow("x.pkl", deep)
    with pytest.raises(BadModel, match="normalize_latents"):
        read_tensorflow("x.pkl", parsed(as_tensorflow(random_generator(), normalize_latents=False)))
    with pytest.raises(BadModel, match="normalize_latents"):
        read_tensorflow("x.pkl", parsed(as_tensorflow(random_generator(), normalize_latents=np.zeros(3))))
    with pytest.raises(BadModel):
        read_tensorflow("x.pkl", None)
