#include <doctest/doctest.h>

#include <thread>

#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/uop.h>

using namespace sinter;
using namespace sinter::ir;

TEST_CASE("equal expressions are one node while one of them lives") {
    const std::size_t before = live_node_count();
    {
        const Shape shape{2, 3};
        const UOp a = constant(f32, 1.5, shape), b = constant(f32, 1.5, shape);
        CHECK(a == b);
        CHECK(binary(Op::Add, a, b) == binary(Op::Add, b, a));
        CHECK(!(binary(Op::Add, a, b) == binary(Op::Mul, a, b)));
    }
    CHECK(live_node_count() == before);
}

TEST_CASE("a chain of 300,000 nodes builds and is destroyed") {
    const std::size_t before = live_node_count();
    UOp x = buffer(f32, Shape{4}, 0);
    const UOp one = constant(f32, 1, Shape{4});
    for (int i = 0; i < 300000; ++i) x = binary(Op::Add, x, one);
    CHECK(live_node_count() == before + 300002);
    const Ref root = x.get();
    CHECK(toposort(std::span(&root, 1)).size() == 300002);
    x = UOp();
    CHECK(live_node_count() == before + 1);
}

TEST_CASE("threads may intern and drop the same expressions") {
    const std::size_t before = live_node_count();
    {
        const UOp base = buffer(f32, Shape{8}, 0);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&base] {
                for (int i = 0; i < 5000; ++i) {
                    UOp x = binary(Op::Add, base, constant(f32, i % 7, Shape{8}));
                    x = unary(Op::Exp, x);
                }
            });
        for (std::thread& t : threads) t.join();
    }
    CHECK(live_node_count() == before);
}

TEST_CASE("shape errors name the op and the shapes") {
    const UOp a = constant(f32, 0, Shape{2, 3}), b = constant(f32, 0, Shape{3, 2});
    CHECK_THROWS_WITH_AS(binary(Op::Add, a, b),
                         "Add: operands differ in shape (f32[2, 3], f32[3, 2])", ShapeError);
    CHECK_THROWS_AS(reshape(a, Shape{7}), ShapeError);
    CHECK_THROWS_AS(constant(f32, 0, Shape{std::int64_t{1} << 40, std::int64_t{1} << 40}),
                    ShapeError);
    CHECK_THROWS_AS(binary(Op::Add, a, constant(f64, 0, Shape{2, 3})), DTypeError);
    CHECK_THROWS_AS(unary(Op::Exp, constant(i32, 0, Shape{})), DTypeError);
}

TEST_CASE("bounds and ranges are derived when a kernel-level node is made") {
    Arena a;
    const Ref i = range(a, 0, 10, Role::Loop), j = range(a, 1, 4, Role::Loop);
    const Ref x = a.add(a.mul(i, a.index(4)), j);
    CHECK(x->vmin() == 0);
    CHECK(x->vmax() == 39);
    CHECK(x->ranges() == 3);
    CHECK(a.idiv(x, a.index(4))->vmax() == 9);
    CHECK(a.mod(x, a.index(4))->vmax() == 3);
    CHECK(a.lt(x, a.index(40))->vmin() == 1);
    const Ref sum = a.make(Op::Reduce, DType::Index, {x, j}, {0});
    CHECK(sum->ranges() == 1);
}

TEST_CASE("16-bit floats convert as IEEE says") {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
        const float half = f16_to_f32(static_cast<std::uint16_t>(bits));
        if (half == half) REQUIRE(f32_to_f16(half) == bits);
        const float brain = bf16_to_f32(static_cast<std::uint16_t>(bits));
        if (brain == brain) REQUIRE(f32_to_bf16(brain) == bits);
    }
    CHECK(f32_to_f16(65519.99f) == 0x7bff);
    CHECK(f32_to_f16(65520.0f) == 0x7c00);
    CHECK(f32_to_f16(0x1p-25f) == 0);
    CHECK(f32_to_f16(0x1.8p-25f) == 1);
    // 1 + 2^-11 + 2^-40 lies above the tie in f64 but rounds onto it in f32.
    CHECK(f64_to_f16(1.0 + 0x1p-11 + 0x1p-40) == 0x3c01);
    CHECK(f64_to_f16(1.0 + 0x1p-11) == 0x3c00);
}
