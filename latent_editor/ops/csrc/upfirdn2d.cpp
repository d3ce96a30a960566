#include "resample.h"

namespace latent_editor {
namespace {

// Interleaves the phases of a row to n pixels of `channels` values.
template <class T>
void write_row(T* to, const RowResampler& rows, int64_t up, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < up; ++p) {
    const float* from = rows.phase(p);
    if (up == 1) {
      for (int64_t i = 0; i < pixels * channels; ++i) {
        store(to + i, from[i]);
      }
    } else if (channels == 1) {
      for (int64_t i = p, m = 0; i < pixels; i += up, ++m) {
        store(to + i, from[m]);
      }
    } else {
      for (int64_t i = p; i < pixels; i += up, from += channels) {
        for (int64_t c = 0; c < channels; ++c) {
          store(to + i * channels + c, from[c]);
        }
      }
    }
  }
}

Tensor upfirdn2d(
    const Tensor& given, std::optional<Tensor> f, std::vector<int64_t> up, std::vector<int64_t> down,
    std::vector<int64_t> padding, bool flip_filter, double gain) {
  const Tensor x = in_order(given);
  const Resampling r(x, f, up, down, padding, flip_filter, gain);
  const bool last = is_channels_last(x);
  const int64_t channels = last ? x.size(1) : 1;
  Tensor y = empty_as(x, {x.size(0), x.size(1), r.height, r.width}, last);
  by_dtype(x, [&](auto kind) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(kind)>>;
    T* out = static_cast<T*>(y.mutable_data_ptr());
    resample<T>(x, r, last, [&](int64_t picture, int64_t row, const RowResampler& rows) {
      write_row(out + (picture * r.height + row) * r.width * channels, rows, r.up[0], r.width, channels);
    });
  });
  return y;
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d));
}

} // namespace
} // namespace latent_editor
