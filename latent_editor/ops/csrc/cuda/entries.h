// C entry points of the kernels: pointers, sizes and a stream. Each returns a CUDA error code, 0 for success.
#pragma once

#include <cstdint>

enum Precision { SINGLE, HALF, BRAIN };

extern "C" {

// A batch of planes [N, C, H, W]: sizes, and strides in elements.
struct Planes {
  int64_t size[4];
  int64_t stride[4];
};

// One axis of upsampling, filtering and downsampling.
struct Factors {
  int up, down, before, taps;
};

// y[i] = clamp(gain · act(x[i] · scale[n, c] + bias[c] + noise[n, pixel])); scale, bias and noise may be null.
// act, slope, gain, limit as in activation.h; x is [outer, channels, inner] for bias_act: N = outer, plane = inner.
int latent_editor_scale_bias_act(
    const void* x, const float* scale, const float* bias, const float* noise, int64_t noise_step, void* y,
    int precision, int64_t samples, int64_t channels, int64_t plane, int channels_last, int act, float slope,
    float gain, float limit, void* stream);

// Correlates with f [rows.taps, columns.taps]; x and y may have different dtypes.
int latent_editor_upfirdn2d(
    const void* x, Planes of_x, int x_precision, void* y, Planes of_y, int y_precision, const float* f, Factors rows,
    Factors columns, float gain, void* stream);

// Planes [planes, height, width] to [planes, out_height, out_width]: fu [up taps], separable; fd [down taps], or
// [down taps, down taps] where fd_is_square; both in the order of a correlation. Returns −1 if the filters are too
// long for shared memory.
int latent_editor_filtered_lrelu(
    const void* x, const float* fu, const float* fd, const float* bias, void* y, int precision, int64_t planes,
    int64_t channels, int height, int width, int out_height, int out_width, Factors rows_up, Factors columns_up,
    Factors down, int fd_is_square, float gain, float slope, float limit, void* stream);
}
