// Every op of the tensor level, through the scheduler and the interpreter, against REF.

#include <sinter/ir/uop.h>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::ReduceKind;
using ir::Shape;
using ir::UOp;
using Ints = std::vector<std::int64_t>;

namespace {

void check(const std::vector<UOp>& roots, bool may_overwrite = false) {
    const std::string wrong = mismatch(roots, {may_overwrite});
    CHECK_MESSAGE(wrong.empty(), wrong);
}

}  // namespace

TEST_CASE("leaves are values of their own") {
    check({ir::constant(f32, 2.5, Shape{3, 4}), ir::iota(i32, Shape{3, 4}, 1),
           ir::bind(f32, 1.5, Shape{5}), ir::constant(i64, 3, Shape{})});
}

TEST_CASE("every unary op") {
    const UOp x = ir::unary(Op::Abs, data(f32, {7, 5}));
    for (int i = static_cast<int>(Op::Neg); i <= static_cast<int>(Op::Erf); ++i) {
        const Op op = static_cast<Op>(i);
        CAPTURE(name(op));
        if (op == Op::Not) continue;
        check({ir::unary(op, x)});
    }
    check({ir::unary(Op::Not, data(boolean, {9})), ir::unary(Op::Not, data(i32, {9}))});
    check({ir::cast(data(f32, {9}), i32), ir::cast(data(i32, {9}), f16),
           ir::bitcast(data(f32, {9}), i32)});
}

TEST_CASE("every binary op") {
    const UOp a = data(f32, {6, 5}), b = data(f32, {6, 5}, 2), c = data(i32, {6, 5}, 3),
              d = data(i32, {6, 5}, 4);
    for (Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::Min, Op::Pow, Op::Atan2, Op::Lt,
                  Op::Le, Op::Eq, Op::Ne})
        check({ir::binary(op, a, b)});
    for (Op op : {Op::IDiv, Op::Mod, Op::And, Op::Or, Op::Xor, Op::Shl, Op::Shr})
        check({ir::binary(op, c, d)});
    check({ir::where(ir::binary(Op::Lt, a, b), c, d)});
}

TEST_CASE("a sum of which one element counts is that element") {
    const std::int64_t rows = 6, cols = 9;
    const Shape shape{rows, cols};
    const UOp zero = ir::constant(f32, 0, shape),
              weight = ir::expand(data(f32, {rows, 1}, 5), shape);
    for (const DType dt : {i8, i32, i64}) {
        // Some labels are no column, on either side.
        const UOp label = ir::binary(Op::Sub, data(dt, {rows, 1}, 3, 14),
                                     ir::constant_int(dt, 3, Shape{rows, 1}));
        const UOp hit = ir::binary(Op::Eq, ir::iota(dt, shape, 1), ir::expand(label, shape));
        for (const UOp& row :
             {ir::where(hit, weight, zero), ir::unary(Op::Neg, ir::where(hit, weight, zero))}) {
            check({row_sum(row, 1)});
            const std::string kernels = text(schedule_of({row_sum(row, 1)}));
            CHECK_MESSAGE(kernels.find("Reduce") == std::string::npos, kernels);
        }
        // What depends on the column is no such sum, nor is one of other numbers than zero.
        const UOp any = data(f32, shape, 7);
        const std::string sum = text(schedule_of({row_sum(ir::where(hit, any, zero), 1)}));
        CHECK_MESSAGE(sum.find("Reduce") != std::string::npos, sum);
        check({row_sum(ir::where(hit, any, zero), 1), row_sum(ir::where(hit, zero, weight), 1),
               row_sum(ir::where(hit, weight, weight), 1)});
    }
}

TEST_CASE("16-bit floats are rounded node by node") {
    for (DType dt : {f16, bf16}) {
        const UOp x = data(dt, {6, 40});
        check({ir::unary(Op::Exp, scaled(x, 0.3)), row_sum(scaled(x, 1.3), 1),
               ir::scan(ReduceKind::Add, x, 1)});
    }
}

TEST_CASE("movement in any order") {
    const UOp x = data(f32, {4, 6, 5});
    check({ir::reshape(x, Shape{8, 15}), ir::permute(x, Ints{2, 0, 1}),
           ir::pad(x, Ints{1, 0, 2}, Ints{0, 3, 1}, 7.0),
           ir::shrink(x, Ints{1, 2, 0}, Ints{4, 5, 4}), ir::flip(x, Ints{0, 2}),
           ir::stride(x, Ints{2, 1, 3}), ir::window(x, 1, 3, 2, 1), ir::window(x, 2, 2, 1, 3)});
    const UOp y =
        ir::permute(ir::reshape(ir::permute(x, Ints{1, 0, 2}), Shape{3, 2, 20}), Ints{2, 0, 1});
    check({ir::reshape(y, Shape{120}), ir::reshape(ir::flip(y, Ints{0}), Shape{6, 20})});
    const UOp padded =
        ir::pad(ir::pad(x, Ints{1, 1, 1}, Ints{1, 1, 1}, 3.0), Ints{0, 2, 0}, Ints{1, 0, 0}, -1.0);
    check({ir::unary(Op::Sin, padded),
           ir::pad(ir::unary(Op::Exp, padded), Ints{1, 0, 0}, Ints{0, 0, 2}, 0.0)});
    check({ir::pad(ir::constant(f32, 2, Shape{3}), Ints{2}, Ints{1}, 5.0),
           ir::expand(ir::shrink(x, Ints{0, 0, 0}, Ints{1, 6, 5}), Shape{3, 6, 5})});
}

TEST_CASE("reductions over any axes and kinds") {
    const UOp x = data(f32, {4, 6, 5}), i = data(i32, {4, 6, 5});
    for (ReduceKind kind : {ReduceKind::Add, ReduceKind::Mul, ReduceKind::Max, ReduceKind::Min})
        for (const Ints& axes : {Ints{0}, Ints{1}, Ints{2}, Ints{0, 2}, Ints{0, 1, 2}})
            check({ir::reduce(kind, x, axes), ir::reduce(kind, i, axes)});
    const UOp b = data(boolean, {4, 6});
    check({ir::reduce(ReduceKind::Max, b, Ints{1}), ir::reduce(ReduceKind::Min, b, Ints{0, 1})});
    for (std::int64_t axis : {0, 1, 2}) {
        check({ir::arg_reduce(ReduceKind::Max, x, axis), ir::arg_reduce(ReduceKind::Min, i, axis)});
        for (const auto order : {ir::Sorting::Ascending, ir::Sorting::Descending}) {
            check({ir::sort(x, axis, 3, order), ir::sort_positions(i, axis, 4, order)});
            check({ir::sort(i, axis, 4, order), ir::sort_positions(i, axis, 4, order)});
            check({ir::sort_positions(ir::unary(Op::Sin, x), axis, 1, order)});
        }
        check({ir::scan(ReduceKind::Add, x, axis), ir::scan(ReduceKind::Max, i, axis)});
        check({ir::unary(Op::Sin, ir::flip(ir::scan(ReduceKind::Mul, x, axis), Ints{axis}))});
    }
    check({ir::fold(ir::window(x, 1, 3, 1, 1), 1, 6, 1, 1),
           ir::fold(ir::window(x, 1, 2, 2, 3), 1, 6, 2, 3)});
    check({ir::fold(ir::window(ir::unary(Op::Exp, x), 2, 2, 2, 1), 2, 5, 2, 1)});
}

TEST_CASE("values of no elements and reductions of them") {
    const UOp none = data(f32, {3, 0});
    check({ir::unary(Op::Sin, none), row_sum(none, 1), row_max(none, 1),
           ir::pad(none, Ints{0, 1}, Ints{0, 2}, 4.0)});
    check({row_sum(none, 0), ir::reshape(none, Shape{0})});
}

TEST_CASE("gather reads only what it is asked for") {
    const UOp table = data(f32, {7, 5}), rows = data(i64, {4, 5}, 2);
    check({ir::gather(table, rows, 0), ir::gather(ir::unary(Op::Exp, table), rows, 0)});
    const UOp columns = data(i32, {7, 3}, 3, 5);
    check(
        {ir::gather(table, columns, 1), ir::gather(row_sum(table, 1), data(i32, {7, 2}, 1, 1), 1)});
    // An index of an index, padded: what is not read is not checked.
    const UOp twice =
        ir::gather(rows, ir::binary(Op::Mod, rows, ir::constant_int(i64, 4, Shape{4, 5})), 0);
    check({ir::pad(
        ir::gather(table, ir::binary(Op::Sub, ir::constant_int(i64, 6, Shape{4, 5}), twice), 0),
        Ints{2, 0}, Ints{0, 1}, 9.0)});
}

TEST_CASE("scatter combines in order") {
    for (DType dt : {f32, f16, i32})
        for (ReduceKind kind : {ReduceKind::Set, ReduceKind::Add, ReduceKind::Max}) {
            const UOp base = data(dt, {7, 5}), rows = data(i64, {12, 5}, 2),
                      src = data(dt, {12, 5}, 3);
            check({ir::scatter(kind, base, rows, src, 0),
                   ir::unary(Op::Neg, ir::scatter(kind, scaled(base, 2), rows, src, 0))});
        }
    check({ir::scatter(ReduceKind::Add, ir::constant(f32, 0, Shape{3, 4}), data(i64, {3, 6}, 2, 4),
                       data(f32, {3, 6}), 1)});
}

TEST_CASE("marks keep the value") {
    const UOp x = data(f32, {6, 5}), y = data(f32, {6, 5}, 2);
    check({ir::contiguous(ir::permute(x, Ints{1, 0})), ir::detach(x), ir::contiguous(x),
           ir::copy_to(scaled(x, 2), 0)});
    check({ir::assign(x, ir::binary(Op::Add, x, y)),
           ir::unary(Op::Exp, ir::contiguous(ir::unary(Op::Sin, y)))},
          true);
    check({ir::assign(x, ir::flip(x, Ints{0}))}, true);
    check({ir::assign(x, scaled(x, 2)), row_sum(x, 1)}, true);
    check({ir::assign(x, ir::binary(Op::Sub, x, spread(row_max(x, 1), x)))}, true);
}

TEST_CASE("contractions with computed and padded operands") {
    const UOp a = data(f32, {9, 12}), b = data(f32, {12, 7}, 2);
    check({matmul(ir::unary(Op::Exp, a), b), matmul(a, matmul(b, data(f32, {7, 11}, 3)))});
    // conv2d: [n, ci, h, w] by [co, ci, 3, 3], padded by 1
    const UOp x = ir::pad(data(f32, {2, 3, 6, 5}), Ints{0, 0, 1, 1}, Ints{0, 0, 1, 1});
    const UOp windows = ir::window(ir::window(x, 2, 3, 1, 1), 3, 3, 1, 1);  // [n, ci, h, w, 3, 3]
    const UOp w = data(f32, {4, 3, 3, 3}, 4);
    const Shape full{2, 4, 3, 6, 5, 3, 3};
    const UOp left = ir::expand(ir::reshape(windows, Shape{2, 1, 3, 6, 5, 3, 3}), full);
    const UOp right = ir::expand(ir::reshape(w, Shape{1, 4, 3, 1, 1, 3, 3}), full);
    const UOp y = ir::reduce(ReduceKind::Add, ir::binary(Op::Mul, left, right), Ints{2, 5, 6});
    check({relu(y)});
}
