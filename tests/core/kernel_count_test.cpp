// How many kernels known expressions are, counted by what the CPU ran.

#include <algorithm>
#include <functional>

#include "support.h"

using namespace sinter;

namespace {

Tensor data(const Shape& shape) {
    return (arange(Tensor(zeros(shape)).numel()) * 0.37 + 0.1)
        .sin()
        .reshape(shape)
        .to(f32)
        .realize();
}

// Kernels that computing all of these together takes.
template <class... Ts>
std::uint64_t kernels(Ts... tensors) {
    const std::uint64_t before = stats().launches;
    realize(tensors...);
    return stats().launches - before;
}

Tensor gelu_of_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return gelu(matmul(x, weight) + bias);
}

}  // namespace

TEST_CASE("softmax and log_softmax are one kernel, over any axis") {
    const DeviceGuard guard{Device("CPU")};
    for (const Shape& shape : {Shape{64, 1000}, Shape{7, 13}, Shape{1, 5}, Shape{200, 10}})
        for (const std::int64_t axis : {0, 1}) {
            CAPTURE(to_string(shape));
            CAPTURE(axis);
            const Tensor x = data(shape);
            CHECK(kernels(softmax(x, axis)) == 1);
            CHECK(kernels(log_softmax(x, axis)) == 1);
        }
    CHECK(kernels(softmax(data({4, 8, 32, 32}), -1)) == 1);
    CHECK(kernels(softmax(data({1000}), 0)) == 1);
}

TEST_CASE("mean and variance of one tensor are one kernel") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({64, 300});
    CHECK(kernels(mean(x), var(x)) == 1);
    CHECK(kernels(mean(x, 1), var(x, 1)) == 1);
    CHECK(kernels(mean(x, 0), var(x, 0)) == 1);
}

TEST_CASE("one kernel goes through the logits of a cross-entropy and writes their gradient") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor logits = data({64, 1003}), labels = (arange(64) * 15).to(i32).realize();
    Tensor loss = cross_entropy(logits, labels), slope = gradient(loss, {logits})[0];
    reset_stats();
    realize(loss, slope);
    const std::vector<std::string> names = stats().kernel_names;
    CHECK(names.size() <= 3);
    CHECK(std::ranges::count_if(names, [](const std::string& name) {
              return name.find("1003") != std::string::npos;
          }) == 1);
}

TEST_CASE("sorting is one kernel, with values and positions two") {
    const DeviceGuard guard{Device("CPU")};
    for (const Shape& shape : {Shape{64, 1000}, Shape{1, 5000}, Shape{7, 3}}) {
        const Tensor x = data(shape);
        CHECK(kernels(sort(x).values) == 1);
        CHECK(kernels(argsort(x)) == 1);
        CHECK(kernels(argsort(x, 0)) == 1);
        const Sorted all = sort(x), top = topk(x, 3);
        CHECK(kernels(all.values, all.indices) == 2);
        CHECK(kernels(top.values, top.indices) == 2);
        CHECK(kernels(sort(exp(x) * 2).values) == 1);
    }
}

TEST_CASE("sum and maximum of one tensor are one kernel") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({64, 300});
    CHECK(kernels(sum(x), max(x)) == 1);
    CHECK(kernels(sum(x, 1), max(x, 1)) == 1);
    CHECK(kernels(sum(x, 0), max(x, 0)) == 1);
}

TEST_CASE("a layer norm written out is one kernel") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({32, 256}), weight = data({256}), bias = data({256});
    CHECK(kernels((x - mean(x, 1, true)) * rsqrt(var(x, 1, true, 0) + 1e-5) * weight + bias) == 1);
}

TEST_CASE("a linear layer with bias and gelu is one kernel") {
    const DeviceGuard guard{Device("CPU")};
    for (const std::int64_t rows : {1, 3, 64, 200}) {
        CAPTURE(rows);
        CHECK(kernels(gelu_of_linear(data({rows, 96}), data({96, 80}), data({80}))) == 1);
        CHECK(kernels(gelu_of_linear(data({rows, 784}), data({512, 784}).mT(), data({512}))) == 1);
    }
}

TEST_CASE("projections of one input to queries, keys and values are one launch") {
    const DeviceGuard guard{Device("CPU")};
    for (const std::int64_t rows : {1, 6, 40, 300}) {
        CAPTURE(rows);
        const Tensor x = data({rows, 96});
        std::vector<Tensor> weights;
        for (int i = 0; i < 3; ++i) weights.push_back((data({64, 96}) * (i + 1) + i).realize());
        std::vector<Tensor> made;
        for (const Tensor& w : weights) made.push_back(matmul(x, w.mT()));
        CHECK(kernels(made[0], made[1], made[2]) == 1);
        for (std::size_t i = 0; i < 3; ++i) {
            CAPTURE(i);
            const std::vector<float> got = made[i].to_vector<float>();
            const std::vector<double> want =
                sum(x.to(f64).unsqueeze(1) * weights[i].to(f64), -1).to_vector<double>();
            for (std::size_t at = 0; at < got.size(); ++at)
                REQUIRE(got[at] == doctest::Approx(want[at]).epsilon(1e-5).scale(10));
        }
    }
}

TEST_CASE("of what a gradient needs of an activation the sum below it alone is written") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({256, 64}), weight = data({64, 192}), bias = data({192}),
                 out = data({192, 64});
    using Activation = std::function<Tensor(const Tensor&)>;
    for (const Activation& activation :
         {Activation([](const Tensor& t) { return gelu(t, Gelu::Tanh); }),
          Activation([](const Tensor& t) { return gelu(t); }),
          Activation([](const Tensor& t) { return silu(t); })}) {
        const Tensor hidden = activation(matmul(x, weight) + bias);
        const Tensor loss = sum(matmul(hidden, out) * 0.5);
        std::vector<Tensor> slopes = gradient(loss, {weight, bias, out});
        reset_stats();
        realize(slopes[0], slopes[1], slopes[2]);
        for (const std::string& name : stats().kernel_names) CHECK_FALSE(name.starts_with("e_"));
    }
}

TEST_CASE("what is in memory, or is a view of it, takes no kernel") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({8, 9});
    CHECK(kernels(x) == 0);
    CHECK(kernels(x.reshape({72})) == 0);
}

TEST_CASE("an expression that occurs twice is computed once") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({8, 9});
    Tensor a = exp(x) + 1, b = exp(x) + 1;
    CHECK(kernels(a, b) == 1);
    a = sum(exp(x), 1);
    CHECK(kernels(a, a) == 1);
}

TEST_CASE("the gradient of a convolution's input is one of a padded gradient") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = data({2, 8, 12, 12}), w = data({16, 8, 3, 3}), dy = data({2, 16, 12, 12});
    const Tensor dx = gradient(sum(conv2d(x, w, {}, {.padding = 1}) * dy), {x})[0];
    CHECK(kernels(dx) == 2);
    // Nothing of the padding is computed, whoever reads the result.
    const Tensor other = gradient(sum(conv2d(x, w, {}, {.padding = 1}) * sqrt(dy)), {x})[0];
    Tensor total = sum(other, 1), power = exp(other);
    reset_stats();
    realize(total, power);
    const std::vector<std::string> names = stats().kernel_names;
    CHECK(std::ranges::any_of(
        names, [](const std::string& name) { return name.starts_with("r_2_8_12_12_16_3"); }));
}

TEST_CASE("a padded convolution of channels apart is one kernel") {
    const DeviceGuard guard{Device("CPU")};
    for (const std::int64_t size : {3, 5, 7}) {
        CAPTURE(size);
        const Tensor x = data({2, 24, 28, 28}), w = data({24, 1, size, size});
        const ConvOptions options{.padding = {size / 2}, .groups = 24};
        CHECK(kernels(conv2d(x, w, {}, options)) == 1);
        CHECK(kernels(relu(conv2d(x, w, data({24}), options))) == 1);
    }
}

TEST_CASE("what a convolution of single elements with strides reads lies side by side") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor x = data({2, 32, 14, 14}), w = data({64, 32, 1, 1});
    Tensor y = conv2d(x, w, {}, {.stride = 2});
    reset_stats();
    y.realize();
    const std::vector<std::string> names = stats().kernel_names;
    REQUIRE(names.size() == 2);
    CHECK(names[1] == "r_2_64_49_32_add");
    // One without strides has nothing to copy.
    CHECK(kernels(conv2d(x, w)) == 1);
}

TEST_CASE("an image padded for a convolution lies as it did") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor x = randn({2, 10, 12, 24}).realize(), w = randn({40, 24, 3, 3}).realize();
    Tensor y = conv2d(permute(x, {0, 3, 1, 2}), w, {}, {.padding = 1});
    reset_stats();
    y.realize();
    const std::vector<std::string> names = stats().kernel_names;
    REQUIRE(names.size() == 2);
    CHECK(names[0] == "e_2_12_14_24");
}
