// The table of index arithmetic. The work is done by makers of simplified nodes (index_build.h),
// since a sum of any length is one thing; what reads as algebra stands here as algebra.

#include <sinter/ir/simplify.h>

#include "index_build.h"

namespace sinter::ir {
namespace {

// A maker's result, unless the node is simplified already.
template <class Make>
auto made_by(Make make) {
    return [make](Arena& arena, Ref x, Ref y) { return make(arena, x, y); };
}

Ref collect(Arena& arena, Ref root, const Bindings&) { return index::sum(arena, affine(root)); }

}  // namespace

const RewriteRules& index_algebra() {
    using namespace pat;
    static const Pat x = any(0), y = any(1), p = any(2);
    const auto i = [](const Pat& pattern) { return pattern.of(kIndex); };
    const auto b = [](const Pat& pattern) { return pattern.of(kBool); };
    static const RewriteRules rules = {
        {i(Pat::apply(op_set({Op::Add, Op::Sub, Op::Neg}))), collect},
        {i(x * y), made_by(index::product)},
        {i(idiv(x, y)), made_by(index::div)},
        {i(mod(x, y)), made_by(index::mod)},
        {i(min(x, y)), made_by(index::minimum)},
        {i(max(x, y)), made_by(index::maximum)},

        {lt(i(x), y), made_by(index::less)},
        {le(i(x), y),
         [](Arena& a, Ref l, Ref r) { return index::less(a, l, a.add(r, a.index(1))); }},
        {eq(i(x), y), made_by(index::equal)},
        {ne(i(x), y),
         [](Arena& a, Ref l, Ref r) {
             const Ref same = index::equal(a, l, r);
             if (same->is(Op::Const)) return a.truth(same->arg(0) == 0);
             return a.binary(Op::Ne, same->src(0), same->src(1));
         }},
        {logical_not(lt(i(x), y).as(2)),
         [](Arena& a, const Bindings& m) { return index::negation(a, m[2]); }},

        {b(x & y), made_by(index::both)},
        {b(x | y), made_by(index::either)},

        // Masks as choices.
        {b(where(p, x, 0)), p & x},
        {b(where(p, 1, x)), p | x},
    };
    return rules;
}

}  // namespace sinter::ir
