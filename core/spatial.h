#pragma once
// Numbers given an axis, checked.

#include <string_view>

#include "call.h"

namespace sinter {

/// `count` numbers, the one given repeated; all at least `least` (ValueError), the right count
/// (ShapeError).
ir::Shape per_axis(std::string_view what, const PerAxis& given, std::size_t count,
                   std::int64_t least);

/// Windows over the axes first, first + 1, …: their starts stay in place, their elements become new
/// last axes.
UOp windows(UOp x, std::size_t first, Ints kernel, Ints stride, Ints dilation);

}  // namespace sinter
