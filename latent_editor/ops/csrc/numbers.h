// Conversion of numbers: all kernels compute in float, regardless of the dtype in memory.
//
// Loops over these functions are written to be auto-vectorized.
#pragma once

#include <cstdint>
#include <cstring>

namespace latent_editor {

struct bfloat16 {
  uint16_t bits;
};

inline float widened(float x) {
  return x;
}

inline float widened(bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof(wide));
  return wide;
}

inline void store(float* to, float x) {
  *to = x;
}

// Rounds to nearest even, as PyTorch does; preserves NaN.
inline void store(bfloat16* to, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to->bits = static_cast<uint16_t>(x != x ? 0x7fc0u : rounded);
}

} // namespace latent_editor
