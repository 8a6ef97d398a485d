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

/// Chunks of a long reduction: each of at least `steps` steps, at most `most` of them.
struct ChunkLimits {
    std::int64_t steps = 1 << 13;
    std::int64_t most = 64;
};

/// Splits reductions of at least `kSplitSteps` steps whose scope has fewer than `kFewTrips` trips.
/// The chunks depend on the sizes and limits alone, never on the number of threads, so that results
/// do not either.
Phases split_long_reductions(Form& form, const ChunkLimits& limits);

/// The same for the range `cut` in chunks of `step`. Throws ValueError where no reduction of the
/// whole runs over it, or in order.
Phases split_reductions(Form& form, std::int64_t cut, std::int64_t step);

inline constexpr double kSplitSteps = 1 << 15;
inline constexpr double kFewTrips = 4;

}  // namespace sinter::codegen
