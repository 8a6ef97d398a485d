// Hyperbolic functions: near zero x + x^3 p(x^2) with p by Remez exchange, elsewhere from the
// exponential, where the subtraction loses less than a bit. tanh of f32 is h / (h + 1) with
// 2 h = e^2x - 1: a polynomial less, for an error that f64 has no room for.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

constexpr double kTanh64[] = {
    -0.3333333333333333,     0.1333333333333298,    -0.05396825396801856,    0.021869488528225615,
    -0.008863235371984694,   0.0035921260097582686, -0.0014558167464173623,  0.0005899201835848374,
    -0.00023866685549055563, 9.550066400638071e-05, -3.6237543304632964e-05, 1.1445352425459705e-05,
    -2.1329835524157096e-06,
};
constexpr double kSinh32[] = {0.1666666716337204, 0.008333313278853893, 0.0001984200207516551,
                              2.7887899705092423e-06};
constexpr double kSinh64[] = {
    0.16666666666666666,   0.008333333333333564,   0.00019841269841076048, 2.7557319301028935e-06,
    2.505209202936993e-08, 1.6060950469464376e-10, 7.53196103069862e-13,   5.6418517469070054e-15,
};

// x + x^3 p(x^2)
Value odd(Value x, std::span<const double> p32, std::span<const double> p64) {
    const Value square = x * x;
    return fma(square * x, polynomial(square, x.dtype() == DType::F64 ? p64 : p32), x);
}

}  // namespace

Value sinh(Value x) {
    const Value size = abs(x);
    const Value half_exp = exp_scaled(size, -1);
    const Value large = half_exp - 0.25 / half_exp;
    return flip_sign(where(size < 1.0, odd(size, kSinh32, kSinh64), large), sign_of(x));
}

Value cosh(Value x) {
    const Value half_exp = exp_scaled(abs(x), -1);
    return half_exp + 0.25 / half_exp;
}

Value tanh(Value x) {
    // From 10 (f32) and 20 (f64) on the result rounds to 1.
    const Value size = abs(x);
    if (x.dtype() == DType::F64) {
        const Value bounded = at_most(size, 20.0);
        const Value large = 1.0 - 2.0 / (exp_bounded(bounded + bounded) + 1.0);
        const Value square = size * size;
        const Value small = fma(square * size, polynomial(square, kTanh64), size);
        return flip_sign(where(size < 0.625, small, large), sign_of(x));
    }
    const Value half = half_expm1_of_twice(at_most(size, 10.0));
    const Value quotient = half / (half + 1.0);
    // The same, where the errors of the quotient count less.
    const Value small = fma(-half, quotient, half);
    return flip_sign(where(half < 0.5, small, quotient), sign_of(x));
}

Value one_plus_tanh(Value x) { return 1.0 / half_plus_half_exp_of_minus_twice(x); }

}  // namespace sinter::codegen::math
