#pragma once
// Gradients of movement ops: each is the transpose of a 0/1 matrix, which is movement again, or a
// sum.

#include "../correlation.h"
#include "algebra.h"

namespace sinter::ir::vjp {

inline void Reshape(Vjp& v) { v.give(reshape_to(v.g, v.x()->shape())); }

inline void Permute(Vjp& v) {
    const auto axes = v.y->args();
    Ints inverse(axes.size());
    for (std::size_t d = 0; d < axes.size(); ++d) inverse[axes[d]] = static_cast<std::int64_t>(d);
    v.give(permute(v.g, inverse));
}

inline void Expand(Vjp& v) {
    Ints repeated;
    for (std::size_t d = 0; d < v.y->rank(); ++d) {
        if (v.x()->shape()[d] != v.y->shape()[d]) repeated.push_back(static_cast<std::int64_t>(d));
    }
    v.give(repeated.empty() ? v.g : reduce(ReduceKind::Add, v.g, repeated));
}

inline void Pad(Vjp& v) {
    Ints begin, end;
    for (std::size_t d = 0; d < v.y->rank(); ++d) {
        begin.push_back(v.y->arg(1 + 2 * d));
        end.push_back(begin.back() + v.x()->shape()[d]);
    }
    v.give(shrink(v.g, begin, end));
}

inline void Shrink(Vjp& v) {
    Ints before, after;
    for (std::size_t d = 0; d < v.y->rank(); ++d) {
        before.push_back(v.y->arg(2 * d));
        after.push_back(v.x()->shape()[d] - v.y->arg(2 * d + 1));
    }
    v.give(pad(v.g, before, after));
}

inline void Flip(Vjp& v) { v.give(flip(v.g, v.y->args())); }

/// Zeros go back between the elements: [m] -> [m, 1] -> [m, step] -> [m * step] -> [n], a axis.
inline void Stride(Vjp& v) {
    const auto step = v.y->args();
    const std::size_t rank = v.y->rank();
    Ints apart, after(2 * rank, 0), joined, end;
    for (std::size_t d = 0; d < rank; ++d) {
        const std::int64_t m = v.y->shape()[d];
        apart.insert(apart.end(), {m, 1});
        after[2 * d + 1] = step[d] - 1;
        joined.push_back(m * step[d]);
        end.push_back(v.x()->shape()[d]);
    }
    const UOp spread = pad(reshape(v.g, apart), Ints(2 * rank, 0), after);
    v.give(shrink(reshape(spread, joined), Ints(rank, 0), end));
}

inline void Window(Vjp& v) {
    const std::int64_t axis = v.y->arg(0), step = v.y->arg(2), dilation = v.y->arg(3);
    const std::int64_t n = v.x()->shape()[axis];
    // Of padding nothing is asked.
    Ref padded = v.y->src(0);
    while (padded->is(Op::Window)) padded = padded->src(0);
    const std::int64_t wanted = padded->is(Op::Pad) ? padded->src(0)->shape()[axis] : n;
    if (step == 1)
        if (const UOp sum = fold_as_correlation(v.g, axis, n, dilation, wanted)) {
            v.give(sum);
            return;
        }
    v.give(fold(v.g, axis, n, step, dilation));
}

inline void Fold(Vjp& v) {
    const std::int64_t axis = v.y->arg(0), step = v.y->arg(2), dilation = v.y->arg(3);
    v.give(window(v.g, axis, v.x()->shape().back(), step, dilation));
}

}  // namespace sinter::ir::vjp
