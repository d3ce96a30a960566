#include "launch.cuh"

namespace latent_editor {
namespace {

template <class T>
__global__ void scale_bias_act_kernel(
    const T* x, const float* scale, const float* bias, const float* noise, int64_t noise_step, T* y, int64_t n,
    int64_t channels, int64_t plane, bool channels_last, Activation activation) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) {
    const int64_t sample = i / (channels * plane), rest = i % (channels * plane);
    const int64_t c = channels_last ? rest % channels : rest / plane;
    const int64_t pixel = channels_last ? rest / channels : rest % plane;
    float u = widened(x[i]);
    u = scale == nullptr ? u : u * scale[sample * channels + c];
    u = bias == nullptr ? u : u + bias[c];
    u = noise == nullptr ? u : u + noise[sample * noise_step + pixel];
    store(y + i, activate(u, activation));
  }
}

} // namespace
} // namespace latent_editor

extern "C" int latent_editor_scale_bias_act(
    const void* x, const float* scale, const float* bias, const float* noise, int64_t noise_step, void* y,
    int precision, int64_t samples, int64_t channels, int64_t plane, int channels_last, int act, float slope,
    float gain, float limit, void* stream) {
  using namespace latent_editor;
  const int64_t n = samples * channels * plane;
  const Activation activation(act, slope, gain, limit);
  by_precision(precision, [&](auto* kind) {
    using T = std::remove_pointer_t<decltype(kind)>;
    LAUNCH(scale_bias_act_kernel<T>, blocks_for(n), THREADS, 0, stream)
    (static_cast<const T*>(x), scale, bias, noise, noise_step, static_cast<T*>(y), n, channels, plane,
     channels_last != 0, activation);
  });
  return static_cast<int>(cudaGetLastError());
}
