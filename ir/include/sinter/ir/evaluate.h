#pragma once
// The value of one elementwise op over constants, by docs/ir.md (Numbers): used to fold constants
// and to fuzz rules.

#include <optional>
#include <span>

#include <sinter/ir/node.h>

namespace sinter::ir {

/// A constant: bits as in a Const node.
struct ConstValue {
    DType dtype;
    std::int64_t bits;
};

/// Bits of `op` over `src`, in `dtype`. None for ops whose result the documentation does not fix to
/// the bit (the transcendental functions; max and min of zeros of two signs; a bitcast of a NaN).
std::optional<std::int64_t> evaluate(Op op, DType dtype, std::span<const ConstValue> src);

/// The same for Consts.
std::optional<std::int64_t> evaluate(Op op, DType dtype, std::span<const Ref> constants);

/// Whether every value of `from` is a value of `to`.
bool holds_exactly(DType to, DType from);

}  // namespace sinter::ir
