#pragma once
// Shape rules of tensor-level ops.

#include <sinter/ir/node.h>

namespace sinter::ir {

/// Sizes of the value of a tensor-level node with this key; empty inside kernels. Throws ShapeError
/// or DTypeError, naming the op and the shapes, where the key breaks the op's rules.
Shape shape_of(const NodeKey& key);

/// Number of elements; throws ShapeError where it does not fit 63 bits or a size is negative.
std::int64_t numel_of(std::span<const std::int64_t> shape, Op op);

/// "[2, 3]"
std::string to_string(std::span<const std::int64_t> shape);

}  // namespace sinter::ir
