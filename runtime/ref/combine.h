#pragma once
// How values are combined by Reduce, Scan, Fold and Scatter, and with what they start.

#include <sinter/ir/op.h>

#include <limits>

#include "ref/arithmetic.h"
#include "ref/element.h"
#include "ref/value.h"

namespace sinter::runtime::ref {

template <ir::ReduceKind K, class T>
T combine(T carry, T x) {
    if constexpr (K == ir::ReduceKind::Add)
        return add(carry, x);
    else if constexpr (K == ir::ReduceKind::Mul)
        return multiply(carry, x);
    else if constexpr (K == ir::ReduceKind::Max)
        return maximum(carry, x);
    else if constexpr (K == ir::ReduceKind::Min)
        return minimum(carry, x);
    else
        return x;
}

/// What leaves every x as it is: combine(identity, x) == x.
template <class E, ir::ReduceKind K>
Carry<E> identity() {
    using T = Carry<E>;
    using Limits = std::numeric_limits<T>;
    if constexpr (K == ir::ReduceKind::Mul) return T{1};
    if constexpr (K == ir::ReduceKind::Max)
        return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    if constexpr (K == ir::ReduceKind::Min)
        return Limits::has_infinity ? Limits::infinity() : Limits::max();
    return T{0};
}

template <class E>
E round_carry(Carry<E> carry) {
    return store<E>(static_cast<Compute<E>>(carry));
}

/// Calls `f.template operator()<E, K>()` for the node's dtype and a kind of combination that the
/// dtype has: bool has no sum and no product.
template <class F>
Value with_combine(ir::Ref node, ir::ReduceKind kind, F&& f) {
    using ir::ReduceKind;
    return with_element(node->dtype(), [&]<class E>() -> Value {
        switch (kind) {
            case ReduceKind::Add:
                if constexpr (!is_bool_element<E>)
                    return f.template operator()<E, ReduceKind::Add>();
                else
                    break;
            case ReduceKind::Mul:
                if constexpr (!is_bool_element<E>)
                    return f.template operator()<E, ReduceKind::Mul>();
                else
                    break;
            case ReduceKind::Max:
                return f.template operator()<E, ReduceKind::Max>();
            case ReduceKind::Min:
                return f.template operator()<E, ReduceKind::Min>();
            case ReduceKind::Set:
                if (node->op() != ir::Op::Scatter) break;
                return f.template operator()<E, ReduceKind::Set>();
        }
        refuse(node, "values of this dtype are not combined by " + std::string(ir::name(kind)));
    });
}

}  // namespace sinter::runtime::ref
