#pragma once
// Gradients of elementwise ops. y is the node, x its sources, g the gradient of y. Where the
// derivative is cheap in terms of y, y is reused: it is computed anyway.

#include "algebra.h"

namespace sinter::ir::vjp {

/// Integer, bool and comparison ops have no gradient: the walk never comes here (it follows floats
/// only).
inline void no_gradient(Vjp& v) {
    throw InternalError("gradient: no gradient flows through " + describe(v.y.get()));
}
/// Piecewise constant: the gradient is 0 wherever it exists, and 0 is what is given elsewhere.
inline void zero_gradient(Vjp&) {}

// --- one source
inline void Neg(Vjp& v) { v.give(-v.g); }
inline void Not(Vjp& v) { no_gradient(v); }
inline void Abs(Vjp& v) { v.give(v.g * unary(Op::Sign, v.x())); }
inline void Sign(Vjp& v) { zero_gradient(v); }
inline void Floor(Vjp& v) { zero_gradient(v); }
inline void Ceil(Vjp& v) { zero_gradient(v); }
inline void Trunc(Vjp& v) { zero_gradient(v); }
inline void Round(Vjp& v) { zero_gradient(v); }
inline void Recip(Vjp& v) { v.give(-(v.g * (v.y * v.y))); }
inline void Sqrt(Vjp& v) { v.give(v.g / (v.y * 2)); }
inline void Exp(Vjp& v) { v.give(v.g * v.y); }
inline void Exp2(Vjp& v) { v.give(v.g * (v.y * std::numbers::ln2)); }
inline void Expm1(Vjp& v) { v.give(v.g * (v.y + 1)); }
inline void Log(Vjp& v) { v.give(v.g / v.x()); }
inline void Log2(Vjp& v) { v.give(v.g / (v.x() * std::numbers::ln2)); }
inline void Log1p(Vjp& v) { v.give(v.g / (v.x() + 1)); }
inline void Sin(Vjp& v) { v.give(v.g * unary(Op::Cos, v.x())); }
inline void Cos(Vjp& v) { v.give(-(v.g * unary(Op::Sin, v.x()))); }
inline void Tan(Vjp& v) { v.give(v.g * (v.y * v.y + 1)); }
// 1 - x² as (1 - x)(1 + x), which keeps its digits near ±1.
inline void Asin(Vjp& v) { v.give(v.g / unary(Op::Sqrt, (1 - v.x()) * (v.x() + 1))); }
inline void Acos(Vjp& v) { v.give(-(v.g / unary(Op::Sqrt, (1 - v.x()) * (v.x() + 1)))); }
inline void Atan(Vjp& v) { v.give(v.g / (v.x() * v.x() + 1)); }
inline void Sinh(Vjp& v) { v.give(v.g * unary(Op::Cosh, v.x())); }
inline void Cosh(Vjp& v) { v.give(v.g * unary(Op::Sinh, v.x())); }
inline void Tanh(Vjp& v) { v.give(v.g * (1 - v.y * v.y)); }
inline void Erf(Vjp& v) {
    const double two_over_sqrt_pi = 2 * std::numbers::inv_sqrtpi;
    v.give(v.g * (unary(Op::Exp, -(v.x() * v.x())) * two_over_sqrt_pi));
}
inline void Cast(Vjp& v) { v.give(cast_to(v.g, v.x()->dtype())); }
inline void Bitcast(Vjp& v) { no_gradient(v); }

// --- two sources
inline void Add(Vjp& v) {
    v.give(0, v.g);
    v.give(1, v.g);
}
inline void Sub(Vjp& v) {
    v.give(0, v.g);
    if (v.wants(1)) v.give(1, -v.g);
}
inline void Mul(Vjp& v) {
    if (v.wants(0)) v.give(0, v.g * v.x(1));
    if (v.wants(1)) v.give(1, v.g * v.x(0));
}
inline void Div(Vjp& v) {
    const UOp scaled = v.g / v.x(1);
    v.give(0, scaled);
    if (v.wants(1)) v.give(1, -(scaled * v.y));
}
inline void IDiv(Vjp& v) { no_gradient(v); }
inline void Mod(Vjp& v) { no_gradient(v); }

/// The larger (smaller) operand takes the gradient, equal ones half of it each. Compared by "loses
/// to the other", so that with a NaN both take it.
inline void extreme(Vjp& v, bool max) {
    const UOp a = v.x(0), b = v.x(1);
    const UOp share = where(eq(a, b), v.g * 0.5, v.g);
    const UOp zero = zeros_like(v.g);
    if (v.wants(0)) v.give(0, where(max ? lt(a, b) : lt(b, a), zero, share));
    if (v.wants(1)) v.give(1, where(max ? lt(b, a) : lt(a, b), zero, share));
}
inline void Max(Vjp& v) { extreme(v, true); }
inline void Min(Vjp& v) { extreme(v, false); }

/// d/da = b a^(b-1), 0 where b = 0 (also for a = 0); d/db = y log a, 0 where a = 0 and b >= 0.
inline void Pow(Vjp& v) {
    const UOp a = v.x(0), b = v.x(1);
    if (v.wants(0)) {
        const std::optional<double> c = constant_of(b);
        if (c == 1) {
            v.give(0, v.g);
        } else if (c == 2) {
            v.give(0, v.g * (a * 2));
        } else if (c) {
            if (*c != 0) v.give(0, v.g * (binary(Op::Pow, a, like(a, *c - 1)) * *c));
        } else {
            const UOp slope = b * binary(Op::Pow, a, b + -1);
            v.give(0, where(b == 0, zeros_like(a), v.g * slope));
        }
    }
    if (v.wants(1)) {
        const UOp flat = binary(Op::And, a == 0, binary(Op::Le, zeros_like(b), b));
        v.give(1, where(flat, zeros_like(b), v.g * (v.y * unary(Op::Log, a))));
    }
}
inline void Atan2(Vjp& v) {
    const UOp a = v.x(0), b = v.x(1);
    const UOp scaled = v.g / (a * a + b * b);
    if (v.wants(0)) v.give(0, scaled * b);
    if (v.wants(1)) v.give(1, -(scaled * a));
}
inline void And(Vjp& v) { no_gradient(v); }
inline void Or(Vjp& v) { no_gradient(v); }
inline void Xor(Vjp& v) { no_gradient(v); }
inline void Shl(Vjp& v) { no_gradient(v); }
inline void Shr(Vjp& v) { no_gradient(v); }
inline void Lt(Vjp& v) { no_gradient(v); }
inline void Le(Vjp& v) { no_gradient(v); }
inline void Eq(Vjp& v) { no_gradient(v); }
inline void Ne(Vjp& v) { no_gradient(v); }

// --- three sources. A choice, not a product with 0 or 1: what the branch not taken does with its 0
// is its own affair, but no NaN or infinity of g crosses over.
inline void Where(Vjp& v) {
    const UOp zero = zeros_like(v.g);
    if (v.wants(1)) v.give(1, where(v.x(0), v.g, zero));
    if (v.wants(2)) v.give(2, where(v.x(0), zero, v.g));
}

}  // namespace sinter::ir::vjp
