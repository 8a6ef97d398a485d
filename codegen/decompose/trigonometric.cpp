// Sine, cosine, tangent. x = (q + r) pi/2 with q an integer and |r| <= 1/2: x 2/pi is formed
// exactly enough that r has full relative accuracy even where x is close to a multiple of pi/2
// (Payne and Hanek, 1983, in floating point: bits of 2/pi that only add multiples of 4 to x 2/pi
// are left out, by the size of x; for large f64 in integers). Then minimax polynomials in
// (r pi/2)^2.

#include <vector>

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

// q + high + low quarter turns, q as in Quadrant.
struct Turns {
    Value q, high, low;
};

// |x| < 2^46.
Turns small_turns(Value x) {
    const Exact first = two_product(x, x.like(0x1.45f306dc9c883p-1));
    const Exact second = two_product(x, x.like(-0x1.6b01ec5417056p-55));
    const Value third = fma(x, -0x1.6447e493ad4cep-109, second.low);
    const Value shifted = first.high + kShifter;
    const Value q = shifted - kShifter;
    const Exact a = two_sum(first.high - q, first.low);
    const Exact b = two_sum(a.high, second.high);
    const Exact turn = two_sum(b.high, (a.low + b.low) + third);
    return {to_bits(shifted), turn.high, turn.low};
}

// 2/pi from the bit of weight 2^8 down.
constexpr std::uint64_t kTwoOverPiBits[] = {
    0x00517cc1b727220au, 0x94fe13abe8fa9a6eu, 0xe06db14acc9e21c8u, 0x20ff28b1d5ef5de2u,
    0xb0db92371d2126e9u, 0x700324977504e8c9u, 0x0e7f0ef58e5894d3u, 0x9f74411afa975da2u,
    0x4274ce38135a2fbfu, 0x209cc8eb1cc1a99cu, 0xfa4e422fc5defc94u, 0x1d8ffc4bffef02ccu,
    0x07f79788c5ad0536u, 0x8fb69b3f6793e584u, 0xdba7a31fb34f2ff5u, 0x16ba93dd63f5f2f8u,
    0xbd9e839cfbc52949u, 0x7535fdafd88fc6aeu, 0x842b0198237e3db5u};

// Words `first` to `first` + 3 of the bits, first < 16: halved moves, the longest first.
std::vector<Value> words_from(Value first) {
    std::vector<Value> words;
    for (std::uint64_t w : kTwoOverPiBits)
        words.push_back(first.like_bits(static_cast<std::int64_t>(w)));
    for (std::size_t move : {8, 4, 2, 1}) {
        const Value moved =
            (first & first.like_bits(static_cast<std::int64_t>(move))) != first.like_bits(0);
        for (std::size_t i = 0; i < 3 + move; ++i)
            words[i] = where(moved, words[i + move], words[i]);
        words.resize(3 + move, first);
    }
    return words;
}

// An integer below 2^32 as a double, exactly.
Value number32(Value bits) {
    return (bits | bits.like_bits(0x4330000000000000)).bitcast(DType::F64) - 0x1p52;
}

// 2^46 <= |x| < infinity, in integers: x = m 2^k with 2^52 <= m < 2^53. Bits of 2/pi above 2^(1 -
// k) only add multiples of 4; of the product of m and the 192 bits from there, modulo 2^192, the
// first two are the quadrant. No double is closer than 2^-62 to a multiple of pi/2, and what bits
// further down add is below 2^-136.
Turns large_turns(Value x) {
    const Value bits = abs(x).bitcast(DType::U64);
    const auto word = [&](std::uint64_t w) { return bits.like_bits(static_cast<std::int64_t>(w)); };
    const auto shl = [](Value v, Value by) { return v.make(Op::Shl, by, kInRange); };
    const auto shr = [](Value v, Value by) { return v.make(Op::Shr, by, kInRange); };
    const Value m = (bits & word(0xFFFFFFFFFFFFF)) | word(std::uint64_t{1} << 52);
    // The bit of weight 2^(1 - k) in the table, k the exponent - 1075.
    const Value position = bits.shr(52) - word(1075 + 1 - 8);
    const std::vector<Value> words = words_from(position.shr(6) & word(15));
    const Value by = position & word(63), back = word(63) - by;
    // 32-bit digits, most significant first.
    const Value low32 = word(0xFFFFFFFF);
    std::vector<Value> two_over_pi;
    for (std::size_t i = 0; i < 3; ++i) {
        const Value w = shl(words[i], by) | shr(words[i + 1].shr(1), back);
        two_over_pi.push_back(w.shr(32));
        two_over_pi.push_back(w & low32);
    }
    const Value m_low = m & low32, m_high = m.shr(32);
    std::vector<Value> product(6, m);
    Value carry = word(0);
    for (std::size_t i = 6; i-- > 0;) {
        const Value sum = m_low * two_over_pi[i] + carry;
        product[i] = sum & low32;
        carry = sum.shr(32);
    }
    carry = word(0);
    for (std::size_t i = 5; i-- > 0;) {
        const Value sum = m_high * two_over_pi[i + 1] + product[i] + carry;
        product[i] = sum & low32;
        carry = sum.shr(32);
    }
    const Value top = product[0].shl(32) | product[1];
    const Value q = (top + word(std::uint64_t{1} << 61)).shr(62).bitcast(DType::I64);
    // What is left of the quarter turn, from -1/2 to 1/2: digits of 32 bits, the first signed.
    const Value f0 = (top.shl(2).shr(32)) ^ word(std::uint64_t{1} << 31);
    const Value f1 = (product[1].shl(2) | product[2].shr(30)) & low32;
    const Value f2 = (product[2].shl(2) | product[3].shr(30)) & low32;
    const Value f3 = (product[3].shl(2) | product[4].shr(30)) & low32;
    const Exact a = two_sum((number32(f0) - 0x1p31) * 0x1p-32, number32(f1) * 0x1p-64);
    const Exact b = two_sum(a.high, number32(f2) * 0x1p-96);
    const Exact turn = two_sum(b.high, (a.low + b.low) + number32(f3) * 0x1p-128);
    const Value sign = to_bits(x).shr(63);  // 0 or -1
    return {(q ^ sign) - sign, flip_sign(turn.high, sign_of(x)), flip_sign(turn.low, sign_of(x))};
}

Quadrant reduce64(Value x) {
    const Turns small = small_turns(x), large = large_turns(x);
    const Value is_small = abs(x) < 0x1p46;
    const Value high = where(is_small, small.high, large.high);
    const Value low = where(is_small, small.low, large.low);
    // pi/2 times that, again in two parts.
    const Exact radians = two_product(high, x.like(kHalfPi));
    const Value rest = radians.low + fma(low, kHalfPi, high * 0x1.1a62633145c07p-54);
    const Value nan_or_zero = x - x;  // NaN where the argument is infinite
    return {where(is_small, small.q, large.q), radians.high, rest + nan_or_zero};
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
