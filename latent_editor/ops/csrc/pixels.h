// Packs channels_last pixels into tiles: 32 contiguous channels, scaled by the styles.
#pragma once

#include "numbers.h"
#include "tiles.h"

#ifdef LATENT_EDITOR_BF16

namespace latent_editor {

// The cache-line-aligned start of a vector with room for `count` values.
template <class T>
inline T* aligned(std::vector<T>& memory, int64_t count) {
  memory.resize(static_cast<size_t>(count) + 64 / sizeof(T));
  const auto at = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<T*>((at + 63) / 64 * 64);
}

// Scales 32 channels of `pixels` pixels, with stride `step`, by their styles.
ON_BF16 inline void scale_pixels(
    bfloat16* to, const bfloat16* from, const float* styles, int64_t pixels, int64_t step, int64_t channels) {
  const __mmask32 some = channels >= 32 ? 0xffffffffu : (1u << channels) - 1u;
  const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some), styles);
  const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(some >> 16), styles + 16);
  for (int64_t i = 0; i < pixels; ++i, from += step, to += DEPTH) {
    const __m512i both = _mm512_maskz_loadu_epi16(some, from);
    const __m512 a = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(both)), 16));
    const __m512 b =
        _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1)), 16));
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(b, high), _mm512_mul_ps(a, low)));
  }
}

} // namespace latent_editor

#endif
