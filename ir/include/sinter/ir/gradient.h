#pragma once
// Reverse-mode differentiation as graph building: the result is ordinary lazy nodes, so that
// gradients of gradients are the same call again.

#include <span>
#include <vector>

#include <sinter/ir/uop.h>

namespace sinter::ir {

/// The gradients of `loss` (times `seed`) with respect to each of `inputs`, with the shape and
/// dtype of the input.
///
/// `inputs` are nodes of the loss's graph, inner ones allowed. `seed` has the loss's shape and
/// dtype; without one the loss must have a single element, and the seed is 1. One walk of the
/// graph, iterative; only nodes on a path from an input to the loss are differentiated. The rules
/// are in ir/vjp, one an op, and follow PyTorch: ties of `Max` and `Min` share the gradient evenly,
/// `Abs` has 0 at 0, piecewise constant ops have 0 everywhere. Gradients do not flow through
/// Detach, Bitcast, comparisons, integers or the memory of an Assign.
///
/// Throws ValueError for an input that does not reach the loss or is a constant (equal constants
/// are one node: what was computed from which is not known), ShapeError for a loss of several
/// elements without a seed or a seed of another shape, DTypeError for a loss, input or seed of a
/// wrong dtype.
std::vector<UOp> gradient(const UOp& loss, std::span<const UOp> inputs, const UOp& seed = {});

/// Which nodes a gradient may flow to: those of `loss`'s graph for which gradient() would not say
/// that they do not reach the loss. In the order of `candidates`.
std::vector<bool> reaches(const UOp& loss, std::span<const UOp> candidates);

}  // namespace sinter::ir
