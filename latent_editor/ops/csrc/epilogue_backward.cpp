#include <algorithm>
#include <tuple>

#include "modulation.h"

namespace latent_editor {
namespace {

// Maximum number of partial sums, independent of the number of threads, so that results are reproducible.
constexpr int64_t PARTS = 64;
// Minimum number of pixels of a partial sum, to amortize its overhead.
constexpr int64_t PART_PIXELS = 256;

// The gradient of scale · x + bias + noise, from the gradient of y and y itself, which has the sign of the sum.
struct Slopes {
  float slope, gain, limit;

  float operator()(float dy, float y) const {
    const float steep = y > 0.0f ? gain : gain * slope;
    return y < limit && y > -limit ? dy * steep : 0.0f;
  }
};

// Partial sums over pixels.
struct Sums {
  int64_t length;
  std::vector<float> parts;

  explicit Sums(int64_t length_) : length(length_), parts(static_cast<size_t>(PARTS * length_), 0.0f) {}

  float* part(int64_t p) {
    return parts.data() + p * length;
  }
  void total_into(float* to) const {
    for (int64_t i = 0; i < length; ++i) {
      double sum = 0;
      for (int64_t p = 0; p < PARTS; ++p) {
        sum += parts[static_cast<size_t>(p * length + i)];
      }
      to[i] = static_cast<float>(sum);
    }
  }
};

template <class T>
void backward_pixels(
    T* __restrict dx, float* __restrict dscale, float* __restrict dbias, float* dnoise, const T* __restrict dy,
    const T* __restrict y, const T* __restrict x, const float* __restrict scale, int64_t pixels, int64_t c,
    const Slopes& slopes) {
  for (int64_t i = 0; i < pixels; ++i) {
    float sum = 0.0f;
    const int64_t at = i * c;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < c; ++j) {
      const float du = slopes(widened(dy[at + j]), widened(y[at + j]));
      store(dx + at + j, du * scale[j]);
      dscale[j] += du * widened(x[at + j]);
      dbias[j] += du;
      sum += du;
    }
    dnoise[i] = sum;
  }
}

// Handling NCHW by strides like channels_last would be slow; it is read plane by plane.
template <class T>
void backward_plane(
    T* __restrict dx, float* dscale, float* dbias, float* __restrict dnoise, const T* __restrict dy,
    const T* __restrict y, const T* __restrict x, float scale, int64_t pixels, const Slopes& slopes) {
  float of_scale = 0.0f, of_bias = 0.0f;
#pragma omp simd reduction(+ : of_scale, of_bias)
  for (int64_t i = 0; i < pixels; ++i) {
    const float du = slopes(widened(dy[i]), widened(y[i]));
    store(dx + i, du * scale);
    of_scale += du * widened(x[i]);
    of_bias += du;
    dnoise[i] += du;
  }
  *dscale += of_scale;
  *dbias += of_bias;
}

template <class T>
void backward_all(
    const Tensor& dx, Sums& dscale, Sums& dbias, float* dnoise, const Tensor& dy, const Tensor& y, const Tensor& x,
    const Modulation& m, const Slopes& slopes, bool last) {
  const int64_t samples = x.size(0), c = m.channels, plane = m.plane;
  const T *dy_data = static_cast<const T*>(dy.const_data_ptr()), *y_data = static_cast<const T*>(y.const_data_ptr());
  const T* x_data = static_cast<const T*>(x.const_data_ptr());
  T* to = static_cast<T*>(dx.mutable_data_ptr());
  const std::vector<Channels> channels = m.by_sample(samples);
  const int64_t parts = std::clamp<int64_t>(plane / PART_PIXELS, 1, PARTS);
  const int64_t grain = std::max<int64_t>(GRAIN * parts / (samples * c * plane + 1), 1);
  torch::stable::parallel_for(0, parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t low = plane * part / parts, n = plane * (part + 1) / parts - low;
      for (int64_t s = 0; s < samples; ++s) {
        float *of_scale = dscale.part(part) + s * c, *of_bias = dbias.part(part), *of_noise = dnoise + s * plane + low;
        if (last) {
          const int64_t at = (s * plane + low) * c;
          backward_pixels(to + at, of_scale, of_bias, of_noise, dy_data + at, y_data + at, x_data + at,
                          channels[s].scale.data(), n, c, slopes);
          continue;
        }
        for (int64_t j = 0; j < c; ++j) {
          const int64_t at = (s * c + j) * plane + low;
          backward_plane(to + at, of_scale + j, of_bias + j, of_noise, dy_data + at, y_data + at, x_data + at,
                         m.scale_of(s, j), n, slopes);
        }
      }
    }
  });
}

// Gradients of x [N, C, H, W], scale [N, C], bias [C] and noise [N, 1, H, W]. act is linear, relu or lrelu, gain > 0.
std::tuple<Tensor, Tensor, Tensor, Tensor> modulation_epilogue_backward(
    const Tensor& given_dy, const Tensor& given_y, const Tensor& given, std::optional<Tensor> scale, int64_t act,
    double alpha, double gain, std::optional<double> clamp) {
  const Tensor x = in_order(given);
  const bool last = is_channels_last(x);
  const Activation activation(kind_of(act), alpha, gain, clamp);
  STD_TORCH_CHECK(
      activation.piecewise() && gain > 0 && activation.slope >= 0, "This activation has no fused gradient.");
  const auto like_x = [&](const Tensor& t) {
    STD_TORCH_CHECK(t.numel() == x.numel(), "Expected tensors of one shape.");
    if (is_channels_last(t) == last && (last || t.is_contiguous()) && t.scalar_type() == x.scalar_type()) {
      return t;
    }
    Tensor same = torch::stable::empty_like(x);
    return torch::stable::copy_(same, t);
  };
  const Tensor dy = like_x(given_dy), y = like_x(given_y);
  const int64_t n = x.size(0), c = x.size(1), plane = x.size(2) * x.size(3);
  const Modulation m(x, scale, std::nullopt, std::nullopt, plane);
  Tensor dx = torch::stable::empty_like(x);
  const auto floats_of = [&](std::vector<int64_t> shape) {
    return torch::stable::new_zeros(x, {shape.data(), shape.size()}, ScalarType::Float);
  };
  Tensor dscale = floats_of({n, c}), dbias = floats_of({c}), dnoise = floats_of({n, 1, x.size(2), x.size(3)});
  Sums scale_sums(n * c), bias_sums(c);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    T rounded; // the stored value of a clamped element
    store(&rounded, activation.limit);
    const Slopes slopes{activation.slope, activation.gain, widened(rounded)};
    float* noise = static_cast<float*>(dnoise.mutable_data_ptr());
    backward_all<T>(dx, scale_sums, bias_sums, noise, dy, y, x, m, slopes, last);
  });
  scale_sums.total_into(static_cast<float*>(dscale.mutable_data_ptr()));
  bias_sums.total_into(static_cast<float*>(dbias.mutable_data_ptr()));
  return {dx, dscale, dbias, dnoise};
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("modulation_epilogue_backward", TORCH_BOX(&modulation_epilogue_backward));
}

} // namespace
} // namespace latent_editor
