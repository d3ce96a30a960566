#include "launch.cuh"

namespace latent_editor {
namespace {

constexpr int MAX_SHARED_BYTES = 48 << 10; // available on every GPU without opt-in

// The work of one block: a square tile of outputs, and the parts of the fine grid and of the image that it reads.
struct Tile {
  int side, fine, height, width; // `height` and `width` of the part of the image

  int values() const {
    // The part of the image; horizontally upsampled; the fine grid; the horizontally filtered fine grid.
    return height * width + height * fine + fine * fine + fine * side;
  }
};

inline Tile tile_of(int side, const Factors& rows_up, const Factors& columns_up, const Factors& down) {
  const int fine = (side - 1) * down.down + down.taps;
  return {side, fine, (fine + rows_up.taps - 2) / rows_up.up + 2, (fine + columns_up.taps - 2) / columns_up.up + 2};
}

struct Work {
  int64_t channels;
  int height, width, out_height, out_width, tiles_x, tiles_y;
  Factors rows_up, columns_up, down;
  bool square;
  float gain, slope, limit;
};

__device__ inline int floor_div(int a, int b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

// Σₖ f[k] · upsampled value at the fine position `at` + k; `first` is the input index of values[0].
__device__ inline float upsampled(
    const float* f, const Factors& axis, const float* values, int stride, int at, int first) {
  const int fine = at - axis.before;
  const int tap = ((-fine) % axis.up + axis.up) % axis.up;
  float sum = 0.0f;
  int source = (fine + tap) / axis.up - first;
  for (int k = tap; k < axis.taps; k += axis.up, ++source) {
    sum += f[k] * values[source * stride];
  }
  return sum;
}

// One tile of a plane per block. Threads share the work of each step, and synchronize after it.
template <class T>
__global__ void filtered_lrelu_kernel(
    const T* x, const float* fu, const float* fd, const float* bias, T* y, Tile tile, Work work) {
  DYNAMIC_SHARED(shared);
  float* part = shared;                           // [height, width] of the image, with bias
  float* wide = part + tile.height * tile.width;  // [height, fine]
  float* fine = wide + tile.height * tile.fine;   // [fine, fine]
  float* narrow = fine + tile.fine * tile.fine;   // [fine, side]
  const int64_t plane = blockIdx.x / (static_cast<int64_t>(work.tiles_x) * work.tiles_y);
  const int place = static_cast<int>(blockIdx.x % (static_cast<int64_t>(work.tiles_x) * work.tiles_y));
  const int out_y = place / work.tiles_x * tile.side, out_x = place % work.tiles_x * tile.side;
  const int fine_y = out_y * work.down.down, fine_x = out_x * work.down.down;
  const int top = floor_div(fine_y - work.rows_up.before, work.rows_up.up);
  const int left = floor_div(fine_x - work.columns_up.before, work.columns_up.up);
  const float shift = bias == nullptr ? 0.0f : bias[plane % work.channels];
  const int threads = blockDim.x, thread = threadIdx.x;

  // 1. Load the part of the image, with zero padding.
  for (int i = thread; i < tile.height * tile.width; i += threads) {
    const int sy = top + i / tile.width, sx = left + i % tile.width;
    const bool inside = sy >= 0 && sy < work.height && sx >= 0 && sx < work.width;
    part[i] = inside ? widened(x[(plane * work.height + sy) * work.width + sx]) + shift : 0.0f;
  }
  __syncthreads();
  // 2. Upsample horizontally, then vertically, and activate.
  for (int i = thread; i < tile.height * tile.fine; i += threads) {
    const float* row = part + i / tile.fine * tile.width;
    wide[i] = upsampled(fu, work.columns_up, row, 1, fine_x + i % tile.fine, left);
  }
  __syncthreads();
  const float brighter = static_cast<float>(work.rows_up.up) * work.columns_up.up;
  for (int i = thread; i < tile.fine * tile.fine; i += threads) {
    const float* column = wide + i % tile.fine;
    const float u = upsampled(fu, work.rows_up, column, tile.fine, fine_y + i / tile.fine, top) * brighter;
    fine[i] = activate_piecewise(u, work.slope, work.gain, work.limit);
  }
  __syncthreads();
  // 3. Downsample horizontally, then vertically; a non-separable filter in one step.
  for (int i = thread; !work.square && i < tile.fine * tile.side; i += threads) {
    const float* row = fine + i / tile.side * tile.fine + i % tile.side * work.down.down;
    float sum = 0.0f;
    for (int k = 0; k < work.down.taps; ++k) {
      sum += fd[k] * row[k];
    }
    narrow[i] = sum;
  }
  __syncthreads();
  for (int i = thread; i < tile.side * tile.side; i += threads) {
    const int row = i / tile.side, column = i % tile.side;
    if (out_y + row >= work.out_height || out_x + column >= work.out_width) {
      continue;
    }
    float sum = 0.0f;
    for (int k = 0; k < work.down.taps; ++k) {
      const int at = row * work.down.down + k;
      for (int j = 0; work.square && j < work.down.taps; ++j) {
        sum += fd[k * work.down.taps + j] * fine[at * tile.fine + column * work.down.down + j];
      }
      sum += work.square ? 0.0f : fd[k] * narrow[at * tile.side + column];
    }
    store(y + (plane * work.out_height + out_y + row) * work.out_width + out_x + column, sum);
  }
}

} // namespace
} // namespace latent_editor

extern "C" int latent_editor_filtered_lrelu(
    const void* x, const float* fu, const float* fd, const float* bias, void* y, int precision, int64_t planes,
    int64_t channels, int height, int width, int out_height, int out_width, Factors rows_up, Factors columns_up,
    Factors down, int fd_is_square, float gain, float slope, float limit, void* stream) {
  using namespace latent_editor;
  int side = 32;
  while (side > 1 && tile_of(side, rows_up, columns_up, down).values() * sizeof(float) > MAX_SHARED_BYTES) {
    side /= 2;
  }
  const Tile tile = tile_of(side, rows_up, columns_up, down);
  const size_t bytes = tile.values() * sizeof(float);
  if (bytes > MAX_SHARED_BYTES) {
    return -1;
  }
  const int tiles_x = (out_width + side - 1) / side, tiles_y = (out_height + side - 1) / side;
  const Work work{channels, height, width, out_height, out_width, tiles_x, tiles_y, rows_up,
                  columns_up, down, fd_is_square != 0, gain, slope, limit};
  by_precision(precision, [&](auto* kind) {
    using T = std::remove_pointer_t<decltype(kind)>;
    LAUNCH(filtered_lrelu_kernel<T>, static_cast<unsigned>(planes * tiles_x * tiles_y), THREADS, bytes, stream)
    (static_cast<const T*>(x), fu, fd, bias, static_cast<T*>(y), tile, work);
  });
  return static_cast<int>(cudaGetLastError());
}
