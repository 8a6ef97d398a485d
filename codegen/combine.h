#pragma once
// How reductions combine values.

#include <vector>

#include "emitter.h"

namespace sinter::codegen {

/// The components of a reduction's carried value: one, or those of a tuple.
using Tuple = std::vector<Value>;

/// Bits of the value with which component `i` of a Reduce or Accumulate starts: combined with any,
/// it gives the other.
std::int64_t neutral_bits(Ref reduction, std::size_t i, DType dtype);

/// `a` with `b` after it. NaN is kept: the maximum of a NaN and anything is NaN.
Tuple combine(Emitter& emit, Ref reduction, const Tuple& a, const Tuple& b);
Value combine(Emitter& emit, ir::ReduceKind kind, Value a, Value b);
/// The same for an ArgMax or ArgMin where the position in `next` is behind all that `acc` has seen.
Tuple combine_ascending(Emitter& emit, Ref reduction, const Tuple& acc, const Tuple& next);

}  // namespace sinter::codegen
