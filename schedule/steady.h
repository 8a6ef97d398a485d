#pragma once
// What is made of inputs that seldom change is made when they do, not in every run.

#include "order.h"

namespace sinter::schedule {

/// Marks the tasks that read steady inputs alone, and what such tasks make, and that write
/// temporaries alone; those temporaries that other tasks use are kept from run to run. Before they
/// are put in order.
void mark_steady(Schedule& schedule, std::span<Task> tasks, const std::vector<bool>& steady);

}  // namespace sinter::schedule
