#include <sinter/nn/conv.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include <sinter/nn/init.h>
#include <sinter/random.h>

#include "check.h"

namespace sinter::nn {
namespace {

using Function = Tensor (*)(const Arg&, const Tensor&, const Tensor&, const ConvOptions&);
constexpr Function kFunctions[] = {conv1d, conv2d, conv3d};
constexpr const char* kNames[] = {"Conv1d", "Conv2d", "Conv3d"};

}  // namespace

template <std::size_t axes>
Conv<axes>::Conv(std::int64_t in, std::int64_t out, const PerAxis& kernel,
                 const ConvLayerOptions& options, Where where)
    : options_{options.stride, options.padding, options.dilation, options.groups, options.same} {
    const Called call(kNames[axes - 1], where);
    require_positive("input channels", in);
    require_positive("output channels", out);
    require_positive("groups", options.groups);
    require(in % options.groups == 0 && out % options.groups == 0,
            std::to_string(in) + " input and " + std::to_string(out) +
                " output channels do not divide into " + std::to_string(options.groups) +
                " groups");
    Shape shape{out, in / options.groups};
    for (const std::int64_t size : kernel.checked("kernel", axes, 1)) shape.push_back(size);
    const std::vector<std::int64_t> stride = options.stride.checked("stride", axes, 1);
    require(!options.same || std::ranges::count(stride, 1) == std::ssize(stride),
            "`same` padding needs stride 1, got " + to_string(Shape(stride)));
    (void)options.dilation.checked("dilation", axes, 1);
    const bool both_ends = options.padding.values().size() == 2 * axes;
    (void)options.padding.checked("padding", both_ends ? 2 * axes : axes, 0);
    // PyTorch's Kaiming draw with slope sqrt(5) comes to this bound, for weight and bias.
    const double bound = 1 / std::sqrt(static_cast<double>(init::fans(shape).in));
    weight = uniform(shape, -bound, bound);
    add("weight", weight);
    if (!options.bias) return;
    bias = uniform({out}, -bound, bound);
    add("bias", bias);
}

template <std::size_t axes>
Tensor Conv<axes>::operator()(const Tensor& x, Where where) const {
    const Called call(kNames[axes - 1], where);
    return kFunctions[axes - 1](x, weight, bias, options_);
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;

// --- pooling

namespace {

void check_windows(std::size_t axes, const PerAxis& kernel, const std::optional<PerAxis>& stride,
                   const PerAxis& padding) {
    const std::vector<std::int64_t> sizes = kernel.checked("kernel", axes, 1);
    if (stride) (void)stride->checked("stride", axes, 1);
    const std::vector<std::int64_t> pads = padding.checked("padding", axes, 0);
    for (std::size_t d = 0; d < axes; ++d) {
        require(pads[d] <= sizes[d] / 2, "padding " + to_string(Shape(pads)) +
                                             " is more than half the kernel " +
                                             to_string(Shape(sizes)));
    }
}

}  // namespace

void Pooling::check(const char* name, std::size_t axes, const PerAxis& kernel,
                    const MaxPoolOptions& options, const Where& where) {
    const Called call(name, where);
    check_windows(axes, kernel, options.stride, options.padding);
    (void)options.dilation.checked("dilation", axes, 1);
}

void Pooling::check(const char* name, std::size_t axes, const PerAxis& kernel,
                    const AvgPoolOptions& options, const Where& where) {
    const Called call(name, where);
    check_windows(axes, kernel, options.stride, options.padding);
    require(options.divisor != 0, "the divisor may not be 0");
}

void Pooling::check(const char* name, std::size_t axes, const PerAxis& out, const Where& where) {
    const Called call(name, where);
    (void)out.checked("output size", axes, 0);
}

}  // namespace sinter::nn
