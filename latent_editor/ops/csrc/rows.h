// Sums of shifted rows, the basis of upsampling, filtering and downsampling in both memory formats.
//
// A row has W pixels of C contiguous values: C channels in channels_last, or 1 in NCHW, where each plane is an image. A
// tap shifts a row by whole pixels, so that the inner loop runs over W · C contiguous values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "numbers.h"

namespace latent_editor {

inline int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

// One tap: the input index for the first output of a phase, and its factor.
struct Tap {
  int64_t at;
  float factor;
};

// One axis of: insert up − 1 zeros, pad by `before`, correlate with taps, keep every down-th.
// Output j = phase + up · m reads input at + down · m, for each tap of its phase.
struct Axis {
  int64_t up, down, outputs;
  std::vector<std::vector<Tap>> phases;

  Axis(const std::vector<float>& taps, int64_t up_, int64_t down_, int64_t before, int64_t outputs_)
      : up(up_), down(down_), outputs(outputs_), phases(static_cast<size_t>(up_)) {
    for (int64_t phase = 0; phase < up; ++phase) {
      for (int64_t k = 0; k < static_cast<int64_t>(taps.size()); ++k) {
        const int64_t fine = phase * down + k - before; // position on the upsampled grid
        const int64_t at = floor_div(fine, up);
        if (at * up == fine && taps[k] != 0.0f) {
          phases[phase].push_back({at, taps[k]});
        }
      }
    }
  }

  // The number of outputs of a phase.
  int64_t count(int64_t phase) const {
    return phase < outputs ? (outputs - phase + up - 1) / up : 0;
  }

  // The first and last input that any output reads.
  int64_t first() const {
    int64_t least = 0;
    for (const auto& phase : phases) {
      for (const Tap& tap : phase) {
        least = std::min(least, tap.at);
      }
    }
    return least;
  }

  int64_t last() const {
    int64_t most = -1;
    for (int64_t p = 0; p < up; ++p) {
      for (const Tap& tap : phases[p]) {
        most = std::max(most, tap.at + down * (count(p) - 1));
      }
    }
    return most;
  }
};

template <class T, int N, bool ADD>
void sum_of(float* __restrict to, const T* const* from, const float* factors, int64_t n) {
  const T *a = from[0], *b = from[N > 1 ? 1 : 0], *c = from[N > 2 ? 2 : 0], *d = from[N > 3 ? 3 : 0];
  const float fa = factors[0], fb = N > 1 ? factors[1] : 0.0f, fc = N > 2 ? factors[2] : 0.0f;
  const float fd = N > 3 ? factors[3] : 0.0f;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    float y = fa * widened(a[i]);
    if (N > 1) {
      y += fb * widened(b[i]);
    }
    if (N > 2) {
      y += fc * widened(c[i]);
    }
    if (N > 3) {
      y += fd * widened(d[i]);
    }
    to[i] = ADD ? to[i] + y : y;
  }
}

template <class T, bool ADD>
void sum_of_few(float* to, const T* const* from, const float* factors, int count, int64_t n) {
  switch (count) {
    case 1:
      return sum_of<T, 1, ADD>(to, from, factors, n);
    case 2:
      return sum_of<T, 2, ADD>(to, from, factors, n);
    case 3:
      return sum_of<T, 3, ADD>(to, from, factors, n);
    default:
      return sum_of<T, 4, ADD>(to, from, factors, n);
  }
}

// to[i] = Σₖ factors[k] · from[k][i] for i < n; reads four rows in one pass.
template <class T>
void sum_of_rows(float* to, const T* const* from, const float* factors, int64_t count, int64_t n) {
  if (count == 0) {
    std::fill(to, to + n, 0.0f);
    return;
  }
  sum_of_few<T, false>(to, from, factors, static_cast<int>(std::min<int64_t>(count, 4)), n);
  for (int64_t k = 4; k < count; k += 4) {
    sum_of_few<T, true>(to, from + k, factors + k, static_cast<int>(std::min<int64_t>(count - k, 4)), n);
  }
}

// A row with the zero padding that an axis needs.
struct PaddedRow {
  int64_t first, pixels, channels, width;
  std::vector<float> values;

  PaddedRow(const Axis& axis, int64_t width_, int64_t channels_)
      : first(std::min<int64_t>(axis.first(), 0)),
        pixels(std::max(axis.last() + 1, width_) - first),
        channels(channels_),
        width(width_),
        values(static_cast<size_t>(pixels * channels_), 0.0f) {}

  float* inside() {
    return values.data() - first * channels;
  }
};

// Output row j of the vertical axis: a sum of the rows inside the image.
template <class T>
void vertical(float* to, const T* picture, const Axis& axis, int64_t j, int64_t height, int64_t row_length) {
  const T* from[64];
  float factors[64];
  int64_t count = 0;
  const int64_t phase = j % axis.up, shift = axis.down * (j / axis.up);
  bool begun = false;
  const auto flush = [&]() {
    if (!begun) {
      sum_of_rows<T>(to, from, factors, count, row_length);
    } else if (count > 0) {
      for (int64_t k = 0; k < count; k += 4) {
        sum_of_few<T, true>(to, from + k, factors + k, static_cast<int>(std::min<int64_t>(count - k, 4)), row_length);
      }
    }
    begun = true;
    count = 0;
  };
  for (const Tap& tap : axis.phases[phase]) {
    const int64_t y = tap.at + shift;
    if (y < 0 || y >= height) {
      continue;
    }
    from[count] = picture + y * row_length;
    factors[count++] = tap.factor;
    if (count == 64) {
      flush();
    }
  }
  if (!begun || count > 0) {
    flush();
  }
}

// One phase of the horizontal axis: to [count(phase) · channels].
// `split` has the row's pixels by position modulo down, so that every tap reads contiguous values.
inline void horizontal(
    float* to, const float* const* split, const Axis& axis, int64_t phase, int64_t first, int64_t channels) {
  const float* from[64];
  float factors[64];
  const int64_t n = axis.count(phase) * channels;
  const auto& taps = axis.phases[phase];
  if (taps.empty()) {
    std::fill(to, to + n, 0.0f);
  }
  for (size_t start = 0; start < taps.size(); start += 64) {
    const int64_t count = std::min<int64_t>(static_cast<int64_t>(taps.size() - start), 64);
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = taps[start + k].at - first;
      from[k] = split[at % axis.down] + at / axis.down * channels;
      factors[k] = taps[start + k].factor;
    }
    if (start == 0) {
      sum_of_rows<float>(to, from, factors, count, n);
      continue;
    }
    for (int64_t k = 0; k < count; k += 4) {
      sum_of_few<float, true>(to, from + k, factors + k, static_cast<int>(std::min<int64_t>(count - k, 4)), n);
    }
  }
}

// Splits the pixels of a row by position modulo `parts`: to[q] gets the pixels q, q + parts, …
inline void split_row(
    float* const* to, const float* from, int64_t pixels, int64_t channels, int64_t parts) {
  for (int64_t q = 0; q < parts; ++q) {
    float* into = to[q];
    if (channels == 1) {
      const int64_t count = (pixels - q + parts - 1) / parts;
      for (int64_t m = 0; m < count; ++m) {
        into[m] = from[q + m * parts];
      }
      continue;
    }
    for (int64_t i = q; i < pixels; i += parts, into += channels) {
      std::copy(from + i * channels, from + (i + 1) * channels, into);
    }
  }
}

// Factors a 2D filter [height, width] into an outer product, if it is one.
inline bool separated(
    const std::vector<float>& f, int64_t height, int64_t width, std::vector<float>& rows, std::vector<float>& columns) {
  const auto greatest = std::max_element(
      f.begin(), f.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  const int64_t at = greatest - f.begin();
  const float peak = std::fabs(*greatest);
  rows.assign(static_cast<size_t>(height), 0.0f);
  columns.assign(f.begin() + at / width * width, f.begin() + (at / width + 1) * width);
  for (int64_t i = 0; i < height && peak > 0; ++i) {
    rows[i] = f[i * width + at % width] / *greatest;
  }
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      if (std::fabs(rows[i] * columns[j] - f[i * width + j]) > 1e-6f * peak) {
        return false;
      }
    }
  }
  return true;
}

} // namespace latent_editor
