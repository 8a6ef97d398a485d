#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::expect_shaped;
using test::for_each_device;

TEST_CASE("slices follow NumPy, whatever the step and however far the ends") {
    for_each_device([] {
        // Against the definition, for every begin, end and step around an axis of 5.
        const Tensor x = arange(5);
        for (const std::int64_t step : {-7, -2, -1, 1, 2, 3, 7})
            for (std::int64_t begin = -7; begin <= 7; ++begin)
                for (std::int64_t end = -7; end <= 7; ++end) {
                    const auto clip = [&](std::int64_t i) {
                        if (i < 0) i += 5;
                        return step > 0 ? std::clamp<std::int64_t>(i, 0, 5)
                                        : std::clamp<std::int64_t>(i, -1, 4);
                    };
                    std::vector<double> want;
                    for (std::int64_t i = clip(begin); step > 0 ? i < clip(end) : i > clip(end);
                         i += step)
                        want.push_back(static_cast<double>(i));
                    CHECK(x[slice(begin, end, step)].to_vector<double>() == want);
                }
        expect(x[slice(none, none, -1)], {4, 3, 2, 1, 0});
        expect(x[slice(3)], {3, 4});
    });
}

TEST_CASE("numbers, slices, ellipsis and new axes mix") {
    for_each_device([] {
        const Tensor x = arange(24).reshape({2, 3, 4});
        expect_shaped(x[{slice(0, 2), -1}], {2, 4}, {8, 9, 10, 11, 20, 21, 22, 23});
        expect(x[{1, slice(), 0}], {12, 16, 20});
        expect_scalar(x[{1, 2, 3}], 23);
        expect_shaped(x[{ellipsis, slice(none, none, -2)}][{0, 0}], {2}, {3, 1});
        CHECK(to_string(x[{0, newaxis, ellipsis, newaxis}].shape()) == "[1, 3, 4, 1]");
        CHECK(to_string(x[{ellipsis}].shape()) == "[2, 3, 4]");
        CHECK(to_string(x[slice(2)].shape()) == "[0, 3, 4]");
    });
}

TEST_CASE("tensors as indices, alone and together") {
    for_each_device([] {
        const Tensor x = arange(24).reshape({2, 3, 4});
        const Tensor i({2, 0, -1});
        expect_shaped(x[{0, slice(), i}], {3, 3}, {2, 6, 10, 0, 4, 8, 3, 7, 11});
        expect_shaped(x[{0, i}], {3, 4}, {8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11});
        expect(x[{Tensor({0, 1, 1}), i, 2}], {10, 14, 22});
        // Neighbours stay in place, others go in front.
        CHECK(to_string(ones({5, 3, 4, 2})[{slice(), i, Tensor({{0}, {1}})}].shape()) ==
              "[5, 2, 3, 2]");
        CHECK(to_string(ones({5, 3, 4, 2})[{slice(), i, slice(), Tensor({{0}, {1}})}].shape()) ==
              "[2, 3, 5, 4]");
        expect(x[x > 20], {21, 22, 23});
        expect_shaped(x[{slice(), Tensor({true, false, true}), 0}], {2, 2}, {0, 8, 12, 20});
        CHECK(to_string(x[zeros({2, 3}, boolean)].shape()) == "[0, 4]");
    });
}

TEST_CASE("elements are set in place") {
    for_each_device([] {
        Tensor x = zeros({3, 4});
        x.set({slice(none, none, 2), slice(3, 0, -2)}, Tensor({1.f, 2.f}));
        expect_shaped(x, {3, 4}, {0, 2, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1});
        x.set({1}, 5);
        x.set({slice(), -1}, Tensor({7, 8, 9}));
        expect_shaped(x, {3, 4}, {0, 2, 0, 7, 5, 5, 5, 8, 0, 2, 0, 9});
        x.set({x > 6}, -1);
        expect_shaped(x, {3, 4}, {0, 2, 0, -1, 5, 5, 5, -1, 0, 2, 0, -1});
        x.set({Tensor({0, 2}), Tensor({0, 1})}, Tensor({3.f, 4.f}));
        expect_shaped(x, {3, 4}, {3, 2, 0, -1, 5, 5, 5, -1, 0, 4, 0, -1});
        x.set({slice(1, 3), Tensor({3, 0})}, Tensor({{1.f, 2.f}, {3.f, 4.f}}));
        expect_shaped(x, {3, 4}, {3, 2, 0, -1, 2, 5, 5, 1, 4, 4, 0, 3});
        x.set({x == 4}, Tensor({10.f, 20.f}));
        expect_shaped(x, {3, 4}, {3, 2, 0, -1, 2, 5, 5, 1, 10, 20, 0, 3});
        Tensor line = arange(4);
        line.set({slice(2, 2)}, 1);
        expect(line, {0, 1, 2, 3});
    });
    Tensor x = zeros({3, 4});
    SINTER_EXPECT_ERROR(ShapeError, "set: shapes [3] and [4] do not broadcast: axis -1 is 3 and 4",
                        x.set({0}, zeros({3})));
}

TEST_CASE("an element is read at a place that is made of the element") {
    for_each_device([] {
        const Tensor x({2, 4, 0, 0});
        const Tensor middle = median(x, 0, true).values;
        expect(middle[{remainder(middle, 1)}], {0});
        expect(middle[{remainder(middle + 3, 1)}] + 5, {5});
    });
}

TEST_CASE("gather, select and take") {
    for_each_device([] {
        const Tensor x({{1, 2, 3}, {4, 5, 6}});
        expect_shaped(gather(x, 1, Tensor({{2, 0}, {-1, 1}})), {2, 2}, {3, 1, 6, 5});
        expect_shaped(gather(x, 0, Tensor({{1, 0}})), {1, 2}, {4, 2});
        expect_shaped(index_select(x, -1, Tensor({2, 2, 0, 1})), {2, 4}, {3, 3, 1, 2, 6, 6, 4, 5});
        expect_shaped(take_along_dim(x, argmax(x, 1, true), 1), {2, 1}, {3, 6});
        expect_shaped(take(x, Tensor({{5, 0}})), {1, 2}, {6, 1});
        expect_shaped(embedding(Tensor({{1, 0}}), x), {1, 2, 3}, {4, 5, 6, 1, 2, 3});
        CHECK(to_string(index_select(x, 0, zeros({0}, i64)).shape()) == "[0, 3]");
    });
}

TEST_CASE("scatter and its kinds") {
    for_each_device([] {
        const Tensor x = zeros({2, 3});
        const Tensor i({{0, 2}, {1, 1}});
        const Tensor src({{1.f, 2.f, 9.f}, {3.f, 4.f, 9.f}});
        expect_shaped(scatter(x, 1, i, src), {2, 3}, {1, 0, 2, 0, 4, 0});
        expect_shaped(scatter_add(x + 1, 1, i, src), {2, 3}, {2, 1, 3, 1, 8, 1});
        expect_shaped(scatter(x, 1, Tensor({{-1}}), 5), {2, 3}, {0, 0, 5, 0, 0, 0});
        expect_shaped(scatter_reduce(x + 2, 1, i, src, ScatterReduce::Prod), {2, 3},
                      {2, 2, 4, 2, 24, 2});
        expect_shaped(scatter_reduce(x + 2, 1, i, src, ScatterReduce::Max), {2, 3},
                      {2, 2, 2, 2, 4, 2});
        expect_shaped(scatter_reduce(x + 2, 1, i, src, ScatterReduce::Min), {2, 3},
                      {1, 2, 2, 2, 2, 2});
        expect_shaped(index_add(x, 0, Tensor({1, 1}), ones({2, 3})), {2, 3}, {0, 0, 0, 2, 2, 2});
        expect_shaped(index_copy(x, 1, Tensor({2}), Tensor({{1.f}, {2.f}})), {2, 3},
                      {0, 0, 1, 0, 0, 2});
    });
}

TEST_CASE(
    "rows are scattered one after the other, also where a value of theirs is reduced over them") {
    for_each_device([] {
        const Tensor x = ones({3, 2}).contiguous(), i = zeros({3, 2}, i64).contiguous();
        const Tensor rows = x + any(x, {-2}, false);
        expect_shaped(scatter_reduce(x, 0, i, rows, ScatterReduce::Sum), {3, 2},
                      {7, 7, 1, 1, 1, 1});
    });
}

TEST_CASE("what is scattered to one place alone is combined as often as it is there") {
    const auto summed = [](const char* device) {
        const DeviceGuard guard{Device(device)};
        const Tensor one = broadcast_to(Tensor(std::vector<float>{1.0f}), {2});
        const Tensor at = remainder(Tensor(std::vector<std::int64_t>{0, 0}), 1);
        return scatter_reduce(Tensor(std::vector<float>{1.0f}), -1, at, one, ScatterReduce::Sum)
            .item<float>();
    };
    CHECK(summed("CPU") == 3);
    CHECK(summed("REF") == 3);
}
