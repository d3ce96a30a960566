"""Builds generators from tensors named as in NVIDIA's public checkpoints, or with random weights.

An untrusted file cannot allocate more memory than it has data: the network is built on the meta device, names and
shapes are compared, and only then the tensors are assigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_editor.checkpoints.arguments import choice, mapping
from latent_editor.core.errors import BadModel
from latent_editor.generators.base import Generator
from latent_editor.generators.layers import MappingNetwork, resampling_filter
from latent_editor.generators.stylegan2 import MAX_TAPS, StyleGAN2, StyleGAN2Config
from latent_editor.generators.stylegan3 import StyleGAN3, StyleGAN3Config

KINDS = ("stylegan2", "stylegan3")
#: Number of random latents for computing w_avg if a state dict lacks it.
MEAN_SAMPLES = 10_000
#: Suffixes of scalars that some versions store, and that rendering does not need.
IGNORED_SUFFIXES = ("act_gain", "bias_gain", "num_batches_tracked", "w_avg_beta", "weight_gain")
#: Suffixes of tensors that can be recomputed from the constructor arguments, or are arbitrary noise.
REBUILT_SUFFIXES = ("down_filter", "noise_const", "transform", "up_filter")
#: Bytes that tensors may share of a storage of any size: shared noise is not an attack.
MAX_SHARED_BYTES = 8 << 20
#: Relative tolerance for comparing filters, which half precision rounds.
FILTER_TOLERANCE = 2e-3


def build(kind: str, init_kwargs: Mapping[str, Any], state: Mapping[str, Tensor | np.ndarray]) -> Generator:
    """Builds a generator from its constructor arguments and tensors.

    float32 tensors are not copied, so that later changes to them change the generator.

    Missing noise is generated from a seed, missing filters from the arguments, and a missing w_avg from 10,000 seeded
    random latents. Resampling filters in the state take precedence over the argument.

    Args:
        kind: "stylegan2" or "stylegan3".
        init_kwargs: The constructor arguments of stylegan3 (flat) or stylegan2-ada-pytorch (nested).
        state: Tensors or arrays by name ("mapping.fc0.weight", "synthesis.b4.const", …), of any floating dtype.

    Returns:
        A float32 generator on the CPU, for inference.

    Raises:
        BadModel: an unknown kind or argument, or a tensor that is missing, unexpected, misshapen, not finite or not
            numeric; the message names it.
    """
    kind = choice("kind", kind, KINDS)
    arguments, given = mapping("init_kwargs", init_kwargs), mapping("its tensors", state)
    if kind == "stylegan2":
        arguments = _with_filters(arguments, given)
    with torch.device("meta"):
        g = _network(kind, arguments)
    layout = g.state_dict()
    _compare_names(layout, given, g)
    weights = {name: _tensor(name, given[name], layout[name]) for name in layout if name in given}
    _refuse_repetition(weights)
    weights = {name: _finite_float32(name, tensor) for name, tensor in weights.items()}
    no_mean = "mapping.w_avg" not in weights
    weights.update(_rebuild(kind, arguments, layout, set(layout) - set(weights)))
    g.load_state_dict(weights, assign=True)
    g.eval().requires_grad_(False)
    if no_mean:
        g.w_avg.copy_(_mean_of_w(g))
    return g


def random(kind: str, init_kwargs: Mapping[str, Any], seed: int = 0) -> Generator:
    """Builds a randomly initialized generator, for benchmarks and tests.

    Args:
        kind, init_kwargs: As in :func:`build`.
        seed: Seed of the weights; the global random state is not changed.

    Raises:
        BadModel: an unknown kind, or an invalid argument.
    """
    kind = choice("kind", kind, KINDS)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)  # only the CPU generator, whose state is restored
        g = _network(kind, mapping("init_kwargs", init_kwargs))
    return g.eval().requires_grad_(False)


def _network(kind: str, arguments: Mapping[str, Any]) -> Generator:
    if kind == "stylegan2":
        return StyleGAN2(StyleGAN2Config.from_init_kwargs(arguments))
    return StyleGAN3(StyleGAN3Config.from_init_kwargs(arguments))


def _with_filters(arguments: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Removes the resampling filters from ``given``, which must be equal, and sets the argument to them."""
    names = [name for name in given if _suffix(name) == "resample_filter"]
    config = StyleGAN2Config.from_init_kwargs(arguments)
    if not names:
        return arguments
    found = None
    for name in names:
        taps = _dense_tensor(name, given.pop(name))
        if taps.ndim not in (1, 2) or max(taps.shape) > MAX_TAPS or taps.numel() == 0:
            raise BadModel(f"The filter {name!r} has the shape {list(taps.shape)}; expected [taps] or [taps, taps].")
        taps = _finite_float32(name, taps)
        if taps.ndim == 1:
            taps = taps.outer(taps)
        if found is not None and not _filters_match(taps, found):
            raise BadModel(
                f"The filter {name!r} differs from {names[0]!r}; only networks with one filter are supported."
            )
        found = taps
    assert found is not None
    ours = resampling_filter(config.resample_filter)
    if _filters_match(found, ours.outer(ours) if ours.ndim == 1 else ours):
        return arguments  # the argument is more precise than a half-precision filter
    if nested := mapping("synthesis_kwargs", arguments.get("synthesis_kwargs")):
        return {**arguments, "synthesis_kwargs": {**nested, "resample_filter": found.tolist()}}
    return {**arguments, "resample_filter": found.tolist()}


def _filters_match(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= FILTER_TOLERANCE * b.abs().max())


def _compare_names(layout: Mapping[str, Tensor], given: Mapping[str, Any], g: Generator) -> None:
    """Raises BadModel for the first missing or unexpected tensor."""
    size = f"a {type(g).__name__} of {g.size_px} pixels with these arguments"
    for name in layout:
        if name not in given and _suffix(name) not in REBUILT_SUFFIXES and name != "mapping.w_avg":
            raise BadModel(f"The tensor {name!r} is missing, which {size} has. Is the file complete?")
    for name in given:
        if name not in layout and not (_suffix(name) in IGNORED_SUFFIXES and _is_one_number(given[name])):
            raise BadModel(
                f"The tensor {name[:100]!r} does not belong to {size}. Is the file for another network or size?"
            )


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _is_one_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float)) or tuple(getattr(value, "shape", (0,))) in ((), (1,))


def _tensor(name: str, value: Any, wanted: Tensor) -> Tensor:
    """``value`` as a tensor of the shape of ``wanted``; axes of length 1 may differ."""
    tensor = _dense_tensor(name, value)
    if [n for n in tensor.shape if n != 1] != [n for n in wanted.shape if n != 1]:
        raise BadModel(
            f"The tensor {name!r} has the shape {list(tensor.shape)}; expected {list(wanted.shape)}. "
            "Is the file damaged, or do its arguments belong to another network?"
        )
    return tensor.reshape(wanted.shape)


def _dense_tensor(name: str, value: Any) -> Tensor:
    """Converts a tensor or array to a dense floating-point tensor on the CPU, without copying if possible."""
    if isinstance(value, (float, np.floating)):
        value = np.array(value, np.float32)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.itemsize <= 8:
        if any(step == 0 and n > 1 for step, n in zip(value.strides, value.shape, strict=True)):
            raise _repeated(name)
        steps_forward = all(step >= 0 and step % value.itemsize == 0 for step in value.strides)
        if not (value.flags.writeable and value.flags.aligned and value.dtype.isnative and steps_forward):
            value = np.array(value, value.dtype.newbyteorder("="), order="C")
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta or not _real(value.dtype):
        what = f"{value.dtype} on {value.device}" if isinstance(value, Tensor) else type(value).__name__
        raise BadModel(f"{name!r} is a {what}; expected a dense tensor of real numbers. Is the file damaged?")
    return value.detach().cpu()


def _real(dtype: torch.dtype) -> bool:
    return dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _refuse_repetition(weights: Mapping[str, Tensor]) -> None:
    """Raises BadModel if tensors claim more memory than the file has, by referencing the same data repeatedly."""
    claimed: dict[int, int] = {}
    for name, tensor in weights.items():
        storage = tensor.untyped_storage()
        claimed[storage.data_ptr()] = claimed.get(storage.data_ptr(), 0) + tensor.numel() * tensor.element_size()
        if claimed[storage.data_ptr()] > max(storage.nbytes(), MAX_SHARED_BYTES):
            raise _repeated(name)


def _repeated(name: str) -> BadModel:
    return BadModel(
        f"The tensor {name!r} claims more numbers than the file has, by repeating them. Download it from its source."
    )


def _finite_float32(name: str, tensor: Tensor) -> Tensor:
    """Converts to contiguous float32; raises BadModel unless all values are finite."""
    tensor = tensor.float().contiguous()
    if not torch.isfinite(tensor).all():
        raise BadModel(f"The tensor {name!r} holds values that are not finite. The file is damaged: download it again.")
    return tensor


def _rebuild(
    kind: str, arguments: Mapping[str, Any], layout: Mapping[str, Tensor], missing: set[str]
) -> dict[str, Tensor]:
    """Recreates missing tensors: w_avg as zeros, noise from a seed, others as in a new network."""
    made = {}
    generator = torch.Generator().manual_seed(0)
    for name in sorted(missing):
        if name == "mapping.w_avg":
            made[name] = torch.zeros(layout[name].shape)
        elif name.endswith(".noise_const"):
            made[name] = torch.randn(layout[name].shape, generator=generator)
    if rest := missing - made.keys():
        new = random(kind, arguments).state_dict()
        made.update({name: new[name] for name in rest})
    return made


@torch.no_grad()
def _mean_of_w(g: Generator) -> Tensor:
    """float32 [w_dim]: the mean over random z and, if conditional, uniformly over the classes."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(g.w_dim)
    f = g.get_submodule("mapping")
    assert isinstance(f, MappingNetwork)
    batch = 1000 if g.c_dim <= 1000 else 100
    for start in range(0, MEAN_SAMPLES, batch):
        z = torch.randn(batch, g.z_dim, generator=generator)
        c = torch.zeros(batch, g.c_dim)
        if g.c_dim:
            c[torch.arange(batch), (torch.arange(batch) + start) % g.c_dim] = 1
        total += f(z, c if g.c_dim else None).sum(dim=0)
    return total / MEAN_SAMPLES
