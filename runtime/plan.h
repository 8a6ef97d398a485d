#pragma once
// Schedules with their programs, kept by the structure of the graph.

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include <sinter/runtime/program.h>
#include <sinter/runtime/realize.h>
#include <sinter/schedule/schedule.h>

#include "tape.h"

namespace sinter::runtime {

namespace cuda {
struct Program;
}

/// All that a run needs beside its operands. Immutable; any number of runs use it at a time.
struct Plan {
    schedule::Schedule schedule;
    std::vector<std::shared_ptr<const LoadedProgram>> programs;       ///< by kernel, on the CPU
    std::vector<std::shared_ptr<const cuda::Program>> cuda_programs;  ///< by kernel, on the GPU
    std::vector<bool> checks;               ///< by kernel: has indices that may be out of range
    std::vector<std::vector<bool>> writes;  ///< by kernel and slot: is written
    std::int64_t shared_bytes =
        0;  ///< scratch of the launch that needs most, all segments together
    bool any_checks = false;
    /// Of this plan alone: values are its blocks, those written in place one with what they
    /// replace.
    Tape tape;
    Hash128 graph{};  ///< of the graph's key, without what was assumed of its inputs
};

/// The value that each block is, if the inputs are told apart.
std::vector<std::uint32_t> values_of_blocks(const schedule::Schedule& schedule);

/// Loads the programs of the plan's kernels, those of the CPU from `programs`, and finishes the
/// plan.
void add_programs(Plan& plan, std::span<const KernelRequest> requests, DeviceId device,
                  ProgramCache& programs);

/// Bytes of shared scratch between the segments of a launch: whole cache lines.
inline std::int64_t shared_stride(const LoadedProgram& program) {
    return (program.shared_bytes + 63) / 64 * 64;
}

/// Any thread may call; a plan that two threads want is made once. The least lately used go first.
class PlanCache {
public:
    /// The cache of this process.
    static PlanCache& instance();

    /// The plan of a graph on a device, CPU or CUDA; `steady` is that of schedule::Assumptions.
    /// Throws what scheduling and compiling throw.
    std::shared_ptr<const Plan> get(schedule::Normalised graph,
                                    const std::vector<bool>& may_overwrite, DeviceId device,
                                    const std::vector<bool>& steady = {});
    struct Counts {
        std::uint64_t hits = 0, misses = 0;
    };
    Counts counts() const;
    void reset_counts();
    void clear();

private:
    struct KeyHash {
        std::size_t operator()(const std::vector<std::int64_t>& key) const;
    };
    struct Entry {
        std::mutex making;
        std::shared_ptr<const Plan> plan;
    };
    using Order = std::list<const std::vector<std::int64_t>*>;
    struct Slot {
        std::shared_ptr<Entry> entry;
        Order::iterator place;
    };
    std::shared_ptr<Entry> entry_of(const std::vector<std::int64_t>& key);

    mutable std::mutex mutex_;
    std::unordered_map<std::vector<std::int64_t>, Slot, KeyHash> slots_;
    Order order_;  // most lately used first
    std::size_t key_words_ = 0;
    Counts counts_;
};

}  // namespace sinter::runtime
