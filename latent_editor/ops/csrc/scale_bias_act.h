// The epilogue of a convolution: y = clamp(gain · act(scale · x + bias + noise)).
#pragma once

#include <algorithm>
#include <vector>

#include "activation.h"
#include "numbers.h"

namespace latent_editor {

// n contiguous values, each with its own scale and bias, and one noise value for all. `to` may be `from`.
template <class In, class Out>
void scale_bias_act_channels(
    Out* to, const In* from, const float* __restrict scale, const float* __restrict bias,
    float noise, int64_t n, const Activation& activation) {
  if (activation.piecewise()) {
    const float slope = activation.slope, gain = activation.gain, limit = activation.limit;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, activate_piecewise(widened(from[i]) * scale[i] + bias[i] + noise, slope, gain, limit));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    store(to + i, activate_curve(widened(from[i]) * scale[i] + bias[i] + noise, activation));
  }
}

// n contiguous values of one channel; noise may be null.
template <class In, class Out>
void scale_bias_act_plane(
    Out* to, const In* from, float scale, float bias, const float* __restrict noise, int64_t n,
    const Activation& activation) {
  const float slope = activation.slope, gain = activation.gain, limit = activation.limit;
  if (activation.piecewise() && noise != nullptr) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, activate_piecewise(widened(from[i]) * scale + bias + noise[i], slope, gain, limit));
    }
  } else if (activation.piecewise()) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, activate_piecewise(widened(from[i]) * scale + bias, slope, gain, limit));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const float u = widened(from[i]) * scale + bias + (noise == nullptr ? 0.0f : noise[i]);
      store(to + i, activate_curve(u, activation));
    }
  }
}

// Scales and biases of one sample's channels, repeated to get long inner loops for pixels of few channels.
struct Channels {
  int64_t count, repeats;
  std::vector<float> scale, bias;

  // scales and biases may be empty, for 1 and 0.
  Channels(const float* scales, const float* biases, int64_t channels, bool repeat)
      : count(channels), repeats(repeat ? std::max<int64_t>(1, 64 / channels) : 1) {
    for (int64_t r = 0; r < repeats; ++r) {
      for (int64_t c = 0; c < count; ++c) {
        scale.push_back(scales == nullptr ? 1.0f : scales[c]);
        bias.push_back(biases == nullptr ? 0.0f : biases[c]);
      }
    }
  }

  // Contiguous pixels; noise, one value per pixel, may be null.
  template <class In, class Out>
  void scale_bias_act_pixels(
      Out* to, const In* from, const float* noise, int64_t pixels, const Activation& activation) const {
    const int64_t step = noise == nullptr ? repeats : 1;
    for (int64_t i = 0; i < pixels; i += step) {
      const int64_t n = std::min(step, pixels - i) * count;
      const float shift = noise == nullptr ? 0.0f : noise[i];
      scale_bias_act_channels(to + i * count, from + i * count, scale.data(), bias.data(), shift, n, activation);
    }
  }
};

} // namespace latent_editor
