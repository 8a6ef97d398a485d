#pragma once
// Makers of simplified index arithmetic: each takes simplified operands and returns the simplified
// result. The rules of index_algebra() are their callers.

#include <optional>
#include <vector>

#include <sinter/ir/affine.h>

namespace sinter::ir::index {

/// Whether `node` certainly has one value that may be written in its place. A Check may not: it has
/// an effect.
bool is_fixed(Ref node);
/// Whether the index arithmetic of `expr` contains a Check.
bool has_check(Ref expr);

/// What it takes to compute these nodes: operations, division counted as eight; shared nodes count
/// once.
std::size_t cost(std::vector<Ref> nodes);

/// The sum, with products of sums multiplied out, fixed terms folded, and  x%a + (x/a)*a recombined
/// to x.
Ref sum(Arena& arena, Affine terms);
Ref product(Arena& arena, Ref a, Ref b);
/// floor(x / d).
Ref div(Arena& arena, Ref x, Ref d);
Ref mod(Arena& arena, Ref x, Ref d);
/// x < y.
Ref less(Arena& arena, Ref x, Ref y);
/// x == y.
Ref equal(Arena& arena, Ref x, Ref y);
Ref minimum(Arena& arena, Ref x, Ref y);
Ref maximum(Arena& arena, Ref x, Ref y);
/// The conjunction (or disjunction) of two masks, without the comparisons that others imply.
Ref both(Arena& arena, Ref p, Ref q);
Ref either(Arena& arena, Ref p, Ref q);
Ref negation(Arena& arena, Ref p);

/// Whether `a` < 0 at every point: from the bounds of its terms, and from r <= n - 1 for a Range r
/// of size n.
bool always_negative(Arena& arena, const Affine& a);
/// floor(a / g) as a sum, if what g does not divide cannot cross a multiple of g. g > 0.
std::optional<Affine> exact_div(const Affine& a, std::int64_t g);

}  // namespace sinter::ir::index
