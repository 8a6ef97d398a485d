// x^y = 2^(y log2|x|), then the sign and the special cases of IEEE 754. f32 is computed in f64. f64
// needs log2|x| to some 70 bits, since y log2|x| is up to 1100 and its absolute error is the
// result's relative one: the first terms of the series 2 atanh(s) = 2 s (1 + s^2/3 + ...), s =
// (m-1)/(m+1), are carried as sums of two values.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

// log2(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1], relative error 2^-35.8, and (2^r - 1) / r on
// [-1/2, 1/2], 2^-32.
constexpr double kLog2[] = {
    1.442695040868706,   -0.7213475208688459,  0.4808983613955641,  -0.3606736748193348,
    0.2885372934390032,  -0.2404531658479546,  0.20617536071781317, -0.18030059855036995,
    0.15876978413704743, -0.14315646623501113, 0.14474853936023307, -0.14283937763542823,
    0.07737029751643971,
};
constexpr double kExp2[] = {0.6931471838565266,   0.24022650923497343,  0.05550400290003114,
                            0.009618056339609242, 0.001334198540084934, 0.00015461599535365777,
                            1.335976641886314e-05};
// (atanh(s)/s - 1 - s^2/3) / s^4 in s^2
constexpr double kAtanh[] = {0.1999999999999999,  0.1428571428572192,  0.11111111108894814,
                             0.09090909422011118, 0.07692279212764659, 0.06668132324803694,
                             0.05837888515116271, 0.059908943318499476};

// |x|^y but for 0^0, inf^0 and 1^NaN, as an f64.
Value power32(Value size, Value y) {
    const PowerOfTwo parts = split_positive(size);  // an f32 is normal in f64, but for 0
    const Value f = parts.m - 1.0;
    Value log2 = fma(f, polynomial(f, kLog2), parts.e);
    log2 = where(size < kInf, log2, size);
    log2 = where(size == 0.0, -kInf, log2);
    // The bound keeps inf * 0 = 0: 1^inf is 1.
    const Value product = at_least(at_most(y, 0x1p60), -0x1p60) * log2;
    const Value bounded = at_least(at_most(product, 300.0), -300.0);
    constexpr double kShifter = 0x1.8p52;
    const Value shifted = bounded + kShifter;
    const Value n = shifted - kShifter, r = bounded - n;
    const Value bits = to_bits(shifted).shl(52);
    const Value scale = (bits + bits.like_bits(0x3ff0000000000000)).bitcast(DType::F64);
    return fma(r, polynomial(r, kExp2), 1.0) * scale;
}

Value power64(Value size, Value y) {
    const PowerOfTwo parts = split_positive(size);
    const Value f = parts.m - 1.0;
    // s = f / (2 + f) in two parts
    const Exact below = two_sum(f.like(2.0), f);
    const Value s = f / below.high;
    const Exact back = two_product(s, below.high);
    const Value s_low = ((f - back.high) - back.low - s * below.low) / below.high;
    const Exact square = two_product(s, s);
    const Value square_low = fma(s * 2.0, s_low, square.low);
    // 1 + s^2/3 + s^4 p(s^2)
    const Exact third = two_product(square.high, f.like(0x1.5555555555555p-2));
    const Value tail = square.high * square.high * polynomial(square.high, kAtanh);
    const Value third_low =
        fma(square.high, 0x1.5555555555555p-56, fma(square_low, 1.0 / 3, third.low));
    const Exact head = two_sum(f.like(1.0), third.high);
    const Exact factor = two_sum(head.high, head.low + (third_low + tail));
    // log2 m = s factor 2/ln 2
    const Exact series = two_product(s, factor.high);
    const Value series_low = series.low + fma(s, factor.low, s_low * factor.high);
    const Exact scaled = two_product(series.high, f.like(0x1.71547652b82fep+1));
    const Value scaled_low =
        scaled.low + fma(series_low, 0x1.71547652b82fep+1, series.high * 0x1.777d0ffda0d24p-55);
    const Exact sum = two_sum(parts.e, scaled.high);
    Exact log2 = two_sum(sum.high, sum.low + scaled_low);
    const Value finite = (size < kInf) & (size != 0.0);
    const Value limit = where(size == 0.0, -kInf, size);  // 0, inf or NaN
    // The bounds keep inf * 0 = 0 and every product finite; 2^70 times the least log2 overflows as
    // infinity does.
    const Value bounded = at_least(at_most(y, 0x1p70), -0x1p70);
    const Exact product = two_product(bounded, log2.high);
    const Value high = where(finite, product.high, bounded * limit);
    const Value low = fma(bounded, log2.low, product.low);
    // Beyond the range of results nothing is to be added.
    return exp2_sum(high, where(abs(high) < 1100.0, low, 0.0));
}

}  // namespace

Value pow(Value x, Value y) {
    const Value size = abs(x);
    const bool wide = x.dtype() == DType::F64;
    const Value magnitude =
        wide ? power64(size, y)
             : power32(size.cast_to(DType::F64), y.cast_to(DType::F64)).cast_to(DType::F32);
    const Value half = y * 0.5;
    const Value integral = y.make(Op::Trunc) == y;  // infinities too, which are even
    const Value odd = integral & (half.make(Op::Trunc) != half);
    const Value signed_power = where(odd, flip_sign(magnitude, sign_of(x)), magnitude);
    const Value undefined = (x < 0.0) & ~integral & (size < kInf);
    const Value is_one = (x == 1.0) | (y == 0.0);
    return where(is_one, 1.0, where(undefined, kNaN, signed_power));
}

}  // namespace sinter::codegen::math
