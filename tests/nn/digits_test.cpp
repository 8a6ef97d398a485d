#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <sinter/nn/digits.h>

using namespace sinter::nn;

namespace {

// Softmax regression by stochastic gradient descent with a falling rate, in plain C++; the share of
// `test` it gets right.
double softmax_regression(const ImageSet& train, const ImageSet& test, int epochs) {
    constexpr std::size_t kPixels = 28 * 28;
    std::vector<float> weight(10 * kPixels, 0), x(kPixels);
    std::array<float, 10> bias{}, score{};
    const auto forward = [&](const ImageSet& set, std::size_t i) {
        for (std::size_t p = 0; p < kPixels; ++p) {
            x[p] = static_cast<float>(set.pixels[i * kPixels + p]) / 255.f;
        }
        for (std::size_t c = 0; c < 10; ++c) {
            float sum = bias[c];
            for (std::size_t p = 0; p < kPixels; ++p) sum += weight[c * kPixels + p] * x[p];
            score[c] = sum;
        }
        return static_cast<std::size_t>(std::ranges::max_element(score) - score.begin());
    };
    const std::size_t steps = static_cast<std::size_t>(epochs) * train.labels.size();
    for (std::size_t step = 0; step < steps; ++step) {
        const std::size_t i = step % train.labels.size();
        const float top = score[forward(train, i)];
        const float rate = .02f * (1 - static_cast<float>(step) / static_cast<float>(steps));
        float total = 0;
        for (float& s : score) total += s = std::exp(s - top);
        for (std::size_t c = 0; c < 10; ++c) {
            const float slope = rate * (score[c] / total - (c == train.labels[i] ? 1.f : 0.f));
            bias[c] -= slope;
            for (std::size_t p = 0; p < kPixels; ++p) weight[c * kPixels + p] -= slope * x[p];
        }
    }
    std::size_t right = 0;
    for (std::size_t i = 0; i < test.labels.size(); ++i)
        right += forward(test, i) == test.labels[i];
    return static_cast<double>(right) / static_cast<double>(test.labels.size());
}

}  // namespace

TEST_CASE("the same seed draws the same digits, another seed others") {
    const ImageSet a = make_digits(200, 7), b = make_digits(200, 7), c = make_digits(200, 8);
    CHECK(a.pixels == b.pixels);
    CHECK(a.labels == b.labels);
    CHECK(a.pixels != c.pixels);
    // Image i does not depend on how many there are.
    const ImageSet more = make_digits(300, 7);
    CHECK(std::equal(a.pixels.begin(), a.pixels.end(), more.pixels.begin()));
}

TEST_CASE("digits are of all classes, in no order, with ink on a dark ground") {
    const ImageSet set = make_digits(2000, 1);
    CHECK(set.count == 2000);
    CHECK(set.height == 28);
    CHECK(set.width == 28);
    std::array<int, 10> counts{};
    for (std::uint8_t label : set.labels) {
        REQUIRE(label < 10);
        ++counts[label];
    }
    for (int count : counts) CHECK(count > 130);  // 200 expected, 13 standard deviation
    for (std::size_t i = 0; i < 2000; ++i) {
        const auto begin = set.pixels.begin() + static_cast<std::ptrdiff_t>(i * 784);
        const auto inked =
            std::count_if(begin, begin + 784, [](std::uint8_t p) { return p > 100; });
        CHECK(inked > 8);
        CHECK(inked < 400);
    }
}

TEST_CASE("a linear model learns the digits, but not to 95%") {
    const double accuracy = softmax_regression(make_digits(6000, 1), make_digits(1000, 2), 12);
    MESSAGE("softmax regression: " << 100 * accuracy << "%");
    CHECK(accuracy > .75);
    CHECK(accuracy < .95);
}
