#include <sinter/indexing.h>

#include <algorithm>

#include <sinter/movement.h>

#include "call.h"
#include "gather.h"

namespace sinter {

using ir::Op;
using ir::ReduceKind;

UOp counted_from_front(const UOp& index, std::int64_t n) {
    if (!is_integer(index->dtype()))
        fail<DTypeError>("an index must be integers, got " + text(index));
    UOp i = ir::cast(index, i64);
    if (is_unsigned(index->dtype())) return i;
    const auto constant = [&](std::int64_t value) {
        return ir::constant_int(i64, value, i->shape());
    };
    // An index too far in front stays what the caller wrote, for the message.
    const UOp counts_back = ir::binary(Op::And, ir::binary(Op::Lt, i, constant(0)),
                                       ir::binary(Op::Le, constant(-n), i));
    return ir::where(counts_back, ir::binary(Op::Add, i, constant(n)), i);
}

namespace {

std::size_t at_axis(std::int64_t axis) { return static_cast<std::size_t>(axis); }

// x's first elements along every axis but one, as many as `sizes` says.
UOp cut_to(const UOp& x, Ints sizes, std::int64_t but) {
    ir::Shape begin(x->rank(), 0), end(sizes.begin(), sizes.end());
    if (but >= 0) end[at_axis(but)] = x->shape()[at_axis(but)];
    return ir::shrink(x, begin, end);
}

void require_same_rank(const UOp& x, const UOp& index, std::int64_t axis) {
    bool fits = x->rank() == index->rank();
    for (std::size_t d = 0; fits && d < x->rank(); ++d)
        fits = static_cast<std::int64_t>(d) == axis || index->shape()[d] <= x->shape()[d];
    if (!fits)
        fail<ShapeError>("the index " + text(index) +
                         " must have as many axes as x and be no larger but along axis " +
                         text(axis) + "; x is " + text(x));
}

UOp vector_index(const UOp& index) {
    if (index->rank() > 1) fail<ShapeError>("takes a vector of indices, got " + text(index));
    return index->rank() == 0 ? ir::reshape(index, ir::Shape{1}) : index;
}

// A vector of indices as an index of slices: shape of x with its length at `axis`.
UOp slice_index(const UOp& x, std::int64_t axis, const UOp& index) {
    ir::Shape line(x->rank(), 1), whole = shape_of(x);
    line[at_axis(axis)] = whole[at_axis(axis)] = index->numel();
    checked_numel(whole);
    return expand_to(ir::reshape(counted_from_front(index, x->shape()[at_axis(axis)]), line),
                     whole);
}

UOp source_node(Call& call, const Arg& source, DType dtype, Ints shape) {
    if (source.tensor() == nullptr) return scalar_node(source.scalar(), dtype, shape);
    return ir::cast(call.node(source), dtype);
}

Tensor scattered(std::string_view op, ReduceKind kind, const Arg& x, std::int64_t axis,
                 const Tensor& index, const Arg& source) {
    Call call(op, x);
    const UOp base = call.node(x), where = call.node(index);
    const std::int64_t d = checked_axis(axis, base);
    require_same_rank(base, where, d);
    UOp values = source_node(call, source, base->dtype(), where->shape());
    bool fits = values->rank() == where->rank();
    for (std::size_t i = 0; fits && i < where->rank(); ++i)
        fits = where->shape()[i] <= values->shape()[i];
    if (!fits)
        fail<ShapeError>("the source " + text(values) + " must be at least as large as the index " +
                         text(where));
    values = cut_to(values, where->shape(), -1);
    const UOp i = counted_from_front(where, base->shape()[at_axis(d)]);
    // Where the index is smaller than x along other axes, that part of x alone changes.
    const UOp part = cut_to(base, where->shape(), d);
    const UOp changed = ir::scatter(kind, part, i, values, d);
    if (std::ranges::equal(part->shape(), base->shape())) return call.wrap(changed);
    ir::Shape before(base->rank(), 0), after;
    UOp inside;
    for (std::size_t k = 0; k < base->rank(); ++k) {
        after.push_back(base->shape()[k] - part->shape()[k]);
        if (after.back() == 0) continue;
        const UOp here =
            ir::binary(Op::Lt, ir::iota(i64, base->shape(), static_cast<std::int64_t>(k)),
                       ir::constant_int(i64, part->shape()[k], base->shape()));
        inside = inside ? ir::binary(Op::And, inside, here) : here;
    }
    return call.wrap(ir::where(inside, ir::pad(changed, before, after), base));
}

Tensor changed_slices(std::string_view op, ReduceKind kind, const Arg& x, std::int64_t axis,
                      const Tensor& index, const Arg& source) {
    Call call(op, x);
    const UOp base = call.node(x);
    const std::int64_t d = checked_axis(axis, base);
    const UOp i = slice_index(base, d, vector_index(call.node(index)));
    const UOp values = source_node(call, source, base->dtype(), i->shape());
    if (broadcast_shapes(values->shape(), i->shape()) != shape_of(i))
        fail<ShapeError>("the source " + text(values) + " does not fit the slices named, " +
                         text(i->shape()));
    return call.wrap(ir::scatter(kind, base, i, expand_to(values, i->shape()), d));
}

}  // namespace

Tensor gather(const Arg& x, std::int64_t axis, const Tensor& index) {
    Call call("gather", x);
    const UOp value = call.node(x), where = call.node(index);
    const std::int64_t d = checked_axis(axis, value);
    require_same_rank(value, where, d);
    return call.wrap(ir::gather(cut_to(value, where->shape(), d),
                                counted_from_front(where, value->shape()[at_axis(d)]), d));
}

Tensor take_along_dim(const Arg& x, const Tensor& index, std::optional<std::int64_t> axis) {
    Call call("take_along_dim", x);
    UOp value = call.node(x), where = call.node(index);
    if (!axis) {
        value = ir::reshape(value, ir::Shape{value->numel()});
        where = ir::reshape(where, ir::Shape{where->numel()});
    }
    const std::int64_t d = checked_axis(axis.value_or(0), value);
    if (value->rank() != where->rank())
        fail<ShapeError>("x " + text(value) + " and index " + text(where) +
                         " must have equally many axes");
    ir::Shape a = shape_of(value), b = shape_of(where);
    const std::int64_t n = a[at_axis(d)], count = b[at_axis(d)];
    a[at_axis(d)] = b[at_axis(d)] = 1;
    ir::Shape common = broadcast_shapes(a, b), from = common, to = common;
    from[at_axis(d)] = n;
    to[at_axis(d)] = count;
    return call.wrap(
        ir::gather(expand_to(value, from), expand_to(counted_from_front(where, n), to), d));
}

Tensor index_select(const Arg& x, std::int64_t axis, const Tensor& index) {
    Call call("index_select", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value);
    return call.wrap(ir::gather(value, slice_index(value, d, vector_index(call.node(index))), d));
}

Tensor take(const Arg& x, const Tensor& index) {
    Call call("take", x);
    const UOp value = call.node(x), where = call.node(index);
    const UOp flat = ir::reshape(value, ir::Shape{value->numel()});
    const UOp line =
        ir::reshape(counted_from_front(where, value->numel()), ir::Shape{where->numel()});
    return call.wrap(ir::reshape(ir::gather(flat, line, 0), where->shape()));
}

Tensor embedding(const Arg& indices, const Tensor& table) {
    Call call("embedding", indices);
    const UOp rows = call.node(table), where = call.node(indices);
    if (rows->rank() != 2) fail<ShapeError>("the table must be a matrix, got " + text(rows));
    if (!is_integer(where->dtype())) fail<DTypeError>("takes integer indices, got " + text(where));
    ir::Shape out = shape_of(where);
    out.push_back(rows->shape()[1]);
    const ir::Shape wide{where->numel(), rows->shape()[1]}, column{where->numel(), 1};
    checked_numel(wide);
    const UOp i = expand_to(ir::reshape(counted_from_front(where, rows->shape()[0]), column), wide);
    return call.wrap(ir::reshape(ir::gather(rows, i, 0), out));
}

Tensor scatter(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source) {
    return scattered("scatter", ReduceKind::Set, x, axis, index, source);
}
Tensor scatter_add(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source) {
    return scattered("scatter_add", ReduceKind::Add, x, axis, index, source);
}
Tensor scatter_reduce(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source,
                      ScatterReduce reduce) {
    constexpr ReduceKind kKinds[] = {ReduceKind::Add, ReduceKind::Mul, ReduceKind::Max,
                                     ReduceKind::Min};
    return scattered("scatter_reduce", kKinds[static_cast<std::size_t>(reduce)], x, axis, index,
                     source);
}
Tensor index_add(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source) {
    return changed_slices("index_add", ReduceKind::Add, x, axis, index, source);
}
Tensor index_copy(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source) {
    return changed_slices("index_copy", ReduceKind::Set, x, axis, index, source);
}

}  // namespace sinter
