// Styles and demodulation factors of a layer: products of a few vectors with matrices, bound by memory bandwidth.
#include <cmath>

#include "tensors.h"

namespace latent_editor {
namespace {

// Minimum number of products per thread; below, another thread does not pay off.
constexpr int64_t PRODUCTS = 1 << 17;
constexpr int64_t LANES = 16, TOGETHER = 4;

// Dot products of x with R contiguous rows of n values; the summation order only depends on n.
template <int64_t R>
void products(float* sums, const float* x, const float* rows, int64_t n) {
  float lanes[R][LANES] = {};
  const int64_t whole = n / LANES * LANES;
  for (int64_t i = 0; i < whole; i += LANES) {
    for (int64_t r = 0; r < R; ++r) {
#pragma omp simd
      for (int64_t k = 0; k < LANES; ++k) {
        lanes[r][k] += x[i + k] * rows[r * n + i + k];
      }
    }
  }
  for (int64_t r = 0; r < R; ++r) {
    float sum = 0.0f;
    for (int64_t k = 0; k < LANES; ++k) {
      sum += lanes[r][k];
    }
    for (int64_t i = whole; i < n; ++i) {
      sum += x[i] * rows[r * n + i];
    }
    sums[r] = sum;
  }
}

// to[s, o] = epilogue(x[s] · rows[o], o) for all samples and all rows.
template <class F>
void product_of(float* to, const float* x, const float* rows, int64_t samples, int64_t count, int64_t n, F epilogue) {
  const int64_t groups = (count + TOGETHER - 1) / TOGETHER;
  const int64_t grain = std::max<int64_t>(PRODUCTS / std::max<int64_t>(samples * n * TOGETHER, 1), 1);
  torch::stable::parallel_for(0, groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * TOGETHER, here = std::min(TOGETHER, count - first);
      for (int64_t s = 0; s < samples; ++s) {
        float sums[TOGETHER];
        if (here == TOGETHER) {
          products<TOGETHER>(sums, x + s * n, rows + first * n, n);
        } else {
          for (int64_t r = 0; r < here; ++r) {
            products<1>(sums + r, x + s * n, rows + (first + r) * n, n);
          }
        }
        for (int64_t r = 0; r < here; ++r) {
          to[s * count + first + r] = epilogue(sums[r], first + r);
        }
      }
    }
  });
}

Tensor checked(const Tensor& x, int64_t columns) {
  STD_TORCH_CHECK(
      x.is_cpu() && x.scalar_type() == ScalarType::Float && x.dim() == 2 && x.size(1) == columns,
      "Expected matrices in float32 that go together.");
  return torch::stable::contiguous(x);
}

Tensor matrix(const Tensor& like, int64_t rows, int64_t columns) {
  const std::array<int64_t, 2> shape = {rows, columns};
  return torch::stable::empty(
      {shape.data(), shape.size()}, ScalarType::Float, std::nullopt, like.device(), std::nullopt,
      MemoryFormat::Contiguous);
}

std::tuple<Tensor, Tensor> modulation_styles(
    const Tensor& w_, const Tensor& weight_, const Tensor& b, std::optional<Tensor> energies_, double weight_gain,
    double bias_gain, double gain) {
  STD_TORCH_CHECK(w_.dim() == 2 && weight_.dim() == 2, "Expected w [N, w_dim] and a weight [I, w_dim].");
  const int64_t samples = w_.size(0), length = w_.size(1), inputs = weight_.size(0);
  const Tensor w = checked(w_, length), weight = checked(weight_, length);
  const std::vector<float> bias = floats(b);
  STD_TORCH_CHECK(static_cast<int64_t>(bias.size()) == inputs, "Expected a bias of shape [I].");
  Tensor styles = matrix(w, samples, inputs);
  float* to = static_cast<float*>(styles.mutable_data_ptr());
  const float factor = static_cast<float>(weight_gain), shift = static_cast<float>(bias_gain);
  product_of(
      to, static_cast<const float*>(w.const_data_ptr()), static_cast<const float*>(weight.const_data_ptr()), samples,
      inputs, length, [&](float sum, int64_t i) { return sum * factor + bias[i] * shift; });
  if (!energies_.has_value()) {
    return {styles, matrix(w, samples, 0)};
  }
  const Tensor energies = checked(*energies_, inputs);
  const int64_t outputs = energies.size(0);
  Tensor scale = matrix(w, samples, outputs);
  std::vector<float> squares(to, to + samples * inputs);
  for (float& value : squares) {
    value *= value;
  }
  const float most = static_cast<float>(gain);
  product_of(
      static_cast<float*>(scale.mutable_data_ptr()), squares.data(),
      static_cast<const float*>(energies.const_data_ptr()), samples, outputs, inputs,
      [&](float sum, int64_t) { return most / std::sqrt(sum + 1e-8f); });
  return {styles, scale};
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("modulation_styles", TORCH_BOX(&modulation_styles));
}

} // namespace
} // namespace latent_editor
