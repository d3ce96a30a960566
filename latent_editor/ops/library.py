"""Registers the operations with PyTorch: schemas, references, fake implementations and gradients.

``torch.ops.latent_editor.<name>`` always works: it runs the reference, or the kernel for the device once its library is
loaded (:mod:`latent_editor.ops.kernels`). Gradients use a fused kernel if there is one; all others, and second
gradients, use the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from latent_editor.ops.bias_act import ACTIVATIONS, bias_act_reference, has_fused_gradient
from latent_editor.ops.epilogue import modulation_epilogue_reference
from latent_editor.ops.filtered_lrelu import filtered_lrelu_reference
from latent_editor.ops.modulated_conv import modulated_conv_reference
from latent_editor.ops.styles import modulation_styles_reference
from latent_editor.ops.to_rgb import to_rgb_reference
from latent_editor.ops.upfirdn2d import adjoint_padding, size_of, upfirdn2d, upfirdn2d_reference

__all__ = ["NAMES", "NAMESPACE", "SCHEMAS", "is_channels_last"]

NAMESPACE = "latent_editor"
#: ``act`` is the index in ACTIVATIONS; factors are [x, y], padding is [x0, x1, y0, y1].
SCHEMAS = {
    "upfirdn2d": "(Tensor x, Tensor? f, int[] up, int[] down, int[] padding, bool flip_filter, float gain) -> Tensor",
    "bias_act": "(Tensor x, Tensor? b, int dim, int act, float alpha, float gain, float? clamp) -> Tensor",
    "filtered_lrelu": "(Tensor x, Tensor? fu, Tensor? fd, Tensor? b, int up, int down, int[] padding, float gain, "
    "float slope, float? clamp, bool flip_filter) -> Tensor",
    "modulation_epilogue": "(Tensor x, Tensor? scale, Tensor? b, Tensor? noise, Tensor? f, int[] padding, "
    "float filter_gain, int act, float alpha, float gain, float? clamp) -> Tensor",
    "modulation_epilogue_": "(Tensor(a!) x, Tensor? scale, Tensor? b, Tensor? noise, int act, float alpha, float gain, "
    "float? clamp) -> ()",
    "modulated_conv": "(Tensor x, Tensor weight, Tensor styles, Tensor scale, Tensor? b, Tensor? noise, Tensor? f, "
    "int act, float alpha, float gain, float? clamp) -> Tensor",
    "to_rgb": "(Tensor x, Tensor weight, Tensor styles, Tensor b, Tensor? image, Tensor? f, float? clamp) -> Tensor",
    "modulation_styles": "(Tensor w, Tensor weight, Tensor b, Tensor? energies, float weight_gain, float bias_gain, "
    "float gain) -> (Tensor styles, Tensor scale)",
    "modulation_epilogue_backward": "(Tensor dy, Tensor y, Tensor x, Tensor? scale, int act, float alpha, float gain, "
    "float? clamp) -> (Tensor dx, Tensor dscale, Tensor db, Tensor dnoise)",
}
NAMES = tuple(ACTIVATIONS)


# References: flat arguments as in the schemas, and results in the memory format of the kernels.


def _to_supported_format(x: Tensor) -> Tensor:
    """x in a memory format that the kernels support."""
    return x if x.is_contiguous() or is_channels_last(x) else x.contiguous()


def is_channels_last(x: Tensor) -> bool:
    """Whether x has channels_last format, by the same rule as the kernels."""
    return x.ndim == 4 and x.shape[1] > 1 and x.is_contiguous(memory_format=torch.channels_last)


def _like_memory_format(y: Tensor, x: Tensor) -> Tensor:
    """y as a new tensor in the memory format of x."""
    order = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    placed = y.contiguous(memory_format=order)
    return placed.clone() if placed is x else placed


def _upfirdn2d(
    x: Tensor, f: Tensor | None, up: Sequence[int], down: Sequence[int], padding: Sequence[int], flip_filter: bool,
    gain: float,
) -> Tensor:  # fmt: skip
    return _like_memory_format(upfirdn2d_reference(x, f, up, down, padding, flip_filter=flip_filter, gain=gain), x)


def _bias_act(
    x: Tensor, b: Tensor | None, dim: int, act: int, alpha: float, gain: float, clamp: float | None
) -> Tensor:
    y = bias_act_reference(x, b, dim=dim, act=NAMES[act], alpha=alpha, gain=gain, clamp=clamp)
    return _like_memory_format(y, x)


def _filtered_lrelu(
    x: Tensor, fu: Tensor | None, fd: Tensor | None, b: Tensor | None, up: int, down: int, padding: Sequence[int],
    gain: float, slope: float, clamp: float | None, flip_filter: bool,
) -> Tensor:  # fmt: skip
    y = filtered_lrelu_reference(
        x, fu, fd, b, up=up, down=down, padding=padding, gain=gain, slope=slope, clamp=clamp, flip_filter=flip_filter
    )
    return y.contiguous()


def _epilogue(
    x: Tensor, scale: Tensor | None, b: Tensor | None, noise: Tensor | None, f: Tensor | None, padding: Sequence[int],
    filter_gain: float, act: int, alpha: float, gain: float, clamp: float | None,
) -> Tensor:  # fmt: skip
    px0, px1, py0, py1 = padding
    y = modulation_epilogue_reference(
        x, scale, b, noise, f=f, padding=(px0, px1, py0, py1), filter_gain=filter_gain, act=NAMES[act], alpha=alpha,
        gain=gain, clamp=clamp,
    )  # fmt: skip
    return _like_memory_format(y, x)


def _modulated_conv(
    x: Tensor, weight: Tensor, styles: Tensor, scale: Tensor, b: Tensor | None, noise: Tensor | None, f: Tensor | None,
    act: int, alpha: float, gain: float, clamp: float | None,
) -> Tensor:  # fmt: skip
    y = modulated_conv_reference(
        x, weight, styles, scale, b, noise, f, act=NAMES[act], alpha=alpha, gain=gain, clamp=clamp
    )
    return y.contiguous(memory_format=torch.channels_last)


def _to_rgb(
    x: Tensor, weight: Tensor, styles: Tensor, b: Tensor, image: Tensor | None, f: Tensor | None, clamp: float | None
) -> Tensor:
    return to_rgb_reference(x, weight, styles, b, image, f, clamp).contiguous()


def _epilogue_inplace(
    x: Tensor, scale: Tensor | None, b: Tensor | None, noise: Tensor | None, act: int, alpha: float, gain: float,
    clamp: float | None,
) -> None:  # fmt: skip
    x.copy_(_epilogue(x, scale, b, noise, None, (0, 0, 0, 0), 1.0, act, alpha, gain, clamp))


def _epilogue_backward(
    dy: Tensor, y: Tensor, x: Tensor, scale: Tensor | None, act: int, alpha: float, gain: float, clamp: float | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, scale [N, C], b [C] and noise [N, 1, H, W], from the output y."""
    slope = {"linear": 1.0, "relu": 0.0, "lrelu": alpha}[NAMES[act]]
    derivative = torch.where(y > 0, gain, gain * slope)
    if clamp is not None:
        derivative = derivative * (y.abs() < torch.tensor(clamp, dtype=y.dtype))
    du = dy.float() * derivative
    dx = du if scale is None else du * scale.float()[:, :, None, None]
    dscale = (du * x.float()).sum(dim=[2, 3])
    return _like_memory_format(dx.to(x.dtype), x), dscale, du.sum(dim=[0, 2, 3]), du.sum(dim=1, keepdim=True)


# Fake implementations: shapes without values.


def _empty_like_format(x: Tensor, shape: Sequence[int]) -> Tensor:
    order = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)


def _fake_upfirdn2d(
    x: Tensor, f: Tensor | None, up: Sequence[int], down: Sequence[int], padding: Sequence[int], flip_filter: bool,
    gain: float,
) -> Tensor:  # fmt: skip
    n, c, h, w = x.shape
    fh, fw = (1, 1) if f is None else size_of(f)
    height = (h * up[1] + padding[2] + padding[3] - fh) // down[1] + 1
    width = (w * up[0] + padding[0] + padding[1] - fw) // down[0] + 1
    return _empty_like_format(x, (n, c, height, width))


def _fake_filtered_lrelu(
    x: Tensor, fu: Tensor | None, fd: Tensor | None, b: Tensor | None, up: int, down: int, padding: Sequence[int],
    *rest: Any,
) -> Tensor:  # fmt: skip
    taps = [size_of(f) if f is not None else (1, 1) for f in (fu, fd)]
    height = (x.shape[2] * up + padding[2] + padding[3] - sum(t[0] - 1 for t in taps) - 1) // down + 1
    width = (x.shape[3] * up + padding[0] + padding[1] - sum(t[1] - 1 for t in taps) - 1) // down + 1
    return x.new_empty(x.shape[0], x.shape[1], height, width)


def _fake_bias_act(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(_to_supported_format(x))


def _fake_epilogue(
    x: Tensor, scale: Tensor | None, b: Tensor | None, noise: Tensor | None, f: Tensor | None, padding: Sequence[int],
    *rest: Any,
) -> Tensor:  # fmt: skip
    return _fake_upfirdn2d(x, f, (1, 1), (1, 1), padding, False, 1.0)


def _fake_modulated_conv(
    x: Tensor, weight: Tensor, styles: Tensor, scale: Tensor, b: Tensor | None, noise: Tensor | None, f: Tensor | None,
    *rest: Any,
) -> Tensor:  # fmt: skip
    up = 1 if f is None else 2
    shape = x.shape[0], scale.shape[1], x.shape[2] * up, x.shape[3] * up
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _fake_to_rgb(x: Tensor, weight: Tensor, styles: Tensor, b: Tensor, *rest: Any) -> Tensor:
    return x.new_empty((x.shape[0], b.shape[0], *x.shape[2:]), dtype=torch.float32)


def _fake_styles(w: Tensor, weight: Tensor, b: Tensor, energies: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor]:
    return w.new_empty(len(w), len(weight)), w.new_empty(len(w), 0 if energies is None else len(energies))


def _fake_epilogue_backward(dy: Tensor, y: Tensor, x: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n, c, h, w = x.shape
    dscale, db, dnoise = (x.new_empty(shape, dtype=torch.float32) for shape in ((n, c), (c,), (n, 1, h, w)))
    return torch.empty_like(_to_supported_format(x)), dscale, db, dnoise


# Gradients.


def _reference_gradients(
    reference: Callable[..., Any], inputs: tuple[Any, ...], wanted: Sequence[bool], dy: Any
) -> list:
    """Gradients by recomputing the reference; differentiable if PyTorch needs second gradients."""
    second_order = torch.is_grad_enabled()
    with torch.enable_grad():
        if not second_order:
            inputs = tuple(t.detach().requires_grad_(w) if w else t for t, w in zip(inputs, wanted, strict=True))
        sources = [t for t, w in zip(inputs, wanted, strict=True) if w]
        found = iter(torch.autograd.grad(reference(*inputs), sources, dy, create_graph=second_order, allow_unused=True))
    return [next(found) if w else None for w in wanted]


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Saves tensors by ``save_for_backward``, and other values as attributes."""
    ctx.tensor_indices = [i for i, value in enumerate(inputs) if isinstance(value, Tensor)]
    ctx.others = [None if isinstance(value, Tensor) else value for value in inputs]
    ctx.save_for_backward(*(inputs[i] for i in ctx.tensor_indices), output)


def _save_inputs(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    """The same for an operation with several outputs, none of which is needed."""
    _save_for_backward(ctx, inputs, inputs[0])


def _load_saved(ctx: Any) -> tuple[tuple[Any, ...], Tensor]:
    """The saved inputs and the output."""
    *tensors, output = ctx.saved_tensors
    inputs = list(ctx.others)
    for i, tensor in zip(ctx.tensor_indices, tensors, strict=True):
        inputs[i] = tensor
    return tuple(inputs), output


def _save_for_upfirdn2d(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Saves x only if the gradient of the filter needs it."""
    x, f, *ctx.others = inputs
    ctx.size, ctx.result = tuple(x.shape[2:]), tuple(output.shape[2:])
    ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, f)


def _upfirdn2d_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    (x, f), (up, down, padding, flip_filter, gain) = ctx.saved_tensors, ctx.others
    none = (None,) * 5
    if ctx.needs_input_grad[1]:
        inputs = (x, f, up, down, padding, flip_filter, gain)
        return tuple(_reference_gradients(_upfirdn2d, inputs, ctx.needs_input_grad, dy))
    taps = (1, 1) if f is None else size_of(f)
    sides = adjoint_padding(ctx.size, ctx.result, taps, up, down, padding)
    return upfirdn2d(dy, f, up=down, down=up, padding=sides, flip_filter=not flip_filter, gain=gain), None, *none


def _bias_act_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    (x, b, dim, act, alpha, gain, clamp), y = _load_saved(ctx)
    fused = x.ndim == 4 and dim == 1 and has_fused_gradient(NAMES[act], alpha, gain)
    if torch.is_grad_enabled() or not fused:
        return tuple(_reference_gradients(_bias_act, (x, b, dim, act, alpha, gain, clamp), ctx.needs_input_grad, dy))
    dx, _, db, _ = torch.ops.latent_editor.modulation_epilogue_backward(dy, y, y, None, act, alpha, gain, clamp)
    return dx, None if b is None else db.to(b.dtype), None, None, None, None, None


def _epilogue_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    inputs, y = _load_saved(ctx)
    x, scale, b, noise, f, _, _, act, alpha, gain, clamp = inputs
    if torch.is_grad_enabled() or f is not None or not has_fused_gradient(NAMES[act], alpha, gain):
        return tuple(_reference_gradients(_epilogue, inputs, ctx.needs_input_grad, dy))
    found = torch.ops.latent_editor.modulation_epilogue_backward(dy, y, x, scale, act, alpha, gain, clamp)
    dx, dscale, db, dnoise = found
    return (
        dx,
        None if scale is None else dscale.to(scale.dtype),
        None if b is None else db.to(b.dtype),
        None if noise is None else dnoise.sum_to_size(noise.shape).to(noise.dtype),
        *(None,) * 7,
    )


def _modulated_conv_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    inputs, _ = _load_saved(ctx)
    return tuple(_reference_gradients(_modulated_conv, inputs, ctx.needs_input_grad, dy))


def _to_rgb_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    inputs, _ = _load_saved(ctx)
    return tuple(_reference_gradients(_to_rgb, inputs, ctx.needs_input_grad, dy))


def _styles_gradients(ctx: Any, *dy: Tensor) -> tuple[Any, ...]:
    inputs, wanted = _load_saved(ctx)[0], ctx.needs_input_grad
    if inputs[3] is None:  # no demodulation: the second output is empty
        return tuple(_reference_gradients(lambda *i: modulation_styles_reference(*i)[0], inputs, wanted, dy[0]))
    return tuple(_reference_gradients(modulation_styles_reference, inputs, wanted, dy))


def _filtered_lrelu_gradients(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    inputs, _ = _load_saved(ctx)
    return tuple(_reference_gradients(_filtered_lrelu, inputs, ctx.needs_input_grad, dy))


def _declare() -> None:
    references: dict[str, Callable] = {
        "upfirdn2d": _upfirdn2d, "bias_act": _bias_act, "filtered_lrelu": _filtered_lrelu,
        "modulation_epilogue": _epilogue, "modulation_epilogue_": _epilogue_inplace,
        "modulation_epilogue_backward": _epilogue_backward, "modulated_conv": _modulated_conv,
        "to_rgb": _to_rgb, "modulation_styles": modulation_styles_reference,
    }  # fmt: skip
    fakes: dict[str, Callable] = {
        "upfirdn2d": _fake_upfirdn2d, "bias_act": _fake_bias_act, "filtered_lrelu": _fake_filtered_lrelu,
        "modulation_epilogue": _fake_epilogue, "modulation_epilogue_": lambda *inputs: None,
        "modulation_epilogue_backward": _fake_epilogue_backward, "modulated_conv": _fake_modulated_conv,
        "to_rgb": _fake_to_rgb, "modulation_styles": _fake_styles,
    }  # fmt: skip
    gradients: dict[str, tuple[Callable, Callable]] = {
        "upfirdn2d": (_upfirdn2d_gradients, _save_for_upfirdn2d),
        "bias_act": (_bias_act_gradients, _save_for_backward),
        "filtered_lrelu": (_filtered_lrelu_gradients, _save_for_backward),
        "modulation_epilogue": (_epilogue_gradients, _save_for_backward),
        "modulated_conv": (_modulated_conv_gradients, _save_for_backward),
        "to_rgb": (_to_rgb_gradients, _save_for_backward),
        "modulation_styles": (_styles_gradients, _save_inputs),
    }
    for name, schema in SCHEMAS.items():
        qualified = f"{NAMESPACE}::{name}"
        torch.library.define(qualified, schema)
        torch.library.impl(qualified, "default", references[name])
        torch.library.register_fake(qualified, fakes[name])
        if name in gradients:
            backward, setup = gradients[name]
            torch.library.register_autograd(qualified, backward, setup_context=setup)


_declare()  # at import, because registering twice is an error
