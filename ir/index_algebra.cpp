// The table of index arithmetic. The work is done by makers of simplified nodes (index_build.h),
// since a sum of any length is one thing; what reads as algebra stands here as algebra.

#include <array>

#include <sinter/ir/simplify.h>

#include "index_build.h"

namespace sinter::ir {
namespace {

// A maker's result; the node itself where it is simplified already. Takes the operands from the
// node, so that the two orders of a commutative op are not two cases.
template <class Make>
auto made_by(Make make) {
    return [make](Arena& arena, Ref root, const Bindings&) {
        return make(arena, root->src(0), root->src(1));
    };
}

// Collecting each sum of a chain of additions is quadratic in the chain: long ones stay as they
// are.
bool is_long_sum(Ref root) {
    std::array<Ref, 128> todo;
    std::size_t waiting = 0, terms = 0;
    todo[waiting++] = root;
    for (std::size_t steps = 0; waiting != 0; ++steps) {
        if (steps == 100) return true;
        const Ref node = todo[--waiting];
        if (node->is(Op::Add) || node->is(Op::Sub)) {
            todo[waiting++] = node->src(1);
            todo[waiting++] = node->src(0);
        } else if (++terms > 50) {
            return true;
        }
    }
    return false;
}

Ref collect(Arena& arena, Ref root, const Bindings&) {
    return is_long_sum(root) ? nullptr : index::sum(arena, affine(root));
}

}  // namespace

const RewriteRules& index_algebra() {
    using namespace pat;
    static const Pat x = any(0), y = any(1), p = any(2);
    const auto i = [](const Pat& pattern) { return pattern.of(kIndex); };
    const auto b = [](const Pat& pattern) { return pattern.of(kBool); };
    static const RewriteRules rules = {
        {i(Pat::apply(op_set({Op::Add, Op::Sub, Op::Neg}))), collect},
        {i(Pat::apply(Op::Mul)), made_by(index::product)},
        {i(Pat::apply(Op::IDiv)), made_by(index::div)},
        {i(Pat::apply(Op::Mod)), made_by(index::mod)},
        {i(Pat::apply(Op::Min)), made_by(index::minimum)},
        {i(Pat::apply(Op::Max)), made_by(index::maximum)},

        {lt(i(x), y), made_by(index::less)},
        {le(i(x), y),
         [](Arena& a, Ref l, Ref r) { return index::less(a, l, a.add(r, a.index(1))); }},
        {eq(i(x), y), made_by(index::equal)},
        {ne(i(x), y),
         [](Arena& a, Ref root, const Bindings&) {
             const Ref same = index::equal(a, root->src(0), root->src(1));
             if (same->is(Op::Const)) return a.truth(same->arg(0) == 0);
             return a.binary(Op::Ne, same->src(0), same->src(1));
         }},
        {logical_not(lt(i(x), y).as(2)),
         [](Arena& a, const Bindings& m) { return index::negation(a, m[2]); }},

        {b(Pat::apply(Op::And)), made_by(index::both)},
        {b(Pat::apply(Op::Or)), made_by(index::either)},

        // Masks as choices.
        {b(where(p, x, 0)), p & x},
        {b(where(p, 1, x)), p | x},
    };
    return rules;
}

}  // namespace sinter::ir
