#pragma once
// Running a plan.

#include <memory>
#include <span>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>

#include "plan.h"

namespace sinter::runtime {

/// Runs the plan over the memory of its inputs and the bits of its binds. Returns the memory of
/// each root; an input's own where the root is a view of it. Throws IndexError naming op, index and
/// bound; OutOfMemoryError before anything is run.
std::vector<std::shared_ptr<Memory>> execute(const Plan& plan,
                                             std::span<const std::shared_ptr<Memory>> inputs,
                                             std::span<const std::int64_t> binds);

/// Nanoseconds of so many runs, one after the other, of a plan of which all blocks are inputs. It
/// is neither counted nor reported. Throws IndexError.
double time_runs(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
                 std::span<const std::int64_t> binds, int repeats);

/// What a failed Check of the schedule says.
IndexError failed_check(const schedule::Schedule& schedule, std::int64_t check, std::int64_t index);

/// Counts those launches of the plan.
void count_launches(const Plan& plan, Tape::Which which = Tape::Which::All);
/// Counts of launches, for stats().
struct LaunchCounts {
    std::uint64_t launches = 0;
    std::vector<std::string> names;
};
LaunchCounts launch_counts();
void reset_launch_counts();

}  // namespace sinter::runtime
