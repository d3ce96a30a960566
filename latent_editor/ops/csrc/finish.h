// The last pass over an activation: y = clamp(gain · act(scale · x + bias + noise)).
#pragma once

#include <algorithm>
#include <vector>

#include "activation.h"
#include "numbers.h"

namespace latent_editor {

// n neighbours, each with a scale and a bias of its own, and one value of noise for all. `to` may be `from`.
template <class In, class Out>
void finish_channels(
    Out* to, const In* from, const float* __restrict scale, const float* __restrict bias,
    float noise, int64_t n, const Finish& finish) {
  if (finish.piecewise()) {
    const float slope = finish.slope, gain = finish.gain, limit = finish.limit;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, finished_piecewise(widened(from[i]) * scale[i] + bias[i] + noise, slope, gain, limit));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    store(to + i, finished_curve(widened(from[i]) * scale[i] + bias[i] + noise, finish));
  }
}

// n neighbours of one channel; noise may be null.
template <class In, class Out>
void finish_plane(
    Out* to, const In* from, float scale, float bias, const float* __restrict noise, int64_t n,
    const Finish& finish) {
  const float slope = finish.slope, gain = finish.gain, limit = finish.limit;
  if (finish.piecewise() && noise != nullptr) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, finished_piecewise(widened(from[i]) * scale + bias + noise[i], slope, gain, limit));
    }
  } else if (finish.piecewise()) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
      store(to + i, finished_piecewise(widened(from[i]) * scale + bias, slope, gain, limit));
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const float u = widened(from[i]) * scale + bias + (noise == nullptr ? 0.0f : noise[i]);
      store(to + i, finished_curve(u, finish));
    }
  }
}

// Scales and biases of one sample's channels, repeated so that pixels of few channels make long inner loops.
struct Channels {
  int64_t count, repeats;
  std::vector<float> scale, bias;

  // scales and biases may be empty: 1 and 0.
  Channels(const float* scales, const float* biases, int64_t channels, bool repeat)
      : count(channels), repeats(repeat ? std::max<int64_t>(1, 64 / channels) : 1) {
    for (int64_t r = 0; r < repeats; ++r) {
      for (int64_t c = 0; c < count; ++c) {
        scale.push_back(scales == nullptr ? 1.0f : scales[c]);
        bias.push_back(biases == nullptr ? 0.0f : biases[c]);
      }
    }
  }

  // Pixels that lie next to each other; noise, one value a pixel, may be null.
  template <class In, class Out>
  void finish_pixels(Out* to, const In* from, const float* noise, int64_t pixels, const Finish& finish) const {
    const int64_t step = noise == nullptr ? repeats : 1;
    for (int64_t i = 0; i < pixels; i += step) {
      const int64_t n = std::min(step, pixels - i) * count;
      const float shift = noise == nullptr ? 0.0f : noise[i];
      finish_channels(to + i * count, from + i * count, scale.data(), bias.data(), shift, n, finish);
    }
  }
};

} // namespace latent_editor
