#pragma once
// The math functions, each an expansion of a f32 or f64 value into basic ops. Accuracy:
// docs/math.md.

#include "decompose/value.h"

namespace sinter::codegen::math {

// exp.cpp
Value exp(Value x);
Value exp2(Value x);
Value expm1(Value x);
/// e^x 2^k for |k| <= 4, without overflow or underflow in between.
Value exp_scaled(Value x, int k);
/// e^x where |x| <= 80 (a NaN stays NaN): what is left when no result leaves the normal range.
Value exp_bounded(Value x);
/// (e^-2x + 1) / 2, and infinity where that is more than the largest number.
Value half_plus_half_exp_of_minus_twice(Value x);
/// (e^2x - 1) / 2 where 0 <= x <= 40 (a NaN stays NaN), with no loss near 0.
Value half_expm1_of_twice(Value x);
/// 2^(high + low) where |low| is far below 1; 0 and infinity beyond the type's range.
Value exp2_sum(Value high, Value low);

// log.cpp
Value log(Value x);
Value log2(Value x);
Value log1p(Value x);
struct PowerOfTwo {
    Value m, e;  // the value is m 2^e, e an integral float
};
/// sqrt(1/2) <= m < sqrt(2) for positive finite x, subnormals too; anything for others.
PowerOfTwo split_positive(Value x);

// hyperbolic.cpp
Value sinh(Value x);
Value cosh(Value x);
Value tanh(Value x);
/// 1 + tanh(x), which does not cancel where tanh(x) is near -1.
Value one_plus_tanh(Value x);

// erf.cpp
Value erf(Value x);

// trigonometric.cpp
Value sin(Value x);
Value cos(Value x);
Value tan(Value x);

// inverse.cpp
Value asin(Value x);
Value acos(Value x);
Value atan(Value x);
Value atan2(Value y, Value x);

// pow.cpp
Value pow(Value x, Value y);

// exact.cpp
struct Exact {
    Value high, low;  // the value is the sum; |low| is at most half a unit of high's last place
};
/// a + b and a b as exact sums; the product for |a|, |b| < 2^900, and where no underflow hits its
/// low part.
Exact two_sum(Value a, Value b);
Exact two_product(Value a, Value b);

// basic.cpp
Value sign(Value x);
Value recip(Value x);
Value maximum(Value a, Value b);
Value minimum(Value a, Value b);
/// Half to even, towards -inf, +inf and 0: for targets without an instruction.
Value round_by_addition(Value x);
Value floor_by_addition(Value x);
Value ceil_by_addition(Value x);
Value trunc_by_addition(Value x);

// integer.cpp
Value floor_divide(Value a, Value b);
Value floor_modulo(Value a, Value b);
Value shift_left(Value x, Value n);
Value shift_right(Value x, Value n);
Value integer_abs(Value x);
Value integer_sign(Value x);
Value integer_maximum(Value a, Value b);
Value integer_minimum(Value a, Value b);

// cast.cpp
Value cast(Value x, DType to);

}  // namespace sinter::codegen::math
