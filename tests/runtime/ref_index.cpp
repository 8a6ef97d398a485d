// REF's gather and scatter.

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::ReduceKind;

TEST_CASE("gather reads along its axis, in every dtype and index dtype") {
    for (const DType dt : {i8, u16, f16, bf16, f32, i64})
        for (const DType index : {i32, i64}) {
            CAPTURE(name(dt));
            const ir::UOp x = tensor(dt, {2, 3}, {1, 2, 3, 4, 5, 6});
            CHECK(ref(ir::gather(x, tensor(index, {2, 2}, {2, 0, 1, 1}), 1)) == "3 1 5 5");
            CHECK(ref(ir::gather(x, tensor(index, {3, 3}, {0, 1, 0, 1, 1, 1, 0, 0, 0}), 0)) ==
                  "1 5 3 4 5 6 1 2 3");
        }
    CHECK(ref(ir::gather(vec(f32, {}), vec(i64, {}), 0)) == "");
    CHECK(ref(ir::gather(vec(f32, {1, 2}), vec(i64, {}), 0)) == "");
}

TEST_CASE("scatter combines in the order of the indices") {
    const ir::UOp base = vec(f32, {10, 20, 30}), index = vec(i64, {1, 1, 0}),
                  x = vec(f32, {2, 3, 4});
    CHECK(ref(ir::scatter(ReduceKind::Set, base, index, x, 0)) == "4 3 30");
    CHECK(ref(ir::scatter(ReduceKind::Add, base, index, x, 0)) == "14 25 30");
    CHECK(ref(ir::scatter(ReduceKind::Mul, base, index, x, 0)) == "40 120 30");
    CHECK(ref(ir::scatter(ReduceKind::Max, base, index, vec(f32, {2, 50, kNaN}), 0)) ==
          "nan 50 30");
    CHECK(ref(ir::scatter(ReduceKind::Min, base, index, x, 0)) == "4 2 30");
    CHECK(ref(ir::scatter(ReduceKind::Set, vec(boolean, {0, 0}), vec(i32, {1}), vec(boolean, {1}),
                          0)) == "0 1");
}

TEST_CASE("scatter along either axis leaves the rest of the base") {
    const ir::UOp base = tensor(i32, {2, 3}, {0, 0, 0, 0, 0, 0});
    CHECK(ref(ir::scatter(ReduceKind::Add, base, tensor(i64, {2, 2}, {0, 2, 1, 1}),
                          tensor(i32, {2, 2}, {1, 2, 3, 4}), 1)) == "1 0 2 0 7 0");
    CHECK(ref(ir::scatter(ReduceKind::Set, base, tensor(i64, {1, 3}, {1, 0, 1}),
                          tensor(i32, {1, 3}, {1, 2, 3}), 0)) == "0 2 0 1 0 3");
    CHECK(ref(ir::scatter(ReduceKind::Add, base, tensor(i64, {2, 0}, {}), tensor(i32, {2, 0}, {}),
                          1)) == "0 0 0 0 0 0");
}

TEST_CASE("an index out of range is an error that names the op, the index and the bound") {
    const ir::UOp x = vec(f32, {1, 2, 3, 4, 5});
    CHECK_THROWS_WITH_AS(ref(ir::gather(x, vec(i64, {0, 7}), 0)),
                         "gather along axis 0: index 7 is outside [0, 5) (values [5], indices [2])",
                         IndexError);
    CHECK_THROWS_WITH_AS(
        ref(ir::gather(x, vec(i32, {-1}), 0)),
        "gather along axis 0: index -1 is outside [0, 5) (values [5], indices [1])", IndexError);
    CHECK_THROWS_WITH_AS(ref(ir::gather(vec(f32, {}), vec(i32, {0}), 0)),
                         "gather along axis 0: index 0 is outside [0, 0) (values [0], indices [1])",
                         IndexError);
    const ir::UOp base = tensor(f32, {1, 5}, {1, 2, 3, 4, 5});
    CHECK_THROWS_WITH_AS(
        ref(ir::scatter(ReduceKind::Add, base, tensor(i64, {1, 1}, {5}), tensor(f32, {1, 1}, {1}),
                        1)),
        "scatter along axis 1: index 5 is outside [0, 5) (values [1, 5], indices [1, 1])",
        IndexError);
}
