// Ops made of other ops: their gradients against central differences in f64 on REF, first and
// second order, at points that include the kinks of intermediate steps (0 for what is computed by
// |x|) wherever the op itself is smooth.

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include <doctest/doctest.h>
#include <sinter/sinter.h>

namespace sinter {
namespace {

using Doubles = std::vector<double>;

struct Row {
    std::string name;
    std::vector<Tensor> inputs;
    std::function<Tensor(const std::vector<Tensor>&)> apply;
};
using Ts = std::vector<Tensor>;

Tensor points(Doubles values) { return Tensor(values); }
Tensor points(Doubles values, const Shape& shape) { return Tensor(values, shape); }

/// Σ y · weights: a scalar that sees every element differently.
Tensor weighted(const Tensor& y) {
    Doubles weights(static_cast<std::size_t>(y.numel()));
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5 + 0.37 * (i * 5 % 7);
    return sum(y * Tensor(weights, y.shape()));
}

/// The gradients of `loss` at `inputs`, zero for an input it does not depend on.
Ts gradients_of(const Tensor& loss, const Ts& inputs) {
    Ts all = gradient(loss, std::span<const Tensor>(inputs), {.allow_unused = true});
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i].defined()) all[i] = zeros_like(inputs[i]);
    }
    return all;
}

using Loss = std::function<Tensor(const Ts&)>;

void check_against_differences(const Loss& loss, const Ts& inputs) {
    const double h = 1e-5;
    const Ts computed = gradients_of(loss(inputs), inputs);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
        CAPTURE(k);
        const Doubles at = inputs[k].to_vector<double>(), slope = computed[k].to_vector<double>();
        for (std::size_t i = 0; i < at.size(); ++i) {
            double value[2];
            for (const int side : {0, 1}) {
                Doubles moved = at;
                moved[i] += side == 0 ? -h : h;
                Ts shifted = inputs;
                shifted[k] = Tensor(moved, inputs[k].shape());
                value[side] = loss(shifted).item<double>();
            }
            const double expected = (value[1] - value[0]) / (2 * h);
            CAPTURE(i);
            CAPTURE(at[i]);
            CAPTURE(slope[i]);
            CAPTURE(expected);
            CHECK(std::abs(slope[i] - expected) <= 1e-6 * std::max(1.0, std::abs(expected)));
        }
    }
}

Row of(std::string name, Doubles at, Tensor (*f)(const Arg&)) {
    return {std::move(name), {points(std::move(at))}, [f](const Ts& x) { return f(x[0]); }};
}
template <class F>
Row of(std::string name, Ts inputs, F f) {
    return {std::move(name), std::move(inputs), f};
}

const Doubles kAll{-3.2, -1.1, -0.3, 0, 0.4, 1.7, 2.9};

std::vector<Row> elementwise_rows() {
    return {
        of("sigmoid", kAll, sigmoid),
        of("logsigmoid", kAll, logsigmoid),
        of("silu", kAll, silu),
        of("mish", kAll, mish),
        of("quick_gelu", kAll, quick_gelu),
        of("tanhshrink", kAll, tanhshrink),
        of("asinh", kAll, asinh),
        of("acosh", {1.2, 1.9, 5}, acosh),
        of("atanh", {-0.7, -0.2, 0, 0.3, 0.8}, atanh),
        of("erfc", kAll, erfc),
        of("logit", {0.1, 0.5, 0.9}, logit),
        of("log10", {0.3, 1, 4}, log10),
        of("rsqrt", {0.3, 1, 4}, rsqrt),
        of("square", kAll, square),
        of("frac", {-1.4, 0.2, 3.7}, frac),
        of("gelu", Ts{points(kAll)}, [](const Ts& x) { return gelu(x[0]); }),
        of("gelu by tanh", Ts{points(kAll)}, [](const Ts& x) { return gelu(x[0], Gelu::Tanh); }),
        of("softplus", Ts{points(kAll)}, [](const Ts& x) { return softplus(x[0], 1.5); }),
        of("pow 3", Ts{points(kAll)}, [](const Ts& x) { return pow(x[0], 3); }),
        of("pow 2.5", Ts{points({0.3, 1, 2})}, [](const Ts& x) { return pow(x[0], 2.5); }),
        of("2 to the x", Ts{points(kAll)}, [](const Ts& x) { return pow(2.0, x[0]); }),
        of("hypot", Ts{points({1, -2, 0.5, 3}), points({2, 1, -0.5, -3})},
           [](const Ts& x) { return hypot(x[0], x[1]); }),
        of("logaddexp", Ts{points({1, -2, 0.5, 3}), points({2, 1, 0.5, -3})},
           [](const Ts& x) { return logaddexp(x[0], x[1]); }),
        of("xlogy", Ts{points({1, -2, 0.5}), points({2, 1, 0.5})},
           [](const Ts& x) { return xlogy(x[0], x[1]); }),
        of("lerp", Ts{points({1, -2}), points({2, 1}), points({0.3, 0.9})},
           [](const Ts& x) { return lerp(x[0], x[1], x[2]); }),
        of("remainder", Ts{points({5.3, -2.2}), points({2, 1.5})},
           [](const Ts& x) { return remainder(x[0], x[1]); }),
        of("fmod", Ts{points({5.3, -2.2}), points({2, 1.5})},
           [](const Ts& x) { return fmod(x[0], x[1]); }),
        of("copysign", Ts{points({1.5, -2}), points({-1, 1})},
           [](const Ts& x) { return copysign(x[0], x[1]); }),
    };
}

const Shape kMatrix{3, 4};
const Doubles kTwelve{0.3, -1.2, 2.1, 0.9, 1.4, -0.6, -2.2, 0.1, -0.8, 1.9, 0.7, -1.5};

std::vector<Row> reduction_rows() {
    const Ts matrix{points(kTwelve, kMatrix)};
    return {
        of("mean", matrix, [](const Ts& x) { return mean(x[0], 1); }),
        of("var", matrix, [](const Ts& x) { return var(x[0], 1); }),
        of("std", matrix, [](const Ts& x) { return std(x[0], 0, false, 0); }),
        of("prod", matrix, [](const Ts& x) { return prod(x[0], 1); }),
        of("max", matrix, [](const Ts& x) { return max(x[0], 1); }),
        of("logsumexp", matrix, [](const Ts& x) { return logsumexp(x[0], 1); }),
        of("softmax", matrix, [](const Ts& x) { return softmax(x[0], 1); }),
        of("log_softmax", matrix, [](const Ts& x) { return log_softmax(x[0], 0); }),
        of("cumsum", matrix, [](const Ts& x) { return cumsum(x[0], 1); }),
        of("cumprod", matrix, [](const Ts& x) { return cumprod(x[0], 1); }),
        of("cummax", matrix, [](const Ts& x) { return cummax(x[0], 1); }),
        of("norm", matrix, [](const Ts& x) { return norm(x[0]); }),
        of("norm 1", matrix, [](const Ts& x) { return norm(x[0], 1, 1); }),
        of("norm 3", matrix, [](const Ts& x) { return norm(x[0], 3, 1); }),
    };
}

std::vector<Row> network_rows() {
    const Tensor matrix = points(kTwelve, kMatrix), narrow = points(kTwelve, {4, 3});
    const Tensor images = linspace(-1, 1, 32, f64).reshape({1, 2, 4, 4});
    const Tensor curved = sin(images * 5).realize();
    const Tensor taps = sin(linspace(0, 7, 24, f64)).reshape({3, 2, 2, 2}).realize();
    const Tensor bias = points({0.3, -0.2, 0.1});
    return {
        of("matmul", Ts{matrix, narrow}, [](const Ts& x) { return matmul(x[0], x[1]); }),
        of("conv2d", Ts{curved, taps, bias},
           [](const Ts& x) { return conv2d(x[0], x[1], x[2], {.stride = 2, .padding = 1}); }),
        of("conv_transpose2d", Ts{curved, points(kTwelve, {2, 1, 2, 3})},
           [](const Ts& x) { return conv_transpose2d(x[0], x[1], {}, {.stride = 2}); }),
        of("max_pool2d", Ts{curved}, [](const Ts& x) { return max_pool2d(x[0], 2); }),
        of("avg_pool2d", Ts{curved},
           [](const Ts& x) { return avg_pool2d(x[0], 3, {.stride = 2, .padding = 1}); }),
        of("adaptive_avg_pool2d", Ts{curved},
           [](const Ts& x) { return adaptive_avg_pool2d(x[0], 3); }),
        of("slices with negative steps", Ts{matrix},
           [](const Ts& x) { return x[0][{slice(none, none, -2), slice(1, 4, 2)}]; }),
        of("rows by index", Ts{matrix},
           [](const Ts& x) { return index_select(x[0], 0, Tensor({2, 0, 2})); }),
        of("embedding", Ts{matrix},
           [](const Ts& x) { return embedding(Tensor({{0, 2}, {2, 1}}), x[0]); }),
        of("scatter_add", Ts{matrix, points(kTwelve, kMatrix)},
           [](const Ts& x) {
               return scatter_add(x[0], 0, Tensor({{0, 1, 1, 2}, {0, 0, 1, 1}, {2, 2, 2, 2}}),
                                  x[1]);
           }),
        of("cat and roll", Ts{matrix, matrix + 0.5},
           [](const Ts& x) { return roll(cat({x[0], x[1]}, 0), 2, 0); }),
        of("cross_entropy", Ts{matrix},
           [](const Ts& x) {
               return cross_entropy(x[0], Tensor({3, 0, 1}), {.label_smoothing = 0.2});
           }),
        of("bce_with_logits", Ts{matrix, sigmoid(matrix)},
           [](const Ts& x) { return bce_with_logits(x[0], x[1]); }),
        of("huber_loss", Ts{matrix, matrix * 0.2},
           [](const Ts& x) { return huber_loss(x[0], x[1]); }),
    };
}

void check_rows(std::vector<Row> (*rows)()) {
    const DeviceGuard guard{Device("REF")};
    for (Row row : rows()) {
        CAPTURE(row.name);
        for (Tensor& input : row.inputs) input.realize();
        const Loss first = [&](const Ts& x) { return weighted(row.apply(x)); };
        check_against_differences(first, row.inputs);
        const Loss second = [&](const Ts& x) {
            Tensor total = zeros({}, f64);
            for (const Tensor& g : gradients_of(first(x), x)) total = total + weighted(g);
            return total;
        };
        check_against_differences(second, row.inputs);
    }
}

}  // namespace

TEST_CASE("gradients of elementwise functions agree with differences, at zero too") {
    check_rows(elementwise_rows);
}

TEST_CASE("gradients of reductions and scans agree with differences") {
    check_rows(reduction_rows);
}

TEST_CASE("gradients of products, convolutions, pooling and indexing agree with differences") {
    check_rows(network_rows);
}

TEST_CASE("gradients far out are finite") {
    const Tensor x({-1e4f, -200.f, -90.f, 90.f, 200.f, 1e4f});
    const std::vector<std::pair<std::string, Tensor (*)(const Arg&)>> functions = {
        {"sigmoid", sigmoid}, {"logsigmoid", logsigmoid},
        {"silu", silu},       {"mish", mish},
        {"tanh", tanh},       {"erf", erf},
        {"asinh", asinh},     {"quick_gelu", quick_gelu},
    };
    for (const auto& [name, f] : functions) {
        CAPTURE(name);
        for (const float g : gradient(sum(f(x)), x).to_vector<float>()) CHECK(std::isfinite(g));
    }
    for (const float g : gradient(sum(softplus(x)), x).to_vector<float>()) CHECK(std::isfinite(g));
    for (const float g : gradient(sum(gelu(x)), x).to_vector<float>()) CHECK(std::isfinite(g));
}

TEST_CASE("the norm of nothing but zeros has the gradient zero") {
    const Tensor x({0.f, 0.f, 0.f});
    CHECK(gradient(norm(x), x).to_vector<float>() == std::vector<float>{0, 0, 0});
}

TEST_CASE("kinks have PyTorch's gradients") {
    const auto at = [](std::vector<float> points, const std::function<Tensor(const Tensor&)>& f) {
        const Tensor x(points);
        return gradient(sum(f(x)), x).to_vector<float>();
    };
    using Floats = std::vector<float>;
    CHECK(at({0}, [](const Tensor& x) { return relu(x); }) == Floats{0});
    CHECK(at({0, 6}, [](const Tensor& x) { return relu6(x); }) == Floats{0, 0});
    CHECK(at({-1, 1}, [](const Tensor& x) { return hardtanh(x); }) == Floats{0, 0});
    CHECK(at({-1, 1}, [](const Tensor& x) { return clamp(x, -1, 1); }) == Floats{1, 1});
    CHECK(at({0}, [](const Tensor& x) { return leaky_relu(x, 0.5); }) == Floats{0.5});
    CHECK(at({0}, [](const Tensor& x) { return elu(x); }) == Floats{1});
    CHECK(at({-3, 3}, [](const Tensor& x) { return hardsigmoid(x); }) == Floats{0, 0});
    CHECK(at({0.5, -0.5}, [](const Tensor& x) { return hardshrink(x); }) == Floats{0, 0});
}

}  // namespace sinter
