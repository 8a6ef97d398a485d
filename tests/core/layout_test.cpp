// Small random networks of images, whose values the scheduler lays out as it likes, against REF.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <random>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

struct Network {
    std::mt19937 random;
    std::vector<Tensor> weights = {};

    std::int64_t below(std::int64_t n) {
        return static_cast<std::int64_t>(random() % static_cast<unsigned>(n));
    }
    Tensor convolved(const Tensor& x, std::int64_t channels, std::int64_t window,
                     std::int64_t stride = 1) {
        const std::int64_t in = x.shape()[1];
        weights.push_back(
            (randn({channels, in, window, window}) / std::sqrt(in * window * window)).realize());
        return conv2d(x, weights.back(), {}, {.stride = stride, .padding = window / 2});
    }
    Tensor normalised(const Tensor& x) {
        const Axes all{0, 2, 3};
        return (x - mean(x, all, true)) * rsqrt(var(x, all, true, 0) + 0.1f);
    }
    Tensor layer(const Tensor& x) {
        const std::int64_t channels = 4 + below(20);
        switch (below(7)) {
            case 0:
                return relu(convolved(x, channels, 3, x.shape()[2] > 3 ? 2 : 1));
            case 1:
                return normalised(convolved(x, channels, 1));
            case 2:
                return relu(
                    x +
                    convolved(tanh(convolved(x, channels, 1)), x.shape()[1], 3).sum({2, 3}, true));
            case 3:
                return cat({x, relu(convolved(x, channels, 1))}, 1);
            default:
                return relu(convolved(x, channels, 1));
        }
    }
};

// The mean of every channel at the end, or a weight's gradient.
Program network(unsigned seed, bool gradients) {
    return [=] {
        Network net{std::mt19937(seed)};
        const std::int64_t side = 3 + net.below(9);
        Tensor x = randn({2 + net.below(4), 3 + net.below(9), side, side}).realize();
        for (int i = 0; i < 7; ++i) x = net.layer(x);
        const Tensor result = mean(x, {2, 3});
        if (!gradients) return result;
        return gradient(sum(square(result)), {net.weights[net.weights.size() / 2]})[0];
    };
}

// Seven layers, each of sums of up to a few hundred products in f32.
constexpr double kTolerance = 1e-4;

}  // namespace

TEST_CASE("networks of small images are what REF computes, however their values lie") {
    for (unsigned seed = 1; seed <= 24; ++seed) {
        CAPTURE(seed);
        const Program program = network(seed, seed % 3 == 0);
        CHECK(test::relative_difference(test::values_on("CPU", program),
                                        test::values_on("REF", program)) < kTolerance);
    }
}
