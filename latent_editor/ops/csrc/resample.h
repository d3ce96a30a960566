// Upsamples, pads, filters and downsamples an image row by row, and passes each output row to a writer.
#pragma once

#include <memory>
#include <utility>

#include "rows.h"
#include "tensors.h"

namespace latent_editor {

// A filter as a sum of separable ones: a single one if it is an outer product, else one for each row.
using Terms = std::vector<std::pair<std::vector<float>, std::vector<float>>>;

inline Terms terms_of(const std::optional<Tensor>& f, bool flip, float gain) {
  if (!f.has_value()) {
    return {{{1.0f}, {gain}}};
  }
  std::vector<float> taps = floats(f);
  if (!flip) { // a convolution is a correlation with the flipped filter
    std::reverse(taps.begin(), taps.end());
  }
  Terms terms;
  if (f->dim() == 1) {
    terms.push_back({taps, taps});
  } else {
    const int64_t height = f->size(0), width = f->size(1);
    std::vector<float> rows, columns;
    if (separated(taps, height, width, rows, columns)) {
      terms.push_back({rows, columns});
    } else {
      for (int64_t i = 0; i < height; ++i) {
        std::vector<float> only(static_cast<size_t>(height), 0.0f);
        only[i] = 1.0f;
        terms.push_back({only, {taps.begin() + i * width, taps.begin() + (i + 1) * width}});
      }
    }
  }
  for (auto& term : terms) {
    for (float& tap : term.second) {
      tap *= gain;
    }
  }
  return terms;
}

struct Resampling {
  std::vector<int64_t> up, down, padding; // (x, y), (x, y), (x0, x1, y0, y1)
  Terms terms;
  int64_t height, width; // of the output

  Resampling(
      const Tensor& x, const std::optional<Tensor>& f, std::vector<int64_t> up_, std::vector<int64_t> down_,
      std::vector<int64_t> padding_, bool flip, double gain)
      : up(std::move(up_)), down(std::move(down_)), padding(std::move(padding_)) {
    STD_TORCH_CHECK(x.dim() == 4, "Expected x of shape [N, C, H, W].");
    STD_TORCH_CHECK(up.size() == 2 && down.size() == 2 && padding.size() == 4, "Expected up, down [2], padding [4].");
    STD_TORCH_CHECK(up[0] > 0 && up[1] > 0 && down[0] > 0 && down[1] > 0, "Expected factors from 1.");
    terms = terms_of(f, flip, static_cast<float>(gain));
    const auto size = [](int64_t n, int64_t up, int64_t down, int64_t pad, size_t taps) {
      return floor_div(n * up + pad - static_cast<int64_t>(taps), down) + 1;
    };
    height = size(x.size(2), up[1], down[1], padding[2] + padding[3], terms[0].first.size());
    width = size(x.size(3), up[0], down[0], padding[0] + padding[1], terms[0].second.size());
    STD_TORCH_CHECK(height > 0 && width > 0, "The picture is smaller than the filter.");
  }
};

// Row buffers of one thread.
class RowResampler {
 public:
  RowResampler(const Resampling& r, int64_t in_height, int64_t in_width, int64_t channels)
      : in_height_(in_height), in_width_(in_width), channels_(channels) {
    const int64_t up = r.up[0], down = r.down[0];
    for (const auto& term : r.terms) {
      rows_.emplace_back(term.first, r.up[1], r.down[1], r.padding[2], r.height);
      columns_.emplace_back(term.second, up, down, r.padding[0], r.width);
      padded_.emplace_back(columns_.back(), in_width, channels);
      widest_ = std::max(widest_, padded_.back().pixels);
    }
    phase_length_ = (r.width + up - 1) / up * channels;
    out_.resize(static_cast<size_t>(phase_length_ * up * (r.terms.size() > 1 ? 2 : 1)));
    part_length_ = (widest_ + down - 1) / down * channels;
    if (down > 1) {
      split_.resize(static_cast<size_t>(part_length_ * down));
    }
  }

  // Output row j of an image [H, W, channels]; phase p has the pixels p, p + up, …
  template <class T>
  void run(const T* picture, int64_t j) {
    for (size_t t = 0; t < rows_.size(); ++t) {
      const Axis& axis = columns_[t];
      PaddedRow& row = padded_[t];
      vertical(row.inside(), picture, rows_[t], j, in_height_, in_width_ * channels_);
      std::vector<float*> parts(static_cast<size_t>(axis.down), row.values.data());
      if (axis.down > 1) {
        for (int64_t q = 0; q < axis.down; ++q) {
          parts[q] = split_.data() + q * part_length_;
        }
        split_row(parts.data(), row.values.data(), row.pixels, channels_, axis.down);
      }
      for (int64_t p = 0; p < axis.up; ++p) {
        float* sum = out_.data() + p * phase_length_;
        float* to = t == 0 ? sum : out_.data() + axis.up * phase_length_;
        horizontal(to, parts.data(), axis, p, row.first, channels_);
        for (int64_t i = 0; t > 0 && i < axis.count(p) * channels_; ++i) {
          sum[i] += to[i];
        }
      }
    }
  }

  const float* phase(int64_t p) const {
    return out_.data() + p * phase_length_;
  }

 private:
  int64_t in_height_, in_width_, channels_;
  int64_t widest_ = 0, phase_length_ = 0, part_length_ = 0;
  std::vector<Axis> rows_, columns_;
  std::vector<PaddedRow> padded_;
  std::vector<float> out_, split_;
};

// Calls write(picture, row, phases) for every output row of every picture (a sample in channels_last, else a plane).
template <class T, class Write>
void resample(const Tensor& x, const Resampling& r, bool channels_last, const Write& write) {
  const int64_t height = x.size(2), width = x.size(3);
  const int64_t channels = channels_last ? x.size(1) : 1;
  const int64_t pictures = channels_last ? x.size(0) : x.size(0) * x.size(1);
  const T* data = static_cast<const T*>(x.const_data_ptr());
  const int64_t grain = std::max<int64_t>(GRAIN / (r.width * channels), 1);
  torch::stable::parallel_for(0, pictures * r.height, grain, [&](int64_t begin, int64_t end) {
    RowResampler rows(r, height, width, channels);
    for (int64_t i = begin; i < end; ++i) {
      rows.run(data + i / r.height * height * width * channels, i % r.height);
      write(i / r.height, i % r.height, rows);
    }
  });
}

} // namespace latent_editor
