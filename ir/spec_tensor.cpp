// The tensor level: docs/ir.md as predicates. Shapes were checked when the nodes were made
// (shapes.cpp); here stands what they may be made of.

#include "spec_rows.h"

namespace sinter::ir {
namespace {

using namespace spec_words;

constexpr OpKind kTensorKinds[] = {OpKind::Leaf,    OpKind::Unary,   OpKind::Binary,
                                   OpKind::Compare, OpKind::Ternary, OpKind::Movement,
                                   OpKind::Reduce,  OpKind::Index,   OpKind::Mark};

OpSet tensor_ops() {
    OpSet all;
    for (OpKind kind : kTensorKinds) all |= op_set(kind);
    return all;
}

bool same_shape(Ref n) {
    return std::all_of(n->src().begin(), n->src().end(),
                       [n](Ref s) { return std::ranges::equal(s->shape(), n->shape()); });
}
bool args(Ref n, std::size_t count) { return n->args().size() == count; }
bool axis_in(std::int64_t axis, Ref x) {
    return axis >= 0 && axis < static_cast<std::int64_t>(x->rank());
}
bool kind_in(Ref n, ReduceKind last) {
    return n->arg(0) >= 0 && n->arg(0) <= static_cast<std::int64_t>(last);
}
bool ascending_axes(std::span<const std::int64_t> axes, Ref x) {
    for (std::size_t i = 0; i < axes.size(); ++i)
        if (!axis_in(axes[i], x) || (i != 0 && axes[i] <= axes[i - 1])) return false;
    return true;
}
bool is_position(DType dt) { return dt == i32 || dt == i64; }

}  // namespace

std::span<const SpecRow> tensor_spec() {
    static const std::vector<SpecRow> rows = {
        row(tensor_ops(), "tensors have element dtypes and one lane",
            [](Ref n) { return is_element(n->dtype()) && n->lanes() == 1; }),
        row(tensor_ops(), "the number of sources is the op table's",
            [](Ref n) { return sources(n, static_cast<std::size_t>(info(n->op()).arity)); }),

        row(Op::Const, "arguments are the bits, then the sizes",
            [](Ref n) { return args(n, 1 + n->rank()); }),
        row(Op::Bind, "arguments are the bits and the id, then the sizes",
            [](Ref n) { return args(n, 2 + n->rank()); }),
        row(Op::Buffer, "arguments are id and device, then the sizes",
            [](Ref n) { return args(n, 2 + n->rank()); }),
        row(Op::Iota, "an integer index along one axis",
            [](Ref n) {
                return args(n, 1 + n->rank()) && is_integer(n->dtype()) && axis_in(n->arg(0), n);
            }),

        row(elementwise_ops(), "operands have the dtypes that the op takes", elementwise_types),
        row(elementwise_ops(), "operands and result have one shape", same_shape),
        row(elementwise_ops(), "no arguments", [](Ref n) { return n->args().empty(); }),

        row(op_set(OpKind::Movement), "movement keeps the dtype",
            [](Ref n) { return n->dtype() == n->src(0)->dtype(); }),
        row(op_set({Op::Reshape, Op::Expand}), "arguments are the sizes",
            [](Ref n) { return std::ranges::equal(n->args(), n->shape()); }),
        row(Op::Reshape, "as many elements as before",
            [](Ref n) { return n->numel() == n->src(0)->numel(); }),
        row(op_set({Op::Permute, Op::Stride}), "one argument an axis",
            [](Ref n) { return args(n, n->rank()); }),
        row(Op::Flip, "axes ascend", [](Ref n) { return ascending_axes(n->args(), n); }),
        row(Op::Pad, "a fill, and two sizes an axis",
            [](Ref n) { return args(n, 1 + 2 * n->rank()); }),
        row(Op::Shrink, "begin and end of each axis", [](Ref n) { return args(n, 2 * n->rank()); }),
        row(op_set({Op::Window, Op::Fold}), "an axis and three sizes",
            [](Ref n) {
                return args(n, 4) && axis_in(n->arg(0), n->op() == Op::Window ? n->src(0) : n);
            }),

        row(op_set({Op::Reduce, Op::Scan, Op::Fold}), "reductions keep the dtype",
            [](Ref n) { return n->dtype() == n->src(0)->dtype(); }),
        row(Op::Reduce, "a kind that reduces, then ascending axes",
            [](Ref n) {
                return !n->args().empty() && kind_in(n, ReduceKind::Min) &&
                       ascending_axes(n->args().subspan(1), n->src(0));
            }),
        row(op_set({Op::Reduce, Op::Scan}), "truths are reduced by max and min alone",
            [](Ref n) {
                const auto kind = static_cast<ReduceKind>(n->arg(0));
                return n->dtype() != boolean || kind == ReduceKind::Max || kind == ReduceKind::Min;
            }),
        row(Op::ArgReduce, "the i64 position of a max or min along one axis",
            [](Ref n) {
                return args(n, 2) && n->dtype() == i64 && axis_in(n->arg(1), n->src(0)) &&
                       (n->arg(0) == static_cast<std::int64_t>(ReduceKind::Max) ||
                        n->arg(0) == static_cast<std::int64_t>(ReduceKind::Min));
            }),
        row(Op::Sort, "an axis, how many of it, and two choices",
            [](Ref n) {
                return args(n, 4) && axis_in(n->arg(0), n) && (n->arg(2) == 0 || n->arg(2) == 1) &&
                       (n->arg(3) == 0 || n->arg(3) == 1);
            }),
        row(Op::Sort, "elements of the source's dtype, or i64 positions",
            [](Ref n) { return n->dtype() == (n->arg(3) == 0 ? n->src(0)->dtype() : i64); }),
        row(Op::Scan, "a kind that reduces, along one axis",
            [](Ref n) {
                return args(n, 2) && kind_in(n, ReduceKind::Min) && axis_in(n->arg(1), n);
            }),

        row(Op::Gather, "an i32 or i64 index along one axis",
            [](Ref n) {
                return args(n, 1) && axis_in(n->arg(0), n) && is_position(n->src(1)->dtype()) &&
                       n->dtype() == n->src(0)->dtype();
            }),
        row(Op::Scatter, "an i32 or i64 index along one axis, values of the base's dtype",
            [](Ref n) {
                return args(n, 2) && kind_in(n, ReduceKind::Set) && axis_in(n->arg(1), n) &&
                       is_position(n->src(1)->dtype()) && n->src(0)->dtype() == n->dtype() &&
                       n->src(2)->dtype() == n->dtype();
            }),

        row(op_set(OpKind::Mark), "marks keep dtype and shape",
            [](Ref n) { return same_dtypes(n->src(), n->dtype()) && same_shape(n); }),
    };
    return rows;
}

}  // namespace sinter::ir
