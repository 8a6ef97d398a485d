// Inverse trigonometric functions: minimax polynomials (Remez) on a short interval around 0,
// arguments brought there by the half-angle formula (asin, acos) or by subtracting angles of pi/4
// and pi/2 (atan), the angles in two parts.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

struct Angle {
    double high, low;
};
constexpr Angle kHalfPi32 = {0x1.921fb6p0, -0x1.777a5cp-25};
constexpr Angle kHalfPi64 = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};

constexpr Angle kThreeQuarterPi32 = {0x1.2d97c8p+1, -0x1.99bc5cp-28};
constexpr Angle kThreeQuarterPi64 = {0x1.2d97c7f3321d2p+1, 0x1.a79394c9e8a0ap-54};

// (asin(x)/x - 1) / x^2 in x^2, |x| <= 1/2
constexpr double kAsin32[] = {0.16666659712791443,  0.07500521838665009,  0.04451338201761246,
                              0.031838834285736084, 0.014317091554403305, 0.037691131234169006};
constexpr double kAsin64[] = {
    0.16666666666666763,  0.0749999999997005,    0.04464285717538847,  0.030381942668042387,
    0.022372216169014407, 0.017351589789916966,  0.013981098048967041, 0.011396556833847634,
    0.010793904874177756, 0.0036532168198967346, 0.02184067071926534,  -0.02119279909399792,
    0.03275294097533522,
};
// (atan(x)/x - 1) / x^2 in x^2, |x| <= tan(pi/8)
constexpr double kAtan32[] = {-0.3333333134651184, 0.19999802112579346,  -0.14279133081436157,
                              0.11009632050991058, -0.08283644169569016, 0.04352608695626259};
constexpr double kAtan64[] = {
    -0.3333333333333333,   0.19999999999999243,  -0.1428571428560616,  0.11111111103335092,
    -0.09090908761502046,  0.07692298742244948,  -0.06666502774026001, 0.0588027267978099,
    -0.05244623273015335,  0.046460368393607426, -0.0384626187502273,  0.02535326858350616,
    -0.009143414439065169,
};

bool is_wide(Value x) { return x.dtype() == DType::F64; }
Angle half_pi(Value x) { return is_wide(x) ? kHalfPi64 : kHalfPi32; }

// asin(s) - s, from s^2 too since that is more exact where s is a square root.
Value asin_tail(Value s, Value square) {
    const Value p = is_wide(s) ? polynomial(square, kAsin64) : polynomial(square, kAsin32);
    return s * square * p;
}

Value atan_tail(Value t) {
    const Value square = t * t;
    const Value p = is_wide(t) ? polynomial(square, kAtan64) : polynomial(square, kAtan32);
    return t * square * p;
}

// Either |x| <= 1/2 itself, or sqrt((1 - |x|) / 2), of which the difference to x is exact; NaN
// where |x| > 1.
struct Half {
    Value near;  // |x| <= 1/2
    Value s, square;
};
Half half_angle(Value x, Value size) {
    const Value near = size <= 0.5;
    const Value square = where(near, x * x, 0.5 - size * 0.5);
    return {near, where(near, size, square.make(Op::Sqrt)), square};
}

constexpr double kTanEighth = 0.41421356237309503, kTanThreeEighths = 2.414213562373095;

}  // namespace

Value asin(Value x) {
    const Value size = abs(x);
    const Half half = half_angle(x, size);
    const Value tail = asin_tail(half.s, half.square);
    const Angle angle = half_pi(x);
    const Value far = angle.high - (2.0 * half.s - (angle.low - 2.0 * tail));
    return flip_sign(where(half.near, half.s + tail, far), sign_of(x));
}

Value acos(Value x) {
    const Half half = half_angle(x, abs(x));
    const Value tail = asin_tail(half.s, half.square);
    const Angle angle = half_pi(x);
    const Value sign = sign_of(x);
    // Near 0: pi/2 - asin x; near 1: 2 asin s; near -1: pi - 2 asin s.
    const Value base_high = where(x < 0.0, 2.0 * angle.high, x.like(0.0));
    const Value base_low = where(x < 0.0, 2.0 * angle.low, x.like(0.0));
    const Value far =
        base_high + (flip_sign(2.0 * half.s, sign) + (base_low + flip_sign(2.0 * tail, sign)));
    const Value near = angle.high - (flip_sign(half.s, sign) - (angle.low - flip_sign(tail, sign)));
    return where(half.near, near, far);
}

Value atan(Value x) {
    const Value size = abs(x);
    const Value large = size > kTanThreeEighths, middle = size > kTanEighth;
    const Value t = where(large, -1.0, where(middle, size - 1.0, size)) /
                    where(large, size, where(middle, size + 1.0, 1.0));
    const Angle angle = half_pi(x);
    const auto base = [&](double part) {
        return where(large, part, where(middle, x.like(part / 2), 0.0));
    };
    const Value result = base(angle.high) + (t + (base(angle.low) + atan_tail(t)));
    return flip_sign(result, sign_of(x));
}

// As atan of y/x with one division; the signs choose the quadrant, those of zeros too.
Value atan2(Value y, Value x) {
    const Value both_infinite = (abs(y) == kInf) & (abs(x) == kInf);
    // Scaled, so that sums are finite.
    const double huge = is_wide(x) ? 0x1p1000 : 0x1p120;
    const Value is_huge = (abs(x) >= huge) | (abs(y) >= huge);
    const Value scale = where(is_huge, x.like(0.0625), x.like(1.0));
    const Value up = where(both_infinite, 1.0, abs(y) * scale);
    const Value along = where(both_infinite, 1.0, abs(x) * scale);
    const Value large = up > along * kTanThreeEighths, middle = up > along * kTanEighth;
    const Value along_or_one = where(along == 0.0, 1.0, along);
    const Value t = where(large, -along, where(middle, up - along, up)) /
                    where(large, up, where(middle, up + along, along_or_one));
    // The angle is base + atan t, or for negative x pi - base - atan t.
    const Value backward = to_bits(x) < to_bits(x).like_bits(0);
    const Angle half = half_pi(x),
                three_quarters = is_wide(x) ? kThreeQuarterPi64 : kThreeQuarterPi32;
    const auto base = [&](double Angle::* part) {
        const double half_part = half.*part;
        const Value first = where(middle, x.like(half_part / 2), 0.0);
        const Value second = where(middle, x.like(three_quarters.*part), 2 * half_part);
        return where(large, half_part, where(backward, second, first));
    };
    const Value turn = sign_of(x);
    const Value low = base(&Angle::low) + flip_sign(atan_tail(t), turn);
    const Value result = base(&Angle::high) + (flip_sign(t, turn) + low);
    return flip_sign(result, sign_of(y));
}

}  // namespace sinter::codegen::math
