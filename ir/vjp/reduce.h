#pragma once
// Gradients of reductions and scans.

#include "elementwise.h"

namespace sinter::ir::vjp {

/// Products of all elements but the own one, along `axis`: prefix times suffix. Exact where there
/// are zeros, and to any order, which y / x is not.
inline UOp product_of_others(const UOp& x, std::int64_t axis) {
    const UOp prefix = shift(scan(ReduceKind::Mul, x, axis), axis, -1, 1);
    const UOp suffix = flip_axis(scan(ReduceKind::Mul, flip_axis(x, axis), axis), axis);
    return prefix * shift(suffix, axis, 1, 1);
}

/// Several axes of a product are made one, and last: a scan has a single axis.
inline UOp product_of_others(const UOp& x, std::span<const std::int64_t> axes) {
    if (axes.size() == 1) return product_of_others(x, axes[0]);
    Ints order, inverse(x->rank()), merged;
    std::int64_t last = 1;
    for (std::int64_t d = 0; d < static_cast<std::int64_t>(x->rank()); ++d) {
        if (std::ranges::find(axes, d) != axes.end()) continue;
        order.push_back(d);
        merged.push_back(x->shape()[d]);
    }
    for (const std::int64_t d : axes) {
        order.push_back(d);
        last *= x->shape()[d];
    }
    merged.push_back(last);
    for (std::size_t d = 0; d < order.size(); ++d) inverse[order[d]] = static_cast<std::int64_t>(d);
    const UOp moved = permute(x, order);
    const auto axis = static_cast<std::int64_t>(merged.size()) - 1;
    return permute(reshape(product_of_others(reshape(moved, merged), axis), moved->shape()),
                   inverse);
}

inline void Reduce(Vjp& v) {
    const UOp x = v.x();
    const auto axes = v.y->args().subspan(1);
    switch (static_cast<ReduceKind>(v.y->arg(0))) {
        case ReduceKind::Add:
            return v.give(expand_to(v.g, x->shape()));
        case ReduceKind::Mul:
            if (axes.empty()) return v.give(v.g);
            return v.give(expand_to(v.g, x->shape()) * product_of_others(x, axes));
        case ReduceKind::Max:
        case ReduceKind::Min: {
            // Elements equal to the extreme share the gradient; if it is NaN there are none, and
            // 0/0 says so.
            const UOp hit = indicator(eq(x, expand_to(v.y, x->shape())), x->dtype());
            const UOp share = v.g / reduce(ReduceKind::Add, hit, axes);
            return v.give(expand_to(share, x->shape()) * hit);
        }
        case ReduceKind::Set:
            break;
    }
    no_gradient(v);
}

inline void ArgReduce(Vjp& v) { no_gradient(v); }

/// Every element's gradient goes to where it came from.
inline void Sort(Vjp& v) {
    if (v.y->arg(3) != 0) return no_gradient(v);
    const UOp x = v.x();
    const auto order = v.y->arg(2) != 0 ? Sorting::Descending : Sorting::Ascending;
    const UOp positions = sort_positions(x, v.y->arg(0), v.y->arg(1), order);
    v.give(scatter(ReduceKind::Add, zeros_like(x), positions, v.g, v.y->arg(0)));
}

/// dL/dx_j = (Π_{i<j} x_i) R_j with R_j = g_j + x_{j+1} R_{j+1}: no division, so zeros need no
/// care. The recurrence is solved by doubling: after the step `s`, R_j covers g_j .. g_{j+2s-1} and
/// A_j is the product of 2s factors.
inline UOp scan_product_gradient(const UOp& x, const UOp& y, const UOp& g, std::int64_t axis) {
    const std::int64_t n = x->shape()[axis];
    UOp sum = g, factor = shift(x, axis, 1, 0);
    for (std::int64_t s = 1; s < n; s *= 2) {
        // Each level is read twice by the next: without memory of its own the work would double a
        // level.
        sum = contiguous(sum + factor * shift(sum, axis, s, 0));
        if (2 * s < n) factor = contiguous(factor * shift(factor, axis, s, 0));
    }
    return shift(y, axis, -1, 1) * sum;
}

/// The gradient of a running extreme goes to the latest element that set it, NaN included.
inline UOp scan_extreme_gradient(const UOp& x, const UOp& y, const UOp& g, std::int64_t axis) {
    const UOp sets = binary(Op::Or, eq(x, y), is_nan(x));
    const UOp position = iota(DType::I64, x->shape(), axis);
    const UOp latest = scan(ReduceKind::Max, where(sets, position, zeros_like(position)), axis);
    return scatter(ReduceKind::Add, zeros_like(x), latest, g, axis);
}

inline void Scan(Vjp& v) {
    const std::int64_t axis = v.y->arg(1);
    switch (static_cast<ReduceKind>(v.y->arg(0))) {
        case ReduceKind::Add:
            return v.give(flip_axis(scan(ReduceKind::Add, flip_axis(v.g, axis), axis), axis));
        case ReduceKind::Mul:
            return v.give(scan_product_gradient(v.x(), v.y, v.g, axis));
        case ReduceKind::Max:
        case ReduceKind::Min:
            return v.give(scan_extreme_gradient(v.x(), v.y, v.g, axis));
        case ReduceKind::Set:
            break;
    }
    no_gradient(v);
}

}  // namespace sinter::ir::vjp
