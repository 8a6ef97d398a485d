#pragma once
// Activations as modules, for Sequential; in a forward pass of one's own the functions read better.

#include <sinter/activation.h>
#include <sinter/elementwise.h>
#include <sinter/movement.h>
#include <sinter/nn/module.h>
#include <sinter/reduce.h>

namespace sinter::nn {

/// An elementwise function of one tensor.
template <Tensor (*function)(const Arg&)>
struct Elementwise : Module {
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return function(Arg(x, where));
    }
};

using ReLU = Elementwise<&sinter::relu>;
using ReLU6 = Elementwise<&sinter::relu6>;
using SiLU = Elementwise<&sinter::silu>;
using Mish = Elementwise<&sinter::mish>;
using Sigmoid = Elementwise<&sinter::sigmoid>;
using LogSigmoid = Elementwise<&sinter::logsigmoid>;
using Hardsigmoid = Elementwise<&sinter::hardsigmoid>;
using Hardswish = Elementwise<&sinter::hardswish>;
using Softsign = Elementwise<&sinter::softsign>;
using SELU = Elementwise<&sinter::selu>;
using Tanh = Elementwise<&sinter::tanh>;

struct GELU : Module {
    explicit GELU(Gelu approximation = Gelu::Erf) : approximation_(approximation) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return gelu(Arg(x, where), approximation_);
    }

private:
    Gelu approximation_;
};

struct LeakyReLU : Module {
    explicit LeakyReLU(double slope = 0.01) : slope_(slope) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return leaky_relu(Arg(x, where), slope_);
    }

private:
    double slope_;
};

struct ELU : Module {
    explicit ELU(double alpha = 1) : alpha_(alpha) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return elu(Arg(x, where), alpha_);
    }

private:
    double alpha_;
};

struct Softplus : Module {
    explicit Softplus(double beta = 1) : beta_(beta) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return softplus(Arg(x, where), beta_);
    }

private:
    double beta_;
};

struct Softmax : Module {
    explicit Softmax(std::int64_t axis) : axis_(axis) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return softmax(Arg(x, where), axis_);
    }

private:
    std::int64_t axis_;
};

struct LogSoftmax : Module {
    explicit LogSoftmax(std::int64_t axis) : axis_(axis) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return log_softmax(Arg(x, where), axis_);
    }

private:
    std::int64_t axis_;
};

struct Identity : Module {
    Tensor operator()(const Tensor& x) const { return x; }
};

/// Axes first..last become one; by default all but the batch.
struct Flatten : Module {
    explicit Flatten(std::int64_t first = 1, std::int64_t last = -1) : first_(first), last_(last) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return x.flatten(first_, last_, where);
    }

private:
    std::int64_t first_, last_;
};

}  // namespace sinter::nn
