#pragma once
// Temporaries that are not read before much other memory was gone through: their kernels may write
// them past the caches.

#include <sinter/schedule/schedule.h>

namespace sinter::schedule {

/// Marks the Params (ir::late_param) of what kernels write for much later launches. Launches of one
/// kernel stay such: it is marked where most of them agree.
void mark_late(Schedule& schedule);

}  // namespace sinter::schedule
