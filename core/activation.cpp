#include <sinter/activation.h>

#include <cmath>
#include <numbers>

#include <sinter/elementwise.h>
#include <sinter/movement.h>

#include "call.h"

namespace sinter {
namespace {

using ir::Op;

UOp add(const UOp& a, const UOp& b) { return ir::binary(Op::Add, a, b); }
UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }
UOp div(const UOp& a, const UOp& b) { return ir::binary(Op::Div, a, b); }
UOp scaled(const UOp& x, double factor) { return mul(x, like(x, factor)); }
UOp above(const UOp& x, double bound) { return ir::binary(Op::Lt, like(x, bound), x); }

// x, or at the kink and below `bound`; NaN stays. A choice instead of Max, whose gradient is shared
// at a tie: that of these activations at the kink is 0.
UOp cut_below(const UOp& x, double bound) {
    const UOp limit = like(x, bound);
    return ir::where(ir::binary(Op::Le, x, limit), limit, x);
}
UOp cut_above(const UOp& x, double bound) {
    const UOp limit = like(x, bound);
    return ir::where(ir::binary(Op::Le, limit, x), limit, x);
}

UOp below_zero(const UOp& x) { return ir::binary(Op::Lt, x, like(x, 0)); }
// exp(-|x|), which never overflows; |x| as a choice, as the gradient of Abs at 0 would be 0.
UOp decay(const UOp& x) {
    return ir::unary(Op::Exp, ir::where(below_zero(x), x, ir::unary(Op::Neg, x)));
}

// 1 / (1 + exp(-x)), for negative x as exp(x) / (1 + exp(x)): neither the value nor a gradient
// meets an infinity.
UOp logistic(const UOp& x) {
    const UOp e = decay(x), one = like(x, 1);
    return div(ir::where(below_zero(x), e, one), add(one, e));
}

// max(x, 0) + log1p(exp(-|x|))
UOp soft_plus(const UOp& x) {
    return add(ir::where(below_zero(x), like(x, 0), x), ir::unary(Op::Log1p, decay(x)));
}

// alpha * expm1(x / beta) where x is below 0, else x; the unused side never overflows.
UOp exponential_linear(const UOp& x, double alpha, double beta) {
    const UOp low = ir::where(above(x, 0), like(x, 0), x);
    const UOp bent = scaled(ir::unary(Op::Expm1, beta == 1 ? low : scaled(low, 1 / beta)), alpha);
    return ir::where(above(x, 0), x, bent);
}

// Applies `f` in f32 for 16-bit floats, so that a chain of ops rounds once.
template <class F>
Tensor apply(std::string_view op, const Arg& x, F&& f) {
    Call call(op, x);
    const UOp value = call.float_node(x);
    const UOp wide = ir::cast(value, accumulator_type(value->dtype()));
    return call.wrap(ir::cast(f(wide), value->dtype()));
}

}  // namespace

Tensor relu(const Arg& x) {
    Call call("relu", x);
    const UOp value = call.node(x);
    return call.wrap(cut_below(value, 0));
}

Tensor relu6(const Arg& x) {
    Call call("relu6", x);
    return call.wrap(cut_above(cut_below(call.node(x), 0), 6));
}

Tensor leaky_relu(const Arg& x, double slope) {
    return apply("leaky_relu", x,
                 [&](const UOp& v) { return ir::where(above(v, 0), v, scaled(v, slope)); });
}

Tensor prelu(const Arg& x, const Arg& weight) {
    const Call call("prelu", x);
    return where(gt(x, 0), x, mul(weight, x));
}

Tensor elu(const Arg& x, double alpha) {
    return apply("elu", x, [&](const UOp& v) { return exponential_linear(v, alpha, 1); });
}

Tensor celu(const Arg& x, double alpha) {
    return apply("celu", x, [&](const UOp& v) { return exponential_linear(v, alpha, alpha); });
}

// Klambauer et al., Self-Normalizing Neural Networks, 2017.
Tensor selu(const Arg& x) {
    constexpr double kAlpha = 1.6732632423543772848170429916717;
    constexpr double kScale = 1.0507009873554804934193349852946;
    return apply("selu", x,
                 [](const UOp& v) { return scaled(exponential_linear(v, kAlpha, 1), kScale); });
}

Tensor gelu(const Arg& x, Gelu approximation) {
    return apply("gelu", x, [&](const UOp& v) {
        UOp gate;
        if (approximation == Gelu::Erf) {
            gate = ir::unary(Op::Erf, scaled(v, std::numbers::sqrt2 / 2));
        } else {
            // Hendrycks and Gimpel, 2016: tanh(sqrt(2 / pi) (x + 0.044715 x³)).
            const UOp cube = scaled(mul(mul(v, v), v), 0.044715);
            gate = ir::unary(Op::Tanh, scaled(add(v, cube), std::sqrt(2 * std::numbers::inv_pi)));
        }
        return mul(scaled(v, 0.5), add(gate, like(v, 1)));
    });
}

Tensor quick_gelu(const Arg& x) {
    return apply("quick_gelu", x, [](const UOp& v) { return mul(v, logistic(scaled(v, 1.702))); });
}

Tensor silu(const Arg& x) {
    return apply("silu", x, [](const UOp& v) { return mul(v, logistic(v)); });
}

Tensor mish(const Arg& x) {
    return apply("mish", x, [](const UOp& v) { return mul(v, ir::unary(Op::Tanh, soft_plus(v))); });
}

Tensor softplus(const Arg& x, double beta) {
    return apply("softplus", x, [&](const UOp& v) {
        return beta == 1 ? soft_plus(v) : scaled(soft_plus(scaled(v, beta)), 1 / beta);
    });
}

Tensor softsign(const Arg& x) {
    return apply("softsign", x,
                 [](const UOp& v) { return div(v, add(like(v, 1), ir::unary(Op::Abs, v))); });
}

Tensor sigmoid(const Arg& x) { return apply("sigmoid", x, logistic); }

Tensor logsigmoid(const Arg& x) {
    return apply("logsigmoid", x,
                 [](const UOp& v) { return ir::unary(Op::Neg, soft_plus(ir::unary(Op::Neg, v))); });
}

Tensor hardsigmoid(const Arg& x) {
    return apply("hardsigmoid", x, [](const UOp& v) {
        return scaled(cut_above(cut_below(add(v, like(v, 3)), 0), 6), 1.0 / 6);
    });
}

Tensor hardswish(const Arg& x) {
    return apply("hardswish", x, [](const UOp& v) {
        return mul(v, scaled(cut_above(cut_below(add(v, like(v, 3)), 0), 6), 1.0 / 6));
    });
}

Tensor hardtanh(const Arg& x, double low, double high) {
    return apply("hardtanh", x, [&](const UOp& v) { return cut_above(cut_below(v, low), high); });
}

Tensor hardshrink(const Arg& x, double lambda) {
    return apply("hardshrink", x, [&](const UOp& v) {
        const UOp inside = ir::binary(Op::Le, ir::unary(Op::Abs, v), like(v, lambda));
        return ir::where(inside, like(v, 0), v);
    });
}

Tensor softshrink(const Arg& x, double lambda) {
    return apply("softshrink", x, [&](const UOp& v) {
        const UOp inside = ir::binary(Op::Le, ir::unary(Op::Abs, v), like(v, lambda));
        const UOp outside =
            ir::where(above(v, 0), add(v, like(v, -lambda)), add(v, like(v, lambda)));
        return ir::where(inside, like(v, 0), outside);
    });
}

Tensor tanhshrink(const Arg& x) {
    return apply("tanhshrink", x,
                 [](const UOp& v) { return ir::binary(Op::Sub, v, ir::unary(Op::Tanh, v)); });
}

Tensor threshold(const Arg& x, double threshold, double value) {
    return apply("threshold", x, [&](const UOp& v) {
        const UOp low = ir::binary(Op::Le, v, like(v, threshold));
        return ir::where(low, like(v, value), v);
    });
}

Tensor glu(const Arg& x, std::int64_t axis) {
    Call call("glu", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value);
    const std::int64_t n = value->shape()[static_cast<std::size_t>(d)];
    if (n % 2 != 0)
        fail<ShapeError>("axis " + text(axis) + " of " + text(value) + " cannot be halved");
    return mul(narrow(x, d, 0, n / 2), sigmoid(narrow(x, d, n / 2, n / 2)));
}

}  // namespace sinter
