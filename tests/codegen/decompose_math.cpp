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
using Real = long double;

std::array<codegen::Target, 2> targets() {
    codegen::Target old, recent;
    old.triple = recent.triple = "x86_64-pc-linux-gnu";
    recent.fma = recent.native_f16 = recent.native_bf16 = true;
    recent.vector_bits = 512;
    return {old, recent};
}

struct Row {
    Op op;
    Real (*reference)(Real);
    double ulp_f32, ulp_f64;  // bounds, as stated in docs/math.md
    double limit_f64;         // |x| up to which the f64 bound holds
};

constexpr double kAll = std::numeric_limits<double>::infinity();
const Row kRows[] = {
    {Op::Exp, std::exp, 1, 1, kAll},     {Op::Exp2, std::exp2, 1.1, 1.1, kAll},
    {Op::Expm1, std::expm1, 2, 2, kAll}, {Op::Log, std::log, 1, 1, kAll},
    {Op::Log2, std::log2, 2, 2, kAll},   {Op::Log1p, std::log1p, 2, 2, kAll},
    {Op::Sin, std::sin, 2, 2, 0x1p46},   {Op::Cos, std::cos, 2, 2, 0x1p46},
    {Op::Tan, std::tan, 3, 3, 0x1p46},   {Op::Sinh, std::sinh, 2, 2, kAll},
    {Op::Cosh, std::cosh, 2, 2, kAll},   {Op::Tanh, std::tanh, 2, 2, kAll},
    {Op::Erf, std::erf, 2, 2, kAll},
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
    for (int i = 0; i < 60000; ++i) {
        if constexpr (sizeof(T) == 4)
            xs.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
        else
            xs.push_back(std::bit_cast<double>(random()));
    }
    // Densely where the functions are curved, and around multiples of pi/2.
    std::uniform_real_distribution<double> unit(-1, 1);
    for (double scale : {0.01, 1.0, 1.5, 6.0, 20.0, 110.0, 760.0, 1e4})
        for (int i = 0; i < 25000; ++i) xs.push_back(static_cast<T>(scale * unit(random)));
    for (int i = 1; i < 20000; ++i) {
        const T x = static_cast<T>(i * 1.5707963267948966192313L);
        xs.insert(xs.end(), {x, std::nextafter(x, T(0)), std::nextafter(x, T(2) * x)});
    }
    return xs;
}

template <class T>
void check(const Row& row, double bound, double limit) {
    const std::vector<T> xs = samples<T>();
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
            if (std::isfinite(value) && std::fabs(value) > limit) continue;
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
    for (const Row& row : kRows) check<float>(row, row.ulp_f32, kAll);
}

TEST_CASE("math functions of f64 stay within their stated error over the whole range") {
    for (const Row& row : kRows) check<double>(row, row.ulp_f64, row.limit_f64);
}
