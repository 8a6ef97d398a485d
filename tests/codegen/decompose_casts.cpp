// Casts, integer division, shifts, rounding, extremes and 16-bit arithmetic against plain C++.

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <random>
#include <set>

#include <sinter/codegen/decompose.h>
#include <sinter/ir/kernel.h>
#include "evaluate.h"

namespace {

using namespace sinter;
using ir::Op;
using test::Bits;
using test::targets;

constexpr DType kAll[] = {boolean, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64};
constexpr DType kIntegers[] = {i8, i16, i32, i64, u8, u16, u32, u64};

// The value of an element, exactly: every dtype fits a long double of 64 bits' precision.
static_assert(std::numeric_limits<long double>::digits >= 64);
long double value_of(DType dt, Bits b) {
    switch (dt) {
        case f16:
            return f16_to_f32(static_cast<std::uint16_t>(b));
        case bf16:
            return bf16_to_f32(static_cast<std::uint16_t>(b));
        case f32:
            return test::as_f32(b);
        case f64:
            return test::as_f64(b);
        default:
            return is_signed_int(dt) ? static_cast<long double>(test::as_signed(dt, b))
                                     : static_cast<long double>(b);
    }
}

// The nearest value of a format with `digits` bits of precision and least exponent `least`, half to
// even.
long double round_to(long double x, int digits, int least, long double largest) {
    if (!std::isfinite(x) || x == 0) return x;
    int exponent = 0;
    std::frexp(x, &exponent);
    const int place = std::max(exponent - digits, least);
    const long double rounded = std::ldexp(std::nearbyint(std::ldexp(x, -place)), place);
    return std::fabs(rounded) > largest
               ? std::copysign(std::numeric_limits<long double>::infinity(), x)
               : rounded;
}

// What docs/ir.md says about Cast, as a value; integers wrap or saturate.
long double cast_reference(DType from, DType to, Bits b) {
    const long double x = value_of(from, b);
    switch (to) {
        case boolean:
            return x != 0 ? 1 : 0;
        case f16:
            return round_to(x, 11, -24, 65504);
        case bf16:
            return round_to(x, 8, -133, std::ldexp(255.0L, 120));
        case f32:
            return static_cast<float>(x);
        case f64:
            return static_cast<double>(x);
        default:
            break;
    }
    const int width = static_cast<int>(8 * size_of(to));
    const long double low = is_signed_int(to) ? -std::ldexp(1.0L, width - 1) : 0;
    const long double high = std::ldexp(1.0L, is_signed_int(to) ? width - 1 : width) - 1;
    if (is_float(from))
        return std::isnan(x) ? 0 : x < low ? low : x > high ? high : std::trunc(x) + 0.0L;
    const Bits wide = is_signed_int(from) ? static_cast<Bits>(test::as_signed(from, b)) : b;
    return value_of(to, wide & test::mask_of(to));
}

std::vector<Bits> samples(DType dt) {
    if (dt == boolean) return {0, 1};
    std::vector<Bits> xs;
    if (size_of(dt) <= 2) {
        for (Bits b = 0; b <= test::mask_of(dt); ++b) xs.push_back(b);
        return xs;
    }
    std::mt19937_64 random(5);
    const Bits mask = test::mask_of(dt);
    for (int i = 0; i < 3000; ++i) {
        const Bits r = random();
        xs.push_back(r & mask);
        xs.push_back((r >> (random() % 64)) & mask);  // of every size
        xs.push_back(-(r >> (random() % 64)) & mask);
        // Ties of narrower formats and their neighbours.
        const int keep = static_cast<int>(random() % 60) + 4;
        const Bits tie = (r | (Bits{1} << 63)) >> keep << keep;
        for (int shift : {0, 8, 20})
            for (int delta : {-1, 0, 1})
                xs.push_back(((tie >> shift) + static_cast<Bits>(delta)) & mask);
    }
    for (int bit = 0; bit < 64; ++bit)
        for (int delta : {-1, 0, 1}) {
            xs.push_back(((Bits{1} << bit) + static_cast<Bits>(delta)) & mask);
            const double power = std::ldexp(1.0, bit - 1);
            for (double x : {power, -power, power + delta * 0.5, -power + delta * 0.5,
                             std::nextafter(power, 0)}) {
                if (dt == f32) xs.push_back(test::bits_of(static_cast<float>(x)));
                if (dt == f64) xs.push_back(test::bits_of(x));
            }
        }
    if (dt == f64) {  // around values of the 16-bit formats and their ties
        for (int i = 0; i < 4000; ++i) {
            const double x = (static_cast<int>(random() % 8192) - 4096) *
                             std::ldexp(0.5, static_cast<int>(random() % 60) - 40);
            for (double y : {x, std::nextafter(x, 1e9), std::nextafter(x, -1e9)})
                xs.push_back(test::bits_of(y));
        }
        for (double x :
             {0.0, -0.0, 1e300, -1e300, 1e-300, 5e-324, std::numeric_limits<double>::infinity(),
              std::numeric_limits<double>::quiet_NaN(), 65519.999, 65520.0, 3.39e38, 3.4e38,
              3.5e38})
            xs.push_back(test::bits_of(x));
    }
    if (dt == f32) {
        for (float x :
             {0.0f, -0.0f, 1e-45f, std::numeric_limits<float>::max(),
              std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
              std::numeric_limits<float>::quiet_NaN(), 65519.0f, 65520.0f})
            xs.push_back(test::bits_of(x));
    }
    return xs;
}

ir::Ref operand(ir::Arena& arena, DType dt, std::int64_t slot) {
    return ir::variable(arena, dt, slot, 0, 0);
}

bool same(long double a, long double b) {
    return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace

TEST_CASE("casts between all dtypes have the documented result") {
    for (const codegen::Target& target : targets()) {
        for (DType from : kAll) {
            const std::vector<Bits> xs = samples(from);
            for (DType to : kAll) {
                if (from == to) continue;
                ir::Arena arena;
                const ir::Ref node = arena.cast(operand(arena, from, 0), to);
                test::Expression expression(codegen::decompose(arena, node, target), target);
                long wrong = 0;
                Bits first = 0;
                for (Bits x : xs) {
                    if (same(value_of(to, expression(x)), cast_reference(from, to, x))) continue;
                    if (wrong++ == 0) first = x;
                }
                CHECK_MESSAGE(wrong == 0, std::string(name(from)), " -> ", std::string(name(to)),
                              ": ", wrong, " wrong, first at bits ", first);
            }
        }
    }
}

TEST_CASE("a rounding cast in the middle of a chain is kept") {
    for (const codegen::Target& target : targets()) {
        ir::Arena arena;
        const ir::Ref chain = arena.cast(arena.cast(operand(arena, f32, 0), bf16), f32);
        test::Expression expression(codegen::decompose(arena, chain, target), target);
        CHECK(test::as_f32(expression(test::bits_of(1.0f + 0x1p-9f))) == 1.0f);
        CHECK(test::as_f32(expression(test::bits_of(0x1.8p-133f))) ==
              0x1p-132f);  // subnormal, a tie to even
    }
}

TEST_CASE("arithmetic on 16-bit floats is done in f32 and rounded once an op") {
    std::mt19937_64 random(3);
    for (const codegen::Target& target : targets()) {
        for (DType dt : {f16, bf16}) {
            for (Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::Min, Op::Lt, Op::Eq}) {
                ir::Arena arena;
                const ir::Ref node = arena.binary(op, operand(arena, dt, 0), operand(arena, dt, 1));
                test::Expression expression(codegen::decompose(arena, node, target), target);
                long wrong = 0;
                for (int i = 0; i < 20000; ++i) {
                    const Bits x = random() & 0xffff, y = random() & 0xffff;
                    const auto a = static_cast<float>(value_of(dt, x)),
                               b = static_cast<float>(value_of(dt, y));
                    float want = 0;
                    switch (op) {
                        case Op::Add:
                            want = a + b;
                            break;
                        case Op::Sub:
                            want = a - b;
                            break;
                        case Op::Mul:
                            want = a * b;
                            break;
                        case Op::Div:
                            want = a / b;
                            break;
                        case Op::Max:
                            want = std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b);
                            break;
                        case Op::Min:
                            want = std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b);
                            break;
                        case Op::Lt:
                            want = a < b;
                            break;
                        default:
                            want = a == b;
                            break;
                    }
                    const Bits got = expression(x, y);
                    const bool compare = op == Op::Lt || op == Op::Eq;
                    const float rounded = compare     ? want
                                          : dt == f16 ? f16_to_f32(f32_to_f16(want))
                                                      : bf16_to_f32(f32_to_bf16(want));
                    const long double value =
                        compare ? static_cast<long double>(got) : value_of(dt, got);
                    wrong += !(same(value, rounded) ||
                               (value == 0 && rounded == 0 && (op == Op::Max || op == Op::Min)));
                }
                CHECK_MESSAGE(wrong == 0, std::string(name(op)), " ", std::string(name(dt)));
            }
        }
    }
}

namespace {

__extension__ using Wide = __int128;

Wide wide_of(DType dt, Bits b) {
    return is_signed_int(dt) ? Wide{test::as_signed(dt, b)} : Wide{b};
}

Bits integer_reference(Op op, DType dt, Bits x, Bits y) {
    const Wide a = wide_of(dt, x), b = wide_of(dt, y), width = 8 * static_cast<int>(size_of(dt));
    const bool fits = b >= 0 && b < width;
    Wide result = 0;
    switch (op) {
        case Op::IDiv:
        case Op::Mod: {
            if (b == 0) return op == Op::IDiv ? 0 : x;
            Wide quotient = a / b;
            if (a % b != 0 && (a < 0) != (b < 0)) --quotient;
            result = op == Op::IDiv ? quotient : a - quotient * b;
            break;
        }
        case Op::Shl:
            result = fits ? a << b : 0;
            break;
        case Op::Shr:
            result = fits ? a >> b : a < 0 ? -1 : 0;
            break;
        case Op::Max:
            result = a > b ? a : b;
            break;
        case Op::Min:
            result = a < b ? a : b;
            break;
        default:
            break;
    }
    return static_cast<Bits>(result) & test::mask_of(dt);
}

}  // namespace

TEST_CASE("integer division floors, shifts and extremes are right, for every divisor and amount") {
    const codegen::Target target = targets()[1];
    std::mt19937_64 random(9);
    for (DType dt : kIntegers) {
        const Bits mask = test::mask_of(dt), top = (mask >> 1) + 1;
        for (Op op : {Op::IDiv, Op::Mod, Op::Shl, Op::Shr, Op::Max, Op::Min}) {
            ir::Arena arena;
            const ir::Ref node = arena.binary(op, operand(arena, dt, 0), operand(arena, dt, 1));
            test::Expression expression(codegen::decompose(arena, node, target), target);
            long wrong = 0;
            const auto check = [&](test::Expression& e, Bits x, Bits y) {
                wrong += e(x, y) != integer_reference(op, dt, x, y);
            };
            if (size_of(dt) == 1) {
                for (Bits x = 0; x < 256; ++x)
                    for (Bits y = 0; y < 256; ++y) check(expression, x, y);
            }
            for (int i = 0; i < 10000; ++i) {
                const Bits x = (random() >> (random() % 64)) & mask,
                           y = (random() >> (random() % 64)) & mask;
                check(expression, x, y);
                check(expression, -x & mask, y);
                check(expression, x, -y & mask);
                check(expression, (x * y) & mask, y);
                check(expression, (x * y - 1) & mask, y);
            }
            for (Bits x : {Bits{0}, Bits{1}, mask, top, top - 1})
                for (Bits y : {Bits{0}, Bits{1}, mask, top, top - 1}) check(expression, x, y);
            // A constant on the right takes other expansions.
            std::set<Bits> constants = {0,  1,    2,        3,   7,       8,
                                        64, mask, mask - 1, top, top - 1, random() & mask};
            for (Bits y : constants) {
                const ir::Ref right = arena.constant_bits(
                    dt, is_signed_int(dt) ? test::as_signed(dt, y) : static_cast<std::int64_t>(y));
                const ir::Ref by_constant = arena.binary(op, operand(arena, dt, 0), right);
                test::Expression e(codegen::decompose(arena, by_constant, target), target);
                for (int i = 0; i < 300; ++i) check(e, (random() >> (random() % 64)) & mask, y);
                for (Bits x : {Bits{0}, Bits{1}, mask, top, top - 1, y}) check(e, x, y);
            }
            CHECK_MESSAGE(wrong == 0, std::string(name(op)), " ", std::string(name(dt)), ": ",
                          wrong);
        }
    }
}

TEST_CASE("rounding to integral values, sign, abs and extremes of floats") {
    for (const codegen::Target& target : targets()) {
        for (DType dt : {f16, bf16, f32, f64}) {
            const std::vector<Bits> xs = samples(dt);
            const auto check = [&](Op op, auto reference) {
                ir::Arena arena;
                test::Expression expression(
                    codegen::decompose(arena, arena.unary(op, operand(arena, dt, 0)), target),
                    target);
                long wrong = 0;
                long double first = 0;
                for (Bits x : xs) {
                    const long double value = value_of(dt, x);
                    if (same(value_of(dt, expression(x)),
                             std::isnan(value) ? value : reference(value)))
                        continue;
                    if (wrong++ == 0) first = value;
                }
                CHECK_MESSAGE(wrong == 0, std::string(name(op)), " ", std::string(name(dt)), ": ",
                              wrong, ", first at ", static_cast<double>(first));
            };
            check(Op::Floor, [](long double x) { return std::floor(x); });
            check(Op::Ceil, [](long double x) { return std::ceil(x); });
            check(Op::Trunc, [](long double x) { return std::trunc(x); });
            check(Op::Round, [](long double x) { return std::nearbyint(x); });
            check(Op::Abs, [](long double x) { return std::fabs(x); });
            check(Op::Neg, [](long double x) { return -x; });
            check(Op::Sign, [](long double x) { return x > 0 ? 1.0L : x < 0 ? -1.0L : 0.0L; });
        }
    }
    ir::Arena arena;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (Op op : {Op::Max, Op::Min}) {
        const ir::Ref node = arena.binary(op, operand(arena, f32, 0), operand(arena, f32, 1));
        for (const codegen::Target& target : targets()) {
            test::Expression expression(codegen::decompose(arena, node, target), target);
            for (float x : {1.0f, -1.0f, 0.0f, std::numeric_limits<float>::infinity()}) {
                CHECK(std::isnan(test::as_f32(expression(test::bits_of(nan), test::bits_of(x)))));
                CHECK(std::isnan(test::as_f32(expression(test::bits_of(x), test::bits_of(nan)))));
                const float want = op == Op::Max ? std::max(x, 0.5f) : std::min(x, 0.5f);
                CHECK(test::as_f32(expression(test::bits_of(x), test::bits_of(0.5f))) == want);
            }
        }
    }
}

TEST_CASE("a chain of 300000 ops is expanded without recursion") {
    ir::Arena arena;
    ir::Ref node = operand(arena, f32, 0);
    for (int i = 0; i < 300000; ++i) node = arena.add(node, arena.constant(f32, 1));
    const codegen::Target target = targets()[0];
    CHECK(codegen::decompose(arena, node, target) == node);
}
