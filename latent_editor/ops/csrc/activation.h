// The activation functions of `bias_act`, numbered as in ACTIVATIONS (bias_act.py).
#pragma once

#include <cmath>
#include <limits>
#include <optional>

#ifdef __CUDACC__
#define ON_BOTH __host__ __device__
#else
#define ON_BOTH
#endif

namespace latent_editor {

enum ActivationKind { LINEAR, RELU, LRELU, TANH, SIGMOID, ELU, SELU, SOFTPLUS, SWISH, ACTIVATIONS };

// y = clamp(gain · act(u)). The first three kinds are x for x > 0 and slope · x otherwise, without a branch.
struct Activation {
  int kind;
  float slope;
  float gain;
  float limit; // infinity: no clamp

  Activation(int kind_, double alpha, double gain_, std::optional<double> clamp)
      : kind(kind_),
        slope(kind_ == LINEAR ? 1.0f : kind_ == RELU ? 0.0f : static_cast<float>(alpha)),
        gain(static_cast<float>(gain_)),
        limit(clamp.has_value() ? static_cast<float>(*clamp) : std::numeric_limits<float>::infinity()) {}

  ON_BOTH bool piecewise() const {
    return kind <= LRELU;
  }
};

// Both comparisons are false for NaN, which is therefore preserved.
ON_BOTH inline float clamped(float x, float limit) {
  x = x < -limit ? -limit : x;
  return x > limit ? limit : x;
}

ON_BOTH inline float activate_piecewise(float u, float slope, float gain, float limit) {
  return clamped((u > 0.0f ? u : u * slope) * gain, limit);
}

ON_BOTH inline float curve(int kind, float u) {
  switch (kind) {
    case TANH:
      return std::tanh(u);
    case SIGMOID:
      return 1.0f / (1.0f + std::exp(-u));
    case ELU:
      return u > 0.0f ? u : std::expm1(u);
    case SELU:
      return 1.0507009873554805f * (u > 0.0f ? u : 1.6732632423543772f * std::expm1(u));
    case SOFTPLUS:
      return u > 20.0f ? u : std::log1p(std::exp(u)); // threshold as in PyTorch
    case SWISH:
      return u / (1.0f + std::exp(-u));
    default:
      return u;
  }
}

ON_BOTH inline float activate_curve(float u, const Activation& activation) {
  return clamped(curve(activation.kind, u) * activation.gain, activation.limit);
}

} // namespace latent_editor
