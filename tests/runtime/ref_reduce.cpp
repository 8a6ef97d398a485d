// REF's reductions and running reductions.

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::ReduceKind;

namespace {
using Ints = std::vector<std::int64_t>;
std::string reduce(ReduceKind kind, DType dt, const std::vector<double>& x) {
    return ref(ir::reduce(kind, vec(dt, x), Ints{0}));
}
std::string scan(ReduceKind kind, DType dt, const std::vector<double>& x) {
    return ref(ir::scan(kind, vec(dt, x), 0));
}
}  // namespace

TEST_CASE("reduce over every choice of axes") {
    const ir::UOp x = tensor(f32, {2, 3}, {1, 2, 3, 4, 5, 6});
    CHECK(ref(ir::reduce(ReduceKind::Add, x, Ints{0})) == "5 7 9");
    CHECK(ref(ir::reduce(ReduceKind::Add, x, Ints{1})) == "6 15");
    CHECK(ref(ir::reduce(ReduceKind::Add, x, Ints{0, 1})) == "21");
    const ir::UOp y = ir::reshape(ir::iota(i32, Ints{12}, 0), Ints{2, 3, 2});
    CHECK(ref(ir::reduce(ReduceKind::Max, y, Ints{1})) == "4 5 10 11");
    CHECK(ref(ir::reduce(ReduceKind::Min, y, Ints{0, 2})) == "0 2 4");
}

TEST_CASE("every kind of reduction in every dtype") {
    for (const DType dt : {i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
        CAPTURE(name(dt));
        CHECK(reduce(ReduceKind::Add, dt, {1, 2, 3}) == "6");
        CHECK(reduce(ReduceKind::Mul, dt, {2, 3, 4}) == "24");
        CHECK(reduce(ReduceKind::Max, dt, {2, 5, 4}) == "5");
        CHECK(reduce(ReduceKind::Min, dt, {7, 3, 4}) == "3");
        CHECK(scan(ReduceKind::Add, dt, {1, 2, 3}) == "1 3 6");
        CHECK(scan(ReduceKind::Mul, dt, {2, 3, 4}) == "2 6 24");
        CHECK(scan(ReduceKind::Max, dt, {2, 5, 4}) == "2 5 5");
        CHECK(scan(ReduceKind::Min, dt, {7, 3, 4}) == "7 3 3");
    }
    CHECK(reduce(ReduceKind::Max, boolean, {0, 1, 0}) == "1");
    CHECK(reduce(ReduceKind::Min, boolean, {1, 0, 1}) == "0");
    CHECK(reduce(ReduceKind::Max, i8, {-5, -3}) == "-3");
    CHECK(reduce(ReduceKind::Max, f32, {-5, -3}) == "-3");
}

TEST_CASE("sums of integers wrap, sums of 16-bit floats are carried wide") {
    CHECK(reduce(ReduceKind::Add, i8, {100, 100}) == "-56");
    CHECK(reduce(ReduceKind::Mul, u8, {16, 17}) == "16");
    CHECK(reduce(ReduceKind::Add, f16, {2048, 1, 1}) == "2050");
    CHECK(reduce(ReduceKind::Add, bf16, {256, 1, 1}) == "258");
    CHECK(scan(ReduceKind::Add, f16, {2048, 1, 1}) == "2048 2048 2050");
    CHECK(reduce(ReduceKind::Add, f32, {1e8, 1, -1e8}) == "1");
}

TEST_CASE("reductions keep NaN and infinities") {
    for (const DType dt : kFloats) {
        CAPTURE(name(dt));
        for (const ReduceKind kind :
             {ReduceKind::Add, ReduceKind::Mul, ReduceKind::Max, ReduceKind::Min}) {
            CHECK(reduce(kind, dt, {1, kNaN, 2}) == "nan");
            CHECK(scan(kind, dt, {1, kNaN, 2}) == "1 nan nan");
        }
        CHECK(reduce(ReduceKind::Add, dt, {kInf, -kInf}) == "nan");
        CHECK(reduce(ReduceKind::Add, dt, {kInf, 1}) == "inf");
        CHECK(reduce(ReduceKind::Mul, dt, {kInf, 0}) == "nan");
        CHECK(reduce(ReduceKind::Max, dt, {-kInf, -kInf}) == "-inf");
    }
}

TEST_CASE("reductions over no elements give the identity") {
    const auto over_nothing = [](ReduceKind kind, DType dt) {
        return ref(ir::reduce(kind, tensor(dt, {2, 0}, {}), Ints{1}));
    };
    for (const DType dt : kFloats) {
        CHECK(over_nothing(ReduceKind::Add, dt) == "0 0");
        CHECK(over_nothing(ReduceKind::Mul, dt) == "1 1");
        CHECK(over_nothing(ReduceKind::Max, dt) == "-inf -inf");
        CHECK(over_nothing(ReduceKind::Min, dt) == "inf inf");
    }
    CHECK(over_nothing(ReduceKind::Add, i32) == "0 0");
    CHECK(over_nothing(ReduceKind::Max, i8) == "-128 -128");
    CHECK(over_nothing(ReduceKind::Min, i8) == "127 127");
    CHECK(over_nothing(ReduceKind::Max, u8) == "0 0");
    CHECK(over_nothing(ReduceKind::Min, u64) == "18446744073709551615 18446744073709551615");
    CHECK(over_nothing(ReduceKind::Max, boolean) == "0 0");
    CHECK(over_nothing(ReduceKind::Min, boolean) == "1 1");
    CHECK(ref(ir::reduce(ReduceKind::Add, tensor(f32, {0, 2}, {}), Ints{1})) == "");
}

TEST_CASE("arg-reduce finds the first extreme, and a NaN is beyond every number") {
    const auto arg = [](ReduceKind kind, DType dt, const std::vector<double>& x) {
        return ref(ir::arg_reduce(kind, vec(dt, x), 0));
    };
    for (const DType dt : {i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
        CAPTURE(name(dt));
        CHECK(arg(ReduceKind::Max, dt, {1, 5, 3, 5}) == "1");
        CHECK(arg(ReduceKind::Min, dt, {4, 2, 3, 2}) == "1");
    }
    for (const DType dt : kFloats) {
        CHECK(arg(ReduceKind::Max, dt, {kInf, kNaN, kNaN}) == "1");
        CHECK(arg(ReduceKind::Min, dt, {-kInf, 2, kNaN}) == "2");
        CHECK(arg(ReduceKind::Max, dt, {-0.0, 0}) == "0");
    }
    CHECK(arg(ReduceKind::Max, boolean, {0, 1, 1}) == "1");
    CHECK(arg(ReduceKind::Min, boolean, {1, 1}) == "0");
    const ir::UOp x = tensor(f32, {2, 3}, {1, 9, 3, 7, 2, 8});
    CHECK(ref(ir::arg_reduce(ReduceKind::Max, x, 0)) == "1 0 1");
    CHECK(ref(ir::arg_reduce(ReduceKind::Max, x, 1)) == "1 2");
    CHECK(ref(ir::arg_reduce(ReduceKind::Max, tensor(f32, {0, 2}, {}), 1)) == "");
    CHECK_THROWS_WITH_AS(ref(ir::arg_reduce(ReduceKind::Max, tensor(f32, {2, 0}, {}), 1)),
                         "ArgReduce: no position along axis 1 of shape [2, 0], which is empty",
                         ValueError);
}

TEST_CASE("sort keeps the order of equals, and a NaN is beyond every number") {
    using ir::Sorting;
    for (const DType dt : {i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
        CAPTURE(name(dt));
        const ir::UOp x = vec(dt, {4, 1, 3, 1});
        CHECK(ref(ir::sort(x, 0, 4, Sorting::Ascending)) == "1 1 3 4");
        CHECK(ref(ir::sort(x, 0, 2, Sorting::Descending)) == "4 3");
        CHECK(ref(ir::sort_positions(x, 0, 4, Sorting::Ascending)) == "1 3 2 0");
        CHECK(ref(ir::sort_positions(x, 0, 4, Sorting::Descending)) == "0 2 1 3");
    }
    const ir::UOp x = vec(f32, {kNaN, kInf, -0.0, 0, -kInf, kNaN});
    CHECK(ref(ir::sort_positions(x, 0, 6, Sorting::Ascending)) == "4 2 3 1 0 5");
    CHECK(ref(ir::sort_positions(x, 0, 6, Sorting::Descending)) == "0 5 1 2 3 4");
    const ir::UOp y = tensor(i32, {2, 3}, {1, 9, 3, 7, 2, 8});
    CHECK(ref(ir::sort(y, 0, 2, Sorting::Ascending)) == "1 2 3 7 9 8");
    CHECK(ref(ir::sort(y, 1, 2, Sorting::Descending)) == "9 3 8 7");
}

TEST_CASE("scan runs along its axis") {
    const ir::UOp x = tensor(i32, {2, 3}, {1, 2, 3, 4, 5, 6});
    CHECK(ref(ir::scan(ReduceKind::Add, x, 0)) == "1 2 3 5 7 9");
    CHECK(ref(ir::scan(ReduceKind::Add, x, 1)) == "1 3 6 4 9 15");
    CHECK(ref(ir::scan(ReduceKind::Add, tensor(f32, {2, 0}, {}), 1)) == "");
}
