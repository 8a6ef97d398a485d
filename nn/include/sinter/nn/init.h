#pragma once
// First values of parameters, as torch.nn.init draws them.

#include <cstdint>

#include <sinter/random.h>
#include <sinter/tensor.h>

namespace sinter::nn::init {

/// What a unit of a weight [out, in, ...] sees and feeds: in (out) times the sizes of the kernel.
/// ShapeError for fewer than two axes.
struct Fans {
    std::int64_t in, out;
};
Fans fans(const Shape& weight, Where where = Where::current());

/// Gain of an activation for the two below: sqrt(2) for relu.
double leaky_relu_gain(double slope);
inline double relu_gain() { return leaky_relu_gain(0); }
inline double tanh_gain() { return 5.0 / 3; }

/// Glorot and Bengio, 2010.
Tensor xavier_uniform(const Shape& shape, double gain = 1, const RandomOptions& options = {},
                      Where where = Where::current());
Tensor xavier_normal(const Shape& shape, double gain = 1, const RandomOptions& options = {},
                     Where where = Where::current());
/// He et al., 2015, by the fan in; `slope` is that of the leaky relu that follows.
Tensor kaiming_uniform(const Shape& shape, double slope = 0, const RandomOptions& options = {},
                       Where where = Where::current());
Tensor kaiming_normal(const Shape& shape, double slope = 0, const RandomOptions& options = {},
                      Where where = Where::current());

}  // namespace sinter::nn::init
