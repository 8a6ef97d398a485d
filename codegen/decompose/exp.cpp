// Exponentials. x = n ln 2 + r with |r| <= ln(2)/2, ln 2 in two parts so that n times the first is
// exact (Cody and Waite, Software Manual for the Elementary Functions, 1980); e^r by a minimax
// polynomial (Remez exchange in 200 bits, coefficients rounded one after the other and the rest
// refitted); 2^n is put together from exponent bits. n is rounded by adding 1.5 2^(mantissa bits),
// which also leaves it in the low bits of the sum.

#include <cmath>
#include <vector>

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

constexpr double kLn2 = 0x1.62e42fefa39efp-1;

struct Format {
    int mantissa_bits;       // stored
    double shifter;          // 1.5 2^mantissa_bits
    std::int64_t half_bits;  // bits of 0.5
    double smallest;         // below this n, 2^n is scaled in two steps
    int lift;                // by how much the first step is raised
    double ln2_hi, ln2_lo;
    double n_max;                       // 2^(n_max - 1) is the largest power of two
    double exp_min, exp2_min;           // below these the result is 0
    double tiny;                        // |x| below this: expm1(x) rounds to x
    std::span<const double> exp_tail;   // (e^r - 1 - r) / r^2
    std::span<const double> exp2_tail;  // (2^r - 1) / r on [-1/2, 1/2]
};

constexpr double kExpTail32[] = {0.4999999403953552, 0.1666650027036667, 0.041667889803647995,
                                 0.008371071889996529, 0.00138621695805341};
constexpr double kExp2Tail32[] = {
    0.6931471824645996,    0.24022650718688965,   0.055504050105810165,  0.009618164040148258,
    0.0013345335610210896, 0.0001541921083116904, 1.1221261956961825e-05};

constexpr Format kFormat32 = {23,          0x1.8p23,       0x3f000000, -124.0, 64,
                              0x1.62e4p-1, 0x1.7f7d1cp-20, 128.0,      -108.0, -154.0,
                              0x1p-25,     kExpTail32,     kExp2Tail32};

constexpr double kExpTail64[] = {
    0.5,
    0.16666666666666693,
    0.04166666666666687,
    0.008333333333309781,
    0.0013888888888743994,
    0.00019841269913368524,
    2.480158763834816e-05,
    2.755721885490025e-06,
    2.755699246246591e-07,
    2.511729780289723e-08,
    2.1002669810571803e-09,
};
constexpr double kExp2Tail64[] = {
    0.6931471805599453,     0.2402265069591007,     0.055504108664823325,   0.009618129107630172,
    0.0013333558146055918,  0.00015403530389205948, 1.5252734139047697e-05, 1.3215490825167961e-06,
    1.0177945683053035e-07, 7.053250532865466e-09,  4.4711068133492785e-10, 2.813785421736873e-11,
};

constexpr Format kFormat64 = {52,
                              0x1.8p52,
                              0x3fe0000000000000,
                              -1020.0,
                              512,
                              0x1.62e42feep-1,
                              0x1.a39ef35793c76p-33,
                              1024.0,
                              -746.0,
                              -1080.0,
                              0x1p-54,
                              kExpTail64,
                              kExp2Tail64};

const Format& format(Value x) { return x.dtype() == DType::F64 ? kFormat64 : kFormat32; }

// p 2^n, exact but for the one rounding of a subnormal result. `shifted` is n + shifter; -2 lift <
// n <= 2 emax.
Value scale(const Format& f, Value p, Value n, Value shifted) {
    if (scales_by_powers(p.context().target)) return p.times_power_of_two(n);
    const Value small = n < f.smallest;
    const Value bits = to_bits(shifted);
    const Value lifted = where(small, bits + bits.like_bits(f.lift), bits);
    const Value half =
        (lifted.shl(f.mantissa_bits) + lifted.like_bits(f.half_bits)).bitcast(p.dtype());
    const double lower = std::bit_cast<double>(static_cast<std::uint64_t>(1024 - f.lift) << 52);
    return p * half * where(small, p.like(lower), p.like(2.0));
}

// `shifted` is n + shifter + bias, r = x - n ln 2.
struct Reduced {
    Value n, shifted, r;
};

Reduced reduce(const Format& f, Value x, double bias = 0) {
    const Value shifted = fma(x, 1 / kLn2, f.shifter + bias);
    const Value n = shifted - (f.shifter + bias);
    return {n, shifted, fma(n, -f.ln2_lo, fma(n, -f.ln2_hi, x))};
}

// What to add to n for the exponent bits of 2^n.
double exponent_bias(const Format& f) {
    return static_cast<double>((f.half_bits >> f.mantissa_bits) + 1);
}

// 2^n where `shifted` is n + shifter + exponent_bias; infinity beyond the largest power.
Value power_of_two(const Format& f, Value shifted) {
    return to_bits(shifted).shl(f.mantissa_bits).bitcast(shifted.dtype());
}

// e^r - 1
Value expm1_reduced(const Format& f, Value r) { return fma(r * r, polynomial(r, f.exp_tail), r); }

// e^r
Value exp_reduced(const Format& f, Value r) {
    if (!r.context().target.fma) return expm1_reduced(f, r) + 1.0;  // rounds less
    return fma(fma(polynomial(r, f.exp_tail), r, 1.0), r, 1.0);
}

}  // namespace

Value exp_bounded(Value x) {
    const Format& f = format(x);
    const Reduced part = reduce(f, x, exponent_bias(f));
    return exp_reduced(f, part.r) * power_of_two(f, part.shifted);
}

Value exp_scaled(Value x, int k) {
    const Format& f = format(x);
    // At the upper bound n + k is n_max and the result overflows, as it does beyond.
    const Value most = at_most(x, (f.n_max + 0.49 - k) * kLn2);
    if (k != 0) {
        const Reduced part = reduce(f, at_least(most, f.exp_min));
        return scale(f, exp_reduced(f, part.r), part.n + k, part.shifted + k);
    }
    // Results that vanish are not computed: machines take a hundred cycles for a product that
    // underflows, and behind a mask every second exponent is -infinity. What scales by powers does
    // not compute the lanes that are not chosen.
    const Value gone = x < f.exp_min;
    const bool skips = scales_by_powers(x.context().target);
    const Reduced part = reduce(f, skips ? most : where(gone, x.like(0.0), most));
    return where(gone, x.like(0.0), scale(f, exp_reduced(f, part.r), part.n, part.shifted));
}

Value exp(Value x) { return exp_scaled(x, 0); }

Value exp2(Value x) { return exp2_sum(x, x.like(0.0)); }

Value exp2_sum(Value high, Value low) {
    const Format& f = format(high);
    const Value gone = high < f.exp2_min;
    const Value bounded = where(gone, high.like(0.0), at_most(high, f.n_max + 0.49));
    const Value shifted = bounded + f.shifter;
    const Value n = shifted - f.shifter;
    const bool has_low = !low.node()->is(Op::Const);
    const Value r = has_low ? (bounded - n) + low : bounded - n;
    return where(gone, high.like(0.0),
                 scale(f, fma(r, polynomial(r, f.exp2_tail), 1.0), n, shifted));
}

namespace {

// With s = r / k and n from k x, for k a power of two or the negative of one.
Reduced reduce_multiple(const Format& f, Value x, double k, double bias) {
    const Value shifted = fma(x, k / kLn2, f.shifter + bias);
    const Value n = shifted - (f.shifter + bias);
    return {n, shifted, fma(n, -f.ln2_lo / k, fma(n, -f.ln2_hi / k, x))};
}

// (e^ks - 1 - ks) / s^2
std::vector<double> tail_of_multiple(const Format& f, double k) {
    std::vector<double> tail(f.exp_tail.begin(), f.exp_tail.end());
    double power = k;
    for (double& c : tail) c *= power *= k;
    return tail;
}

}  // namespace

// 2^n (e^2s - 1) / 2 + (2^n - 1) / 2
Value half_expm1_of_twice(Value x) {
    const Format& f = format(x);
    const Reduced part = reduce_multiple(f, x, 2, exponent_bias(f));
    const Value power = power_of_two(f, part.shifted), s = part.r;
    std::vector<double> tail = tail_of_multiple(f, 2);
    for (double& c : tail) c /= 2;
    return fma(power, fma(s * s, polynomial(s, tail), s), fma(power, 0.5, -0.5));
}

// 2^(n - 1) e^-2s + 1/2
Value half_plus_half_exp_of_minus_twice(Value x) {
    const Format& f = format(x);
    // At the lower bound the power is infinite, at the upper one the exponential rounds away.
    const double least = -(f.n_max + 1.4) * kLn2 / 2, most = f.n_max * kLn2 / 2 - 2;
    const Value bounded = at_least(at_most(x, most), least);
    const Reduced part = reduce_multiple(f, bounded, -2, exponent_bias(f) - 1);
    std::vector<double> c = tail_of_multiple(f, -2);
    c.insert(c.begin(), {1.0, -2.0});
    return fma(polynomial(part.r, c), power_of_two(f, part.shifted), 0.5);
}

// 2^n (e^r - 1) + (2^n - 1), at half scale so that 2^n is finite for the largest results.
Value expm1(Value x) {
    const Format& f = format(x);
    const Reduced part = reduce(f, at_least(at_most(x, (f.n_max + 0.49) * kLn2), -40.0));
    const Value bits = to_bits(part.shifted);
    const Value half = (bits.shl(f.mantissa_bits) + bits.like_bits(f.half_bits)).bitcast(x.dtype());
    const Value result = fma(half, expm1_reduced(f, part.r), half - 0.5) * 2.0;
    return where(abs(x) < f.tiny, x, result);
}

}  // namespace sinter::codegen::math
