#include "modulation.h"
#include "resample.h"

namespace latent_editor {
namespace {

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
  const Activation activation(kind_of(act), alpha, gain, clamp);
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
        channels.scale_bias_act_pixels(to + at, from + at, nullptr, end - begin, activation);
      });
      return;
    }
    const int64_t grain = std::max<int64_t>(GRAIN / shape.inner, 1);
    torch::stable::parallel_for(0, shape.outer * shape.channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float shift = bias.empty() ? 0.0f : bias[i % shape.channels];
        scale_bias_act_plane<T, T>(
            to + i * shape.inner, from + i * shape.inner, 1.0f, shift, nullptr, shape.inner, activation);
      }
    });
  });
  return y;
}

template <class T>
void epilogue_only(const Tensor& x, const Tensor& y, const Modulation& m, const Activation& activation, bool last) {
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
        channels[i / height].scale_bias_act_pixels(to + i * width * c, from + i * width * c, noise, width, activation);
      }
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(GRAIN / m.plane, 1);
  torch::stable::parallel_for(0, samples * c, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      scale_bias_act_plane<T, T>(
          to + i * m.plane, from + i * m.plane, m.scale_of(i / c, i % c), m.bias_of(i % c), m.noise_of(i / c), m.plane,
          activation);
    }
  });
}

template <class T>
void filter_and_epilogue(
    const Tensor& x, const Tensor& y, const Resampling& r, const Modulation& m,
    const Activation& activation, bool last) {
  T* to = static_cast<T*>(y.mutable_data_ptr());
  const int64_t c = m.channels;
  const std::vector<Channels> channels = last ? m.by_sample(x.size(0)) : std::vector<Channels>();
  resample<T>(x, r, last, [&](int64_t picture, int64_t row, const RowResampler& rows) {
    const int64_t sample = last ? picture : picture / c, width = r.width;
    const float* noise = m.noise_of(sample);
    noise = noise == nullptr ? nullptr : noise + row * width;
    T* out = to + (picture * r.height + row) * width * (last ? c : 1);
    if (last) {
      channels[sample].scale_bias_act_pixels(out, rows.phase(0), noise, width, activation);
    } else {
      scale_bias_act_plane<float, T>(
          out, rows.phase(0), m.scale_of(sample, picture % c), m.bias_of(picture % c), noise, width, activation);
    }
  });
}

Tensor modulation_epilogue(
    const Tensor& given, std::optional<Tensor> scale, std::optional<Tensor> b, std::optional<Tensor> noise,
    std::optional<Tensor> f, std::vector<int64_t> padding, double filter_gain, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  const Tensor x = in_order(given);
  const Activation activation(kind_of(act), alpha, gain, clamp);
  const Resampling r(x, f, {1, 1}, {1, 1}, padding, false, filter_gain);
  const bool last = is_channels_last(x);
  const Modulation m(x, scale, b, noise, r.height * r.width);
  const Tensor y = empty_as(x, {x.size(0), x.size(1), r.height, r.width}, last);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    if (f.has_value()) {
      filter_and_epilogue<T>(x, y, r, m, activation, last);
    } else {
      epilogue_only<T>(x, y, m, activation, last);
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
  const Activation activation(kind_of(act), alpha, gain, clamp);
  const Modulation m(x, scale, b, noise, x.size(2) * x.size(3));
  by_dtype(x, [&](auto kind) {
    epilogue_only<std::remove_const_t<std::remove_pointer_t<decltype(kind)>>>(x, x, m, activation, last);
  });
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("modulation_epilogue", TORCH_BOX(&modulation_epilogue));
  m.impl("modulation_epilogue_", TORCH_BOX(&modulation_epilogue_inplace));
}

} // namespace
} // namespace latent_editor
