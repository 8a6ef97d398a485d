// Logarithms. x = 2^e m with sqrt(1/2) <= m < sqrt(2), read off the bits; log m from f = m - 1.
// f32: a minimax polynomial for (log(1+f) - f + f^2/2) / f^3 (the form of Cephes' logf). f64: s =
// f/(2+f), log(1+f) = f - f^2/2 + s (f^2/2 + R(s^2)), as in fdlibm's e_log.c, with R fitted here by
// Remez exchange.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

struct Format {
    int mantissa_bits;
    std::int64_t sqrt_half_bits;  // bits of sqrt(1/2)
    std::int64_t one_bits;
    double smallest_normal;
    int lift;  // subnormals are multiplied by 2^lift
    double ln2_hi, ln2_lo;
    double log2e_hi, log2e_lo;
    double tiny;  // |x| below this: log1p(x) rounds to x
};

constexpr double kTail32[] = {0.3333331346511841,  -0.24999985098838806, 0.20002007484436035,
                              -0.1666879802942276, 0.1422238051891327,   -0.12397461384534836,
                              0.11862672120332718, -0.11701079457998276, 0.06821241974830627};
constexpr double kTail64[] = {0.6666666666666666,  0.4000000000000508,  0.2857142856933268,
                              0.22222222621459894, 0.18181777047567513, 0.15387050783856213,
                              0.13250669845822166, 0.13248804795445515};

constexpr Format kFormat32 = {23,          0x3f3504f3,     0x3f800000,    0x1p-126,      32,
                              0x1.62e4p-1, 0x1.7f7d1cp-20, 0x1.715476p+0, 0x1.4ae0cp-26, 0x1p-26};
constexpr Format kFormat64 = {52,
                              0x3fe6a09e667f3bcd,
                              0x3ff0000000000000,
                              0x1p-1022,
                              64,
                              0x1.62e42feep-1,
                              0x1.a39ef35793c76p-33,
                              0x1.71547652b82fep+0,
                              0x1.777d0ffda0d24p-56,
                              0x1p-55};

const Format& format(Value x) { return x.dtype() == DType::F64 ? kFormat64 : kFormat32; }

double power_of_two(int n) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + n) << 52);
}

struct Parts {
    Value e;       // as a float
    Value m;       // sqrt(1/2) <= m < sqrt(2)
    Value e_bits;  // e << mantissa_bits
};

// A small integer as a float. Not every machine converts 64-bit integers; all add them.
Value to_float(Value n) {
    if (n.dtype() == DType::I32) return n.cast_to(DType::F32);
    constexpr double kShifter = 0x1.8p52;
    return (n + n.like_bits(std::bit_cast<std::int64_t>(kShifter))).bitcast(DType::F64) - kShifter;
}

// Of a positive, normal, finite x; anything for others.
Parts split(const Format& f, Value x) {
    const Value bits = to_bits(x);
    const Value shifted = bits - bits.like_bits(f.sqrt_half_bits);
    const Value e_bits = shifted & shifted.like_bits(-(std::int64_t{1} << f.mantissa_bits));
    const Value e = to_float(shifted.shr(f.mantissa_bits));
    return {e, (bits - e_bits).bitcast(x.dtype()), e_bits};
}

// log(1 + f) - f
Value log1p_tail(Value f) {
    if (f.dtype() == DType::F32) {
        const Value square = f * f;
        return fma(square, -0.5, square * f * polynomial(f, kTail32));
    }
    const Value s = f / (f + 2.0);
    const Value z = s * s;
    const Value half = f * f * 0.5;
    return fma(s, half + z * polynomial(z, kTail64), -half);
}

// Results where x is no positive finite number: x is NaN or inf -> x, 0 -> -inf, below -> NaN.
Value special(Value x, Value zero, Value result) {
    result = where(x < kInf, result, x);
    result = where(x == zero, -kInf, result);
    return where(x < zero, kNaN, result);
}

}  // namespace

PowerOfTwo split_positive(Value x) {
    const Format& f = format(x);
    const Value small = x < f.smallest_normal;
    const Parts parts = split(f, where(small, x * power_of_two(f.lift), x));
    return {parts.m, parts.e - where(small, x.like(static_cast<double>(f.lift)), x.like(0.0))};
}

Value log(Value x) {
    const Format& f = format(x);
    const PowerOfTwo parts = split_positive(x);
    const Value e = parts.e, r = parts.m - 1.0;
    const Value result = fma(e, f.ln2_hi, r + fma(e, f.ln2_lo, log1p_tail(r)));
    return special(x, x.like(0.0), result);
}

Value log2(Value x) {
    const Format& f = format(x);
    const PowerOfTwo parts = split_positive(x);
    const Value e = parts.e, r = parts.m - 1.0;
    const Value tail = log1p_tail(r);
    // log2(e) in two parts; without fma the product r log2e_hi is what rounds.
    const Value low = fma(tail, f.log2e_hi, (r + tail) * f.log2e_lo);
    return special(x, x.like(0.0), e + fma(r, f.log2e_hi, low));
}

// log(u) with u = 1 + x rounded, and what the rounding lost (Knuth's two-sum) given back to f.
Value log1p(Value x) {
    const Format& f = format(x);
    const Value u = x + 1.0;
    const Value from_x = u - x;
    const Value lost = (x - (u - from_x)) + (1.0 - from_x);
    const Parts parts = split(f, u);
    // 2^-e, or 0 where that is subnormal and nothing was lost.
    const Value inverse_bits = parts.e_bits.like_bits(f.one_bits) - parts.e_bits;
    const Value inverse =
        integer_maximum(inverse_bits, inverse_bits.like_bits(0)).bitcast(x.dtype());
    const Value r = fma(lost, inverse, parts.m - 1.0);
    const Value result = fma(parts.e, f.ln2_hi, r + fma(parts.e, f.ln2_lo, log1p_tail(r)));
    return where(abs(x) < f.tiny, x, special(x, x.like(-1.0), result));
}

}  // namespace sinter::codegen::math
