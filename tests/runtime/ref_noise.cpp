// Noise on REF: what may differ between devices does, everything else stays exact.

#include <sinter/runtime/noise.h>

#include <algorithm>

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::ReduceKind;
using runtime::ref::Noise;

namespace {

using Ints = std::vector<std::int64_t>;

std::string noisy(const ir::UOp& node, std::uint64_t seed = 1) {
    const Noise noise(seed);
    return ref(node);
}

}  // namespace

TEST_CASE("noise leaves what is exact on every device as it is") {
    const ir::UOp x = vec(f32, {0.1, -2.7, 3e8, kNaN, kInf, 0}),
                  y = vec(f32, {3.3, 1e-20, -7, 1, 2, 0.5});
    for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::Lt}) {
        CAPTURE(ir::name(op));
        CHECK(noisy(ir::binary(op, x, y)) == ref(ir::binary(op, x, y)));
    }
    for (const Op op : {Op::Neg, Op::Sqrt, Op::Recip, Op::Floor, Op::Round}) {
        CAPTURE(ir::name(op));
        CHECK(noisy(ir::unary(op, x)) == ref(ir::unary(op, x)));
    }
    // Sums of small multiples of one number are exact in any order, in integers as in floats.
    const ir::UOp grid = vec(f32, {0.25, -1.5, 7, 0.75}), ints = vec(i32, {5, -7, 100, 2});
    for (const ReduceKind kind : {ReduceKind::Add, ReduceKind::Max, ReduceKind::Min}) {
        CHECK(noisy(ir::reduce(kind, grid, Ints{0})) == ref(ir::reduce(kind, grid, Ints{0})));
        CHECK(noisy(ir::reduce(kind, ints, Ints{0})) == ref(ir::reduce(kind, ints, Ints{0})));
    }
    const ir::UOp whole = vec(f32, {2, 3, 5});
    CHECK(noisy(ir::reduce(ReduceKind::Mul, whole, Ints{0})) == "30");
}

TEST_CASE("noise loses small terms of a sum beside large ones that cancel, as a device may") {
    const ir::UOp x = vec(f32, {0.3125, 133.125, 5368709120, 1, -5368709120});
    bool zero = false, other = false;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const double sum = std::stod(noisy(ir::reduce(ReduceKind::Add, x, Ints{0}), seed));
        zero = zero || sum == 0;
        other = other || std::fabs(sum) > 512;
    }
    CHECK(zero);
    CHECK(other);
}

TEST_CASE("noise leaves any small number where terms cancel that might overflow") {
    const ir::UOp sum = ir::reduce(ReduceKind::Add, vec(f32, {3e38, -2, -3e38}), Ints{0});
    bool some = false;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const double x = std::stod(noisy(sum, seed));
        some = some || (std::isfinite(x) && x != 0);
    }
    CHECK(some);
}

TEST_CASE("noise takes sums of sums for one sum, whose terms come in any order") {
    // Each row of the first is exact, and so is 0 + 0.875; but not 0.1 + 3e8 + 0.775 - 3e8.
    const std::int64_t shape[] = {2, 2};
    const ir::UOp x = ir::reshape(vec(f32, {3e8, -3e8, 0.1, 0.775}), shape);
    const ir::UOp sum =
        ir::reduce(ReduceKind::Add, ir::reduce(ReduceKind::Add, x, Ints{1}), Ints{0});
    double spread = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
        spread = std::max(spread, std::fabs(std::stod(noisy(sum, seed)) - 0.875));
    CHECK(spread > 8);
}

TEST_CASE("noise knows that products may overflow in a sum or not") {
    const ir::UOp x = vec(f32, {3e38, 3e38}), y = vec(f32, {10, -10});
    const ir::UOp sum = ir::reduce(ReduceKind::Add, ir::binary(Op::Mul, x, y), Ints{0});
    bool nan = false, up = false, down = false;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const std::string text = noisy(sum, seed);
        nan = nan || text.find("nan") != std::string::npos;
        up = up || text == "inf";
        down = down || text == "-inf";
    }
    CHECK(nan);
    CHECK(up);
    CHECK(down);
    // Infinities that are no products stay what they are.
    const ir::UOp both = ir::reduce(ReduceKind::Add, vec(f32, {kInf, -kInf}), Ints{0});
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
        CHECK(noisy(both, seed).find("nan") != std::string::npos);
}

TEST_CASE("noise of a function takes every neighbouring number") {
    std::vector<std::string> seen;
    for (std::uint64_t seed = 1; seed <= 60; ++seed)
        seen.push_back(noisy(ir::unary(Op::Tanh, vec(f32, {0.7})), seed));
    std::ranges::sort(seen);
    CHECK(std::unique(seen.begin(), seen.end()) - seen.begin() >= 7);
}

TEST_CASE("noise moves the largest of many equal numbers to either side") {
    const std::vector<double> ones(64, 1);
    const auto largest = [](const ir::UOp& x) { return ir::reduce(ReduceKind::Max, x, Ints{0}); };
    const auto value = [&](const ir::UOp& x, std::uint64_t seed) {
        return std::stod(noisy(largest(x), seed));
    };
    const ir::UOp x = ir::unary(Op::Exp, vec(f32, ones));
    const double exact = std::exp(1.0);
    bool below = false, above = false;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        below = below || value(x, seed) < exact - 0x1p-23;
        above = above || value(x, seed) > exact + 0x1p-23;
    }
    CHECK(below);
    CHECK(above);
}

TEST_CASE("noise draws the sign of a NaN that its bits show") {
    const ir::UOp bits = ir::bitcast(vec(f32, {kNaN, 1, -1}), i32),
                  negative = ir::binary(Op::Lt, bits, ir::constant_int(i32, 0, bits->shape()));
    bool seen[2] = {};
    for (std::uint64_t seed = 1; seed < 20; ++seed) {
        const std::string signs = noisy(negative, seed);
        CHECK(signs.substr(signs.find(' ')) == ref(negative).substr(ref(negative).find(' ')));
        seen[signs.front() == ref(negative).front() ? 1 : 0] = true;
    }
    CHECK(seen[0]);
    CHECK(seen[1]);
    CHECK(noisy(ir::bitcast(vec(f32, {1, -1}), i32)) == ref(ir::bitcast(vec(f32, {1, -1}), i32)));
}

TEST_CASE("noise moves functions and sums by about their rounding error") {
    const auto error = [](const ir::UOp& node, double exact) {
        double most = 0;
        for (std::uint64_t seed = 1; seed <= 10; ++seed)
            most = std::max(most, std::fabs(std::stod(noisy(node, seed)) - exact));
        return most;
    };
    const double e = std::exp(1.0), f = 0x1p-23, d = 0x1p-52;
    CHECK(error(ir::unary(Op::Exp, vec(f32, {1})), e) > f * e);
    CHECK(error(ir::unary(Op::Exp, vec(f32, {1})), e) < 5 * f * e);
    CHECK(error(ir::unary(Op::Exp, vec(f64, {1})), e) > d * e);
    CHECK(error(ir::unary(Op::Exp, vec(f64, {1})), e) < 5 * d * e);
    // Far from a tie between two f16, an error in f32 is rounded away.
    CHECK(noisy(ir::unary(Op::Exp, vec(f16, {1}))) == ref(ir::unary(Op::Exp, vec(f16, {1}))));
    // A sum that cancels has the error of its terms, not of its result.
    const ir::UOp x = vec(f32, {1.0 / 3, 1e-3, -1.0 / 3});
    const double sum = std::stod(ref(ir::reduce(ReduceKind::Add, x, Ints{0})));
    CHECK(error(ir::reduce(ReduceKind::Add, x, Ints{0}), sum) > 0.2 * f);
    CHECK(error(ir::reduce(ReduceKind::Add, x, Ints{0}), sum) < 2 * f);
    CHECK(noisy(ir::scan(ReduceKind::Add, x, 0)) != ref(ir::scan(ReduceKind::Add, x, 0)));
}

TEST_CASE("noise allows for the errors of equal terms, which add up where they are added in turn") {
    // A sum of squares around a mean has such terms wherever most of its numbers are small.
    const ir::UOp terms = vec(f32, std::vector<double>(1000, static_cast<double>(0.1f)));
    float in_turn = 0;
    for (int i = 0; i < 1000; ++i) in_turn += 0.1f;
    const double exact = 1000 * static_cast<double>(0.1f);
    double most = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
        most = std::max(
            most,
            std::fabs(std::stod(noisy(ir::reduce(ReduceKind::Add, terms, Ints{0}), seed)) - exact));
    // sinter-fuzz allows four times the spread.
    CHECK(4 * most > std::fabs(static_cast<double>(in_turn) - exact));
    CHECK(most < 1000 * 0x1p-24 * exact);
}

TEST_CASE("noise is at times NaN where the order of terms decides about overflow") {
    const auto ever_nan = [](ReduceKind kind, const std::vector<double>& x) {
        bool nan = false, number = false;
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            const bool is_nan = noisy(ir::reduce(kind, vec(f32, x), Ints{0}), seed) == "nan";
            nan = nan || is_nan;
            number = number || !is_nan;
        }
        CHECK(number);
        return nan;
    };
    CHECK(ever_nan(ReduceKind::Mul, {1e30, 1e30, 1e-30}));
    CHECK(ever_nan(ReduceKind::Add, {3e38, 3e38, -3e38}));
    CHECK_FALSE(ever_nan(ReduceKind::Add, {kInf, 1}));
}

TEST_CASE("noise is at times a number where a sum overflows of which a larger one is made") {
    const auto ever_number = [](const std::vector<double>& x) {
        const ir::UOp pairs = ir::reshape(vec(f32, x), Ints{2, 2});
        const ir::UOp sum =
            ir::reduce(ReduceKind::Add, ir::reduce(ReduceKind::Add, pairs, Ints{1}), Ints{0});
        bool number = false;
        for (std::uint64_t seed = 0; seed < 40; ++seed) {
            const std::string value = noisy(sum, seed);
            number = number || value.find_first_of("in") == std::string::npos;
        }
        return number;
    };
    // The first pair lies beyond f32, all of them do not.
    CHECK(ever_number({3e38, 0.75e38, -1e38, -0.5e38}));
    CHECK_FALSE(ever_number({kInf, 3e38, -1e38, -0.5e38}));
}

TEST_CASE("noise is at times zero where a product vanishes on the way") {
    const auto ever_zero = [](const std::vector<double>& x) {
        bool zero = false, number = false;
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            const std::string product =
                noisy(ir::reduce(ReduceKind::Mul, vec(f32, x), Ints{0}), seed);
            const bool is_zero = product == "0" || product == "-0";
            zero = zero || is_zero;
            number = number || !is_zero;
        }
        CHECK(number);
        return zero;
    };
    CHECK(ever_zero({1e-30, 1e-30, 1e30, 1e30}));
    // Beyond the largest f64 on the way to a zero, or not yet there.
    std::vector<double> large(20, 1e30);
    large.push_back(0);
    CHECK(ever_zero(large));
    CHECK_FALSE(ever_zero({1e-10, 1e10, 1e10, 1e10}));
}

TEST_CASE("noise of a running product is at times what a device makes, zero once it has vanished") {
    // Factors below one alone would have vanished by the third.
    std::vector<double> x{0x1p-100, 0x1p100, 0x1p-100, 0x1p-100};
    x.insert(x.end(), 40, 1024);
    std::string vanished = " 1 7.8886090522101181e-31";
    for (int i = 0; i < 41; ++i) vanished += " 0";
    bool all = false, none = false;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const std::string products = noisy(ir::scan(ReduceKind::Mul, vec(f32, x), 0), seed);
        CAPTURE(products);
        all = all || products.ends_with(vanished);
        none = none || !products.ends_with(" 0");
    }
    CHECK(all);
    CHECK(none);
}

TEST_CASE("the same seed gives the same noise, another seed another") {
    const ir::UOp x = ir::unary(Op::Exp, vec(f64, {1, 2, 3}));
    CHECK(noisy(x, 7) == noisy(x, 7));
    CHECK(noisy(x, 7) != noisy(x, 8));
    CHECK(noisy(x, 7) != ref(x));
}
