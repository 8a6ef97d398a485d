#include <sinter/ir/gradient.h>

#include <string>

#include <doctest/doctest.h>
#include <sinter/ir/error.h>

namespace sinter::ir {
namespace {

using Dims = std::vector<std::int64_t>;

UOp leaf(DType dtype, const Dims& shape) { return buffer(dtype, shape, 0); }
UOp total(const UOp& x) {
    Dims axes;
    for (std::size_t d = 0; d < x->rank(); ++d) axes.push_back(static_cast<std::int64_t>(d));
    return reshape(reduce(ReduceKind::Add, x, axes), Dims{});
}
UOp one_gradient(const UOp& loss, const UOp& input) {
    return gradient(loss, std::span<const UOp>(&input, 1))[0];
}
template <class E>
std::string message_of(const UOp& loss, const UOp& input, const UOp& seed = {}) {
    try {
        gradient(loss, std::span<const UOp>(&input, 1), seed);
    } catch (const E& error) {
        return error.what();
    }
    return "no error";
}
bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the gradient of a sum of squares is a product with the input") {
    const UOp x = leaf(f32, {3, 4});
    const UOp g = one_gradient(total(binary(Op::Mul, x, x)), x);
    CHECK(g == binary(Op::Add, x, x));
}

TEST_CASE("exp reuses its own value for the gradient") {
    const UOp x = leaf(f32, {5});
    const UOp y = unary(Op::Exp, x);
    CHECK(one_gradient(total(y), x) == y);
}

TEST_CASE("an inner node may be an input, next to what it is made of") {
    const UOp x = leaf(f32, {2});
    const UOp y = unary(Op::Exp, x);
    const UOp inputs[] = {x, y, x};
    const std::vector<UOp> g = gradient(total(y), inputs);
    CHECK(g[1] == constant(f32, 1, Dims{2}));
    CHECK(g[0] == y);
    CHECK(g[2] == g[0]);
}

TEST_CASE("the gradient of the loss itself is the seed") {
    const UOp x = leaf(f64, {2});
    const UOp seed = leaf(f64, {2});
    CHECK(gradient(x, std::span<const UOp>(&x, 1), seed)[0] == seed);
}

TEST_CASE("work for sources off the path is not done") {
    const UOp x = leaf(f32, {3}), weight = leaf(f32, {3});
    const std::size_t before = live_node_count();
    const UOp loss = total(binary(Op::Mul, weight, unary(Op::Sin, unary(Op::Exp, x))));
    const std::size_t built = live_node_count() - before;
    const UOp g = one_gradient(loss, weight);
    CHECK(built == 5);
    CHECK(live_node_count() - before == built);  // the gradient is sin(exp(x)), which is there
}

TEST_CASE("piecewise constant ops have the gradient zero") {
    const UOp x = leaf(f32, {3});
    for (const Op op : {Op::Floor, Op::Ceil, Op::Trunc, Op::Round, Op::Sign}) {
        CAPTURE(name(op));
        CHECK(one_gradient(total(unary(op, x)), x) == constant(f32, 0, Dims{3}));
    }
}

TEST_CASE("a chain of 300,000 nodes is differentiated without recursion") {
    const UOp x = leaf(f32, {});
    UOp y = x;
    for (int i = 0; i < 300'000; ++i) y = unary(i % 2 == 0 ? Op::Sin : Op::Neg, y);
    const UOp g = one_gradient(y, x);
    CHECK(g->dtype() == f32);
}

TEST_CASE("an input that does not reach the loss is an error that says why") {
    const UOp x = leaf(f32, {3}), other = leaf(f32, {2, 3});
    CHECK(says(message_of<ValueError>(total(x), other),
               "input 0 (f32 of shape [2, 3]) does not reach the loss: the loss was not computed "
               "from it"));
    CHECK(says(message_of<ValueError>(total(detach(x)), x), "every path goes through detach"));
    const UOp truth = cast(binary(Op::Lt, x, x), f32);
    CHECK(says(message_of<ValueError>(total(truth), x), "comparison"));
    const UOp rounded = cast(cast(x, i32), f32);
    CHECK(says(message_of<ValueError>(total(rounded), x), "integer"));
}

TEST_CASE("a gradient flows to the value of an assignment, not to the memory it overwrites") {
    const UOp memory = leaf(f32, {3}), x = leaf(f32, {3});
    const UOp loss = total(assign(memory, x));
    CHECK(one_gradient(loss, x) == constant(f32, 1, Dims{3}));
    CHECK(says(message_of<ValueError>(loss, memory), "does not reach the loss"));
}

TEST_CASE("a loss of several elements needs a seed of its shape and dtype") {
    const UOp x = leaf(f32, {3});
    CHECK(says(message_of<ShapeError>(x, x), "the loss has shape [3], not one element"));
    CHECK(says(message_of<ShapeError>(x, x, leaf(f32, {4})), "the seed has shape [4]"));
    CHECK(says(message_of<DTypeError>(x, x, leaf(f64, {3})), "the seed is f64, the loss f32"));
}

TEST_CASE("integers have no gradients") {
    const UOp x = leaf(i32, {3});
    CHECK(says(message_of<DTypeError>(total(x), x), "the loss is i32"));
    CHECK(says(message_of<DTypeError>(total(cast(x, f32)), x), "input 0 of shape [3] is i32"));
}

TEST_CASE("a constant cannot be told from equal ones, so it has no gradient") {
    const UOp x = constant(f32, 3, Dims{2});
    CHECK(says(message_of<ValueError>(total(binary(Op::Mul, x, x)), x), "is a constant"));
}

TEST_CASE("reaches tells what a gradient flows to") {
    const UOp a = leaf(f32, {3}), b = leaf(f32, {3}), c = leaf(f32, {3});
    const UOp candidates[] = {a, b, c};
    CHECK(reaches(total(binary(Op::Add, a, detach(b))), candidates) ==
          std::vector<bool>{true, false, false});
}

TEST_CASE("a copy's gradient goes back to the device it came from") {
    const UOp x = buffer(f32, Dims{3}, 0);
    const UOp moved = copy_to(x, 1);
    const UOp weight = buffer(f32, Dims{3}, 1);
    CHECK(one_gradient(total(binary(Op::Mul, moved, weight)), x) == copy_to(weight, 0));
}

}  // namespace sinter::ir
