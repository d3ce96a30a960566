#include "activation.h"
#include "resample.h"

namespace latent_editor {
namespace {

// Sizes of the whole image.
struct Shape {
  int64_t height, width;           // of an input plane
  int64_t fine_height, fine_width; // of the upsampled grid
  int64_t out_height, out_width;
  int64_t down;
};

// Row buffers of one thread: the fine grid is processed row by row and is never in memory as a whole.
//
// 1. A fine row is a sum of input rows (vertical), then of its shifts (horizontal), phase by phase.
// 2. It is activated, and reordered by position modulo `down`.
// 3. Each term of the second filter sums its shifts, and buffers as many rows as the filter has.
// 4. Once all rows for an output row are buffered, the output is their sum.
class PlaneFilter {
 public:
  PlaneFilter(const Shape& s, const Axis& up_rows, const Axis& up_columns, const Terms& down)
      : s_(s), up_rows_(up_rows), up_columns_(up_columns), coarse_(up_columns_, s.width, 1) {
    phase_length_ = (s.fine_width + up_columns_.up - 1) / up_columns_.up;
    phases_.resize(static_cast<size_t>(phase_length_ * up_columns_.up));
    row_.resize(static_cast<size_t>(s.fine_width));
    part_length_ = (s.fine_width + s.down - 1) / s.down;
    parts_.resize(static_cast<size_t>(part_length_ * s.down));
    for (const auto& term : down) {
      rows_.push_back(term.first);
      columns_.emplace_back(term.second, 1, s.down, 0, s.out_width);
      kept_.emplace_back(static_cast<size_t>(static_cast<int64_t>(term.first.size()) * s.out_width));
    }
    sum_.resize(static_cast<size_t>(s.out_width));
  }

  template <class T>
  void run(const T* plane, float bias, T* out, int64_t first, int64_t end, const Activation& activation) {
    const int64_t taps = static_cast<int64_t>(rows_[0].size());
    int64_t next = first * s_.down; // the next fine row
    for (int64_t j = first; j < end; ++j) {
      for (; next < j * s_.down + taps; ++next) {
        if (next >= j * s_.down) {
          fine_row(plane, bias, next, activation);
        }
      }
      write_row(out + j * s_.out_width, j * s_.down, taps);
    }
  }

 private:
  template <class T>
  void fine_row(const T* plane, float bias, int64_t j, const Activation& activation) {
    vertical(coarse_.inside(), plane, up_rows_, j, s_.height, s_.width);
    if (bias != 0.0f) { // padding has no bias
      const float weight = bias * weight_of(j);
      float* inside = coarse_.inside();
      for (int64_t i = 0; i < s_.width; ++i) {
        inside[i] += weight;
      }
    }
    const float* whole = coarse_.values.data();
    const int64_t up = up_columns_.up;
    for (int64_t p = 0; p < up; ++p) {
      float* phase = phases_.data() + p * phase_length_;
      horizontal(phase, &whole, up_columns_, p, coarse_.first, 1);
      const int64_t n = up_columns_.count(p);
      const float slope = activation.slope, gain = activation.gain, limit = activation.limit;
      for (int64_t i = 0; i < n; ++i) {
        phase[i] = activate_piecewise(phase[i], slope, gain, limit);
      }
    }
    keep(j);
  }

  // The sum of the vertical taps of a fine row that lie inside the image, which scales the bias.
  float weight_of(int64_t j) const {
    float weight = 0.0f;
    for (const Tap& tap : up_rows_.phases[j % up_rows_.up]) {
      const int64_t y = tap.at + up_rows_.down * (j / up_rows_.up);
      weight += y >= 0 && y < s_.height ? tap.factor : 0.0f;
    }
    return weight;
  }

  void keep(int64_t j) {
    const int64_t up = up_columns_.up;
    std::vector<const float*> split(static_cast<size_t>(s_.down));
    if (up == s_.down) { // the phases already have this order
      for (int64_t q = 0; q < s_.down; ++q) {
        split[q] = phases_.data() + q * phase_length_;
      }
    } else {
      for (int64_t p = 0; p < up; ++p) {
        const float* phase = phases_.data() + p * phase_length_;
        for (int64_t i = p, m = 0; i < s_.fine_width; i += up, ++m) {
          row_[i] = phase[m];
        }
      }
      std::vector<float*> into(static_cast<size_t>(s_.down));
      for (int64_t q = 0; q < s_.down; ++q) {
        split[q] = into[q] = parts_.data() + q * part_length_;
      }
      split_row(into.data(), row_.data(), s_.fine_width, 1, s_.down);
    }
    for (size_t t = 0; t < columns_.size(); ++t) {
      float* to = kept_[t].data() + j % static_cast<int64_t>(rows_[t].size()) * s_.out_width;
      horizontal(to, split.data(), columns_[t], 0, 0, 1);
    }
  }

  template <class T>
  void write_row(T* to, int64_t first, int64_t taps) {
    from_.clear();
    factors_.clear();
    for (size_t t = 0; t < rows_.size(); ++t) {
      for (int64_t k = 0; k < taps; ++k) {
        if (rows_[t][k] != 0.0f) {
          from_.push_back(kept_[t].data() + (first + k) % taps * s_.out_width);
          factors_.push_back(rows_[t][k]);
        }
      }
    }
    sum_of_rows<float>(
        sum_.data(), from_.data(), factors_.data(), static_cast<int64_t>(from_.size()), s_.out_width);
    for (int64_t i = 0; i < s_.out_width; ++i) {
      store(to + i, sum_[i]);
    }
  }

  Shape s_;
  Axis up_rows_, up_columns_;
  PaddedRow coarse_;
  int64_t phase_length_ = 0, part_length_ = 0;
  std::vector<float> phases_, row_, parts_, sum_, factors_;
  std::vector<const float*> from_;
  std::vector<std::vector<float>> rows_, kept_;
  std::vector<Axis> columns_;
};

Tensor filtered_lrelu(
    const Tensor& given, std::optional<Tensor> fu, std::optional<Tensor> fd, std::optional<Tensor> b, int64_t up,
    int64_t down, std::vector<int64_t> padding, double gain, double slope, std::optional<double> clamp,
    bool flip_filter) {
  STD_TORCH_CHECK(is_supported(given.scalar_type()), "The CPU kernels take float32 and bfloat16 only.");
  STD_TORCH_CHECK(given.dim() == 4 && padding.size() == 4 && up > 0 && down > 0, "Expected x [N, C, H, W].");
  const Tensor x = given.is_contiguous() ? given : torch::stable::contiguous(given);
  const Terms ups = terms_of(fu, flip_filter, static_cast<float>(up * up)), downs = terms_of(fd, flip_filter, 1.0f);
  STD_TORCH_CHECK(ups.size() == 1, "Expected a separable filter for upsampling.");
  const auto& [up_rows, up_columns] = ups[0];
  const auto reach = [](const std::vector<float>& a, const std::vector<float>& b) {
    return static_cast<int64_t>(a.size() + b.size()) - 2;
  };
  Shape s{};
  s.height = x.size(2), s.width = x.size(3), s.down = down;
  const auto size = [&](int64_t n, int64_t pad, int64_t taps) { return floor_div(n * up + pad - taps - 1, down) + 1; };
  s.out_height = size(s.height, padding[2] + padding[3], reach(up_rows, downs[0].first));
  s.out_width = size(s.width, padding[0] + padding[1], reach(up_columns, downs[0].second));
  STD_TORCH_CHECK(s.out_height > 0 && s.out_width > 0, "The picture is smaller than the filters.");
  s.fine_height = (s.out_height - 1) * down + static_cast<int64_t>(downs[0].first.size());
  s.fine_width = (s.out_width - 1) * down + static_cast<int64_t>(downs[0].second.size());
  const Axis rows(up_rows, up, 1, padding[2], s.fine_height), columns(up_columns, up, 1, padding[0], s.fine_width);
  const std::vector<float> bias = floats(b);
  const int64_t channels = x.size(1), planes = x.size(0) * channels;
  STD_TORCH_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == channels, "A bias of another length.");
  const Activation activation(LRELU, slope, gain, clamp);
  const Tensor y = empty_as(x, {x.size(0), channels, s.out_height, s.out_width}, false);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    const T* from = static_cast<const T*>(x.const_data_ptr());
    T* to = static_cast<T*>(y.mutable_data_ptr());
    torch::stable::parallel_for(0, planes, 1, [&](int64_t begin, int64_t end) {
      PlaneFilter filter(s, rows, columns, downs);
      for (int64_t i = begin; i < end; ++i) {
        const float shift = bias.empty() ? 0.0f : bias[i % channels];
        filter.run(
            from + i * s.height * s.width, shift, to + i * s.out_height * s.out_width, 0, s.out_height, activation);
      }
    });
  });
  return y;
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("filtered_lrelu", TORCH_BOX(&filtered_lrelu));
}

} // namespace
} // namespace latent_editor
