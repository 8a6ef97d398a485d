// REF's leaves and movement.

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;

namespace {
using Ints = std::vector<std::int64_t>;
// [[0 1 2] [3 4 5]]
ir::UOp six(DType dt = f32) { return tensor(dt, {2, 3}, {0, 1, 2, 3, 4, 5}); }
}  // namespace

TEST_CASE("constants fill their shape") {
    CHECK(ref(ir::constant(f32, 0.5, Ints{2, 2})) == "0.5 0.5 0.5 0.5");
    CHECK(ref(ir::constant(f32, 0.1)) == text(static_cast<double>(0.1f)));
    CHECK(ref(ir::constant(boolean, 1)) == "1");
    CHECK(ref(ir::constant_int(i64, -5, Ints{1})) == "-5");
    CHECK(ref(ir::constant_int(u64, -1)) == "18446744073709551615");
    CHECK(ref(ir::constant(f16, kNaN)) == "nan");
    CHECK(ref(ir::constant(f32, 1, Ints{0, 3})) == "");
    CHECK(ref(ir::bind(f32, 2.5, Ints{2})) == "2.5 2.5");
    CHECK(ref(ir::bind_int(i32, 7)) == "7");
}

TEST_CASE("iota counts along its axis") {
    CHECK(ref(ir::iota(i32, Ints{2, 3}, 1)) == "0 1 2 0 1 2");
    CHECK(ref(ir::iota(i64, Ints{2, 3}, 0)) == "0 0 0 1 1 1");
    CHECK(ref(ir::iota(u8, Ints{2}, 0)) == "0 1");
    CHECK(ref(ir::iota(i32, Ints{0}, 0)) == "");
}

TEST_CASE("movement rearranges elements of every width") {
    for (const DType dt : {i8, u16, f16, bf16, f32, i32, f64, i64}) {
        CAPTURE(name(dt));
        CHECK(ref(ir::reshape(six(dt), Ints{3, 2})) == "0 1 2 3 4 5");
        CHECK(ref(ir::permute(six(dt), Ints{1, 0})) == "0 3 1 4 2 5");
        CHECK(ref(ir::expand(tensor(dt, {2, 1}, {7, 8}), Ints{2, 3})) == "7 7 7 8 8 8");
        CHECK(ref(ir::expand(tensor(dt, {1, 2}, {7, 8}), Ints{3, 2})) == "7 8 7 8 7 8");
        CHECK(ref(ir::pad(six(dt), Ints{1, 0}, Ints{0, 2}, 9)) == "9 9 9 9 9 0 1 2 9 9 3 4 5 9 9");
        CHECK(ref(ir::shrink(six(dt), Ints{0, 1}, Ints{2, 3})) == "1 2 4 5");
        CHECK(ref(ir::flip(six(dt), Ints{0})) == "3 4 5 0 1 2");
        CHECK(ref(ir::flip(six(dt), Ints{0, 1})) == "5 4 3 2 1 0");
        CHECK(ref(ir::stride(six(dt), Ints{1, 2})) == "0 2 3 5");
        CHECK(ref(ir::stride(six(dt), Ints{2, 3})) == "0");
    }
}

TEST_CASE("permute of three axes puts axis axes[d] at d") {
    const ir::UOp x = ir::reshape(ir::iota(i32, Ints{12}, 0), Ints{2, 3, 2});
    CHECK(ref(ir::permute(x, Ints{2, 0, 1})) == "0 2 4 6 8 10 1 3 5 7 9 11");
    CHECK(ref(ir::permute(x, Ints{1, 2, 0})) == "0 6 1 7 2 8 3 9 4 10 5 11");
}

TEST_CASE("padding fills with infinity and true") {
    CHECK(ref(ir::pad(vec(f16, {1}), Ints{1}, Ints{1}, -kInf)) == "-inf 1 -inf");
    CHECK(ref(ir::pad(vec(boolean, {0}), Ints{1}, Ints{0}, 1)) == "1 0");
    CHECK(ref(ir::pad(vec(f32, {}), Ints{1}, Ints{1}, 3)) == "3 3");
}

TEST_CASE("window reads starts of step with taps of dilation") {
    const ir::UOp x = vec(f32, {0, 1, 2, 3, 4, 5, 6});
    CHECK(ref(ir::window(x, 0, 3, 1, 1)) == "0 1 2 1 2 3 2 3 4 3 4 5 4 5 6");
    CHECK(ref(ir::window(x, 0, 2, 2, 3)) == "0 3 2 5");  // starts 0 and 2: 4 + 3 is outside
    // Over the first of two axes: the taps become a last axis.
    CHECK(ref(ir::window(tensor(i32, {3, 2}, {0, 1, 2, 3, 4, 5}), 0, 2, 1, 1)) ==
          "0 2 1 3 2 4 3 5");
}

TEST_CASE("fold adds windows up where they overlap") {
    // Windows of 2 with step 1 over 3 elements: the middle one is in both.
    CHECK(ref(ir::fold(tensor(f32, {2, 2}, {1, 2, 3, 4}), 0, 3, 1, 1)) == "1 5 4");
    // Step 2: the last element is in no window.
    CHECK(ref(ir::fold(tensor(f32, {2, 2}, {1, 2, 3, 4}), 0, 5, 2, 1)) == "1 2 3 4 0");
    CHECK(ref(ir::fold(tensor(i8, {1, 2}, {100, 100}), 0, 4, 1, 3)) == "100 0 0 100");
    // 16-bit windows are carried wide: 2048 + 1 + 1, not 2048 + 1 = 2048 twice.
    CHECK(ref(ir::fold(tensor(f16, {3, 3}, {0, 0, 2048, 0, 1, 0, 1, 0, 0}), 0, 5, 1, 1)) ==
          "0 0 2050 0 0");
}

TEST_CASE("movement of empty tensors is empty or fill") {
    const ir::UOp x = tensor(f32, {0, 3}, {});
    CHECK(ref(ir::permute(x, Ints{1, 0})) == "");
    CHECK(ref(ir::flip(x, Ints{0})) == "");
    CHECK(ref(ir::stride(x, Ints{2, 2})) == "");
    CHECK(ref(ir::expand(tensor(f32, {1, 0}, {}), Ints{4, 0})) == "");
    CHECK(ref(ir::shrink(vec(f32, {1, 2}), Ints{1}, Ints{1})) == "");
    CHECK(ref(ir::reshape(x, Ints{3, 0, 2})) == "");
}

TEST_CASE("movement of scalars") {
    CHECK(ref(ir::reshape(ir::constant(f32, 3), Ints{1, 1})) == "3");
    CHECK(ref(ir::expand(ir::reshape(ir::constant(f32, 3), Ints{1}), Ints{3})) == "3 3 3");
}
