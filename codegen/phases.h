#pragma once
// Long reductions with no ranges to run in parallel: split over chunks, a phase of the launch for
// each step.

#include <vector>

#include "transform.h"

namespace sinter::codegen {

/// A kernel cut at barriers: each sink runs when those before it are done. Values pass through the
/// launch's scratch.
struct Phases {
    std::vector<Ref> sinks;
    std::int64_t shared_bytes = 0;
};

/// Splits reductions of at least `kSplitSteps` steps whose scope has fewer than `kFewTrips` trips.
/// The chunks depend on the sizes alone, never on the number of threads, so that results do not
/// either.
Phases split_long_reductions(Form& form);

inline constexpr double kSplitSteps = 1 << 15;
inline constexpr double kFewTrips = 4;

}  // namespace sinter::codegen
