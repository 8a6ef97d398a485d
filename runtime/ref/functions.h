#pragma once
// One function a row of the op table: the value of a node from the values of its sources.
// Elementwise functions are declared and defined from the table; the others are listed here, and a
// row without one does not compile.

#include "ref/value.h"

namespace sinter::runtime::ref::eval {

/// Nodes looked at for the terms of a sum: choices of choices share theirs many times over.
inline constexpr int kMostVisits = 64;

using Function = Value (*)(ir::Ref node, Sources src);

#define SINTER_REF_Unary(name) Value name(ir::Ref node, Sources src);
#define SINTER_REF_Binary(name) Value name(ir::Ref node, Sources src);
#define SINTER_REF_Compare(name) Value name(ir::Ref node, Sources src);
#define SINTER_REF_Ternary(name) Value name(ir::Ref node, Sources src);
#define SINTER_REF_Leaf(name)
#define SINTER_REF_Movement(name)
#define SINTER_REF_Reduce(name)
#define SINTER_REF_Index(name)
#define SINTER_REF_Mark(name)
#define SINTER_TENSOR_OP(name, kind, ...) SINTER_REF_##kind(name)
#include <sinter/ir/op_table.def>
#undef SINTER_REF_Unary
#undef SINTER_REF_Binary
#undef SINTER_REF_Compare
#undef SINTER_REF_Ternary
#undef SINTER_REF_Leaf
#undef SINTER_REF_Movement
#undef SINTER_REF_Reduce
#undef SINTER_REF_Index
#undef SINTER_REF_Mark

// Named as their ops, so that the table finds them. NOLINTBEGIN(readability-identifier-naming)

// leaf.cpp
Value Const(ir::Ref node, Sources src);
Value Bind(ir::Ref node, Sources src);
Value Buffer(ir::Ref node, Sources src);
Value Iota(ir::Ref node, Sources src);

// movement.cpp
Value Reshape(ir::Ref node, Sources src);
Value Permute(ir::Ref node, Sources src);
Value Expand(ir::Ref node, Sources src);
Value Pad(ir::Ref node, Sources src);
Value Shrink(ir::Ref node, Sources src);
Value Flip(ir::Ref node, Sources src);
Value Stride(ir::Ref node, Sources src);
Value Window(ir::Ref node, Sources src);

// reduce.cpp
Value Reduce(ir::Ref node, Sources src);
Value ArgReduce(ir::Ref node, Sources src);
Value Sort(ir::Ref node, Sources src);
Value Scan(ir::Ref node, Sources src);
Value Fold(ir::Ref node, Sources src);

// index.cpp
Value Gather(ir::Ref node, Sources src);
Value Scatter(ir::Ref node, Sources src);

// mark.cpp
Value Contiguous(ir::Ref node, Sources src);
Value Detach(ir::Ref node, Sources src);
Value Assign(ir::Ref node, Sources src);
Value Copy(ir::Ref node, Sources src);

// NOLINTEND(readability-identifier-naming)

}  // namespace sinter::runtime::ref::eval
