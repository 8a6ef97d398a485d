#pragma once
// Activations: float ops, elementwise.

#include <sinter/tensor.h>

namespace sinter {

Tensor relu(const Arg& x);  ///< max(x, 0), NaN stays; integers stay integers
Tensor relu6(const Arg& x);
Tensor leaky_relu(const Arg& x, double slope = 0.01);
Tensor prelu(const Arg& x, const Arg& weight);
Tensor elu(const Arg& x, double alpha = 1);
Tensor selu(const Arg& x);
Tensor celu(const Arg& x, double alpha = 1);
enum class Gelu : std::uint8_t { Erf, Tanh };
Tensor gelu(const Arg& x, Gelu approximation = Gelu::Erf);
Tensor quick_gelu(const Arg& x);
Tensor silu(const Arg& x);
Tensor mish(const Arg& x);
/// log(1 + exp(beta x)) / beta without overflow.
Tensor softplus(const Arg& x, double beta = 1);
Tensor softsign(const Arg& x);
/// Saturates at 0 and 1 without overflow.
Tensor sigmoid(const Arg& x);
Tensor logsigmoid(const Arg& x);
Tensor hardsigmoid(const Arg& x);
Tensor hardswish(const Arg& x);
Tensor hardtanh(const Arg& x, double low = -1, double high = 1);
Tensor hardshrink(const Arg& x, double lambda = 0.5);
Tensor softshrink(const Arg& x, double lambda = 0.5);
Tensor tanhshrink(const Arg& x);
Tensor threshold(const Arg& x, double threshold, double value);
/// The first half along `axis` times the sigmoid of the second.
Tensor glu(const Arg& x, std::int64_t axis = -1);

}  // namespace sinter
