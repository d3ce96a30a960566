// Helpers for PyTorch tensors through its stable ABI only, so that a library works with later PyTorch versions.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <array>
#include <optional>
#include <vector>

#include "numbers.h"

namespace latent_editor {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Minimum number of values per thread; below, another thread does not pay off.
constexpr int64_t GRAIN = 16384;

inline bool is_supported(ScalarType dtype) {
  return dtype == ScalarType::Float || dtype == ScalarType::BFloat16;
}

// Whether x [N, C, H, W] is in dense channels_last format.
inline bool is_channels_last(const Tensor& x) {
  if (x.dim() != 4 || x.size(1) == 1) {
    return false;
  }
  const int64_t c = x.size(1), h = x.size(2), w = x.size(3);
  return x.stride(1) == 1 && (w == 1 || x.stride(3) == c) && (h == 1 || x.stride(2) == w * c) &&
      (x.size(0) == 1 || x.stride(0) == h * w * c);
}

// x itself if its memory format is supported, else a contiguous copy.
inline Tensor in_order(const Tensor& x) {
  STD_TORCH_CHECK(is_supported(x.scalar_type()), "The CPU kernels take float32 and bfloat16 only.");
  return is_channels_last(x) || x.is_contiguous() ? x : torch::stable::contiguous(x);
}

inline Tensor empty_as(const Tensor& x, const std::array<int64_t, 4>& shape, bool channels_last) {
  return torch::stable::empty(
      {shape.data(), shape.size()}, x.scalar_type(), std::nullopt, x.device(), std::nullopt,
      channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

// Copies a small tensor (bias, filter, scales) of any dtype and strides to floats.
inline std::vector<float> floats(const std::optional<Tensor>& x) {
  if (!x.has_value()) {
    return {};
  }
  STD_TORCH_CHECK(x->is_cpu(), "Expected all tensors on one device.");
  const Tensor wide = torch::stable::contiguous(torch::stable::to(*x, ScalarType::Float));
  const float* data = static_cast<const float*>(wide.const_data_ptr());
  return std::vector<float>(data, data + wide.numel());
}

// Calls f with a null pointer of the element type of x.
template <class F>
void by_dtype(const Tensor& x, F f) {
  if (x.scalar_type() == ScalarType::BFloat16) {
    f(static_cast<const bfloat16*>(nullptr));
  } else {
    f(static_cast<const float*>(nullptr));
  }
}

} // namespace latent_editor
