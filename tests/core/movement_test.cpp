#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_shaped;
using test::for_each_device;

TEST_CASE("shapes change and elements keep their order") {
    for_each_device([] {
        const Tensor x = arange(6).reshape({2, 3});
        expect_shaped(x.reshape({3, -1}), {3, 2}, {0, 1, 2, 3, 4, 5});
        expect(x.flatten(), {0, 1, 2, 3, 4, 5});
        CHECK(to_string(ones({2, 3, 4, 5}).flatten(1, 2).shape()) == "[2, 12, 5]");
        CHECK(to_string(unflatten(ones({2, 12}), 1, {3, -1}).shape()) == "[2, 3, 4]");
        CHECK(to_string(ones({1, 2, 1}).squeeze().shape()) == "[2]");
        CHECK(to_string(ones({1, 2, 1}).squeeze(-1).shape()) == "[1, 2]");
        CHECK(to_string(x.unsqueeze(-1).shape()) == "[2, 3, 1]");
        CHECK(to_string(ones({0, 4}).reshape({2, 0, 7}).shape()) == "[2, 0, 7]");
        CHECK(to_string(Tensor(1.f).reshape({1, 1}).shape()) == "[1, 1]");
    });
}

TEST_CASE("axes change places") {
    for_each_device([] {
        const Tensor x = arange(6).reshape({1, 2, 3});
        expect_shaped(x.permute({2, 0, 1}), {3, 1, 2}, {0, 3, 1, 4, 2, 5});
        expect_shaped(x.mT(), {1, 3, 2}, {0, 3, 1, 4, 2, 5});
        expect_shaped(x.transpose(0, 1), {2, 1, 3}, {0, 1, 2, 3, 4, 5});
        CHECK(to_string(movedim(ones({2, 3, 4, 5}), {0, 1}, {-1, 0}).shape()) == "[3, 4, 5, 2]");
        expect_shaped(x.flip({1, 2}), {1, 2, 3}, {5, 4, 3, 2, 1, 0});
        expect_shaped(rot90(x[0]), {3, 2}, {2, 5, 1, 4, 0, 3});
        expect_shaped(rot90(x[0], -1), {3, 2}, {3, 0, 4, 1, 5, 2});
    });
}

TEST_CASE("elements repeat") {
    for_each_device([] {
        const Tensor x({1, 2});
        expect_shaped(x.expand({2, -1}), {2, 2}, {1, 2, 1, 2});
        expect_shaped(repeat(x, {2, 2}), {2, 4}, {1, 2, 1, 2, 1, 2, 1, 2});
        expect(tile(x, {3}), {1, 2, 1, 2, 1, 2});
        expect(repeat_interleave(x, 2), {1, 1, 2, 2});
        expect(roll(arange(5), 2), {3, 4, 0, 1, 2});
        expect(roll(arange(5), -7), {2, 3, 4, 0, 1});
        expect_shaped(roll(arange(6).reshape({2, 3}), {1, 1}, {0, 1}), {2, 3}, {5, 3, 4, 2, 0, 1});
    });
}

TEST_CASE("tensors are joined and taken apart") {
    for_each_device([] {
        const Tensor a({{1, 2}, {3, 4}}), b({{5}, {6}});
        expect_shaped(cat({a, b, b}, 1), {2, 4}, {1, 2, 5, 5, 3, 4, 6, 6});
        expect_shaped(cat({a, zeros({0, 2}, i32)}), {2, 2}, {1, 2, 3, 4});
        CHECK(cat({a, b.to(f32)}, 1).dtype() == f32);
        // -0 and NaN come through unchanged.
        const Tensor odd = cat({Tensor({-0.f}), Tensor({NAN})});
        expect(bitcast(odd, i32) < 0, {1, 0});
        expect_shaped(stack({b, b}, -1), {2, 1, 2}, {5, 5, 6, 6});
        const std::vector<Tensor> parts = split(arange(5), 2);
        REQUIRE(parts.size() == 3);
        expect(parts[2], {4});
        expect(split(arange(5), std::vector<std::int64_t>{1, 4})[1], {1, 2, 3, 4});
        CHECK(chunk(arange(6), 4).size() == 3);
        expect(unbind(a, 1)[1], {2, 4});
        const std::vector<Tensor> grid = meshgrid({arange(2), arange(3)});
        expect_shaped(grid[0], {2, 3}, {0, 0, 0, 1, 1, 1});
        expect_shaped(grid[1], {2, 3}, {0, 1, 2, 0, 1, 2});
    });
    SINTER_EXPECT_ERROR(ShapeError,
                        "cat: tensor 1 is f32[3, 3], tensor 0 is f32[2, 2]: sizes may differ along "
                        "axis 0 only",
                        cat({zeros({2, 2}), zeros({3, 3})}));
    SINTER_EXPECT_ERROR(ValueError, "stack: needs at least one tensor",
                        stack(std::vector<Tensor>{}));
}

TEST_CASE("padding of every kind") {
    for_each_device([] {
        const Tensor x = arange(4).reshape({2, 2});
        expect_shaped(pad(x, {1, 0, 0, 1}, PadMode::Constant, 9), {3, 3},
                      {9, 0, 1, 9, 2, 3, 9, 9, 9});
        expect_shaped(pad(x, {-1, 1}), {2, 2}, {1, 0, 3, 0});
        const Tensor line = arange(4);
        expect(pad(line, {2, 3}, PadMode::Reflect), {2, 1, 0, 1, 2, 3, 2, 1, 0});
        expect(pad(line, {2, 1}, PadMode::Replicate), {0, 0, 0, 1, 2, 3, 3});
        expect(pad(line, {2, 1}, PadMode::Circular), {2, 3, 0, 1, 2, 3, 0});
        expect_shaped(pad(x, {1, 1, 1, 0}, PadMode::Reflect), {3, 4},
                      {3, 2, 3, 2, 1, 0, 1, 0, 3, 2, 3, 2});
    });
    SINTER_EXPECT_ERROR(ShapeError, "pad: reflects at most 3 elements of an axis of 4, asked for 4",
                        pad(arange(4), {4, 0}, PadMode::Reflect));
}

TEST_CASE("diagonals and windows") {
    for_each_device([] {
        const Tensor x = arange(12).reshape({3, 4});
        expect(diagonal(x), {0, 5, 10});
        expect(diagonal(x, 1), {1, 6, 11});
        expect(diagonal(x, 2), {2, 7});
        expect(diagonal(x, -1), {4, 9});
        expect(diagonal(x, 4), {});
        expect_shaped(unfold(arange(7), 0, 3, 2), {3, 3}, {0, 1, 2, 2, 3, 4, 4, 5, 6});
    });
}
