#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/nn/loader.h>

using namespace sinter;
using namespace sinter::nn;

namespace {

DataLoader numbers(std::int64_t n, const LoaderOptions& options) {
    std::vector<float> samples;
    std::vector<std::int32_t> labels;
    for (std::int64_t i = 0; i < n; ++i) {
        samples.push_back(static_cast<float>(i));
        samples.push_back(static_cast<float>(-i));
        labels.push_back(static_cast<std::int32_t>(i));
    }
    return DataLoader(samples, {2}, labels, options);
}

// The labels of one epoch, batch by batch.
std::vector<std::vector<std::int32_t>> walk(DataLoader& loader) {
    std::vector<std::vector<std::int32_t>> batches;
    HostBatch batch;
    while (loader.next(batch)) {
        CHECK(batch.count == static_cast<std::int64_t>(batch.y.size()));
        for (std::size_t i = 0; i < batch.y.size(); ++i) {
            CHECK(batch.x[2 * i] == static_cast<float>(batch.y[i]));
            CHECK(batch.x[2 * i + 1] == static_cast<float>(-batch.y[i]));
        }
        batches.push_back(batch.y);
    }
    return batches;
}

std::vector<std::int32_t> flat(const std::vector<std::vector<std::int32_t>>& batches) {
    std::vector<std::int32_t> all;
    for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
    return all;
}

}  // namespace

TEST_CASE("an epoch gives every sample once, the last batch may be short or left out") {
    DataLoader all = numbers(10, {.batch = 4});
    CHECK(all.batch_count() == 3);
    const auto batches = walk(all);
    REQUIRE(batches.size() == 3);
    CHECK(batches[2].size() == 2);
    const auto labels = flat(batches);
    CHECK(std::set(labels.begin(), labels.end()).size() == 10);

    DataLoader full = numbers(10, {.batch = 4, .drop_last = true});
    CHECK(full.batch_count() == 2);
    CHECK(walk(full).size() == 2);

    DataLoader few = numbers(3, {.batch = 4});
    CHECK(few.batch_count() == 1);
    DataLoader nothing = numbers(0, {});
    CHECK(nothing.batch_count() == 0);
    CHECK(walk(nothing).empty());
}

TEST_CASE("the order depends on seed and epoch alone") {
    DataLoader a = numbers(100, {.batch = 7, .seed = 5}), b = numbers(100, {.batch = 7, .seed = 5});
    DataLoader c = numbers(100, {.batch = 7, .seed = 6}),
               d = numbers(100, {.batch = 7, .shuffle = false});
    const auto first = walk(a), second = walk(a);
    CHECK(first == walk(b));
    CHECK(second == walk(b));
    CHECK(first != second);
    CHECK(first != walk(c));
    CHECK(std::ranges::is_sorted(flat(walk(d))));
    b.start_epoch(1);
    CHECK(second == walk(b));
}

TEST_CASE("shuffling puts samples anywhere") {
    // The mean place of a sample over many epochs is the middle: 49.5, with a standard deviation
    // of 28.9 / sqrt(400).
    DataLoader loader = numbers(100, {.batch = 100, .seed = 3});
    double place = 0;
    for (int epoch = 0; epoch < 400; ++epoch) {
        const auto labels = flat(walk(loader));
        place += static_cast<double>(std::ranges::find(labels, 0) - labels.begin()) / 400;
    }
    CHECK(place > 49.5 - 6);
    CHECK(place < 49.5 + 6);
}

TEST_CASE("pixels are scaled as asked") {
    const ImageSet set{2, 1, 2, {0, 255, 51, 102}, {3, 4}};
    DataLoader loader(set, {.batch = 2, .shuffle = false}, {.mean = .2f, .std = .5f});
    CHECK(loader.sample_shape() == Shape{1, 1, 2});
    HostBatch batch;
    REQUIRE(loader.next(batch));
    CHECK(batch.x[0] == doctest::Approx(-.4));
    CHECK(batch.x[1] == doctest::Approx(1.6));
    CHECK(batch.x[2] == doctest::Approx(0).epsilon(1e-6));
    CHECK(batch.x[3] == doctest::Approx(.4));
    CHECK(batch.y == std::vector<std::int32_t>{3, 4});
}

TEST_CASE("a range-for over a loader is one epoch of tensors") {
    DataLoader loader = numbers(10, {.batch = 4, .seed = 2}),
               twin = numbers(10, {.batch = 4, .seed = 2});
    for (int epoch = 0; epoch < 2; ++epoch) {
        const auto expected = walk(twin);
        std::size_t n = 0;
        for (const Batch& batch : loader) {
            REQUIRE(n < expected.size());
            CHECK(batch.x.dtype() == f32);
            CHECK(batch.y.dtype() == i32);
            CHECK(batch.x.shape() == Shape{static_cast<std::int64_t>(expected[n].size()), 2});
            CHECK(batch.y.to_vector<std::int32_t>() == expected[n]);
            CHECK(batch.x.to_vector<float>()[2] == static_cast<float>(expected[n][1]));
            ++n;
        }
        CHECK(n == expected.size());
    }
    // A walk that was left early is not taken up again.
    for (const Batch& batch : loader) {
        CHECK(batch.y.numel() == 4);
        break;
    }
    CHECK(loader.epoch() == 2);
    twin.start_epoch(3);
    CHECK((*loader.begin()).y.to_vector<std::int32_t>() == walk(twin)[0]);
}

TEST_CASE("a loader refuses sizes that do not agree") {
    CHECK_THROWS_AS(numbers(4, {.batch = 0}), ValueError);
    CHECK_THROWS_AS(DataLoader(std::vector<float>{1, 2, 3}, {2}, {0, 1}), ValueError);
    CHECK_THROWS_AS(DataLoader(ImageSet{2, 2, 2, {1, 2, 3}, {1, 2}}, {}), ValueError);
}
