// Sign, reciprocal, extremes, and rounding to integral values where no instruction does it.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

// |x| rounded to an integral value, half to even: adding 2^mantissa bits leaves no room for a
// fraction.
Value round_size(Value size) {
    const double shifter = size.dtype() == DType::F64 ? 0x1p52 : 0x1p23;
    return (size + shifter) - shifter;
}

// `rounded` >= 0 with the sign of x; x itself where it has no fraction, or is NaN.
Value with_sign_of(Value x, Value size, Value rounded) {
    const double integral = x.dtype() == DType::F64 ? 0x1p52 : 0x1p23;
    return where(size < integral, flip_sign(rounded, sign_of(x)), x);
}

}  // namespace

Value recip(Value x) { return 1.0 / x; }

Value sign(Value x) {
    const Value one = x.like(1.0);
    const Value signed_one = (sign_of(x) | to_bits(one)).bitcast(x.dtype());
    return where(is_nan(x), x, where(x == 0.0, 0.0, signed_one));
}

// Where a is no NaN this is x86's max, which gives b if either is one.
Value maximum(Value a, Value b) { return where(is_nan(a), a, where(a > b, a, b)); }
Value minimum(Value a, Value b) { return where(is_nan(a), a, where(a < b, a, b)); }

Value round_by_addition(Value x) {
    const Value size = abs(x);
    return with_sign_of(x, size, round_size(size));
}

Value trunc_by_addition(Value x) {
    const Value size = abs(x);
    const Value rounded = round_size(size);
    return with_sign_of(x, size, where(rounded > size, rounded - 1.0, rounded));
}

Value floor_by_addition(Value x) {
    const Value rounded = round_by_addition(x);
    // 1 - 1 is +0 where -0 is due only for x = -0, which rounds to itself.
    return where(rounded > x, rounded - 1.0, rounded);
}

Value ceil_by_addition(Value x) {
    const Value rounded = round_by_addition(x);
    const Value up = flip_sign(abs(rounded + 1.0), sign_of(x));  // -0.3: 1 more than -1 is -0
    return where(rounded < x, up, rounded);
}

}  // namespace sinter::codegen::math
