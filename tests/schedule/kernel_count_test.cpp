// The number of kernels of known graphs is a promise.

#include <sinter/ir/uop.h>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::ReduceKind;
using ir::Shape;
using ir::UOp;

namespace {

UOp sub(const UOp& a, const UOp& b) { return ir::binary(Op::Sub, a, b); }
UOp add(const UOp& a, const UOp& b) { return ir::binary(Op::Add, a, b); }
UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }

UOp softmax(const UOp& x, std::int64_t axis) {
    const UOp e = ir::unary(Op::Exp, sub(x, spread(row_max(x, axis), x)));
    return ir::binary(Op::Div, e, spread(row_sum(e, axis), e));
}
UOp log_softmax(const UOp& x, std::int64_t axis) {
    const UOp centred = sub(x, spread(row_max(x, axis), x));
    return sub(centred, spread(ir::unary(Op::Log, row_sum(ir::unary(Op::Exp, centred), axis)), x));
}
UOp mean(const UOp& x, std::int64_t axis) {
    return scaled(row_sum(x, axis),
                  1.0 / static_cast<double>(x->shape()[static_cast<std::size_t>(axis)]));
}
UOp variance(const UOp& x, std::int64_t axis) {
    const UOp d = sub(x, spread(mean(x, axis), x));
    return mean(mul(d, d), axis);
}
UOp layer_norm(const UOp& x, const UOp& gamma, const UOp& beta) {
    const std::int64_t n = x->shape()[1];
    const UOp eps = ir::constant(x->dtype(), 1e-5, Shape{x->shape()[0], 1});
    const UOp scale = ir::unary(Op::Recip, ir::unary(Op::Sqrt, add(variance(x, 1), eps)));
    const UOp centred = sub(x, spread(mean(x, 1), x));
    return add(mul(mul(centred, spread(scale, x)), spread(ir::reshape(gamma, Shape{1, n}), x)),
               spread(ir::reshape(beta, Shape{1, n}), x));
}

void check(const std::vector<UOp>& roots, std::size_t expected) {
    const std::string wrong = mismatch(roots);
    CHECK_MESSAGE(wrong.empty(), wrong);
    const schedule::Schedule s = schedule_of(roots);
    CHECK_MESSAGE(s.launches.size() == expected, text(s));
}

}  // namespace

TEST_CASE("softmax over the last axis is one kernel") {
    check({softmax(data(f32, {40, 30}), 1)}, 1);
}
TEST_CASE("softmax over the last of three axes is one kernel") {
    check({softmax(data(f32, {4, 8, 30}), 2)}, 1);
}
TEST_CASE("softmax over the first axis is one kernel") {
    check({softmax(data(f32, {30, 40}), 0)}, 1);
}
TEST_CASE("softmax of a square is one kernel") { check({softmax(data(f32, {32, 32}), 1)}, 1); }
TEST_CASE("log_softmax is one kernel") { check({log_softmax(data(f32, {40, 30}), 1)}, 1); }
TEST_CASE("layer norm is one kernel") {
    check({layer_norm(data(f32, {40, 24}), data(f32, {24}, 2), data(f32, {24}, 3))}, 1);
}
TEST_CASE("mean and variance of rows are one kernel") {
    const UOp x = data(f32, {40, 30});
    check({mean(x, 1), variance(x, 1)}, 1);
}
TEST_CASE("mean and variance of all elements are one kernel") {
    const UOp x = ir::reshape(data(f32, {30, 20}), Shape{600});
    check({mean(x, 0), variance(x, 0)}, 1);
}
TEST_CASE("sum and max of one tensor are one kernel") {
    const UOp x = data(f32, {30, 20});
    check({row_sum(x, 1), row_max(x, 1)}, 1);
    const std::vector<std::int64_t> all{0, 1};
    check({ir::reduce(ReduceKind::Add, x, all), ir::reduce(ReduceKind::Max, x, all)}, 1);
}
TEST_CASE("a linear layer with bias and gelu is one kernel") {
    const UOp y = add(matmul(data(f32, {20, 30}), data(f32, {30, 24}, 2)),
                      ir::expand(ir::reshape(data(f32, {24}, 3), Shape{1, 24}), Shape{20, 24}));
    check({gelu(y)}, 1);
}
TEST_CASE("row statistics are written by the kernel that needs them") {
    const UOp x = data(f32, {40, 30});
    check({softmax(x, 1), row_max(x, 1)}, 1);
}
TEST_CASE("two linear layers are two kernels") {
    const UOp h = relu(matmul(data(f32, {40, 30}), data(f32, {30, 50}, 2)));
    check({matmul(h, data(f32, {50, 40}, 3))}, 2);
}
TEST_CASE("products of one input by several weights are one kernel over several segments") {
    const UOp x = data(f32, {40, 30});
    const auto weight = [](unsigned seed) { return data(f32, {30, 50}, seed); };
    check({matmul(x, weight(2)), matmul(x, weight(3)), matmul(x, weight(4))}, 1);
    // With what follows them, where that is the same for all.
    check({relu(matmul(x, weight(2))), relu(matmul(x, weight(3)))}, 1);
    // Weights of one gradient, as in x^T dq, x^T dk.
    const UOp turned = ir::permute(x, std::vector<std::int64_t>{1, 0});
    check({matmul(turned, data(f32, {40, 50}, 5)), matmul(turned, data(f32, {40, 50}, 6))}, 1);
    // Of other inputs, of other sizes, one after the other: they stay apart.
    check({matmul(x, weight(2)), matmul(data(f32, {40, 30}, 7), weight(3))}, 2);
    check({matmul(x, weight(2)), matmul(x, data(f32, {30, 20}, 3))}, 2);
    const UOp square = data(f32, {40, 40}, 8);
    const UOp once = matmul(square, square);
    check({matmul(once, square)}, 2);
}
TEST_CASE("log-sum-exp is one kernel") {
    const UOp x = data(f32, {40, 30});
    const UOp m = row_max(x, 1);
    check({add(m, ir::unary(Op::Log, row_sum(ir::unary(Op::Exp, sub(x, spread(m, x))), 1)))}, 1);
}
TEST_CASE("a long elementwise chain is one kernel") {
    UOp x = data(f32, {40, 30});
    for (int i = 0; i < 50; ++i) x = ir::unary(Op::Sin, add(x, data(f32, {40, 30}, 5)));
    check({x}, 1);
}
TEST_CASE("argmax is one kernel") {
    check({ir::arg_reduce(ReduceKind::Max, data(f32, {20, 30}), 1)}, 1);
}

namespace {

// softmax(q k^T * scale) v over {batch, rows, width}.
UOp attention(const UOp& q, const UOp& k, const UOp& v) {
    const std::int64_t b = q->shape()[0], t = q->shape()[1], d = q->shape()[2];
    const Shape products{b, t, t, d};
    const auto spread_to = [&](const UOp& x, const Shape& at, const Shape& to) {
        return ir::expand(ir::reshape(x, at), to);
    };
    const UOp scores = ir::reshape(
        row_sum(mul(spread_to(q, {b, t, 1, d}, products), spread_to(k, {b, 1, t, d}, products)), 3),
        Shape{b, t, t});
    const UOp weights = softmax(scaled(scores, 0.125), 2);
    const Shape mixed{b, t, t, d};
    return row_sum(mul(spread_to(weights, {b, t, t, 1}, mixed), spread_to(v, {b, 1, t, d}, mixed)),
                   2);
}

}  // namespace

TEST_CASE("attention is one kernel, whose scores are never in memory as a whole") {
    const std::vector<UOp> roots{
        attention(data(f32, {2, 520, 4}, 1), data(f32, {2, 520, 4}, 2), data(f32, {2, 520, 4}, 3))};
    const schedule::Schedule s = schedule_of(roots);
    CHECK_MESSAGE(s.launches.size() == 1, text(s));
    CHECK(s.arena_bytes == 0);
}
