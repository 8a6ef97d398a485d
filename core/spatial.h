#pragma once
// Windows over spatial axes.

#include "call.h"

namespace sinter {

/// Windows over the axes first, first + 1, …: their starts stay in place, their elements become new
/// last axes.
UOp windows(UOp x, std::size_t first, Ints kernel, Ints stride, Ints dilation);

}  // namespace sinter
