#include <sinter/nn/init.h>

#include <cmath>

#include "check.h"

namespace sinter::nn::init {

Fans fans(const Shape& weight, Where where) {
    const Called call("fans", where);
    if (weight.size() < 2) {
        fail<ShapeError>("a weight of shape " + to_string(weight) +
                         " has no fan in and fan out; it needs two axes at least");
    }
    std::int64_t kernel = 1;
    for (std::size_t d = 2; d < weight.size(); ++d) kernel *= weight[d];
    return {weight[1] * kernel, weight[0] * kernel};
}

double leaky_relu_gain(double slope) { return std::sqrt(2 / (1 + slope * slope)); }

namespace {

// Of a uniform distribution with this deviation.
double bound_of(double deviation) { return std::sqrt(3.0) * deviation; }

double xavier_deviation(const Shape& shape, double gain) {
    const Fans f = fans(shape);
    return gain * std::sqrt(2.0 / static_cast<double>(f.in + f.out));
}

double kaiming_deviation(const Shape& shape, double slope) {
    return leaky_relu_gain(slope) / std::sqrt(static_cast<double>(fans(shape).in));
}

}  // namespace

Tensor xavier_uniform(const Shape& shape, double gain, const RandomOptions& options, Where where) {
    const Called call("xavier_uniform", where);
    const double bound = bound_of(xavier_deviation(shape, gain));
    return uniform(shape, -bound, bound, options);
}

Tensor xavier_normal(const Shape& shape, double gain, const RandomOptions& options, Where where) {
    const Called call("xavier_normal", where);
    return normal(shape, 0, xavier_deviation(shape, gain), options);
}

Tensor kaiming_uniform(const Shape& shape, double slope, const RandomOptions& options,
                       Where where) {
    const Called call("kaiming_uniform", where);
    const double bound = bound_of(kaiming_deviation(shape, slope));
    return uniform(shape, -bound, bound, options);
}

Tensor kaiming_normal(const Shape& shape, double slope, const RandomOptions& options, Where where) {
    const Called call("kaiming_normal", where);
    return normal(shape, 0, kaiming_deviation(shape, slope), options);
}

}  // namespace sinter::nn::init
