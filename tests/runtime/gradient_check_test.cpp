// Every op's gradient, and the gradient of the gradient, against central differences in f64 on REF.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include <doctest/doctest.h>
#include <sinter/ir/gradient.h>

#include "gradient_cases.h"
#include "runtime_buffers.h"

namespace sinter {
namespace {

using gradient_cases::Case;
using gradient_cases::Dims;
using ir::Op;
using ir::ReduceKind;
using ir::UOp;

Values draw(std::mt19937_64& random, std::int64_t n, double low, double high) {
    std::uniform_real_distribution<double> even(low, high);
    Values values(static_cast<std::size_t>(n));
    for (double& value : values) value = even(random);
    return values;
}

std::int64_t count(const Dims& shape) {
    std::int64_t n = 1;
    for (const std::int64_t size : shape) n *= size;
    return n;
}

std::vector<UOp> make_sources(const Case& test, std::mt19937_64& random, DType dtype) {
    std::vector<UOp> sources;
    for (const gradient_cases::Source& s : test.sources) {
        Values values = s.values;
        if (values.empty()) values = draw(random, count(s.shape), s.low, s.high);
        sources.push_back(float_buffer(dtype, s.shape, values));
    }
    return sources;
}

/// Σ x · weights, with weights drawn: a scalar that sees every element differently.
UOp weighted_sum(std::span<const UOp> xs, std::mt19937_64& random) {
    UOp total;
    for (const UOp& x : xs) {
        const UOp weights =
            float_buffer(x->dtype(), x->shape(), draw(random, x->numel(), 0.5, 1.5));
        Dims axes(x->rank());
        for (std::size_t d = 0; d < axes.size(); ++d) axes[d] = static_cast<std::int64_t>(d);
        const UOp sum =
            ir::reshape(ir::reduce(ReduceKind::Add, ir::binary(Op::Mul, x, weights), axes), Dims{});
        total = total ? ir::binary(Op::Add, total, sum) : sum;
    }
    return total;
}

double value_of(const UOp& scalar) {
    return read(runtime::ref::evaluate(std::span<const UOp>(&scalar, 1))[0])[0];
}

/// d loss / d source by central differences: error h² f'''/6 from the step and eps·|f|/h from
/// rounding.
Values differences(const UOp& loss, const UOp& source) {
    const double h = 1e-5;
    auto* data = static_cast<double*>(runtime::memory_of(source).data());
    Values slopes(static_cast<std::size_t>(source->numel()));
    for (std::size_t i = 0; i < slopes.size(); ++i) {
        const double x = data[i];
        data[i] = x + h;
        const double up = value_of(loss);
        data[i] = x - h;
        const double down = value_of(loss);
        data[i] = x;
        slopes[i] = (up - down) / (2 * h);
    }
    return slopes;
}

/// Compares the gradients of `loss` with differences; returns the gradients.
std::vector<UOp> check_gradients(const UOp& loss, const std::vector<UOp>& sources) {
    const std::vector<bool> reached = ir::reaches(loss, sources);
    std::vector<UOp> inputs;
    for (std::size_t s = 0; s < sources.size(); ++s) {
        if (reached[s]) inputs.push_back(sources[s]);
    }
    const std::vector<UOp> gradients = ir::gradient(loss, inputs);
    const std::vector<UOp> computed = runtime::ref::evaluate(gradients);
    std::size_t next = 0;
    for (std::size_t s = 0; s < sources.size(); ++s) {
        CAPTURE(s);
        const Values expected = differences(loss, sources[s]);
        const Values actual = reached[s] ? read(computed[next++]) : Values(expected.size(), 0.0);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            CAPTURE(i);
            CAPTURE(expected[i]);
            CAPTURE(actual[i]);
            // Not "> tolerance fails": a NaN must not pass.
            CHECK(std::abs(actual[i] - expected[i]) <= 2e-7 * std::max(1.0, std::abs(expected[i])));
        }
    }
    return gradients;
}

}  // namespace

TEST_CASE("every op's gradient, and that of its gradient, agrees with finite differences") {
    for (const Case& test : gradient_cases::all_cases()) {
        if (test.op == Op::Cast) continue;  // f32 has no use for differences: see below
        CAPTURE(test.name);
        std::mt19937_64 random(7);
        const std::vector<UOp> sources = make_sources(test, random, f64);
        const UOp loss = weighted_sum(std::vector<UOp>{test.apply(sources)}, random);
        const std::vector<UOp> gradients = check_gradients(loss, sources);
        const UOp second = weighted_sum(gradients, random);
        check_gradients(second, sources);
    }
}

TEST_CASE("every op's gradient, and that of its gradient, is the same on the CPU as on REF") {
    for (const Case& test : gradient_cases::all_cases()) {
        if (test.op == Op::Copy) continue;  // to REF: nothing to compare
        CAPTURE(test.name);
        std::mt19937_64 random(11);
        const std::vector<UOp> sources = make_sources(test, random, f32);
        const UOp loss = weighted_sum(std::vector<UOp>{test.apply(sources)}, random);
        std::vector<UOp> roots{loss};
        for (int order = 0; order < 2; ++order) {
            const UOp scalar = order == 0 ? loss : weighted_sum(roots, random);
            const std::vector<bool> reached = ir::reaches(scalar, sources);
            std::vector<UOp> inputs;
            for (std::size_t s = 0; s < sources.size(); ++s) {
                if (reached[s]) inputs.push_back(sources[s]);
            }
            if (order == 0) roots.clear();
            for (const UOp& g : ir::gradient(scalar, inputs)) roots.push_back(g);
        }
        const std::vector<UOp> expected = runtime::ref::evaluate(roots);
        runtime::realize(roots);
        for (std::size_t r = 0; r < roots.size(); ++r) {
            CAPTURE(r);
            const Values want = read(expected[r]), got = read(runtime::realized(roots[r]));
            for (std::size_t i = 0; i < want.size(); ++i) {
                CAPTURE(i);
                CAPTURE(want[i]);
                CAPTURE(got[i]);
                // Some ten roundings of f32, and math functions to 2 ulp; a NaN fails.
                CHECK(std::abs(got[i] - want[i]) <= 2e-5 * std::max(1.0, std::abs(want[i])));
            }
        }
    }
}

TEST_CASE("every op that floats flow through has a row in the table of gradient checks") {
    std::set<Op> checked;
    for (const Case& test : gradient_cases::all_cases()) checked.insert(test.op);
    // Leaves, integers, truth values, and the op that says so.
    const std::set<Op> without = {Op::Const,   Op::Buffer, Op::Bind,      Op::Iota,  Op::Not,
                                  Op::Bitcast, Op::IDiv,   Op::Mod,       Op::And,   Op::Or,
                                  Op::Xor,     Op::Shl,    Op::Shr,       Op::Lt,    Op::Le,
                                  Op::Eq,      Op::Ne,     Op::ArgReduce, Op::Detach};
    for (std::size_t i = 0; i < ir::kOpCount; ++i) {
        const Op op = static_cast<Op>(i);
        if (ir::info(op).kind == ir::OpKind::Kernel) continue;
        CAPTURE(ir::name(op));
        CHECK(checked.contains(op) != without.contains(op));
    }
}

namespace {

/// The gradient of sum(apply(x)) at the values given, in f64.
Values slope(std::vector<Values> points, UOp (*apply)(const std::vector<UOp>&),
             std::size_t which = 0) {
    std::vector<UOp> xs;
    for (const Values& p : points) {
        xs.push_back(float_buffer(f64, Dims{static_cast<std::int64_t>(p.size())}, p));
    }
    const UOp y = apply(xs);
    const UOp ones = ir::constant(f64, 1, y->shape());
    const UOp g = ir::gradient(y, std::span<const UOp>(&xs[which], 1), ones)[0];
    return read(runtime::ref::evaluate(std::span<const UOp>(&g, 1))[0]);
}
bool all_nan(const Values& values) {
    return std::ranges::all_of(values, [](double v) { return std::isnan(v); });
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
using Xs = std::vector<UOp>;

}  // namespace

TEST_CASE("a cast's gradient comes back in the source's type") {
    const UOp x = float_buffer(f64, Dims{2}, {0.1, -3});
    const UOp y = ir::unary(Op::Exp, ir::cast(x, f32));
    const UOp g = ir::gradient(y, std::span<const UOp>(&x, 1), ir::constant(f32, 1, Dims{2}))[0];
    CHECK(g->dtype() == f64);
    const Values values = read(runtime::ref::evaluate(std::span<const UOp>(&g, 1))[0]);
    CHECK(values[0] == doctest::Approx(std::exp(0.1)).epsilon(1e-6));
    CHECK(values[1] == doctest::Approx(std::exp(-3)).epsilon(1e-6));
}

TEST_CASE("abs has gradient 0 at 0") {
    CHECK(slope({{0.0, -0.0, 2, -2}}, [](const Xs& x) { return ir::unary(Op::Abs, x[0]); }) ==
          Values{0, 0, 1, -1});
}

TEST_CASE("equal operands of maximum and minimum share the gradient, half each") {
    const std::vector<Values> points = {{1, 2, 3}, {1, 3, 2}};
    for (std::size_t which : {0u, 1u}) {
        CHECK(slope(
                  points, [](const Xs& x) { return ir::binary(Op::Max, x[0], x[1]); }, which) ==
              (which == 0 ? Values{0.5, 0, 1} : Values{0.5, 1, 0}));
        CHECK(slope(
                  points, [](const Xs& x) { return ir::binary(Op::Min, x[0], x[1]); }, which) ==
              (which == 0 ? Values{0.5, 1, 0} : Values{0.5, 0, 1}));
    }
}

TEST_CASE("ties of a maximum over an axis share the gradient evenly") {
    const auto amax = [](const Xs& x) { return ir::reduce(ReduceKind::Max, x[0], Dims{0}); };
    CHECK(slope({{1, 4, 4, 0}}, amax) == Values{0, 0.5, 0.5, 0});
    CHECK(slope({{-kInf, -kInf}}, amax) == Values{0.5, 0.5});
    CHECK(all_nan(slope({{1, kNaN}}, amax)));
}

TEST_CASE("pow: exponent 0 and base 0") {
    const auto pow = [](const Xs& x) { return ir::binary(Op::Pow, x[0], x[1]); };
    //            0^0  (-2)^0  0^2  0^1  (-2)^3
    const std::vector<Values> points = {{0, -2, 0, 0, -2}, {0, 0, 2, 1, 3}};
    CHECK(slope(points, pow, 0) == Values{0, 0, 0, 1, 12});
    const Values by_exponent = slope({{0, 0, 2}, {0, 2, 3}}, pow, 1);
    CHECK(by_exponent[0] == 0);
    CHECK(by_exponent[1] == 0);
    CHECK(by_exponent[2] == doctest::Approx(8 * std::log(2)));
    CHECK(all_nan(slope({{-2}, {3}}, pow, 1)));  // log of a negative number
    // With a constant exponent the same.
    CHECK(slope({{0, -2, kNaN}}, [](const Xs& x) {
              return ir::binary(Op::Pow, x[0], ir::constant(f64, 0, Dims{3}));
          }) == Values{0, 0, 0});
    CHECK(slope({{0, -2}}, [](const Xs& x) {
              return ir::binary(Op::Pow, x[0], ir::constant(f64, 3, Dims{2}));
          }) == Values{0, 12});
}

TEST_CASE("where passes no NaN or infinity of the gradient to the branch not taken") {
    const Values g = slope({{1, 0}, {kInf, 3}}, [](const Xs& x) {
        const UOp truth = ir::binary(Op::Lt, ir::constant(f64, 0, Dims{2}), x[0]);
        const UOp chosen = ir::where(truth, x[0], ir::constant(f64, 1, Dims{2}));
        return ir::binary(Op::Mul, chosen, x[1]);
    });
    CHECK(g == Values{kInf, 0});
}

TEST_CASE("a product over zeros has the exact gradient") {
    const auto prod = [](const Xs& x) { return ir::reduce(ReduceKind::Mul, x[0], Dims{0}); };
    CHECK(slope({{2, 0, 3}}, prod) == Values{0, 6, 0});
    CHECK(slope({{0, 5, 0}}, prod) == Values{0, 0, 0});
}

TEST_CASE("a running maximum gives its gradient to the latest element that set it") {
    const auto cummax = [](const Xs& x) { return ir::scan(ReduceKind::Max, x[0], 0); };
    CHECK(slope({{1, 3, 2, 3, 0}}, cummax) == Values{1, 2, 0, 2, 0});
    CHECK(slope({{1, kNaN, 5}}, cummax) == Values{1, 2, 0});
}

TEST_CASE("of several sources scattered to one place the last takes the gradient") {
    const auto set = [](const Xs& x) {
        return ir::scatter(ReduceKind::Set, x[0], index_buffer({3}, {1, 0, 1}), x[1], 0);
    };
    const std::vector<Values> points = {{1, 2, 3}, {4, 5, 6}};
    CHECK(slope(points, set, 0) == Values{0, 0, 1});
    CHECK(slope(points, set, 1) == Values{0, 1, 1});
}

TEST_CASE("base and sources that tie in a scattered maximum share the gradient") {
    const auto most = [](const Xs& x) {
        return ir::scatter(ReduceKind::Max, x[0], index_buffer({3}, {1, 0, 1}), x[1], 0);
    };
    const std::vector<Values> points = {{1, 7, 3}, {4, 7, 7}};
    CHECK(slope(points, most, 0) == Values{0, 0.5, 1});
    CHECK(slope(points, most, 1) == Values{0, 1, 0.5});
}

TEST_CASE("a scattered product with zeros has the exact gradient") {
    const auto multiply = [](const Xs& x) {
        return ir::scatter(ReduceKind::Mul, x[0], index_buffer({4}, {1, 0, 1, 2}), x[1], 0);
    };
    const std::vector<Values> points = {{2, 3, 0}, {5, 0, 7, 4}};
    CHECK(slope(points, multiply, 0) == Values{0, 35, 4});
    CHECK(slope(points, multiply, 1) == Values{21, 2, 15, 0});
}

TEST_CASE("the square root's gradient at 0 is infinite") {
    CHECK(slope({{0}}, [](const Xs& x) { return ir::unary(Op::Sqrt, x[0]); }) == Values{kInf});
}

}  // namespace sinter
