// The ToRGB layer and the sum with the upsampled image so far, in one pass over the activations, for bfloat16 in
// channels_last format.
#include "modulation.h"
#include "pixels.h"
#include "resample.h"

#ifdef LATENT_EDITOR_BF16

namespace latent_editor {
namespace {

struct Layer {
  int64_t samples, inputs, outputs, height, width, depths;
  const bfloat16* x;
  const uint8_t* weight;
  std::vector<float> styles, bias;
  float limit;
  const float* image; // of half the resolution, or null
  float* y;
  bool tiles;
};

// Writes n values of one channel from sums with stride 16: adds the bias, clamps, and adds `more`, which may be null.
ON_BF16 void write_plane_row(
    float* to, const float* sums, float bias, float limit, const float* more, int64_t n) {
  const __m512i places = _mm512_slli_epi32(
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 4);
  const __m512 most = _mm512_set1_ps(limit), least = _mm512_set1_ps(-limit), shift = _mm512_set1_ps(bias);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 there = n - i >= 16 ? 0xffff : static_cast<__mmask16>((1u << (n - i)) - 1u);
    __m512 v = _mm512_add_ps(_mm512_i32gather_ps(places, sums + i * COLUMNS, 4), shift);
    v = _mm512_max_ps(least, _mm512_min_ps(most, v)); // preserves NaN
    if (more != nullptr) {
      v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(there, more + i));
    }
    _mm512_mask_storeu_ps(to + i, there, v);
  }
}

void work(const Layer& layer, const Resampling* resampling, int64_t begin, int64_t end) {
  static thread_local std::vector<bfloat16> copied_memory;
  static thread_local std::vector<float> sums_memory, enlarged;
  const TileSetting setting(layer.tiles);
  const int64_t width = layer.width, height = layer.height, tiles = (width + ROWS - 1) / ROWS;
  bfloat16* copied = aligned(copied_memory, layer.depths * tiles * ROWS * DEPTH);
  float* sums = aligned(sums_memory, tiles * ROWS * COLUMNS);
  enlarged.resize(static_cast<size_t>(width));
  std::vector<Step> steps;
  for (int64_t d = 0; d < layer.depths; ++d) {
    steps.push_back({d * tiles * TILE_BYTES, d * TILE_BYTES});
  }
  std::optional<RowResampler> rows;
  if (resampling != nullptr) {
    rows.emplace(*resampling, height / 2, width / 2, 1);
  }
  for (int64_t i = begin; i < end; ++i) {
    const int64_t sample = i / height, row = i % height;
    const bfloat16* from = layer.x + i * width * layer.inputs;
    const float* styles = layer.styles.data() + sample * layer.inputs;
    for (int64_t d = 0; d < layer.depths; ++d) {
      scale_pixels(
          copied + d * tiles * ROWS * DEPTH, from + d * DEPTH, styles + d * DEPTH, width, layer.inputs,
          std::min(layer.inputs - d * DEPTH, DEPTH));
    }
    multiply(layer.tiles, sums, COLUMNS, tiles, 1, reinterpret_cast<const uint8_t*>(copied), layer.weight, 0, steps);
    for (int64_t c = 0; c < layer.outputs; ++c) {
      const int64_t plane = sample * layer.outputs + c;
      if (rows.has_value()) {
        rows->run(layer.image + plane * (height / 2) * (width / 2), row);
        const float *even = rows->phase(0), *odd = rows->phase(1);
        for (int64_t k = 0; k < width / 2; ++k) {
          enlarged[2 * k] = even[k];
          enlarged[2 * k + 1] = odd[k];
        }
      }
      write_plane_row(
          layer.y + (plane * height + row) * width, sums + c, layer.bias[c], layer.limit,
          rows.has_value() ? enlarged.data() : nullptr, width);
    }
  }
}

Tensor to_rgb(
    const Tensor& x, const Tensor& weight, const Tensor& styles, const Tensor& b, std::optional<Tensor> image,
    std::optional<Tensor> f, std::optional<double> clamp) {
  STD_TORCH_CHECK(
      x.dim() == 4 && x.scalar_type() == ScalarType::BFloat16 && is_channels_last(x),
      "Expected x [N, C, H, W] in bfloat16 and channels_last order.");
  Layer layer;
  layer.samples = x.size(0), layer.inputs = x.size(1), layer.height = x.size(2), layer.width = x.size(3);
  layer.outputs = b.size(0), layer.depths = (layer.inputs + DEPTH - 1) / DEPTH;
  STD_TORCH_CHECK(layer.outputs <= COLUMNS, "Expected a picture of at most 16 channels.");
  STD_TORCH_CHECK(
      weight.scalar_type() == ScalarType::BFloat16 && weight.is_contiguous() &&
          weight.numel() == layer.depths * DEPTH * COLUMNS,
      "Expected weights packed for these channels.");
  layer.styles = floats(styles), layer.bias = floats(b);
  STD_TORCH_CHECK(
      static_cast<int64_t>(layer.styles.size()) == layer.samples * layer.inputs, "Expected styles of shape [N, C].");
  layer.styles.resize(layer.styles.size() + DEPTH); // vector loads of 16 read beyond the end
  std::optional<Tensor> small;
  std::optional<Resampling> resampling;
  if (image.has_value()) {
    STD_TORCH_CHECK(
        f.has_value() && image->scalar_type() == ScalarType::Float && image->dim() == 4 &&
            image->size(0) == layer.samples && image->size(1) == layer.outputs &&
            image->size(2) * 2 == layer.height && image->size(3) * 2 == layer.width,
        "Expected a filter, and a picture of half the size in float32.");
    small = torch::stable::contiguous(*image);
    // as `upsample2d` pads
    const int64_t fh = f->size(0), fw = f->size(f->dim() - 1);
    std::vector<int64_t> padding = {(fw + 1) / 2, floor_div(fw - 2, 2), (fh + 1) / 2, floor_div(fh - 2, 2)};
    resampling.emplace(*small, f, std::vector<int64_t>{2, 2}, std::vector<int64_t>{1, 1}, padding, false, 4.0);
    STD_TORCH_CHECK(
        resampling->height == layer.height && resampling->width == layer.width, "Expected a filter that keeps the size.");
  }
  layer.image = small.has_value() ? static_cast<const float*>(small->const_data_ptr()) : nullptr;
  layer.limit = clamp.has_value() ? static_cast<float>(*clamp) : std::numeric_limits<float>::infinity();
  const std::array<int64_t, 4> shape = {layer.samples, layer.outputs, layer.height, layer.width};
  Tensor y = torch::stable::empty(
      {shape.data(), shape.size()}, ScalarType::Float, std::nullopt, x.device(), std::nullopt, MemoryFormat::Contiguous);
  static const bool tiles = has_tiles();
  layer.tiles = tiles;
  layer.x = static_cast<const bfloat16*>(x.const_data_ptr());
  layer.weight = static_cast<const uint8_t*>(weight.const_data_ptr());
  layer.y = static_cast<float*>(y.mutable_data_ptr());
  const int64_t grain = std::max<int64_t>(GRAIN / (layer.width * layer.inputs), 1);
  torch::stable::parallel_for(0, layer.samples * layer.height, grain, [&](int64_t begin, int64_t end) {
    work(layer, resampling.has_value() ? &*resampling : nullptr, begin, end);
  });
  return y;
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, CPU, m) {
  if (has_bf16()) {
    m.impl("to_rgb", TORCH_BOX(&to_rgb));
  }
}

} // namespace
} // namespace latent_editor

#endif
