// Identities of values, exact in every bit. What is missing is missing on purpose: x + 0 of a float
// turns -0 into 0, x * 0 loses NaN, x / x is not 1 at 0, and no cast that rounds is skipped.

#include <algorithm>

#include <sinter/ir/evaluate.h>
#include <sinter/ir/simplify.h>

#include "index_build.h"

namespace sinter::ir {
namespace {

Ref fold(Arena& arena, Ref root, const Bindings&) {
    if (root->lanes() != 1) return nullptr;
    for (Ref s : root->src())
        if (!s->is(Op::Const)) return nullptr;
    const auto bits = evaluate(root->op(), root->dtype(), root->src());
    return bits ? arena.constant_bits(root->dtype(), *bits) : nullptr;
}

// An integer of one possible value. The bounds of u64 end at the largest int64 and say less.
Ref fixed(Arena& arena, Ref root, const Bindings&) {
    const DType dt = root->dtype();
    if (is_float(dt) || dt == u64 || dt == DType::None || root->lanes() != 1) return nullptr;
    return index::is_fixed(root) ? arena.constant_bits(dt, root->vmin()) : nullptr;
}

// cast(to, cast(through, x)) where `through` loses nothing of x.
Ref cast_of_cast(Arena& arena, Ref root, const Bindings& m) {
    const Ref x = m[0];
    const DType from = x->dtype(), through = root->src(0)->dtype(), to = root->dtype();
    const auto is_int = [](DType dt) { return is_integer(dt); };
    const bool fits = is_int(from) && is_int(through) && from != u64 && through != u64 &&
                      x->vmin() >= info(through).min && x->vmax() <= info(through).max;
    // Integers wrap to a narrower type whether at once or in two steps.
    const bool narrowing =
        is_int(from) && is_int(through) && is_int(to) && size_of(through) >= size_of(to);
    // By way of a float an integer saturates, alone it wraps: the same only if `to` has room for
    // all of x.
    const bool saturates =
        is_int(from) && is_float(through) && is_int(to) && !holds_exactly(to, from);
    if (!narrowing && ((!holds_exactly(through, from) && !fits) || saturates)) return nullptr;
    return to == from ? x
                      : arena.make(Op::Cast, to, std::span<const Ref>(&x, 1), {}, root->lanes());
}

// The index that `n` is a cast of, or is as a constant; null if it is neither, or the cast wraps.
Ref as_index(Arena& arena, Ref n) {
    if (n->is(Op::Const)) return arena.index(n->arg(0));
    if (!n->is(Op::Cast) || n->src(0)->dtype() != DType::Index || n->lanes() != 1) return nullptr;
    const Ref x = n->src(0);
    return x->vmin() >= info(n->dtype()).min && x->vmax() <= info(n->dtype()).max ? x : nullptr;
}

// What is computed from positions is computed as an index, whose sums and comparisons are decided
// and simplified by their bounds.
Ref positions(Arena& arena, Ref root, const Bindings&) {
    const DType dt = root->src(0)->dtype();
    if (dt == DType::Index || !is_signed_int(dt)) return nullptr;
    if (root->src(0)->is(Op::Const) && root->src(1)->is(Op::Const)) return nullptr;
    const Ref x = as_index(arena, root->src(0)), y = as_index(arena, root->src(1));
    if (x == nullptr || y == nullptr) return nullptr;
    const Ref src[] = {x, y};
    if (info(root->op()).dtype == DTypeRule::Bool) return arena.make(root->op(), DType::Bool, src);
    const Ref sum = arena.make(root->op(), DType::Index, src);
    if (sum->vmin() < info(dt).min || sum->vmax() > info(dt).max) return nullptr;
    return arena.cast(sum, dt);
}

}  // namespace

const RewriteRules& algebra() {
    using namespace pat;
    static const Pat x = any(0), y = any(1), z = any(2), c0 = constant(3), c1 = constant(4),
                     w = any(5);
    // Index arithmetic has a table of its own; some rules would undo its forms.
    const auto n = [](const Pat& p) { return p.of(kInts); };
    const auto i = [](const Pat& p) { return p.of(kAllInts); };
    const auto f = [](const Pat& p) { return p.of(kFloats); };
    const auto b = [](const Pat& p) { return p.of(kBool); };
    static const RewriteRules rules = {
        // Constants.
        {Pat::apply(op_set(OpKind::Unary) | op_set(OpKind::Binary) | op_set(OpKind::Compare) |
                    op_set(OpKind::Ternary)),
         fold},
        {Pat::apply(op_set(OpKind::Unary) | op_set(OpKind::Binary) | op_set(OpKind::Compare) |
                    op_set(OpKind::Ternary))
             .of(kAllInts | kBool),
         fixed},

        // Additions.
        {n(x + 0), x},
        {f(x + -0.0), x},
        {n(x - 0), x},
        {f(x - 0.0), x},
        {n(x - x), 0},
        {n(0 - x), -x},
        {-(-x), x},
        {n(x + -y), x - y},
        {f(x + -y), x - y},
        {(x - -y).of(kInts | kFloats), x + y},
        {n((x + c0) + c1), x + (c0 + c1)},
        {n((x - c0) + c1), x + (c1 - c0)},
        {n((x + c0) - c1), x + (c0 - c1)},
        {n((x - c0) - c1), x - (c0 + c1)},

        // Products and quotients.
        {x * 1, x},
        {n(x * 0), 0},
        {(x * -1).of(kInts | kFloats), -x},
        {n((x * c0) * c1), x * (c0 * c1)},
        {f((-x) * (-y)), x * y},
        {div(x, 1), x},
        {div(x, -1), -x},
        {idiv(x, 1), x},
        {idiv(x, 0), 0},
        {mod(x, 1), 0},
        {mod(x, 0), x},

        // Extremes, absolute values. A NaN stays what it is.
        {max(x, x), x},
        {min(x, x), x},
        {i(max(max(x, c0), c1)), max(x, max(c0, c1))},
        {i(min(min(x, c0), c1)), min(x, min(c0, c1))},
        {abs(abs(x)), abs(x)},
        {f(abs(-x)), abs(x)},

        // Bits and truths.
        {x & x, x},
        {x | x, x},
        {i(x & 0), 0},
        {i(x | 0), x},
        {i(x ^ 0), x},
        {x ^ x, 0},
        {b(x & 1), x},
        {b(x & 0), 0},
        {b(x | 0), x},
        {b(x | 1), 1},
        {b(x ^ 0), x},
        {b(x ^ 1), logical_not(x)},
        {logical_not(logical_not(x)), x},
        {b(x & logical_not(x)), 0},
        {b(x | logical_not(x)), 1},
        {i((x & c0) & c1), x & (c0 & c1)},
        {i((x | c0) | c1), x | (c0 | c1)},
        {i((x ^ c0) ^ c1), x ^ (c0 ^ c1)},
        {shl(x, 0), x},
        {shr(x, 0), x},

        // Comparisons. Those of floats with themselves ask for NaN and stay.
        {lt(x, x), 0},
        {le(i(x), x), 1},
        {eq(i(x), x), 1},
        {ne(i(x), x), 0},
        {eq(b(x), 1), x},
        {eq(b(x), 0), logical_not(x)},
        {ne(b(x), 0), x},
        {ne(b(x), 1), logical_not(x)},
        {logical_not(eq(x, y)), ne(x, y)},
        {logical_not(ne(x, y)), eq(x, y)},
        {logical_not(lt(n(x), y)), le(y, x)},
        {logical_not(le(n(x), y)), lt(y, x)},

        // Choices.
        {where(x, y, y), y},
        {where(1, x, y), x},
        {where(0, x, y), y},
        {where(logical_not(x), y, z), where(x, z, y)},
        {b(where(x, 1, 0)), x},
        {b(where(x, 0, 1)), logical_not(x)},
        {where(x, where(x, y, z), w), where(x, y, w)},
        {where(x, y, where(x, z, w)), where(x, y, w)},

        // Positions (iota) that are compared or added.
        {lt(x, y), positions},
        {le(x, y), positions},
        {eq(x, y), positions},
        {ne(x, y), positions},
        {i(x + y), positions},
        {i(x - y), positions},

        // Casts.
        {cast(x),
         [](Arena&, Ref root, const Bindings& m) {
             return root->dtype() == m[0]->dtype() ? m[0] : nullptr;
         }},
        {cast(cast(x)), cast_of_cast},
        {bitcast(x),
         [](Arena&, Ref root, const Bindings& m) {
             return root->dtype() == m[0]->dtype() ? m[0] : nullptr;
         }},
    };
    return rules;
}

}  // namespace sinter::ir
