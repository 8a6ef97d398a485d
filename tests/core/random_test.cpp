#include <algorithm>

#include "support.h"

using namespace sinter;
using test::expect;
using test::for_each_device;

namespace {

// |mean of n numbers of this deviation - expected|, in standard errors.
double errors_off(const Tensor& x, double mean, double deviation) {
    const double n = static_cast<double>(x.numel());
    return std::fabs(x.to(f64).mean().item<double>() - mean) / (deviation / std::sqrt(n));
}

}  // namespace

TEST_CASE("Threefry's published test vector") {
    // Random123, kat_vectors: threefry2x32 20, counter and key 0.
    Generator generator(0);
    const Generator::Key key = generator.next_key();
    CHECK(key.low == 0x6b200159);
    CHECK(key.high == 0x99ba4efe);
}

TEST_CASE("a seed gives the same numbers again, on every device") {
    std::vector<std::vector<double>> all;
    for_each_device([&] {
        for (int repeat = 0; repeat < 2; ++repeat) {
            manual_seed(7);
            std::vector<double> numbers = rand({64}).to_vector<double>();
            const auto more = randint(-5, 100000, {64}).to_vector<double>();
            numbers.insert(numbers.end(), more.begin(), more.end());
            all.push_back(numbers);
        }
    });
    for (const auto& numbers : all) CHECK(numbers == all[0]);
    manual_seed(8);
    CHECK(rand({64}).to_vector<double>() !=
          std::vector<double>(all[0].begin(), all[0].begin() + 64));
    Generator a(3), b(3);
    CHECK(rand({4}, {.generator = &a}).to_vector<float>() ==
          rand({4}, {.generator = &b}).to_vector<float>());
    const Generator::State state = a.state();
    const auto next = rand({4}, {.generator = &a}).to_vector<float>();
    a.set_state(state);
    CHECK(rand({4}, {.generator = &a}).to_vector<float>() == next);
}

TEST_CASE("distributions have their moments") {
    for_each_device([] {
        manual_seed(1);
        const Shape many{40000};
        for (const DType dt : {f16, bf16, f32, f64}) {
            const Tensor u = rand(many, {.dtype = dt});
            CHECK(u.dtype() == dt);
            CHECK(u.min().item<double>() >= 0);
            CHECK(u.max().item<double>() < 1);
            // bf16 has 8 random bits: numbers are i / 256, half a step below the middle.
            const double step = dt == bf16 ? 0x1p-9 : dt == f16 ? 0x1p-12 : 0;
            CHECK(errors_off(u, 0.5 - step, std::sqrt(1 / 12.0)) < 5);
            const Tensor z = randn(many, {.dtype = dt});
            CHECK(errors_off(z, 0, 1) < 5);
            CHECK(errors_off(square(z.to(f64)), 1, std::sqrt(2.0)) < 5);
        }
        CHECK(errors_off(normal(many, 3, 0.5), 3, 0.5) < 5);
        CHECK(errors_off(uniform(many, -2, 2), 0, std::sqrt(16 / 12.0)) < 5);
        CHECK(errors_off(exponential(many, 2), 0.5, 0.5) < 5);
        CHECK(errors_off(bernoulli(full(many, 0.3)), 0.3, std::sqrt(0.21)) < 5);
        const Tensor whole = randint(-3, 5, many);
        CHECK(whole.min().item<int>() == -3);
        CHECK(whole.max().item<int>() == 4);
        CHECK(errors_off(whole, 0.5, std::sqrt(63 / 12.0)) < 5);
        // Neighbours and later calls are independent.
        const Tensor a = rand(many) - 0.5, b = rand(many) - 0.5;
        CHECK(errors_off(a * b, 0, 1 / 12.0) < 5);
        CHECK(errors_off(a[slice(1)] * a[slice(0, -1)], 0, 1 / 12.0) < 5);
    });
}

TEST_CASE("randperm is a permutation") {
    for_each_device([] {
        std::vector<std::int64_t> order = randperm(1000).to_vector<std::int64_t>();
        CHECK(!std::ranges::is_sorted(order));
        std::ranges::sort(order);
        for (std::size_t i = 0; i < order.size(); ++i)
            CHECK(order[i] == static_cast<std::int64_t>(i));
        CHECK(randperm(0).numel() == 0);
    });
}

TEST_CASE("dropout keeps the expected sum, and everything when not training") {
    for_each_device([] {
        manual_seed(2);
        const Tensor x = ones({20000});
        const Tensor y = dropout(x, 0.25);
        const std::vector<float> values = y.to_vector<float>();
        for (const float v : values) CHECK((v == 0 || v == 1 / 0.75f));
        CHECK(errors_off(y, 1, std::sqrt(0.25 / 0.75)) < 5);
        expect(dropout(Tensor({1.f, 2.f}), 0.5, false), {1, 2});
        expect(dropout(Tensor({1.f, 2.f}), 1), {0, 0});
    });
    SINTER_EXPECT_ERROR(ValueError, "dropout: the probability must be within [0, 1], got 1.500000",
                        dropout(ones({2}), 1.5));
    SINTER_EXPECT_ERROR(ValueError, "randint: needs low < high, got 3 and 3", randint(3, 3, {2}));
}

TEST_CASE("calls that differ in their numbers alone share kernels") {
    for_each_device([] {
        (void)(rand({257}) * 2).to_vector<float>();
        const std::uint64_t before = stats().compiled;
        (void)(rand({257}) * 2).to_vector<float>();
        CHECK(stats().compiled == before);
    });
}
