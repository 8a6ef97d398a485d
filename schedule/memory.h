#pragma once
#include <span>
#include <vector>

#include <sinter/schedule/schedule.h>

namespace sinter::schedule {

/// Gives every Temporary a place in one arena: blocks that are in use during one launch do not
/// overlap. Best fit, the largest first. Returns the arena's size.
std::int64_t place_temporaries(std::span<const Launch> launches, std::vector<Block>& blocks);

}  // namespace sinter::schedule
