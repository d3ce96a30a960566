#include "launch.cuh"

namespace latent_editor {
namespace {

// The first tap that meets an input value and not an inserted zero, and the index of that value.
__device__ inline int first_tap(int64_t output, const Factors& axis, int64_t* source) {
  const int64_t fine = output * axis.down - axis.before; // position of tap 0 on the upsampled grid
  const int64_t up = axis.up;
  const int64_t tap = ((-fine) % up + up) % up;
  *source = (fine + tap) / up; // exact division
  return static_cast<int>(tap);
}

// One output per thread. Adjacent threads write adjacent memory: along channels in channels_last.
template <class In, class Out>
__global__ void upfirdn2d_kernel(
    const In* x, Planes of_x, Out* y, Planes of_y, const float* f, Factors rows, Factors columns, float gain,
    bool channels_last, int64_t n) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t channels = of_y.size[1], height = of_y.size[2], width = of_y.size[3];
    int64_t rest = i;
    int64_t c = 0, row, column;
    if (channels_last) {
      c = rest % channels;
      rest /= channels;
    }
    column = rest % width;
    rest /= width;
    row = rest % height;
    rest /= height;
    if (!channels_last) {
      c = rest % channels;
      rest /= channels;
    }
    int64_t top, left;
    const int first_y = first_tap(row, rows, &top), first_x = first_tap(column, columns, &left);
    const In* picture = x + rest * of_x.stride[0] + c * of_x.stride[1];
    float sum = 0.0f;
    int64_t sy = top;
    for (int ky = first_y; ky < rows.taps; ky += rows.up, ++sy) {
      if (sy < 0 || sy >= of_x.size[2]) {
        continue;
      }
      int64_t sx = left;
      for (int kx = first_x; kx < columns.taps; kx += columns.up, ++sx) {
        if (sx >= 0 && sx < of_x.size[3]) {
          sum += f[ky * columns.taps + kx] * widened(picture[sy * of_x.stride[2] + sx * of_x.stride[3]]);
        }
      }
    }
    store(
        y + rest * of_y.stride[0] + c * of_y.stride[1] + row * of_y.stride[2] + column * of_y.stride[3], sum * gain);
  }
}

} // namespace
} // namespace latent_editor

extern "C" int latent_editor_upfirdn2d(
    const void* x, Planes of_x, int x_precision, void* y, Planes of_y, int y_precision, const float* f, Factors rows,
    Factors columns, float gain, void* stream) {
  using namespace latent_editor;
  const int64_t n = of_y.size[0] * of_y.size[1] * of_y.size[2] * of_y.size[3];
  const bool channels_last = of_y.stride[1] == 1 && of_y.size[1] > 1;
  by_precision(x_precision, [&](auto* in) {
    by_precision(y_precision, [&](auto* out) {
      using In = std::remove_pointer_t<decltype(in)>;
      using Out = std::remove_pointer_t<decltype(out)>;
      LAUNCH((upfirdn2d_kernel<In, Out>), blocks_for(n), THREADS, 0, stream)
      (static_cast<const In*>(x), of_x, static_cast<Out*>(y), of_y, f, rows, columns, gain, channels_last, n);
    });
  });
  return static_cast<int>(cudaGetLastError());
}
