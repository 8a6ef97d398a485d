#pragma once
// Values as unsigned integers in the same order, for Order.

#include <sinter/ir/arena.h>

namespace sinter::schedule {

/// The unsigned dtype of a value's key.
DType key_type(DType dtype);

/// Keys compare as the values do: NaN after every number, -0 before 0; the other way round if
/// `descending`. With `zeros_equal` both zeros have one key.
ir::Ref key_of(ir::Arena& arena, ir::Ref value, bool descending, bool zeros_equal);

/// The value of a key that was made without zeros_equal; any NaN becomes the positive quiet one.
ir::Ref value_of_key(ir::Arena& arena, ir::Ref key, DType dtype, bool descending);

}  // namespace sinter::schedule
