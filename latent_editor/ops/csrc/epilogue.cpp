#include <tuple>

#include "finish.h"
#include "resample.h"

namespace latent_editor {
namespace {

// Sums are made in so many parts at most, whatever the threads: the same result with each number of them.
constexpr int64_t PARTS = 64;
// A part is worth its overhead from so many pixels on.
constexpr int64_t PART_PIXELS = 256;

int64_t kind_of(int64_t act) {
  STD_TORCH_CHECK(act >= 0 && act < ACTIVATIONS, "An unknown activation.");
  return act;
}

// x as [outer, channels, inner], with the channels along `dim`.
struct Shape {
  int64_t outer = 1, channels, inner = 1;

  Shape(const Tensor& x, int64_t dim) : channels(x.size(dim)) {
    for (int64_t i = 0; i < x.dim(); ++i) {
      (i < dim ? outer : inner) *= i == dim ? 1 : x.size(i);
    }
    if (dim == 1 && is_channels_last(x)) {
      outer *= inner;
      inner = 1;
    }
  }
};

Tensor bias_act(
    const Tensor& given, std::optional<Tensor> b, int64_t dim, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  const Tensor x = in_order(given);
  const Finish finish(static_cast<int>(kind_of(act)), alpha, gain, clamp);
  const Shape shape(x, x.dim() == 0 ? 0 : dim);
  const std::vector<float> bias = floats(b);
  STD_TORCH_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == shape.channels, "A bias of another length.");
  Tensor y = torch::stable::empty_like(x);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(y.mutable_data_ptr());
    if (shape.inner == 1) {
      const Channels channels(nullptr, bias.empty() ? nullptr : bias.data(), shape.channels, true);
      const int64_t grain = std::max<int64_t>(GRAIN / shape.channels, 1);
      torch::stable::parallel_for(0, shape.outer, grain, [&](int64_t begin, int64_t end) {
        const int64_t at = begin * shape.channels;
        channels.finish_pixels(to + at, from + at, nullptr, end - begin, finish);
      });
      return;
    }
    const int64_t grain = std::max<int64_t>(GRAIN / shape.inner, 1);
    torch::stable::parallel_for(0, shape.outer * shape.channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float shift = bias.empty() ? 0.0f : bias[i % shape.channels];
        finish_plane<T, T>(to + i * shape.inner, from + i * shape.inner, 1.0f, shift, nullptr, shape.inner, finish);
      }
    });
  });
  return y;
}

// What is added to and multiplied with the samples of a batch.
struct Modulation {
  std::vector<float> scale, bias; // [N, C] and [C], or empty
  std::optional<Tensor> noise;    // float32 [1 or N, H, W]
  int64_t channels, plane, noise_step = 0;

  Modulation(
      const Tensor& x, const std::optional<Tensor>& scale_, const std::optional<Tensor>& b,
      const std::optional<Tensor>& noise_, int64_t plane_)
      : scale(floats(scale_)), bias(floats(b)), channels(x.size(1)), plane(plane_) {
    const auto n = static_cast<size_t>(x.size(0)), c = static_cast<size_t>(channels);
    STD_TORCH_CHECK(scale.empty() || scale.size() == n * c, "Expected scale of shape [N, C].");
    STD_TORCH_CHECK(bias.empty() || bias.size() == c, "Expected a bias of shape [C].");
    if (noise_.has_value()) {
      noise = torch::stable::contiguous(torch::stable::to(*noise_, ScalarType::Float));
      STD_TORCH_CHECK(
          noise->numel() == plane || noise->numel() == plane * x.size(0), "Expected noise of shape [1 or N, 1, H, W].");
      noise_step = noise->numel() == plane ? 0 : plane;
    }
  }

  const float* scales(int64_t sample) const {
    return scale.empty() ? nullptr : scale.data() + sample * channels;
  }
  float scale_of(int64_t sample, int64_t c) const {
    return scale.empty() ? 1.0f : scale[sample * channels + c];
  }
  const float* biases() const {
    return bias.empty() ? nullptr : bias.data();
  }
  float bias_of(int64_t c) const {
    return bias.empty() ? 0.0f : bias[c];
  }
  const float* noise_of(int64_t sample) const {
    return noise.has_value() ? static_cast<const float*>(noise->const_data_ptr()) + sample * noise_step : nullptr;
  }
  // Each sample's channels, with the repeats that only pixels without noise can use.
  std::vector<Channels> by_sample(int64_t samples) const {
    std::vector<Channels> all;
    for (int64_t i = 0; i < samples; ++i) {
      all.emplace_back(scales(i), biases(), channels, !noise.has_value());
    }
    return all;
  }
};

template <class T>
void finish_only(const Tensor& x, const Tensor& y, const Modulation& m, const Finish& finish, bool last) {
  const T* from = static_cast<const T*>(x.const_data_ptr());
  T* to = static_cast<T*>(y.mutable_data_ptr());
  const int64_t samples = x.size(0), c = m.channels, height = x.size(2), width = x.size(3);
  if (last) {
    const std::vector<Channels> channels = m.by_sample(samples);
    const int64_t grain = std::max<int64_t>(GRAIN / (width * c), 1);
    torch::stable::parallel_for(0, samples * height, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* noise = m.noise_of(i / height);
        noise = noise == nullptr ? nullptr : noise + i % height * width;
        channels[i / height].finish_pixels(to + i * width * c, from + i * width * c, noise, width, finish);
      }
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(GRAIN / m.plane, 1);
  torch::stable::parallel_for(0, samples * c, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      finish_plane<T, T>(
          to + i * m.plane, from + i * m.plane, m.scale_of(i / c, i % c), m.bias_of(i % c), m.noise_of(i / c), m.plane,
          finish);
    }
  });
}

template <class T>
void filter_and_finish(
    const Tensor& x, const Tensor& y, const Resampling& r, const Modulation& m, const Finish& finish, bool last) {
  T* to = static_cast<T*>(y.mutable_data_ptr());
  const int64_t c = m.channels;
  const std::vector<Channels> channels = last ? m.by_sample(x.size(0)) : std::vector<Channels>();
  resample<T>(x, r, last, [&](int64_t picture, int64_t row, const RowResampler& rows) {
    const int64_t sample = last ? picture : picture / c, width = r.width;
    const float* noise = m.noise_of(sample);
    noise = noise == nullptr ? nullptr : noise + row * width;
    T* out = to + (picture * r.height + row) * width * (last ? c : 1);
    if (last) {
      channels[sample].finish_pixels(out, rows.phase(0), noise, width, finish);
    } else {
      finish_plane<float, T>(
          out, rows.phase(0), m.scale_of(sample, picture % c), m.bias_of(picture % c), noise, width, finish);
    }
  });
}

Tensor modulation_epilogue(
    const Tensor& given, std::optional<Tensor> scale, std::optional<Tensor> b, std::optional<Tensor> noise,
    std::optional<Tensor> f, std::vector<int64_t> padding, double filter_gain, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  const Tensor x = in_order(given);
  const Finish finish(static_cast<int>(kind_of(act)), alpha, gain, clamp);
  const Resampling r(x, f, {1, 1}, {1, 1}, padding, false, filter_gain);
  const bool last = is_channels_last(x);
  const Modulation m(x, scale, b, noise, r.height * r.width);
  const Tensor y = empty_as(x, {x.size(0), x.size(1), r.height, r.width}, last);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    if (f.has_value()) {
      filter_and_finish<T>(x, y, r, m, finish, last);
    } else {
      finish_only<T>(x, y, m, finish, last);
    }
  });
  return y;
}

void modulation_epilogue_inplace(
    Tensor x, std::optional<Tensor> scale, std::optional<Tensor> b, std::optional<Tensor> noise, int64_t act,
    double alpha, double gain, std::optional<double> clamp) {
  STD_TORCH_CHECK(is_supported(x.scalar_type()), "The CPU kernels take float32 and bfloat16 only.");
  const bool last = is_channels_last(x);
  STD_TORCH_CHECK(x.dim() == 4 && (last || x.is_contiguous()), "Expected x [N, C, H, W] without gaps in memory.");
  const Finish finish(static_cast<int>(kind_of(act)), alpha, gain, clamp);
  const Modulation m(x, scale, b, noise, x.size(2) * x.size(3));
  by_dtype(x, [&](auto kind) {
    finish_only<std::remove_const_t<std::remove_pointer_t<decltype(kind)>>>(x, x, m, finish, last);
  });
}

// The gradient of scale · x + bias + noise, from that of y and from y itself, whose sign is the sum's.
struct Slopes {
  float slope, gain, limit;

  float operator()(float dy, float y) const {
    const float steep = y > 0.0f ? gain : gain * slope;
    return y < limit && y > -limit ? dy * steep : 0.0f;
  }
};

// Sums over pixels in parts of their own.
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

// NCHW and channels_last alike through strides would be slow; NCHW is read plane by plane.
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
  const Finish finish(static_cast<int>(kind_of(act)), alpha, gain, clamp);
  STD_TORCH_CHECK(finish.piecewise() && gain > 0 && finish.slope >= 0, "This activation has no fused gradient.");
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
    T rounded; // what a clamped value was stored as
    store(&rounded, finish.limit);
    const Slopes slopes{finish.slope, finish.gain, widened(rounded)};
    float* noise = static_cast<float*>(dnoise.mutable_data_ptr());
    backward_all<T>(dx, scale_sums, bias_sums, noise, dy, y, x, m, slopes, last);
  });
  scale_sums.total_into(static_cast<float*>(dscale.mutable_data_ptr()));
  bias_sums.total_into(static_cast<float*>(dbias.mutable_data_ptr()));
  return {dx, dscale, dbias, dnoise};
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("modulation_epilogue", TORCH_BOX(&modulation_epilogue));
  m.impl("modulation_epilogue_", TORCH_BOX(&modulation_epilogue_inplace));
  m.impl("modulation_epilogue_backward", TORCH_BOX(&modulation_epilogue_backward));
}

} // namespace
} // namespace latent_editor
