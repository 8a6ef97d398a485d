#pragma once
// Gradients of data-dependent indexing: gather and scatter-add are each other's transpose.

#include "elementwise.h"

namespace sinter::ir::vjp {

/// One index a row (the class of a cross-entropy) is a choice along the axis: elementwise, so it
/// fuses with what comes before, and costs no more than writing the zeros would.
inline void Gather(Vjp& v) {
    const UOp x = v.x(0), index = v.x(1);
    const std::int64_t axis = v.y->arg(0);
    if (index->shape()[axis] == 1) {
        const UOp position = iota(index->dtype(), x->shape(), axis);
        const UOp chosen = eq(position, expand_to(index, x->shape()));
        return v.give(where(chosen, expand_to(v.g, x->shape()), zeros_like(x)));
    }
    v.give(scatter(ReduceKind::Add, zeros_like(x), index, v.g, axis));
}

/// Of several sources with one index the last stays: the gradient is its alone.
inline void scatter_set(Vjp& v, const UOp& index, const UOp& source, std::int64_t axis) {
    if (v.wants(0)) v.give(0, scatter(ReduceKind::Set, v.g, index, zeros_like(source), axis));
    if (v.wants(2)) {
        const UOp position = iota(DType::I64, source->shape(), axis);
        const UOp none = constant_int(DType::I64, -1, v.y->shape());
        const UOp winner =
            gather(scatter(ReduceKind::Set, none, index, position, axis), index, axis);
        v.give(2, where(eq(winner, position), gather(v.g, index, axis), zeros_like(source)));
    }
}

/// To the base: the product of the sources. To a source: base times the other sources, as the
/// product without zeros over the own value, unless another source is zero. (Differentiating the
/// latter again is exact but where sources are zero.)
inline void scatter_product(Vjp& v, const UOp& index, const UOp& source, std::int64_t axis) {
    const UOp base = v.x(0);
    if (v.wants(0)) {
        v.give(0, v.g * scatter(ReduceKind::Mul, like(base, 1), index, source, axis));
    }
    if (v.wants(2)) {
        const UOp zero = source == 0;
        const UOp factor = where(zero, like(source, 1), source);
        const UOp product = scatter(ReduceKind::Mul, base, index, factor, axis);
        const UOp own = indicator(zero, DType::I32);
        const UOp none = constant_int(DType::I32, 0, base->shape());
        const UOp zeros = scatter(ReduceKind::Add, none, index, own, axis);
        const UOp alone = eq(gather(zeros, index, axis), own);
        const UOp others = gather(product, index, axis) / factor;
        v.give(2, gather(v.g, index, axis) * where(alone, others, zeros_like(source)));
    }
}

/// Base and sources that equal the result share the gradient evenly.
inline void scatter_extreme(Vjp& v, const UOp& index, const UOp& source, std::int64_t axis) {
    const UOp base_hits = indicator(eq(v.x(0), v.y), v.y->dtype());
    const UOp source_hits = indicator(eq(source, gather(v.y, index, axis)), v.y->dtype());
    const UOp count = scatter(ReduceKind::Add, base_hits, index, source_hits, axis);
    const UOp share = v.g / count;
    if (v.wants(0)) v.give(0, share * base_hits);
    if (v.wants(2)) v.give(2, gather(share, index, axis) * source_hits);
}

inline void Scatter(Vjp& v) {
    const UOp index = v.x(1), source = v.x(2);
    const std::int64_t axis = v.y->arg(1);
    switch (static_cast<ReduceKind>(v.y->arg(0))) {
        case ReduceKind::Add:
            v.give(0, v.g);
            if (v.wants(2)) v.give(2, gather(v.g, index, axis));
            return;
        case ReduceKind::Set:
            return scatter_set(v, index, source, axis);
        case ReduceKind::Mul:
            return scatter_product(v, index, source, axis);
        case ReduceKind::Max:
        case ReduceKind::Min:
            return scatter_extreme(v, index, source, axis);
    }
}

}  // namespace sinter::ir::vjp
