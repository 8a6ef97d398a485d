#pragma once
// Convolutions over 1 to 3 spatial axes, with PyTorch's layouts. x: [batch, channels, sizes...] or
// [channels, sizes...]. 16-bit floats are multiplied and summed in f32 and rounded once.

#include <sinter/tensor.h>

namespace sinter {

struct ConvOptions {
    PerAxis stride = 1;
    /// Zeros at both ends of each axis; or two numbers an axis: before, after, in order of the
    /// axes.
    PerAxis padding = 0;
    PerAxis dilation = 1;
    std::int64_t groups = 1;
    /// Pads so that the size stays (stride 1 only; `padding` is not looked at).
    bool same = false;
};

/// weight: [out, channels / groups, kernel...]; bias: [out], or undefined for none. Size of each
/// axis: (n + before + after - dilation * (kernel - 1) - 1) / stride + 1.
Tensor conv1d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
              const ConvOptions& options = {});
Tensor conv2d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
              const ConvOptions& options = {});
Tensor conv3d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
              const ConvOptions& options = {});

struct ConvTransposeOptions {
    PerAxis stride = 1;
    PerAxis padding = 0;         ///< cut from both ends of each axis
    PerAxis output_padding = 0;  ///< added at the end of each axis; below stride or dilation
    PerAxis dilation = 1;
    std::int64_t groups = 1;
};

/// The transpose of conv. weight: [channels, out / groups, kernel...]. Size of each axis:
/// (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.
Tensor conv_transpose1d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});
Tensor conv_transpose2d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});
Tensor conv_transpose3d(const Arg& x, const Tensor& weight, const Tensor& bias = {},
                        const ConvTransposeOptions& options = {});

}  // namespace sinter
