#include <algorithm>
#include <numeric>

#include <sinter/ir/env.h>
#include <sinter/testing.h>

#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::expect_shaped;
using test::for_each_device;
using test::kInf;
using test::kNaN;

namespace {

// Numbers with repetitions, NaN and both infinities among them.
std::vector<float> mixed(std::size_t n) {
    std::vector<float> x(n);
    std::uint32_t state = 12345;
    for (float& v : x) {
        state = state * 1664525 + 1013904223;
        v = static_cast<float>(static_cast<std::int32_t>(state) >> 8) / 65536.0f;
        if (state % 7 == 0) v = std::round(v / 32);
        if (state % 97 == 0)
            v = state % 2 == 0 ? -std::numeric_limits<float>::infinity()
                               : std::numeric_limits<float>::infinity();
        if (state % 101 == 0) v = std::numeric_limits<float>::quiet_NaN();
    }
    return x;
}

// Positions by a stable sort of the C++ library.
std::vector<std::int64_t> positions(const std::vector<float>& x, bool descending) {
    std::vector<std::int64_t> order(x.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    const auto less = [&](std::int64_t a, std::int64_t b) {
        const float p = x[static_cast<std::size_t>(a)], q = x[static_cast<std::size_t>(b)];
        return std::isnan(q) ? !std::isnan(p) : p < q;
    };
    std::ranges::stable_sort(order,
                             [&](auto a, auto b) { return descending ? less(b, a) : less(a, b); });
    return order;
}

}  // namespace

TEST_CASE("sort gives values and where they came from, equal ones in their order") {
    for_each_device([] {
        const Tensor x({{3.f, 1.f, 2.f, 1.f}, {-1.f, 5.f, -1.f, 0.f}});
        const auto [values, indices] = sort(x);
        expect_shaped(values, {2, 4}, {1, 1, 2, 3, -1, -1, 0, 5});
        expect_shaped(indices, {2, 4}, {1, 3, 2, 0, 0, 2, 3, 1});
        CHECK(indices.dtype() == i64);
        const Sorted down = sort(x, -1, true);
        expect_shaped(down.values, {2, 4}, {3, 2, 1, 1, 5, 0, -1, -1});
        expect_shaped(down.indices, {2, 4}, {0, 2, 1, 3, 1, 3, 0, 2});
        expect_shaped(sort(x, 0).values, {2, 4}, {-1, 1, -1, 0, 3, 5, 2, 1});
        expect_shaped(argsort(x, 0), {2, 4}, {1, 0, 1, 1, 0, 1, 0, 0});
    });
}

TEST_CASE("NaN is sorted as the largest, and zeros of both signs are equal") {
    for_each_device([] {
        const Tensor x({1.f, static_cast<float>(kNaN), -static_cast<float>(kInf), -0.f, 0.f, -0.f,
                        static_cast<float>(kInf), -static_cast<float>(kNaN)});
        expect(argsort(x), {2, 3, 4, 5, 0, 6, 1, 7});
        expect(sort(x).values, {-kInf, 0, 0, 0, 1, kInf, kNaN, kNaN});
        expect(argsort(x, 0, true), {1, 7, 6, 0, 3, 4, 5, 2});
        expect(sort(x, 0, true).values, {kNaN, kNaN, kInf, 1, 0, 0, 0, -kInf});
        // Beside its positions a value keeps all its bits.
        Sorted both = sort(x);
        realize(both.values, both.indices);
        expect(1 / narrow(both.values, 0, 1, 3), {-kInf, kInf, -kInf});
    });
}

TEST_CASE("rows of any length are sorted as the C++ library does") {
    for_each_device([] {
        for (const std::int64_t n : {1, 2, 3, 15, 16, 17, 64, 100, 257, 1000, 5000})
            for (const bool descending : {false, true}) {
                CAPTURE(n);
                CAPTURE(descending);
                const std::vector<float> row = mixed(static_cast<std::size_t>(n));
                std::vector<float> two(row);
                two.insert(two.end(), row.rbegin(), row.rend());
                const Tensor x = from_data(two.data(), {2, n}, f32);
                const std::vector<std::int64_t> want = positions(row, descending);
                const std::vector<std::int64_t> got =
                    argsort(x, 1, descending).to_vector<std::int64_t>();
                CHECK(std::vector(got.begin(), got.begin() + n) == want);
                std::vector<double> values;
                for (const std::int64_t i : want)
                    values.push_back(static_cast<double>(row[static_cast<std::size_t>(i)]));
                expect(sort(x, 1, descending).values[0], values, 0);
                const std::int64_t k = (n + 2) / 3;
                values.resize(static_cast<std::size_t>(k));
                expect(topk(x, k, 1, descending).values[0], values, 0);
                expect(topk(x, k, 1, descending).indices[0],
                       std::vector<double>(want.begin(), want.begin() + k));
            }
    });
}

TEST_CASE("every dtype is sorted, to the ends of its range") {
    for_each_device([] {
        for (const DType dt : {i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
            CAPTURE(name(dt));
            const Tensor x = Tensor({5, 3, 100, 0, 3, 77}).to(dt);
            expect(sort(x).values, {0, 3, 3, 5, 77, 100});
            expect(argsort(x), {3, 1, 4, 0, 5, 2});
            expect(argsort(x, 0, true), {2, 5, 0, 1, 4, 3});
            CHECK(sort(x).values.dtype() == dt);
            if (is_unsigned(dt)) continue;
            const Tensor y = Tensor({5, -3, 100, 0, -128, 127}).to(dt);
            expect(sort(y).values, {-128, -3, 0, 5, 100, 127});
            expect(argsort(y), {4, 1, 3, 0, 2, 5});
        }
        expect(sort(Tensor({true, false, true})).values, {0, 1, 1});
        expect(argsort(Tensor({true, false, true})), {1, 0, 2});
        const std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                           high = std::numeric_limits<std::int64_t>::max();
        CHECK(sort(Tensor({high, std::int64_t{-1}, low, std::int64_t{0}}))
                  .values.to_vector<std::int64_t>() == std::vector<std::int64_t>{low, -1, 0, high});
        const Tensor big = full({3}, -1, i64).to(u64);
        CHECK(sort(cat({big, zeros({1}, u64)})).values.to_vector<std::uint64_t>().front() == 0);
    });
}

TEST_CASE("a few of many are those that sorting all would give, equal ones in their order") {
    for_each_device([] {
        for (const std::int64_t n : {40, 257, 3000}) {
            const std::vector<float> row = mixed(static_cast<std::size_t>(n));
            for (const DType dt : {i8, i16, i32, i64, u8, f16, f32, f64})
                for (const bool largest : {false, true}) {
                    CAPTURE(n);
                    CAPTURE(name(dt));
                    CAPTURE(largest);
                    const Tensor x = from_data(row.data(), {n}, f32).to(dt).realize();
                    const Sorted all = sort(x, 0, largest);
                    const auto values = all.values.to_vector<double>(),
                               places = all.indices.to_vector<double>();
                    for (const std::int64_t k : {1, 2, 5}) {
                        CAPTURE(k);
                        expect(topk(x, k, 0, largest).values, {values.begin(), values.begin() + k},
                               0);
                        expect(topk(x, k, 0, largest).indices,
                               {places.begin(), places.begin() + k});
                    }
                }
            expect(argsort(zeros({n})).narrow(0, 0, 3), {0, 1, 2});
            expect(topk(zeros({n}), 3).indices, {0, 1, 2});
        }
    });
}

TEST_CASE("very few of very many are found in groups, wherever they are") {
    const auto same = [](const Tensor& x, std::int64_t k) {
        for (const bool largest : {true, false}) {
            CAPTURE(largest);
            const Sorted all = sort(x, -1, largest), few = topk(x, k, -1, largest);
            const auto first = [&](const Tensor& t) { return narrow(t, -1, 0, k); };
            CHECK(few.indices.to_vector<std::int64_t>() ==
                  first(all.indices).to_vector<std::int64_t>());
            CHECK(few.values.to(f64).to_vector<double>() ==
                  first(all.values).to(f64).to_vector<double>());
        }
    };
    const DeviceGuard guard{Device("CPU")};
    for (const std::int64_t n : {1024, 1151, 5003}) {
        CAPTURE(n);
        std::vector<float> numbers = mixed(static_cast<std::size_t>(3 * n));
        std::ranges::replace_if(numbers, [](float v) { return std::isnan(v); }, -0.0f);
        const Tensor x = reshape(Tensor(numbers), {3, n}), line = arange(static_cast<double>(n));
        for (const std::int64_t k : {std::int64_t{1}, std::int64_t{7}, n / 64}) {
            CAPTURE(k);
            same(x, k);
            for (const DType dtype : {f64, f16, i32, i64, u8, i16}) {
                CAPTURE(name(dtype));
                same(clamp(x, 0.0, 100.0).to(dtype), k);
            }
            same(line, k);  // in order, so that one group has them all
            same(-line, k);
            same(zeros({n}), k);  // all equal: the first ones
            same((line > 900.0).to(i64), k);
        }
    }
}

TEST_CASE("nothing, one element and scalars are sorted") {
    for_each_device([] {
        expect_shaped(sort(zeros({2, 0})).values, {2, 0}, {});
        expect_shaped(argsort(zeros({0, 3})), {0, 3}, {});
        expect_shaped(sort(zeros({0, 3}), 0).values, {0, 3}, {});
        expect_shaped(sort(full({3, 1}, 2.0)).values, {3, 1}, {2, 2, 2});
        expect_shaped(argsort(full({3, 1}, 2.0)), {3, 1}, {0, 0, 0});
        expect_scalar(sort(Tensor(4.f)).values, 4);
        expect_scalar(argsort(Tensor(4.f), 0), 0);
        expect_scalar(topk(Tensor(4.f), 1).indices, 0);
        expect_shaped(topk(zeros({2, 3}), 0).values, {2, 0}, {});
    });
}

TEST_CASE("kthvalue and median pick one element of an axis") {
    for_each_device([] {
        const Tensor x({{4.f, 1.f, 3.f, 2.f}, {7.f, 7.f, 5.f, 6.f}});
        expect(kthvalue(x, 2).values, {2, 6});
        expect(kthvalue(x, 3).indices, {2, 0});
        expect_shaped(kthvalue(x, 1, 0, true).values, {1, 4}, {4, 1, 3, 2});
        expect(median(x, 1).values, {2, 6});
        expect(median(x, 1).indices, {3, 3});
        expect_shaped(median(x, 0, true).indices, {1, 4}, {0, 0, 0, 0});
        expect_scalar(median(x), 4);
        const Tensor holed({{1.f, static_cast<float>(kNaN), 0.f}, {3.f, 2.f, 1.f}});
        expect(median(holed, 1).values, {kNaN, 2});
        expect(median(holed, 1).indices, {1, 1});
        expect_scalar(median(Tensor({5, 1, 3})), 3);
        expect_scalar(median(Tensor(2.f)), 2);
    });
}

TEST_CASE("gradients go to where the values came from") {
    for_each_device([] {
        const Tensor x = Tensor({3.f, 1.f, 2.f, 1.f}).realize();
        const Tensor weight({1.f, 10.f, 100.f, 1000.f});
        expect(gradient(sum(sort(x).values * weight), x), {1000, 1, 100, 10});
        expect(gradient(sum(topk(x, 2).values), x), {1, 0, 1, 0});
        expect(gradient(sum(topk(x, 2, 0, false).values), x), {0, 1, 0, 1});
        expect(gradient(median(x), x), {0, 0, 0, 1});
        expect(gradient(kthvalue(x, 3).values, x), {0, 0, 1, 0});
    });
}

TEST_CASE("sorted rows of an expression, and expressions of sorted rows") {
    for_each_device([] {
        const Tensor x = (arange(60) * 37 % 60).to(f32).reshape({3, 4, 5}).realize();
        const std::vector<double> down =
            (-sort(-x.transpose(0, 2), 1).values).transpose(0, 2).to_vector<double>();
        CHECK(down == sort(x, 1, true).values.to_vector<double>());
        const Tensor p = softmax(x.reshape({3, 20}), 1);
        const Sorted top = topk(p, 3);
        expect_shaped(top.indices, {3, 3},
                      argsort(x.reshape({3, 20}), 1, true).narrow(1, 0, 3).to_vector<double>());
        CHECK((top.values.sum().item<float>()) > 0.5f);
        expect_shaped(gather(x, 2, argsort(x)), {3, 4, 5}, sort(x).values.to_vector<double>());
    });
}

TEST_CASE("equal values of a row that is read several times over keep their order") {
    for_each_device([] {
        const Tensor ones17 = Tensor(ones({17})).realize();
        const Tensor row = outer(ones({3}), repeat(ones17, {2}));
        std::vector<double> order(22), all(34);
        std::iota(order.begin(), order.end(), 0.0);
        std::iota(all.begin(), all.end(), 0.0);
        expect(topk(row, 22, 1, false).indices[1], order);
        expect(argsort(row, 1)[2], all);
        expect(argmax(row, 1), {0, 0, 0});
        expect(argmin(row, 1), {0, 0, 0});
    });
}

TEST_CASE("k and axes that are not there are refused") {
    const Tensor x = zeros({2, 3});
    CHECK_THROWS_WITH_AS(topk(x, 4), doctest::Contains("k is 4, but axis 1 of f32[2, 3] has 3"),
                         ValueError);
    CHECK_THROWS_AS(topk(x, -1), ValueError);
    CHECK_THROWS_AS(kthvalue(x, 0), ValueError);
    CHECK_THROWS_AS(kthvalue(x, 4), ValueError);
    CHECK_THROWS_AS(sort(x, 2), ShapeError);
    CHECK_THROWS_AS(median(zeros({0})), ValueError);
    CHECK_THROWS_AS(median(zeros({2, 0}), 1), ValueError);
}

TEST_CASE("a row that is sorted once more where masks change is sorted in the same place") {
    // Rows of padding, one of memory, rows of padding: one after the other in one trip.
    const DeviceGuard cpu{Device("CPU")};
    const PinnedSchedule pin("r_5_2_4_sort", "part 0: bind r0 to serial");
    const Tensor x = Tensor(std::vector<double>{1, 0, 3, 2}, {1, 4});
    const Tensor padded = pad(x, {0, 0, 1, 3}, PadMode::Constant, 2.0);
    expect(kthvalue(padded, 2, 1).indices, {1, 0, 1, 1, 1});
}

TEST_CASE("nothing is fetched ahead from where a sort has yet to say") {
    // A random schedule that fetches, for the results, what they are made with besides the sort.
    const ir::env::Override schedule("SCHEDULE", "8812");
    const test::Program program = [] {
        const Tensor x = randint(-50, 50, {17, 7, 2}).to(f32).realize();
        return median(x, 0).values;
    };
    CHECK(test::values_on("CPU", program) == test::values_on("REF", program));
}
