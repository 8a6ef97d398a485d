#pragma once
#include <vector>

#include <sinter/ir/arena.h>

namespace sinter::schedule {

/// Joins ranges that always go through memory as one: where every index has r·size(s)·k + s·k, both
/// become one range.
std::vector<ir::Ref> collapse_ranges(ir::Arena& arena, std::vector<ir::Ref> stores);

}  // namespace sinter::schedule
