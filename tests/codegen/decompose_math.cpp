// Accuracy of the expansions of math functions, against the C library in a wider type.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <random>

#include <sinter/codegen/decompose.h>
#include <sinter/ir/kernel.h>
#include "evaluate.h"

namespace {

using namespace sinter;
using sinter::ir::Op;
using sinter::test::targets;
using Real = long double;

struct Row {
    Op op;
    Real (*reference)(Real);
    double ulp_f32, ulp_f64;  // bounds, as stated in docs/math.md
};

constexpr double kAll = std::numeric_limits<double>::infinity();
const Row kRows[] = {
    {Op::Exp, std::exp, 1, 1},   {Op::Exp2, std::exp2, 1.1, 1.1}, {Op::Expm1, std::expm1, 2, 2},
    {Op::Log, std::log, 1, 1},   {Op::Log2, std::log2, 2, 2},     {Op::Log1p, std::log1p, 2, 2},
    {Op::Sin, std::sin, 2, 2},   {Op::Cos, std::cos, 2, 2},       {Op::Tan, std::tan, 3, 3},
    {Op::Sinh, std::sinh, 2, 2}, {Op::Cosh, std::cosh, 2, 2},     {Op::Tanh, std::tanh, 2, 2},
    {Op::Asin, std::asin, 2, 2}, {Op::Acos, std::acos, 2, 2},     {Op::Atan, std::atan, 2, 2},
    {Op::Erf, std::erf, 2, 2},
};

// The distance in units of the last place of the true result; a wrong special value is infinitely
// far.
template <class T>
double ulps(T got, Real want) {
    const T rounded = static_cast<T>(want);
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : kAll;
    if (std::isinf(rounded) || std::isinf(got)) {
        if (got == rounded) return 0;
        // An infinity beside the largest number is one ulp off.
        const T largest = std::numeric_limits<T>::max();
        return std::fabs(std::isinf(got) ? rounded : got) == largest &&
                       std::signbit(got) == std::signbit(rounded)
                   ? 1
                   : kAll;
    }
    if (want == 0 || got == 0) {
        if (std::signbit(got) != std::signbit(rounded)) return kAll;
    }
    int exponent = 0;
    std::frexp(want, &exponent);
    const int digits = std::numeric_limits<T>::digits;
    const int least = std::numeric_limits<T>::min_exponent - digits;
    const Real ulp = std::ldexp(Real{1}, want == 0 ? least : std::max(exponent - digits, least));
    return static_cast<double>(std::fabs(static_cast<Real>(got) - want) / ulp);
}

template <class T>
std::vector<T> samples() {
    using Limits = std::numeric_limits<T>;
    std::vector<T> xs = {0,
                         T(-0.0),
                         1,
                         -1,
                         Limits::infinity(),
                         -Limits::infinity(),
                         T(0.5),
                         T(2),
                         Limits::min(),
                         Limits::denorm_min(),
                         Limits::max(),
                         -Limits::max(),
                         -Limits::min(),
                         -Limits::denorm_min(),
                         Limits::quiet_NaN(),
                         Limits::epsilon()};
    // Evenly over the bits, that is over all exponents, both signs.
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; ++i) {
        if constexpr (sizeof(T) == 4)
            xs.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
        else
            xs.push_back(std::bit_cast<double>(random()));
    }
    // Densely where the functions are curved, and around multiples of pi/2.
    std::uniform_real_distribution<double> unit(-1, 1);
    for (double scale : {0.01, 1.0, 1.5, 6.0, 20.0, 110.0, 760.0, 1e4})
        for (int i = 0; i < 6000; ++i) xs.push_back(static_cast<T>(scale * unit(random)));
    for (int i = 1; i < 5000; ++i) {
        const T x = static_cast<T>(i * 1.5707963267948966192313L);
        xs.insert(xs.end(), {x, std::nextafter(x, T(0)), std::nextafter(x, T(2) * x)});
    }
    if constexpr (sizeof(T) == 8) {
        // The double closest to a multiple of pi/2 (Muller, Elementary Functions, 11.3), and every
        // exponent beyond those above.
        xs.insert(xs.end(),
                  {std::ldexp(6381956970095103.0, 797), -std::ldexp(6381956970095103.0, 797),
                   0x1p46, std::nextafter(0x1p46, 0.0)});
        for (int e = 40; e < 1024; ++e)
            for (int i = 0; i < 10; ++i)
                xs.push_back(std::ldexp(unit(random) < 0 ? -0.75 : 0.75, e) *
                             (1 + unit(random) / 3));
    }
    return xs;
}

template <class T>
void check(const Row& row, const std::vector<T>& xs, double bound) {
    const DType dt = dtype_of<T>;
    for (const codegen::Target& target : targets()) {
        ir::Arena arena;
        const ir::Ref x = ir::variable(arena, dt, 0, 0, 0);
        const ir::Ref root = codegen::decompose(arena, arena.unary(row.op, x), target);
        CHECK(codegen::decompose(arena, root, target) == root);
        test::Expression expression(root, target);
        double worst = 0;
        T worst_at = 0;
        for (T value : xs) {
            const auto got = std::bit_cast<T>(
                static_cast<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>(
                    expression(test::bits_of(value))));
            const double error = ulps(got, row.reference(static_cast<Real>(value)));
            if (!(error <= worst)) {
                worst = error;
                worst_at = value;
            }
        }
        std::printf("%-6s %s %-6s %.3f ulp at %-12.9g (%zu nodes)\n",
                    std::string(name(row.op)).c_str(), std::string(name(dt)).c_str(),
                    target.fma ? "fma" : "no fma", worst, static_cast<double>(worst_at),
                    expression.size());
        CHECK_MESSAGE(worst <= bound, std::string(name(row.op)), " ", std::string(name(dt)),
                      target.fma ? " fma" : " no fma", ": ", worst, " ulp at ", worst_at);
    }
}

}  // namespace

TEST_CASE("math functions of f32 stay within their stated error over the whole range") {
    const std::vector<float> xs = samples<float>();
    for (const Row& row : kRows) check<float>(row, xs, row.ulp_f32);
}

// Minutes: run by hand, `test-codegen -ns -tc="*every 1009th*"`, for the figures of docs/math.md.
TEST_CASE("math functions of every 1009th f32 stay within their stated error" * doctest::skip()) {
    std::vector<float> xs;
    for (std::uint64_t bits = 0; bits >> 32 == 0; bits += 1009)
        xs.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    for (const Row& row : kRows) check<float>(row, xs, row.ulp_f32);
}

TEST_CASE("math functions of f64 stay within their stated error over the whole range") {
    const std::vector<double> xs = samples<double>();
    for (const Row& row : kRows) check<double>(row, xs, row.ulp_f64);
}

namespace {

struct BinaryRow {
    Op op;
    Real (*reference)(Real, Real);
    double bound;
};
const BinaryRow kBinaryRows[] = {{Op::Pow, std::pow, 2}, {Op::Atan2, std::atan2, 2}};

template <class T>
std::vector<std::pair<T, T>> pairs() {
    using Limits = std::numeric_limits<T>;
    const T special[] = {T(0),
                         T(1),
                         T(2),
                         T(3),
                         T(0.5),
                         T(2.5),
                         Limits::infinity(),
                         T(1e6),
                         Limits::max(),
                         Limits::min(),
                         Limits::denorm_min(),
                         Limits::quiet_NaN(),
                         T(1) + Limits::epsilon(),
                         T(1) - Limits::epsilon() / 2,
                         T(33),
                         T(1e10)};
    std::vector<std::pair<T, T>> result;
    for (T a : special)
        for (T b : special)
            for (int signs = 0; signs < 4; ++signs)
                result.emplace_back((signs & 1) != 0 ? -a : a, (signs & 2) != 0 ? -b : b);
    std::mt19937_64 random(11);
    std::uniform_real_distribution<double> unit(-1, 1);
    const auto any = [&] {
        if constexpr (sizeof(T) == 4)
            return std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        else
            return std::bit_cast<double>(random());
    };
    for (int i = 0; i < 10000; ++i) {
        const T a = any(), b = any();
        result.emplace_back(a, b);
        // Powers in and around the range of finite results, for all exponents of a.
        const double log2 = std::log2(std::fabs(static_cast<double>(a)));
        result.emplace_back(std::fabs(a),
                            static_cast<T>(unit(random) * Limits::max_exponent * 1.1 / log2));
        result.emplace_back(static_cast<T>(1 + 0.5 * unit(random)),
                            static_cast<T>(300 * unit(random)));
        result.emplace_back(static_cast<T>(unit(random) * 4),
                            static_cast<T>(static_cast<int>(unit(random) * 30)));
        result.emplace_back(a, static_cast<T>(a * 3 * unit(random)));
    }
    return result;
}

template <class T>
void check(const BinaryRow& row) {
    const auto xs = pairs<T>();
    const DType dt = dtype_of<T>;
    using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    for (const codegen::Target& target : targets()) {
        ir::Arena arena;
        const ir::Ref x = ir::variable(arena, dt, 0, 0, 0), y = ir::variable(arena, dt, 1, 0, 0);
        const ir::Ref root = codegen::decompose(arena, arena.binary(row.op, x, y), target);
        test::Expression expression(root, target);
        double worst = 0;
        std::pair<T, T> worst_at;
        for (const auto& [a, b] : xs) {
            const test::Bits got_bits = expression(test::bits_of(a), test::bits_of(b));
            const double error = ulps(std::bit_cast<T>(static_cast<Word>(got_bits)),
                                      row.reference(static_cast<Real>(a), static_cast<Real>(b)));
            if (!(error <= worst)) {
                worst = error;
                worst_at = {a, b};
            }
        }
        std::printf("%-6s %s %-6s %.3f ulp at %.9g, %.9g (%zu nodes)\n",
                    std::string(name(row.op)).c_str(), std::string(name(dt)).c_str(),
                    target.fma ? "fma" : "no fma", worst, static_cast<double>(worst_at.first),
                    static_cast<double>(worst_at.second), expression.size());
        CHECK_MESSAGE(worst <= row.bound, std::string(name(row.op)), " ", std::string(name(dt)),
                      ": ", worst, " ulp at ", worst_at.first, ", ", worst_at.second);
    }
}

}  // namespace

TEST_CASE("pow and atan2 stay within their stated error, special cases as in IEEE 754") {
    for (const BinaryRow& row : kBinaryRows) {
        check<float>(row);
        check<double>(row);
    }
}

TEST_CASE("one plus tanh keeps its relative accuracy where tanh is near -1, and vanishes in time") {
    for (const codegen::Target& target : targets()) {
        ir::Arena arena;
        const ir::Ref x = ir::variable(arena, DType::F32, 0, 0, 0);
        const ir::Ref tanh = arena.unary(Op::Tanh, x), one = arena.constant(DType::F32, 1.0);
        const ir::Ref root = codegen::decompose(arena, arena.binary(Op::Add, tanh, one), target);
        CHECK(codegen::decompose(arena, root, target) == root);
        test::Expression expression(root, target);
        const auto at = [&](float v) {
            return test::as_f32(static_cast<test::Bits>(expression(test::bits_of(v))));
        };
        for (float v = -40; v < 40; v += 0.0137f)
            CHECK(ulps(at(v), 2 / (1 + std::exp(-2 * static_cast<Real>(v)))) <= 3);
        CHECK(at(0.0f) == 1.0f);
        for (const float v : {50.0f, 1e30f, INFINITY}) CHECK(at(v) == 2.0f);
        for (const float v : {-50.0f, -1e30f, -INFINITY}) CHECK(at(v) == 0.0f);
        CHECK(std::isnan(at(NAN)));
        // Where tanh is wanted as well it is computed once.
        const ir::Ref both = arena.binary(Op::Mul, arena.binary(Op::Add, tanh, one), tanh);
        const ir::Ref shared = codegen::decompose(arena, both, target);
        CHECK(codegen::decompose(arena, tanh, target) == shared->src(1));
        CHECK(shared->src(0)->src(0) == shared->src(1));
    }
}
