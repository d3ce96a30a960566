// What the kernels have in common: numbers of three precisions, and how a kernel is started.
//
// Kernels include CUDA's own headers only, so that every machine with nvcc can compile them. Each is right for any
// number of threads, and loops over what is left: with one thread a block, the same source runs on a CPU, in tests.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "../activation.h"
#include "entries.h"

#ifndef LAUNCH // tests define how a CPU does it
#define LAUNCH(kernel, blocks, threads, bytes, stream) \
  kernel<<<dim3(blocks), dim3(threads), (bytes), static_cast<cudaStream_t>(stream)>>>
#define DYNAMIC_SHARED(name) extern __shared__ float name[]
#endif

namespace latent_editor {

constexpr int THREADS = 256;
constexpr int64_t MOST_BLOCKS = 1 << 20; // more than any GPU runs at once; the loops do the rest

inline unsigned blocks_for(int64_t n) {
  const int64_t blocks = (n + THREADS - 1) / THREADS;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS);
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

__device__ inline float finished(float u, const Finish& finish) {
  return finish.piecewise() ? finished_piecewise(u, finish.slope, finish.gain, finish.limit) : finished_curve(u, finish);
}

// Calls f with a null pointer of the type that `precision` names.
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
