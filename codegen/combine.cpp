#include "combine.h"

#include <sinter/ir/kernel.h>

namespace sinter::codegen {
namespace {

using ir::Combine;
using ir::ReduceKind;

// Whether (w, q) replaces (v, p): it is beyond it, or as far and earlier. A NaN is beyond every
// number.
Value replaces(Emitter& e, bool max, Value v, Value p, Value w, Value q) {
    const Value beyond = max ? e.compare(Op::Lt, v, w) : e.compare(Op::Lt, w, v);
    const Value earlier = e.compare(Op::Lt, q, p);
    Value as_far = e.compare(Op::Eq, v, w), further = beyond;
    if (is_float(e.dtype(v))) {
        const Value v_nan = e.compare(Op::Ne, v, v), w_nan = e.compare(Op::Ne, w, w);
        as_far = e.logic(Op::Or, as_far, e.logic(Op::And, v_nan, w_nan));
        further = e.logic(Op::Or, beyond, e.logic(Op::And, w_nan, e.logic_not(v_nan)));
    }
    return e.logic(Op::Or, further, e.logic(Op::And, as_far, earlier));
}

}  // namespace

std::int64_t neutral_bits(Ref reduction, std::size_t i, DType dtype) {
    if (reduction->is(Op::Reduce))
        return ir::identity_bits(static_cast<ReduceKind>(reduction->arg(0)), dtype);
    const bool max = static_cast<Combine>(reduction->arg(0)) == Combine::ArgMax;
    return i == 0 ? ir::identity_bits(max ? ReduceKind::Max : ReduceKind::Min, dtype)
                  : info(dtype).max;
}

Tuple combine_ascending(Emitter& e, Ref reduction, const Tuple& acc, const Tuple& next) {
    const bool max = static_cast<Combine>(reduction->arg(0)) == Combine::ArgMax;
    const Value v = acc[0], w = next[0];
    Value take = max ? e.compare(Op::Lt, v, w) : e.compare(Op::Lt, w, v);
    if (is_float(e.dtype(v)))  // beyond it, or NaN; but the first NaN stays
        take =
            e.logic(Op::And, e.logic_not(max ? e.compare(Op::Le, w, v) : e.compare(Op::Le, v, w)),
                    e.compare(Op::Eq, v, v));
    return {e.select(take, w, v), e.select(take, next[1], acc[1])};
}

Value combine(Emitter& e, ReduceKind kind, Value a, Value b) {
    const DType dt = e.dtype(a);
    // The neutral value changes nothing; only a sum of it and -0 is another zero.
    if (kind != ReduceKind::Add && e.lanes(a) == e.lanes(b) &&
        e.is_constant(a, ir::identity_bits(kind, dt)))
        return b;
    switch (kind) {
        case ReduceKind::Add:
            return e.arith(Op::Add, dt, {a, b});
        case ReduceKind::Mul:
            return e.arith(Op::Mul, dt, {a, b});
        case ReduceKind::Max:
        case ReduceKind::Min: {
            if (dt == DType::Bool) return e.logic(kind == ReduceKind::Max ? Op::Or : Op::And, a, b);
            const Value take =
                kind == ReduceKind::Max ? e.compare(Op::Lt, a, b) : e.compare(Op::Lt, b, a);
            const Value further = e.select(take, b, a);
            // A NaN in `a` stays, since nothing is beyond it. What `b` is asked does not wait for
            // `a`.
            return is_float(dt) ? e.select(e.compare(Op::Ne, b, b), b, further) : further;
        }
        case ReduceKind::Set:
            return b;
    }
    return b;
}

Tuple combine(Emitter& e, Ref reduction, const Tuple& a, const Tuple& b) {
    if (reduction->is(Op::Reduce))
        return {combine(e, static_cast<ReduceKind>(reduction->arg(0)), a[0], b[0])};
    const bool max = static_cast<Combine>(reduction->arg(0)) == Combine::ArgMax;
    const Value take = replaces(e, max, a[0], a[1], b[0], b[1]);
    return {e.select(take, b[0], a[0]), e.select(take, b[1], a[1])};
}

}  // namespace sinter::codegen
