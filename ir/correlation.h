#pragma once
// Gradients of windows without masks: a Fold of a sum of products is the same sum over windows of
// a padded operand.

#include <sinter/ir/uop.h>

namespace sinter::ir {

/// Fold(g, axis, n, 1, dilation), where g[.., i, .., k] = Σ a[.., i, ..]·b[.., k, ..], as
/// Σ_k pad(a)[.., p + (K-1-k)·dilation, ..]·b[.., k, ..]: what a window reaches beyond the ends
/// counts as products with zero. Null where g is no such sum, seen through reshapes and permutes,
/// or where that would be much more work: the gradient has `wanted` positions along the axis that
/// are asked for.
UOp fold_as_correlation(const UOp& g, std::int64_t axis, std::int64_t n, std::int64_t dilation,
                        std::int64_t wanted);

}  // namespace sinter::ir
