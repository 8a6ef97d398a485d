#pragma once
#include <span>
#include <vector>

#include "order.h"

namespace sinter::schedule {

/// Lets Output block `result`, written by task `writer`, take the memory of Input block `target`,
/// if that is proved safe:
///  - `assumptions` allow it, and no root is the input itself;
///  - the writer reads the input only at the very element that it writes in the same turn of its
///  loops;
///  - every other reader can run before the writer, and is made to (the order of `tasks` is added
///  to), and so is every task that checks indices: a run that fails has written over nothing.
/// Says whether it does; leaves everything as it is otherwise. `sink` is the writer's kernel.
bool write_in_place(Schedule& schedule, std::span<Task> tasks, std::uint32_t writer, ir::Ref sink,
                    std::uint32_t result, std::uint32_t target, const Assumptions& assumptions);

}  // namespace sinter::schedule
