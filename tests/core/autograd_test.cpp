#include <sinter/autograd.h>

#include <cmath>
#include <string>

#include "support.h"

namespace sinter {
namespace {

using test::message_of;
using test::says;
using Floats = std::vector<float>;

Floats values(const Tensor& x) { return x.to_vector<float>(); }

}  // namespace

TEST_CASE("a value of constants used on two devices has one gradient") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor x = log2(full({3}, 4.0));
    // Once as it is and once by way of the other device: both shares are there, wherever.
    const Tensor y = x * 3.0 + x.to(Device("REF")).to(Device("CPU")) * x;
    const Tensor g = gradient(sum(y), x);
    test::expect(g + ones({3}), {8, 8, 8});
}

TEST_CASE("gradient of one input, and of several at once") {
    const Tensor a({1.f, 2.f, 3.f}), b({4.f, 5.f, 6.f});
    const Tensor loss = sum(a * b + a);
    CHECK(values(gradient(loss, a)) == Floats{5, 6, 7});
    const std::vector<Tensor> both = gradient(loss, {a, b});
    REQUIRE(both.size() == 2);
    CHECK(values(both[0]) == Floats{5, 6, 7});
    CHECK(values(both[1]) == Floats{1, 2, 3});
}

TEST_CASE("broadcast operands get the sum of what they were copied to") {
    const Tensor a({{1.f, 2.f}, {3.f, 4.f}}), b({10.f, 20.f});
    const Tensor g = gradient(sum(a * b), b);
    CHECK(g.shape() == Shape{2});
    CHECK(values(g) == Floats{4, 6});
}

TEST_CASE("the gradient of constants that went through another device is on the default one") {
    const Tensor x = eye(2), there = to(x, Device("REF")), back = to(there, default_device());
    const Tensor g = vjp(back * 2, x, ones({2, 2}).contiguous());
    CHECK((g + Tensor({1.f, 2.f}).contiguous()).to_vector<float>() ==
          std::vector<float>{3, 4, 3, 4});
}

TEST_CASE("the gradient of constants made like a tensor is on that tensor's device") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor like = Tensor({1.f, 1.f}), x = randn_like(like);
    const Tensor back = to(to(x, Device("REF")), Device("CPU"));
    const Tensor g = vjp(back * 2, x, Tensor({1.f, 3.f}));
    CHECK(g.device() == Device("CPU"));
    CHECK((g + like).to_vector<float>() == std::vector<float>{3, 7});
}

TEST_CASE("relu passes nothing at zero") {
    const Tensor x({-1.f, 0.f, 2.f});
    CHECK(values(gradient(sum(relu(x)), x)) == Floats{0, 0, 1});
}

TEST_CASE("the gradient of a matrix product is two matrix products") {
    const Tensor a({{1.f, 2.f}, {3.f, 4.f}}), b({{5.f, 6.f}, {7.f, 8.f}});
    const std::vector<Tensor> g = gradient(sum(matmul(a, b)), {a, b});
    CHECK(values(g[0]) == Floats{11, 15, 11, 15});
    CHECK(values(g[1]) == Floats{4, 4, 6, 6});
}

TEST_CASE("gradients of gradients are the same call again") {
    const Tensor x({2.f});
    const Tensor y = sum(x * x * x * x);
    const Tensor first = gradient(y, x);
    const Tensor second = gradient(sum(first), x);
    const Tensor third = gradient(sum(second), x);
    CHECK(values(first) == Floats{32});
    CHECK(values(second) == Floats{48});
    CHECK(values(third) == Floats{48});
}

TEST_CASE("a tensor that was realized after the loss was built is still its input") {
    const Tensor x({1.f, 2.f});
    Tensor y = exp(x);
    const Tensor loss = sum(y * y);
    y.realize();
    CHECK(values(gradient(loss, y))[1] == doctest::Approx(2 * std::exp(2.0)));
}

TEST_CASE("a product with a cotangent needs no scalar") {
    const Tensor x({1.f, 2.f}), weights({10.f, 100.f});
    CHECK(values(vjp(x * x, x, weights)) == Floats{20, 400});
    const auto [y, pull] = vjp([](const Tensor& t) { return t * t * t; }, x);
    CHECK(values(y) == Floats{1, 8});
    CHECK(values(pull(weights)) == Floats{30, 1200});
}

TEST_CASE("value_and_grad and grad are functions of functions") {
    const auto loss = [](const std::vector<Tensor>& p) { return sum(p[0] * p[1]); };
    const auto [value, grads] = value_and_grad(loss)({Tensor({1.f, 2.f}), Tensor({3.f, 4.f})});
    CHECK(value.item<float>() == 11);
    CHECK(values(grads[0]) == Floats{3, 4});
    CHECK(values(grads[1]) == Floats{1, 2});
    const auto cube = [](const Tensor& x) { return x * x * x; };
    CHECK(grad(cube)(Tensor(2.f)).item<float>() == 12);
    CHECK(grad(grad(cube))(Tensor(2.f)).item<float>() == 12);
    CHECK(grad(grad(grad(cube)))(Tensor(2.f)).item<float>() == 6);
}

TEST_CASE("a function's input is told from constants of its value") {
    CHECK(grad([](const Tensor& x) { return x * 3.f; })(Tensor(3.f)).item<float>() == 3);
}

TEST_CASE("backward adds to the gradients of marked tensors") {
    Tensor w({1.f, 2.f}), b({3.f}), other({1.f});
    w.requires_grad(true);
    b.requires_grad(true);
    other.requires_grad(true);
    const Tensor x({5.f, 6.f});
    const auto loss = [&] { return sum(w * x) + sum(b); };
    CHECK_FALSE(w.grad().defined());
    loss().backward();
    CHECK(values(w.grad()) == Floats{5, 6});
    CHECK(values(b.grad()) == Floats{1});
    CHECK_FALSE(other.grad().defined());
    backward(loss());
    CHECK(values(w.grad()) == Floats{10, 12});
    w.zero_grad();
    CHECK_FALSE(w.grad().defined());
}

TEST_CASE("the mark stays through assign and realize, not through ops") {
    Tensor w({1.f, 2.f});
    w.requires_grad(true);
    w.assign(w * 2);
    CHECK(w.requires_grad());
    sum(w * w).backward();
    CHECK(values(w.grad()) == Floats{4, 8});
    w.zero_grad();
    w.realize();
    sum(w * w).backward();
    CHECK(values(w.grad()) == Floats{4, 8});
    CHECK_FALSE((w + 1).requires_grad());
    w.requires_grad(false);
    CHECK_FALSE(w.requires_grad());
}

TEST_CASE("a marked constant is memory of its own") {
    Tensor w = zeros({2}), twin = zeros({2});
    w.requires_grad(true);
    sum((w + twin) * (zeros({2}) + 3)).backward();
    CHECK(values(w.grad()) == Floats{3, 3});
}

TEST_CASE("marked tensors of one value do not share memory") {
    Tensor a = zeros({2}), b = zeros({2});
    a.requires_grad(true);
    b.requires_grad(true);
    sum(a * 2 + b * 3).backward();
    CHECK(values(a.grad()) == Floats{2, 2});
    CHECK(values(b.grad()) == Floats{3, 3});
    Tensor c({1.f, 2.f}), d = c;
    c.requires_grad(true);
    c.assign(c + 1);
    c.realize();
    CHECK(values(d) == Floats{1, 2});
}

TEST_CASE("errors of gradients name the line, the shapes and what to do") {
    const Tensor x({1.f, 2.f}), n({1, 2});
    const std::string many = message_of<ShapeError>([&] { gradient(x * x, x); });
    CHECK(says(many, "autograd_test.cpp:"));
    CHECK(says(many, "the loss has shape [2], not one element"));
    const std::string unreached = message_of<ValueError>([&] { gradient(sum(x), Tensor({1.f})); });
    CHECK(says(unreached, "autograd_test.cpp:"));
    CHECK(says(unreached, "does not reach the loss"));
    CHECK(says(message_of<ValueError>([&] { gradient(sum(x.detach()), x); }), "detach"));
    CHECK(says(message_of<DTypeError>([&] { gradient(sum(n), n); }), "only floats"));
    CHECK(says(message_of<ShapeError>([&] { vjp(x, x, Tensor(1.f)); }), "the seed has shape []"));
    CHECK(says(message_of<ValueError>([&] { gradient(sum(zeros({2}) * x), zeros({2})); }),
               "is a constant"));
    CHECK(says(message_of<ValueError>([&] { gradient(Tensor(), x); }), "no value yet"));
    CHECK(says(message_of<ValueError>([&] { sum(x).backward(); }), "requires_grad"));
    Tensor integers({1, 2});
    CHECK(says(message_of<DTypeError>([&] { integers.requires_grad(true); }), "only floats"));
}

TEST_CASE("unused inputs may be asked for, and are undefined") {
    const std::vector<Tensor> inputs = {Tensor({1.f}), Tensor({2.f})};
    const std::vector<Tensor> g =
        gradient(sum(inputs[1]), std::span<const Tensor>(inputs), {.allow_unused = true});
    CHECK_FALSE(g[0].defined());
    CHECK(values(g[1]) == Floats{1});
}

TEST_CASE("sums over nothing have gradients of no elements") {
    const Tensor x = Tensor(std::vector<float>{}, Shape{0, 3});
    CHECK(gradient(sum(x * x), x).shape() == Shape{0, 3});
}

}  // namespace sinter
