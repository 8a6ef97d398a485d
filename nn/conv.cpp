#include <sinter/nn/conv.h>

#include <cmath>

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
                 const ConvLayerOptions& options)
    : options_{options.stride, options.padding, options.dilation, options.groups, options.same} {
    const char* const me = kNames[axes - 1];
    require_positive(me, "input channels", in);
    require_positive(me, "output channels", out);
    require_positive(me, "groups", options.groups);
    if (in % options.groups != 0 || out % options.groups != 0) {
        throw ValueError(std::string(me) + ": " + std::to_string(in) + " input and " +
                         std::to_string(out) + " output channels do not divide into " +
                         std::to_string(options.groups) + " groups");
    }
    std::vector<std::int64_t> sizes = kernel.values();
    if (sizes.size() == 1) sizes.assign(axes, sizes[0]);
    if (sizes.size() != axes) {
        throw ShapeError(std::string(me) + ": the kernel has " + std::to_string(sizes.size()) +
                         " sizes, needs " + std::to_string(axes));
    }
    Shape shape{out, in / options.groups};
    for (const std::int64_t size : sizes) {
        require_positive(me, "taps an axis", size);
        shape.push_back(size);
    }
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
    return kFunctions[axes - 1](Arg(x, where), weight, bias, options_);
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;

}  // namespace sinter::nn
