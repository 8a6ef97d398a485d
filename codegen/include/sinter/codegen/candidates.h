#pragma once
// The schedules that are worth measuring for a kernel.

#include <cstddef>
#include <memory>
#include <vector>

#include <sinter/codegen/codegen.h>

namespace sinter::codegen {

/// Gives schedules of one kernel for one target. Each is legal, as lower() does it again, and makes
/// code that none before it made. The same for the same kernel and target, always.
class Candidates {
public:
    Candidates(ir::Ref sink, const Target& target);
    ~Candidates();
    Candidates(const Candidates&) = delete;
    Candidates& operator=(const Candidates&) = delete;

    /// At most n of those that the cost model weighs, its choice first: cuts of the kernel, plans
    /// of its parts.
    std::vector<Schedule> best(std::size_t n);
    /// At most n of those that differ from one of them by a step.
    std::vector<Schedule> near(const Schedule& schedule, std::size_t n);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sinter::codegen
