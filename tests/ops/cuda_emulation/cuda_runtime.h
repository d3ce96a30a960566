// Enough of CUDA to run a kernel on a CPU, one thread a block and one block after another: the tests' stand-in.
//
// It finds wrong numbers and wrong indices. It does not find races, nor what only many threads do.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__

struct dim3 {
  unsigned x;
  explicit dim3(unsigned n = 1) : x(n) {}
};

using cudaStream_t = void*;
inline int cudaGetLastError() {
  return 0;
}
inline void __syncthreads() {}

namespace emulation {
inline thread_local dim3 threads(1), blocks(1), thread(0), block(0);
inline thread_local std::vector<float> shared;

template <class Kernel>
struct Launch {
  Kernel kernel;
  unsigned count;
  size_t bytes;

  template <class... Arguments>
  void operator()(Arguments&&... arguments) const {
    blocks = dim3(count);
    for (unsigned i = 0; i < count; ++i) {
      block = dim3(i);
      shared.assign(bytes / sizeof(float), __builtin_nanf("")); // nothing may be read before it is written
      kernel(arguments...);
    }
  }
};

template <class Kernel>
Launch<Kernel> launch(Kernel kernel, unsigned count, size_t bytes) {
  return {kernel, count, bytes};
}
} // namespace emulation

#define threadIdx emulation::thread
#define blockIdx emulation::block
#define blockDim emulation::threads
#define gridDim emulation::blocks
#define LAUNCH(kernel, blocks, threads, bytes, stream) emulation::launch(kernel, blocks, bytes)
#define DYNAMIC_SHARED(name) float* name = emulation::shared.data()
