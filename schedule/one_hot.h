#pragma once
#include <vector>

#include <sinter/ir/arena.h>

namespace sinter::schedule {

/// Sums over a range of what is zero but where the range equals a number that does not depend on
/// it, as the gradient of picking one element of a row has them: they become that one element, if
/// the number is in the range.
std::vector<ir::Ref> sums_of_one(ir::Arena& arena, std::vector<ir::Ref> stores);

}  // namespace sinter::schedule
