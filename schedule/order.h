#pragma once
// The order of launches.

#include <cstdint>
#include <span>
#include <vector>

#include <sinter/schedule/schedule.h>

namespace sinter::schedule {

/// A planned kernel with its operands, not yet placed in order. Tasks are numbered results first.
struct Task {
    std::uint32_t kernel;  ///< kNone: nothing is left to run
    bool segmentable;
    Segment segment;
    std::vector<std::uint32_t> after;  ///< tasks that must have run
    bool checks = false;               ///< may find an index out of range
    std::uint64_t flops = 0, bytes = 0;
    bool steady = false;  ///< as of Launch
};

/// Every task after those it needs; in the order of the program as far as that leaves a choice, but
/// that tasks of one kernel become one launch: segmentable ones, which wait until nothing else is
/// ready, and others that are ready when the first of them is and read a memory in common (products
/// of one input by several weights).
std::vector<Launch> order_launches(std::span<const Task> tasks);

}  // namespace sinter::schedule
