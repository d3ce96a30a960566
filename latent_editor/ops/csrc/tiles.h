// Products of small bfloat16 matrices, accumulated in float32, with AMX tiles or AVX-512 dot products: the basis of
// channels_last convolutions.
#pragma once

#if defined(__x86_64__) && ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11))
#define LATENT_EDITOR_BF16 1

#include <cpuid.h>
#include <immintrin.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdint>
#include <vector>

#define ON_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define ON_TILES __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

namespace latent_editor {

// A tile of A is 16 rows of 32 values, one of B is 32 × 16 with pairs of rows interleaved, one of C is 16 × 16.
constexpr int64_t ROWS = 16, DEPTH = 32, COLUMNS = 16;
constexpr int64_t TILE_BYTES = 1024;

// One product: byte offsets of its tiles of A and B.
struct Step {
  int64_t a, b;
};

// Whether the CPU multiplies bfloat16, and the operating system saves the required registers.
inline bool has_bf16() {
  unsigned a, b, c, d;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return false;
  }
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

// Whether AMX tiles are available; requests permission from the operating system.
inline bool has_tiles() {
#ifdef __linux__
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) {
    return false;
  }
  constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}

// A compiler barrier: compilers do not know what tile instructions read and write.
inline void settle() {
  __asm__ volatile("" ::: "memory");
}

// Configures eight tiles of 16 × 64 bytes; the destructor restores the configuration of another library.
class TileSetting {
 public:
  explicit TileSetting(bool tiles) : tiles_(tiles) {
    if (tiles_) {
      begin();
    }
  }
  ~TileSetting() {
    if (tiles_) {
      end();
    }
  }
  TileSetting(const TileSetting&) = delete;
  TileSetting& operator=(const TileSetting&) = delete;

 private:
  ON_TILES void begin() {
    _tile_storeconfig(before_);
    settle();
    alignas(64) uint8_t wanted[64] = {1};
    for (int i = 0; i < 8; ++i) {
      wanted[16 + 2 * i] = 64; // bytes per row
      wanted[48 + i] = 16;     // rows
    }
    settle();
    _tile_loadconfig(wanted);
  }
  ON_TILES void end() {
    settle();
    _tile_loadconfig(before_);
  }

  bool tiles_;
  alignas(64) uint8_t before_[64] = {};
};

// C [16·M, 16·N] = Σ A·B over the steps. The row stride of A is 64 bytes, of C c_row floats; the second column of tiles
// of B starts b_column bytes after the first.
template <int M, int N>
ON_TILES inline void multiply_tiles(
    float* c, int64_t c_row, const uint8_t* a, const uint8_t* b, int64_t b_column, const Step* steps, int64_t count) {
  settle();
  _tile_zero(0);
  if (N > 1) {
    _tile_zero(1);
  }
  if (M > 1) {
    _tile_zero(2);
    if (N > 1) {
      _tile_zero(3);
    }
  }
  for (int64_t k = 0; k < count; ++k) {
    const uint8_t *from = a + steps[k].a, *by = b + steps[k].b;
    _tile_loadd(6, by, 64);
    _tile_loadd(4, from, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (M > 1) {
      _tile_loadd(5, from + TILE_BYTES, 64);
      _tile_dpbf16ps(2, 5, 6);
    }
    if (N > 1) {
      _tile_loadd(7, by + b_column, 64);
      _tile_dpbf16ps(1, 4, 7);
      if (M > 1) {
        _tile_dpbf16ps(3, 5, 7);
      }
    }
  }
  _tile_stored(0, c, c_row * 4);
  if (N > 1) {
    _tile_stored(1, c + COLUMNS, c_row * 4);
  }
  if (M > 1) {
    _tile_stored(2, c + ROWS * c_row, c_row * 4);
    if (N > 1) {
      _tile_stored(3, c + ROWS * c_row + COLUMNS, c_row * 4);
    }
  }
  settle();
}

// The same with AVX-512 dot products, for 16·m rows.
template <int N>
ON_BF16 inline void multiply_pairs(
    float* c, int64_t c_row, const uint8_t* a, const uint8_t* b, int64_t b_column, const Step* steps, int64_t count,
    int64_t m) {
  constexpr int64_t AT_ONCE = 8;
  for (int64_t row = 0; row < ROWS * m; row += AT_ONCE) {
    __m512 sums[AT_ONCE][N];
    for (int64_t r = 0; r < AT_ONCE; ++r) {
      for (int n = 0; n < N; ++n) {
        sums[r][n] = _mm512_setzero_ps();
      }
    }
    for (int64_t k = 0; k < count; ++k) {
      const uint8_t *from = a + steps[k].a + row * 64, *by = b + steps[k].b;
      for (int64_t pair = 0; pair < DEPTH / 2; ++pair) {
        __m512bh columns[N];
        for (int n = 0; n < N; ++n) {
          columns[n] = (__m512bh)_mm512_loadu_si512(by + n * b_column + pair * 64);
        }
        for (int64_t r = 0; r < AT_ONCE; ++r) {
          int32_t two;
          __builtin_memcpy(&two, from + r * 64 + pair * 4, 4);
          const __m512bh value = (__m512bh)_mm512_set1_epi32(two);
          for (int n = 0; n < N; ++n) {
            sums[r][n] = _mm512_dpbf16_ps(sums[r][n], value, columns[n]);
          }
        }
      }
    }
    for (int64_t r = 0; r < AT_ONCE; ++r) {
      for (int n = 0; n < N; ++n) {
        _mm512_storeu_ps(c + (row + r) * c_row + n * COLUMNS, sums[r][n]);
      }
    }
  }
}

// C [16·rows, 16·columns] over the steps, with one or two columns of tiles.
inline void multiply(
    bool tiles, float* c, int64_t c_row, int64_t rows, int64_t columns, const uint8_t* a, const uint8_t* b,
    int64_t b_column, const std::vector<Step>& steps) {
  const Step* first = steps.data();
  const int64_t count = static_cast<int64_t>(steps.size());
  if (!tiles) {
    columns > 1 ? multiply_pairs<2>(c, c_row, a, b, b_column, first, count, rows)
                : multiply_pairs<1>(c, c_row, a, b, b_column, first, count, rows);
    return;
  }
  for (int64_t i = 0; i < rows; i += 2, c += 2 * ROWS * c_row, a += 2 * TILE_BYTES) {
    if (i + 1 < rows) {
      columns > 1 ? multiply_tiles<2, 2>(c, c_row, a, b, b_column, first, count)
                  : multiply_tiles<2, 1>(c, c_row, a, b, b_column, first, count);
    } else {
      columns > 1 ? multiply_tiles<1, 2>(c, c_row, a, b, b_column, first, count)
                  : multiply_tiles<1, 1>(c, c_row, a, b, b_column, first, count);
    }
  }
}

} // namespace latent_editor

#endif
