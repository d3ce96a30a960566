// A modulated convolution with its epilogue in one pass over memory, for bfloat16 in channels_last format.
//
// The image is processed in bands of rows that fit the L2 cache. A band is copied once, with its channels scaled by the
// styles, zero padding, and 32 channels of a pixel contiguous, so that a tile of 16 pixels is one contiguous kilobyte.
// Upsampling buffers only a few filtered rows of 32 channels.
#include "modulation.h"
#include "resample.h"
#include "pixels.h"

#ifdef LATENT_EDITOR_BF16

namespace latent_editor {
namespace {

// Bytes of a copied band, which leaves room for weights in an L2 cache of one or two megabytes.
constexpr int64_t BAND_BYTES = 640 << 10;
// Pixels of a row that are upsampled at once; with one more on each side, they fill whole tiles.
constexpr int64_t ENLARGED_AT_ONCE = 8 * ROWS - 2;
// Channels computed together.
constexpr int64_t PAIR = 2 * COLUMNS;

struct Job {
  int64_t samples, inputs, outputs, height, width, up;
  int64_t depths, columns, pairs; // tiles along the inputs and the outputs, and outputs in pairs of tiles
  const bfloat16* x;
  const uint8_t* weight;
  bfloat16* y;
  const std::vector<float>* styles;
  const Modulation* modulation;
  const Activation* activation;
  std::vector<float> rows, filter_columns; // of the filter
  bool tiles;
  int64_t band, bands, groups; // rows in a band, bands in a sample, groups of channels

  int64_t padded_width() const {
    return width + 2;
  }
  int64_t weight_column() const {
    return 9 * depths * TILE_BYTES;
  }
  int64_t weight_at(int64_t dy, int64_t depth, int64_t dx) const {
    return ((dy * depths + depth) * 3 + dx) * TILE_BYTES;
  }

  // Bands that fit the cache, and groups of channels if there are too few bands for all threads.
  void divide(int64_t threads) {
    const int64_t row = padded_width() * depths * DEPTH * 2;
    const int64_t most = std::max<int64_t>((BAND_BYTES / row) - 2, 1);
    bands = (height + most - 1) / most;
    if (samples < threads && bands < threads && height >= 8 * threads) {
      bands = threads;
    }
    band = (height + bands - 1) / bands;
    bands = (height + band - 1) / band;
    const int64_t items = samples * bands;
    groups = items >= 2 * threads || items % threads == 0 ? 1 : std::min(pairs, threads);
  }
};

// Buffers of one thread: the copied band [depth, position, 32], and sums.
struct Workplace {
  std::vector<bfloat16> copied_memory;
  std::vector<float> sums_memory, filtered_memory;
  bfloat16* copied = nullptr;
  float *sums = nullptr, *filtered = nullptr;
  int64_t positions = 0;

  const uint8_t* at(int64_t position) const {
    return reinterpret_cast<const uint8_t*>(copied + position * DEPTH);
  }
};

// Copies rows first … first + count − 1 of a sample, with zeros outside of it, after one position of padding.
void copy_band(Workplace& w, const Job& job, int64_t sample, int64_t first, int64_t count) {
  const int64_t wide = job.padded_width();
  w.positions = count * wide + 3 * ROWS;
  w.copied = aligned(w.copied_memory, w.positions * job.depths * DEPTH);
  const float* styles = job.styles->data() + sample * job.inputs;
  for (int64_t d = 0; d < job.depths; ++d) {
    bfloat16* plane = w.copied + d * w.positions * DEPTH;
    const auto clear = [&](int64_t at, int64_t n) { std::memset(static_cast<void*>(plane + at * DEPTH), 0, n * DEPTH * 2); };
    const int64_t channels = std::min(job.inputs - d * DEPTH, DEPTH);
    clear(0, 1);
    clear(1 + count * wide, w.positions - 1 - count * wide);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t row = first + r, at = 1 + r * wide;
      if (row < 0 || row >= job.height) {
        clear(at, wide);
        continue;
      }
      clear(at, 1);
      clear(at + wide - 1, 1);
      const bfloat16* from = job.x + ((sample * job.height + row) * job.width) * job.inputs + d * DEPTH;
      scale_pixels(plane + (at + 1) * DEPTH, from, styles + d * DEPTH, job.width, job.inputs, channels);
    }
  }
}

// Scale, bias and mask of the channels of a pair of tiles.
struct PairOf {
  __m512 scale[2], bias[2];
  __mmask16 there[2];
};

ON_BF16 PairOf pair_of(const Job& job, int64_t sample, int64_t pair) {
  PairOf p;
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t first = pair * PAIR + i * COLUMNS, left = job.outputs - first;
    p.there[i] = left >= 16 ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1u << left) - 1u);
    const float *scales = job.modulation->scales(sample), *biases = job.modulation->biases();
    p.scale[i] = scales == nullptr ? _mm512_set1_ps(1.0f) : _mm512_maskz_loadu_ps(p.there[i], scales + first);
    p.bias[i] = biases == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(p.there[i], biases + first);
  }
  return p;
}

// y = clamp(gain · act(u · scale + bias + noise)), preserving NaN as in activation.h.
ON_BF16 inline void scale_bias_act_pixel(
    bfloat16* to, __m512 a, __m512 b, const PairOf& p, float noise, const Activation& f) {
  const __m512 slope = _mm512_set1_ps(f.slope), gain = _mm512_set1_ps(f.gain), zero = _mm512_setzero_ps();
  const __m512 most = _mm512_set1_ps(f.limit), least = _mm512_set1_ps(-f.limit), more = _mm512_set1_ps(noise);
  __m512 u[2] = {a, b};
  for (int i = 0; i < 2; ++i) {
    __m512 v = _mm512_fmadd_ps(u[i], p.scale[i], _mm512_add_ps(p.bias[i], more));
    v = _mm512_mask_mul_ps(v, _mm512_cmp_ps_mask(v, zero, _CMP_LT_OQ), v, slope);
    // min and max return their second operand if one is NaN
    u[i] = _mm512_max_ps(least, _mm512_min_ps(most, _mm512_mul_ps(v, gain)));
  }
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(u[1], u[0]);
  const __mmask32 there = static_cast<__mmask32>(p.there[0]) | static_cast<__mmask32>(p.there[1]) << 16;
  if (there == 0xffffffffu) {
    _mm512_storeu_si512(to, both);
  } else {
    _mm512_mask_storeu_epi16(to, there, both);
  }
}

// Convolves rows first … last − 1 of a copied band as one sequence of positions; those of the padding between rows are
// discarded.
ON_BF16 void convolve(
    Workplace& w, const Job& job, const std::vector<Step>& steps, int64_t sample, int64_t first, int64_t last,
    int64_t pair) {
  const int64_t wide = job.padded_width(), count = (last - first) * wide - 2;
  const int64_t columns = std::min<int64_t>(job.columns - 2 * pair, 2);
  const uint8_t* weight = job.weight + 2 * pair * job.weight_column();
  const PairOf channels = pair_of(job, sample, pair);
  const float* noise = job.modulation->noise_of(sample);
  const Activation activation = *job.activation;
  float* sums = w.sums;
  bfloat16* to = job.y + (sample * job.height + first) * job.width * job.outputs + pair * PAIR;
  int64_t row = 0, column = 0;
  for (int64_t at = 0; at < count; at += 2 * ROWS) {
    const int64_t tiles = std::min<int64_t>((count - at + ROWS - 1) / ROWS, 2);
    multiply(job.tiles, sums, PAIR, tiles, columns, w.at(1 + at), weight, job.weight_column(), steps);
    const int64_t n = std::min(count - at, 2 * ROWS);
    for (int64_t i = 0; i < n; ++i) {
      if (column < job.width) {
        const int64_t pixel = row * job.width + column;
        const float grain = noise == nullptr ? 0.0f : noise[first * job.width + pixel];
        const float* u = sums + i * PAIR;
        scale_bias_act_pixel(
            to + pixel * job.outputs, _mm512_load_ps(u), _mm512_load_ps(u + 16), channels, grain, activation);
      }
      if (++column == wide) {
        column = 0;
        ++row;
      }
    }
  }
}

// Filters an upsampled row horizontally: from the sums of its even and odd columns, each starting one pixel earlier, to
// 2·count pixels.
ON_BF16 void filter_row(float* to, const float* even, const float* odd, const float* taps, int64_t count) {
  const __m512 f0 = _mm512_set1_ps(taps[0]), f1 = _mm512_set1_ps(taps[1]);
  const __m512 f2 = _mm512_set1_ps(taps[2]), f3 = _mm512_set1_ps(taps[3]);
  for (int64_t half = 0; half < PAIR; half += COLUMNS) {
    const float *e = even + PAIR + half, *o = odd + half;
    __m512 e0 = _mm512_load_ps(e), o0 = _mm512_load_ps(o), o1 = _mm512_load_ps(o + PAIR);
    for (int64_t c = 0; c < count; ++c) {
      const __m512 e1 = _mm512_load_ps(e + (c + 1) * PAIR), o2 = _mm512_load_ps(o + (c + 2) * PAIR);
      __m512 a = _mm512_mul_ps(f0, o0), b = _mm512_mul_ps(f0, e0);
      a = _mm512_fmadd_ps(f1, e0, a);
      b = _mm512_fmadd_ps(f1, o1, b);
      a = _mm512_fmadd_ps(f2, o1, a);
      b = _mm512_fmadd_ps(f2, e1, b);
      _mm512_store_ps(to + 2 * c * PAIR + half, _mm512_fmadd_ps(f3, e1, a));
      _mm512_store_ps(to + (2 * c + 1) * PAIR + half, _mm512_fmadd_ps(f3, o2, b));
      e0 = e1;
      o0 = o1;
      o1 = o2;
    }
  }
}

// Filters four rows vertically, and applies the epilogue.
ON_BF16 void filter_columns_and_activate(
    bfloat16* to, const float* const* rows, const float* taps, const PairOf& channels, const float* noise,
    int64_t pixels, int64_t step, const Activation& activation) {
  const __m512 f0 = _mm512_set1_ps(taps[0]), f1 = _mm512_set1_ps(taps[1]);
  const __m512 f2 = _mm512_set1_ps(taps[2]), f3 = _mm512_set1_ps(taps[3]);
  const float *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  for (int64_t i = 0; i < pixels; ++i, to += step) {
    __m512 u[2];
    for (int64_t h = 0; h < 2; ++h) {
      const int64_t at = i * PAIR + h * COLUMNS;
      __m512 v = _mm512_mul_ps(f0, _mm512_load_ps(r0 + at));
      v = _mm512_fmadd_ps(f1, _mm512_load_ps(r1 + at), v);
      v = _mm512_fmadd_ps(f2, _mm512_load_ps(r2 + at), v);
      u[h] = _mm512_fmadd_ps(f3, _mm512_load_ps(r3 + at), v);
    }
    scale_bias_act_pixel(to, u[0], u[1], channels, noise == nullptr ? 0.0f : noise[i], activation);
  }
}

// The four phases of a transposed convolution of stride 2: even or odd row and column of the result.
struct Phases {
  std::vector<Step> steps[2][2];

  Phases(const Job& job, int64_t positions) {
    // y[2m] = x[m]·w[0] + x[m − 1]·w[2] and y[2m + 1] = x[m]·w[1], along both axes
    for (int64_t odd_y = 0; odd_y < 2; ++odd_y) {
      for (int64_t odd_x = 0; odd_x < 2; ++odd_x) {
        for (int64_t dy = odd_y; dy < 3; dy += 2) {
          for (int64_t d = 0; d < job.depths; ++d) {
            for (int64_t dx = odd_x; dx < 3; dx += 2) {
              const int64_t back = (dy == 2 ? job.padded_width() : 0) + (dx == 2 ? 1 : 0);
              steps[odd_y][odd_x].push_back({(d * positions - back) * 64, job.weight_at(dy, d, dx)});
            }
          }
        }
      }
    }
  }
};

// Upsamples columns left … left + count − 1 of rows first … last − 1 of a copied band.
void enlarge(
    Workplace& w, const Job& job, const Phases& phases, int64_t sample, int64_t first, int64_t last, int64_t left,
    int64_t count, int64_t pair) {
  const int64_t tiles = (count + 2 + ROWS - 1) / ROWS, plane = tiles * ROWS * PAIR;
  const int64_t columns = std::min<int64_t>(job.columns - 2 * pair, 2);
  const int64_t long_row = 2 * ENLARGED_AT_ONCE * PAIR;
  const uint8_t* weight = job.weight + 2 * pair * job.weight_column();
  const PairOf channels = pair_of(job, sample, pair);
  const float* noise = job.modulation->noise_of(sample);
  const auto filtered = [&](int64_t row) { return w.filtered + (row + 6) % 6 * long_row; };
  for (int64_t m = first - 1; m <= last; ++m) {
    // positions start at column left − 1; row first − 1 is at position 1
    const uint8_t* from = w.at(1 + (m - first + 1) * job.padded_width() + left);
    for (int64_t odd = m < first ? 1 : 0; odd < 2; ++odd) {
      for (int64_t side = 0; side < 2; ++side) {
        multiply(
            job.tiles, w.sums + side * plane, PAIR, tiles, columns, from, weight, job.weight_column(),
            phases.steps[odd][side]);
      }
      filter_row(filtered(2 * m + odd), w.sums, w.sums + plane, job.filter_columns.data(), count);
    }
    if (m <= first) {
      continue;
    }
    for (int64_t row = 2 * m - 2; row < 2 * m; ++row) {
      const float* rows[4] = {filtered(row - 1), filtered(row), filtered(row + 1), filtered(row + 2)};
      const int64_t at = row * 2 * job.width + 2 * left;
      bfloat16* to = job.y + (sample * 4 * job.height * job.width + at) * job.outputs + pair * PAIR;
      filter_columns_and_activate(
          to, rows, job.rows.data(), channels, noise == nullptr ? nullptr : noise + at, 2 * count, job.outputs,
          *job.activation);
    }
  }
}

void work(const Job& job, int64_t begin, int64_t end) {
  static thread_local Workplace w; // allocating it anew would cost as much as a small image
  const TileSetting setting(job.tiles);
  w.sums = aligned(w.sums_memory, 2 * (ENLARGED_AT_ONCE + 2) * PAIR);
  std::fill(w.sums, w.sums + 2 * (ENLARGED_AT_ONCE + 2) * PAIR, 0.0f);
  if (job.up == 2) {
    w.filtered = aligned(w.filtered_memory, 6 * 2 * ENLARGED_AT_ONCE * PAIR);
  }
  int64_t ready = -1;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t group = item % job.groups, place = item / job.groups;
    const int64_t sample = place / job.bands, first = place % job.bands * job.band;
    const int64_t last = std::min(first + job.band, job.height);
    if (place != ready) {
      copy_band(w, job, sample, first - 1, last - first + 2);
      ready = place;
    }
    std::vector<Step> steps;
    for (int64_t dy = 0; dy < 3; ++dy) {
      for (int64_t d = 0; d < job.depths; ++d) {
        for (int64_t dx = 0; dx < 3; ++dx) {
          steps.push_back({(d * w.positions + dy * job.padded_width() + dx) * 64, job.weight_at(dy, d, dx)});
        }
      }
    }
    const Phases phases(job, w.positions);
    for (int64_t pair = group * job.pairs / job.groups; pair < (group + 1) * job.pairs / job.groups; ++pair) {
      if (job.up == 1) {
        convolve(w, job, steps, sample, first, last, pair);
        continue;
      }
      for (int64_t left = 0; left < job.width; left += ENLARGED_AT_ONCE) {
        enlarge(w, job, phases, sample, first, last, left, std::min(job.width - left, ENLARGED_AT_ONCE), pair);
      }
    }
  }
}

Tensor modulated_conv(
    const Tensor& given, const Tensor& weight, const Tensor& styles, const Tensor& scale, std::optional<Tensor> b,
    std::optional<Tensor> noise, std::optional<Tensor> f, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  STD_TORCH_CHECK(
      given.dim() == 4 && given.scalar_type() == ScalarType::BFloat16 && is_channels_last(given),
      "Expected x [N, C, H, W] in bfloat16 and channels_last order.");
  STD_TORCH_CHECK(weight.is_contiguous() && weight.scalar_type() == ScalarType::BFloat16, "Expected packed weights.");
  STD_TORCH_CHECK(act >= LINEAR && act <= LRELU, "Expected a piecewise linear activation.");
  Job job;
  job.samples = given.size(0), job.inputs = given.size(1), job.height = given.size(2), job.width = given.size(3);
  job.outputs = scale.size(1), job.up = f.has_value() ? 2 : 1;
  job.depths = (job.inputs + DEPTH - 1) / DEPTH, job.columns = (job.outputs + COLUMNS - 1) / COLUMNS;
  job.pairs = (job.columns + 1) / 2;
  STD_TORCH_CHECK(
      weight.numel() == job.columns * 9 * job.depths * DEPTH * COLUMNS, "Expected weights packed for these channels.");
  if (f.has_value()) {
    const Terms terms = terms_of(f, false, 4.0f);
    STD_TORCH_CHECK(
        terms.size() == 1 && terms[0].first.size() == 4 && terms[0].second.size() == 4,
        "Expected a separable filter of 4 × 4 taps.");
    job.rows = terms[0].first, job.filter_columns = terms[0].second;
  }
  const int64_t height = job.height * job.up, width = job.width * job.up;
  Tensor y = empty_as(given, {job.samples, job.outputs, height, width}, true);
  const Modulation modulation(y, scale, b, noise, height * width);
  const Activation activation(kind_of(act), alpha, gain, clamp);
  std::vector<float> style_values = floats(styles);
  STD_TORCH_CHECK(
      static_cast<int64_t>(style_values.size()) == job.samples * job.inputs, "Expected styles of shape [N, C].");
  style_values.resize(style_values.size() + DEPTH); // vector loads of 16 read beyond the end
  static const bool tiles = has_tiles();
  job.tiles = tiles;
  job.styles = &style_values, job.modulation = &modulation, job.activation = &activation;
  job.x = static_cast<const bfloat16*>(given.const_data_ptr());
  job.weight = static_cast<const uint8_t*>(weight.const_data_ptr());
  job.y = static_cast<bfloat16*>(y.mutable_data_ptr());
  job.divide(static_cast<int64_t>(torch::stable::get_num_threads()));
  torch::stable::parallel_for(0, job.samples * job.bands * job.groups, 1, [&](int64_t begin, int64_t end) {
    work(job, begin, end);
  });
  return y;
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  if (has_bf16()) {
    m.impl("modulated_conv", TORCH_BOX(&modulated_conv));
  }
}

} // namespace
} // namespace latent_editor

#endif
