// Shared by the kernels: three floating-point types, and launching.
//
// Kernels only include CUDA headers, so that every machine with nvcc can compile them. They use grid-stride loops and
// are correct for any number of threads: with one thread per block, tests run the same source on a CPU.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "../activation.h"
#include "entries.h"

#ifndef LAUNCH // tests define it for CPUs
#define LAUNCH(kernel, blocks, threads, bytes, stream) \
  kernel<<<dim3(blocks), dim3(threads), (bytes), static_cast<cudaStream_t>(stream)>>>
#define DYNAMIC_SHARED(name) extern __shared__ float name[]
#endif

namespace latent_editor {

constexpr int THREADS = 256;
constexpr int64_t MAX_BLOCKS = 1 << 20; // more than any GPU runs at once; the loops do the rest

inline unsigned blocks_for(int64_t n) {
  const int64_t blocks = (n + THREADS - 1) / THREADS;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < MAX_BLOCKS ? blocks : MAX_BLOCKS);
}

__device__ inline float widened(float x) {
  return x;
}
__device__ inline float widened(__half x) {
  return __half2float(x);
}
__device__ inline float widened(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline void store(float* to, float x) {
  *to = x;
}
__device__ inline void store(__half* to, float x) {
  *to = __float2half(x);
}
__device__ inline void store(__nv_bfloat16* to, float x) {
  *to = __float2bfloat16(x);
}

__device__ inline float activate(float u, const Activation& activation) {
  return activation.piecewise() ? activate_piecewise(u, activation.slope, activation.gain, activation.limit)
                                : activate_curve(u, activation);
}

// Calls f with a null pointer of the type given by `precision`.
template <class F>
void by_precision(int precision, F f) {
  if (precision == HALF) {
    f(static_cast<__half*>(nullptr));
  } else if (precision == BRAIN) {
    f(static_cast<__nv_bfloat16*>(nullptr));
  } else {
    f(static_cast<float*>(nullptr));
  }
}

} // namespace latent_editor
