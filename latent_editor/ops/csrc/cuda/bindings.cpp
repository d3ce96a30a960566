// The CUDA kernels as PyTorch operations, through the stable ABI; also compiles with a PyTorch without CUDA.
#ifndef USE_CUDA
#define USE_CUDA // required for the stream functions of PyTorch's header
#endif
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

#include <limits>
#include <optional>
#include <utility>

#include "../tensors.h"
#include "entries.h"

#ifndef DISPATCH_KEY // tests compile the same source for the CPU
#define DISPATCH_KEY CUDA
#define ON_THIS_DEVICE(x) (x).is_cuda()
#endif

namespace latent_editor {
namespace {

// Makes the device of x current, and gets PyTorch's current stream.
class Place {
 public:
  explicit Place(const Tensor& x) {
#ifndef EMULATED
    guard_.emplace(x.get_device_index());
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &stream_));
#endif
  }
  void* stream() const {
    return stream_;
  }

 private:
#ifndef EMULATED
  std::optional<torch::stable::accelerator::DeviceGuard> guard_;
#endif
  void* stream_ = nullptr;
};

int precision_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float:
      return SINGLE;
    case ScalarType::Half:
      return HALF;
    case ScalarType::BFloat16:
      return BRAIN;
    default:
      STD_TORCH_CHECK(false, "The CUDA kernels take float32, float16 and bfloat16 only.");
  }
}

void check(int error) {
  STD_TORCH_CHECK(error == 0, "A CUDA kernel was not started: error ", error);
}

// A small tensor as contiguous floats on the device of x.
std::optional<Tensor> floats_on(const Tensor& x, const std::optional<Tensor>& small) {
  if (!small.has_value()) {
    return std::nullopt;
  }
  STD_TORCH_CHECK(ON_THIS_DEVICE(*small), "Expected all tensors on one device.");
  return torch::stable::contiguous(torch::stable::to(*small, ScalarType::Float));
}

const float* data_of(const std::optional<Tensor>& x) {
  return x.has_value() ? static_cast<const float*>(x->const_data_ptr()) : nullptr;
}

float limit_of(const std::optional<double>& clamp) {
  return clamp.has_value() ? static_cast<float>(*clamp) : std::numeric_limits<float>::infinity();
}

Tensor ordered(const Tensor& x) {
  return is_channels_last(x) || x.is_contiguous() ? x : torch::stable::contiguous(x);
}

Planes planes_of(const Tensor& x) {
  Planes planes{};
  for (int i = 0; i < 4; ++i) {
    planes.size[i] = x.size(i);
    planes.stride[i] = x.stride(i);
  }
  return planes;
}

Tensor bias_act(
    const Tensor& given, std::optional<Tensor> b, int64_t dim, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  const Tensor x = ordered(given);
  const Place place(x);
  int64_t outer = 1, inner = 1;
  for (int64_t i = 0; i < x.dim(); ++i) {
    (i < dim ? outer : inner) *= i == dim ? 1 : x.size(i);
  }
  if (dim == 1 && is_channels_last(x)) {
    outer *= std::exchange(inner, 1);
  }
  const auto bias = floats_on(x, b);
  STD_TORCH_CHECK(!bias.has_value() || bias->numel() == x.size(dim), "A bias of another length.");
  const Tensor y = torch::stable::empty_like(x);
  check(latent_editor_scale_bias_act(
      x.const_data_ptr(), nullptr, data_of(bias), nullptr, 0, y.mutable_data_ptr(), precision_of(x), outer,
      x.size(dim), inner, 0, static_cast<int>(act), static_cast<float>(alpha), static_cast<float>(gain),
      limit_of(clamp), place.stream()));
  return y;
}

// One pass with a filter [rows, columns].
void filter(
    const Tensor& x, const Tensor& y, const Tensor& f, int64_t rows, int64_t columns, std::array<int64_t, 6> axes,
    float gain, void* stream) {
  const auto [up_y, down_y, before_y, up_x, down_x, before_x] = axes;
  const Factors vertical{
      static_cast<int>(up_y), static_cast<int>(down_y), static_cast<int>(before_y), static_cast<int>(rows)};
  const Factors horizontal{
      static_cast<int>(up_x), static_cast<int>(down_x), static_cast<int>(before_x), static_cast<int>(columns)};
  check(latent_editor_upfirdn2d(
      x.const_data_ptr(), planes_of(x), precision_of(x), y.mutable_data_ptr(), planes_of(y), precision_of(y),
      static_cast<const float*>(f.const_data_ptr()), vertical, horizontal, gain, stream));
}

// The identity filter.
Tensor identity_on(const Tensor& x) {
  const std::array<int64_t, 1> one{1};
  Tensor f = torch::stable::empty({one.data(), 1}, ScalarType::Float, std::nullopt, x.device());
  return torch::stable::fill_(f, 1.0);
}

Tensor flipped(const Tensor& f) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < f.dim(); ++i) {
    axes.push_back(i);
  }
  const torch::headeronly::IntHeaderOnlyArrayRef dims(axes.data(), axes.size());
  std::array<StableIValue, 2> stack{torch::stable::detail::from(f), torch::stable::detail::from(dims)};
  STABLE_TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::flip", "", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

Tensor upfirdn2d(
    const Tensor& given, std::optional<Tensor> f, std::vector<int64_t> up, std::vector<int64_t> down,
    std::vector<int64_t> padding, bool flip_filter, double gain) {
  const Tensor x = ordered(given);
  const Place place(x);
  STD_TORCH_CHECK(x.dim() == 4 && up.size() == 2 && down.size() == 2 && padding.size() == 4, "Expected four axes.");
  const bool last = is_channels_last(x);
  Tensor taps = f.has_value() ? *floats_on(x, f) : identity_on(x);
  taps = flip_filter || !f.has_value() ? taps : torch::stable::contiguous(flipped(taps));
  const int64_t fh = taps.size(0), fw = taps.size(taps.dim() - 1);
  const auto size = [](int64_t n, int64_t up, int64_t down, int64_t pad, int64_t taps) {
    return (n * up + pad - taps) / down + 1;
  };
  const int64_t height = size(x.size(2), up[1], down[1], padding[2] + padding[3], fh);
  const int64_t width = size(x.size(3), up[0], down[0], padding[0] + padding[1], fw);
  STD_TORCH_CHECK(height > 0 && width > 0, "The picture is smaller than the filter.");
  const Tensor y = empty_as(x, {x.size(0), x.size(1), height, width}, last);
  const float factor = static_cast<float>(gain);
  if (taps.dim() == 2 || fw == 1) {
    filter(x, y, taps, fh, fw, {up[1], down[1], padding[2], up[0], down[0], padding[0]}, factor, place.stream());
    return y;
  }
  // A separable filter: first vertically, into floats, then horizontally.
  const std::array<int64_t, 4> shape{x.size(0), x.size(1), height, x.size(3)};
  const Tensor between = torch::stable::empty(
      {shape.data(), shape.size()}, ScalarType::Float, std::nullopt, x.device(), std::nullopt,
      last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
  filter(x, between, taps, fh, 1, {up[1], down[1], padding[2], 1, 1, 0}, factor, place.stream());
  filter(between, y, taps, 1, fw, {1, 1, 0, up[0], down[0], padding[0]}, 1.0f, place.stream());
  return y;
}

void scale_bias_act(
    const Tensor& x, const Tensor& y, const std::optional<Tensor>& scale, const std::optional<Tensor>& b,
    const std::optional<Tensor>& noise, int64_t act, double alpha, double gain, const std::optional<double>& clamp) {
  const Place place(x);
  const bool last = is_channels_last(x);
  STD_TORCH_CHECK(x.dim() == 4 && (last || x.is_contiguous()), "Expected x [N, C, H, W] without gaps in memory.");
  const int64_t n = x.size(0), c = x.size(1), plane = x.size(2) * x.size(3);
  const auto scales = floats_on(x, scale), biases = floats_on(x, b), grain = floats_on(x, noise);
  STD_TORCH_CHECK(!scales.has_value() || scales->numel() == n * c, "Expected scale of shape [N, C].");
  STD_TORCH_CHECK(!biases.has_value() || biases->numel() == c, "Expected a bias of shape [C].");
  const bool shared = grain.has_value() && grain->numel() == plane;
  STD_TORCH_CHECK(!grain.has_value() || shared || grain->numel() == n * plane, "Expected noise [1 or N, 1, H, W].");
  check(latent_editor_scale_bias_act(
      x.const_data_ptr(), data_of(scales), data_of(biases), data_of(grain), shared ? 0 : plane, y.mutable_data_ptr(),
      precision_of(x), n, c, plane, last ? 1 : 0, static_cast<int>(act), static_cast<float>(alpha),
      static_cast<float>(gain), limit_of(clamp), place.stream()));
}

Tensor modulation_epilogue(
    const Tensor& given, std::optional<Tensor> scale, std::optional<Tensor> b, std::optional<Tensor> noise,
    std::optional<Tensor> f, std::vector<int64_t> padding, double filter_gain, int64_t act, double alpha, double gain,
    std::optional<double> clamp) {
  Tensor x = ordered(given);
  if (f.has_value()) { // into new memory, which can be overwritten in place
    x = upfirdn2d(x, f, {1, 1}, {1, 1}, padding, false, filter_gain);
    scale_bias_act(x, x, scale, b, noise, act, alpha, gain, clamp);
    return x;
  }
  const Tensor y = torch::stable::empty_like(x);
  scale_bias_act(x, y, scale, b, noise, act, alpha, gain, clamp);
  return y;
}

void modulation_epilogue_inplace(
    Tensor x, std::optional<Tensor> scale, std::optional<Tensor> b, std::optional<Tensor> noise, int64_t act,
    double alpha, double gain, std::optional<double> clamp) {
  scale_bias_act(x, x, scale, b, noise, act, alpha, gain, clamp);
}

Tensor filtered_lrelu(
    const Tensor& given, std::optional<Tensor> fu, std::optional<Tensor> fd, std::optional<Tensor> b, int64_t up,
    int64_t down, std::vector<int64_t> padding, double gain, double slope, std::optional<double> clamp,
    bool flip_filter) {
  const Tensor x = given.is_contiguous() ? given : torch::stable::contiguous(given);
  const Place place(x);
  STD_TORCH_CHECK(x.dim() == 4 && padding.size() == 4, "Expected x [N, C, H, W] and four sides.");
  STD_TORCH_CHECK(!fu.has_value() || fu->dim() == 1, "Expected a separable filter for upsampling.");
  STD_TORCH_CHECK(!fd.has_value() || fd->dim() == 1 || fd->size(0) == fd->size(1), "Expected a square filter.");
  const auto taps_of = [&](const std::optional<Tensor>& f) {
    const Tensor taps = f.has_value() ? *floats_on(x, f) : identity_on(x);
    return flip_filter ? taps : torch::stable::contiguous(flipped(taps));
  };
  const Tensor ups = taps_of(fu), downs = taps_of(fd);
  const int64_t reach = ups.size(0) + downs.size(0) - 2;
  const int64_t height = (x.size(2) * up + padding[2] + padding[3] - reach - 1) / down + 1;
  const int64_t width = (x.size(3) * up + padding[0] + padding[1] - reach - 1) / down + 1;
  STD_TORCH_CHECK(height > 0 && width > 0, "The picture is smaller than the filters.");
  const auto bias = floats_on(x, b);
  const Tensor y = empty_as(x, {x.size(0), x.size(1), height, width}, false);
  const int factor = static_cast<int>(up), taps = static_cast<int>(ups.size(0));
  check(latent_editor_filtered_lrelu(
      x.const_data_ptr(), static_cast<const float*>(ups.const_data_ptr()),
      static_cast<const float*>(downs.const_data_ptr()), data_of(bias), y.mutable_data_ptr(), precision_of(x),
      x.size(0) * x.size(1), x.size(1), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)),
      static_cast<int>(height), static_cast<int>(width), {factor, 1, static_cast<int>(padding[2]), taps},
      {factor, 1, static_cast<int>(padding[0]), taps},
      {1, static_cast<int>(down), 0, static_cast<int>(downs.size(0))}, downs.dim() == 2 ? 1 : 0,
      static_cast<float>(gain), static_cast<float>(slope), limit_of(clamp), place.stream()));
  return y;
}

STABLE_TORCH_LIBRARY_IMPL(latent_editor, DISPATCH_KEY, m) {
  m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d));
  m.impl("bias_act", TORCH_BOX(&bias_act));
  m.impl("filtered_lrelu", TORCH_BOX(&filtered_lrelu));
  m.impl("modulation_epilogue", TORCH_BOX(&modulation_epilogue));
  m.impl("modulation_epilogue_", TORCH_BOX(&modulation_epilogue_inplace));
}

} // namespace
} // namespace latent_editor
