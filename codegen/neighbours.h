#pragma once
// Schedules that differ from a given one by a step: what BEAM tries beside the cost model's
// choices. They are proposals; replay says which of them are possible.

#include <vector>

#include <sinter/codegen/schedule.h>

namespace sinter::codegen {

/// One part's steps changed in one place each: other sizes of blocks, tiles and vectors, copies and
/// hints left out or added, loops and trips in another order. Those that promise most come first,
/// of all parts and steps in turn. The kernel's own line stays.
std::vector<Schedule> neighbours(const Schedule& schedule);

/// The kernel's line with its cut changed or left out. Parts have other ranges then, so they have
/// to be scheduled anew.
std::vector<std::vector<Step>> other_cuts(const std::vector<Step>& kernel);

}  // namespace sinter::codegen
