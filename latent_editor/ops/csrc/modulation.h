// Shared by the epilogue and its gradients.
#pragma once

#include <optional>
#include <vector>

#include "scale_bias_act.h"
#include "tensors.h"

namespace latent_editor {

inline int kind_of(int64_t act) {
  STD_TORCH_CHECK(act >= 0 && act < ACTIVATIONS, "An unknown activation.");
  return static_cast<int>(act);
}

// The scales, biases and noise of a batch.
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
  // The channels of each sample, repeated only if there is no noise.
  std::vector<Channels> by_sample(int64_t samples) const {
    std::vector<Channels> all;
    for (int64_t i = 0; i < samples; ++i) {
      all.emplace_back(scales(i), biases(), channels, !noise.has_value());
    }
    return all;
  }
};

} // namespace latent_editor
