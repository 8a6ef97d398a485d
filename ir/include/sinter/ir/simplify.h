#pragma once
// Algebra of values and of indices: the tables, and what is done with them.

#include <span>
#include <utility>
#include <vector>

#include <sinter/ir/affine.h>
#include <sinter/ir/rewrite.h>

namespace sinter::ir {

/// Identities of values that are exact in every bit (docs/ir.md, Numbers), and folding of
/// constants. Any level.
const RewriteRules& algebra();
/// Index arithmetic (DType::Index, which never overflows) by ranges of values and divisibility:
/// sums are sorted and collected, div, mod, min, max, comparisons and masks that can be proved away
/// are gone. Kernel level.
const RewriteRules& index_algebra();

/// The graph with both tables applied to the end.
Ref simplify(Arena& arena, Ref root);
std::vector<Ref> simplify(Arena& arena, std::span<const Ref> roots);

using Substitution = std::span<const std::pair<Ref, Ref>>;

/// The graph with every occurrence of the first of each pair replaced by the second, all at once
/// (what is put in is not looked at again). Ranges that a Reduce or Scan closes are
/// occurrences as well.
Ref substitute(Arena& arena, Ref root, Substitution map);
std::vector<Ref> substitute(Arena& arena, std::span<const Ref> roots, Substitution map);

/// `expr` (Index or bool, elementwise over terms) simplified where only points that satisfy
/// `condition` (bool: a conjunction of comparisons) matter; at other points its value may differ.
/// Other nodes than elementwise ones are not entered.
Ref simplify_given(Arena& arena, Ref expr, Ref condition);

/// What `term` (a Range, a Variable, …) can be at points that satisfy `condition`, which is as
/// above; min > max where there are none.
Bounds bounds_given(Arena& arena, Ref term, Ref condition);

}  // namespace sinter::ir
