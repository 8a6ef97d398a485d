// Sine, cosine, tangent. x = (q + r) pi/2 with q an integer and |r| <= 1/2: x 2/pi is formed
// exactly enough that r has full relative accuracy even where x is close to a multiple of pi/2
// (Payne and Hanek, 1983, in floating point: bits of 2/pi that only add multiples of 4 to x 2/pi
// are left out, by the size of x). Then minimax polynomials in (r pi/2)^2.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

constexpr double kHalfPi = 0x1.921fb54442d18p0;

constexpr double kSin32[] = {-0.1666666716337204, 0.008333355188369751, -0.00019842687470372766,
                             2.7285418582323473e-06};
constexpr double kCos32[] = {0.0416666679084301, -0.0013888938119634986, 2.480644434399437e-05,
                             -2.747027281202463e-07};
constexpr double kTan32[] = {0.3333318829536438,    0.13338057696819305,   0.05344828590750694,
                             0.02459821105003357,   0.0010996480705216527, 0.016045885160565376,
                             -0.009417244233191013, 0.004920329432934523};
constexpr double kSin64[] = {
    -0.16666666666666666,    0.008333333333333047,  -0.00019841269840973233, 2.755731908166058e-06,
    -2.5052073384677636e-08, 1.605467568417429e-10, -7.409682327050955e-13,
};
constexpr double kCos64[] = {
    0.041666666666666664,  -0.0013888888888888397,  2.480158730119466e-05, -2.7557319068835933e-07,
    2.087672426376859e-09, -1.1467158188806823e-11, 4.607630346863811e-14,
};

// For |x| < 2^(48 - a): the bits of 2/pi from 2^a down, 53 and 53 of them. What is left out adds up
// to less than 2^-58 of a quarter turn. Bits above 2^a are left out: times |x| >= 2^(24 - a), which
// has no bit below 2^(1 - a), they are multiples of 4 quarter turns.
struct Window {
    double below;  // applies to |x| below this
    double high, low;
};
constexpr Window kTwoOverPi[] = {
    {0x1p49, 0x1.45f306dc9c882p-1, 0x1.4a7f09d5f47d5p-54},
    {0x1p73, 0x1.b9391054a7f08p-26, 0x1.d5f47d4d37703p-78},
    {0x1p97, 0x1.529fc2757d1f0p-52, 0x1.4d377036d8a56p-102},
    {0x1p121, 0x1.3abe8fa9a6ee0p-75, 0x1.b6c52b3278872p-129},
    {kInf, 0x1.ea69bb81b6c52p-97, 0x1.664f10e4107f9p-150},
};

constexpr double kShifter = 0x1.8p52;

struct Quadrant {
    Value q;  // low two bits count, as an integer
    Value r;  // in radians
    Value r_low;
};

Quadrant reduce32(Value x) {
    const Value size = abs(x);
    const Value wide = x.cast_to(DType::F64);
    const auto select = [&](double Window::* part) {
        Value result = wide.like(kTwoOverPi[4].*part);
        for (int i = 3; i >= 0; --i)
            result = where(size < kTwoOverPi[i].below, kTwoOverPi[i].*part, result);
        return result;
    };
    // high.high < 2^48, so high.low < 2^-5; the product with low is below 2^-4: |r| < 0.6 quarter
    // turns.
    const Exact high = two_product(wide, select(&Window::high));
    const Value shifted = high.high + kShifter;
    const Value q = shifted - kShifter;
    const Value turns = (high.high - q) + fma(wide, select(&Window::low), high.low);
    const Value r = turns * kHalfPi;
    return {to_bits(shifted).cast_to(DType::I32), r.cast_to(DType::F32), x.like(0.0)};
}

// Right for |x| < 2^46. Beyond, q and r lose their meaning, and r is kept in bounds so that results
// are finite.
Quadrant reduce64(Value unbounded) {
    const Value x = at_least(at_most(unbounded, 0x1p60), -0x1p60);
    const Exact first = two_product(x, x.like(0x1.45f306dc9c883p-1));
    const Exact second = two_product(x, x.like(-0x1.6b01ec5417056p-55));
    const Value third = fma(x, -0x1.6447e493ad4cep-109, second.low);
    const Value shifted = first.high + kShifter;
    const Value q = shifted - kShifter;
    const Exact a = two_sum(first.high - q, first.low);
    const Exact b = two_sum(a.high, second.high);
    const Value rest = (a.low + b.low) + third;
    // (b.high + rest) pi/2, again in two parts.
    const Exact turn = two_sum(b.high, rest);
    const Exact radians = two_product(turn.high, x.like(kHalfPi));
    const Value low = radians.low + fma(turn.low, kHalfPi, turn.high * 0x1.1a62633145c07p-54);
    // No bound hides that the argument is infinite.
    const Value nan_or_zero = unbounded - unbounded;
    return {to_bits(shifted), at_least(at_most(radians.high, 0.8), -0.8),
            at_least(at_most(low, 0.1), -0.1) + nan_or_zero};
}

Quadrant reduce(Value x) { return x.dtype() == DType::F64 ? reduce64(x) : reduce32(x); }

Value sin_reduced(const Quadrant& part) {
    const Value r = part.r, square = r * r;
    if (r.dtype() == DType::F32) return fma(square * r, polynomial(square, kSin32), r);
    return r + fma(square * r, polynomial(square, kSin64), part.r_low * (1.0 - square * 0.5));
}

Value cos_reduced(const Quadrant& part) {
    const Value r = part.r, square = r * r;
    if (r.dtype() == DType::F32) {
        return fma(square * square, polynomial(square, kCos32), fma(square, -0.5, 1.0));
    }
    const Value half = square * 0.5;
    const Value one_less = 1.0 - half;
    const Value lost = (1.0 - one_less) - half;
    return one_less + (lost + fma(square * square, polynomial(square, kCos64), -(r * part.r_low)));
}

// sin(x + turns pi/2)
Value sine_of(Value x, int turns) {
    const Quadrant part = reduce(x);
    const Value q = turns == 0 ? part.q : part.q + part.q.like_bits(turns);
    const Value odd = (q & q.like_bits(1)) != q.like_bits(0);
    const Value result = where(odd, cos_reduced(part), sin_reduced(part));
    const int width = static_cast<int>(8 * size_of(x.dtype()));
    return flip_sign(result, q.shl(width - 2) & q.like_bits(sign_bit(x.dtype())));
}

// |x| below which sin x and tan x round to x: where x^3/3 is lost, and where r would lose bits to
// underflow.
double tiny(Value x) { return x.dtype() == DType::F64 ? 0x1p-27 : 0x1p-13; }

}  // namespace

Value sin(Value x) { return where(abs(x) < tiny(x), x, sine_of(x, 0)); }
Value cos(Value x) { return sine_of(x, 1); }

// f32: tan r or -1 / tan r. f64: sine over cosine.
Value tan(Value x) {
    const Quadrant part = reduce(x);
    const Value odd = (part.q & part.q.like_bits(1)) != part.q.like_bits(0);
    if (x.dtype() == DType::F32) {
        const Value square = part.r * part.r;
        const Value even = fma(square * part.r, polynomial(square, kTan32), part.r);
        return where(abs(x) < tiny(x), x, where(odd, -1.0 / even, even));
    }
    const Value s = sin_reduced(part), c = cos_reduced(part);
    return where(abs(x) < tiny(x), x, where(odd, -c, s) / where(odd, s, c));
}

}  // namespace sinter::codegen::math
