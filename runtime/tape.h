#pragma once
// The launches of one or more plans as a list of steps that one parallel region goes through.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sinter/runtime/program.h>
#include <sinter/runtime/shares.h>
#include <sinter/schedule/schedule.h>

namespace sinter::runtime {

struct LaunchReport;
struct Plan;

/// One thread's report of an index out of range, on a cache line of its own.
struct alignas(64) CheckRecord {
    std::int64_t id = 0;  ///< check id + 1
    std::int64_t index = 0;
};

/// Steps in order, with the barriers that their dependences ask for: a step waits only where it
/// touches memory that threads have written, or are reading while it writes, since the last
/// barrier. Small steps run on the first thread, one after the other without barriers. Immutable
/// once finished; any number of runs use it at a time, each with a Binding.
class Tape {
public:
    /// Memory of an operand: a value whose address the run gives, or a place in the run's scratch.
    static constexpr std::uint32_t kScratch = UINT32_MAX;

    /// Which launches of a plan.
    enum class Which : std::uint8_t { All, Steady, Others };
    static bool is_among(const schedule::Launch& launch, Which which) {
        return which == Which::All || launch.steady == (which == Which::Steady);
    }
    /// Adds launches of a plan. `values` says by block which value it is (equal numbers for
    /// equal memory; Temporary blocks are in the scratch); its binds are those from `first_bind`
    /// on.
    void append(const Plan& plan, std::span<const std::uint32_t> values, std::uint32_t first_bind,
                Which which = Which::All);
    /// Decides what runs in parallel, and places the barriers.
    void finish();

    /// Bytes of scratch that a run needs: temporaries and what kernels share between phases.
    std::int64_t scratch_bytes() const { return arena_bytes_ + shared_bytes_; }
    std::size_t launch_count() const { return launches_.size(); }
    /// Barriers in a run, for tests.
    std::size_t barrier_count() const;
    bool parallel() const { return parallel_; }

private:
    friend class Binding;
    struct Access {
        std::uint32_t value;
        std::int64_t begin, end;  // bytes
        bool writes;
    };
    struct Operand {
        std::uint32_t value;
        std::int64_t offset;
    };
    struct Part {  // of a step: one segment
        std::uint32_t pointers, scalars;
        std::int64_t shared;  // offset, or -1
    };
    struct Step {
        const LoadedPhase* phase;
        std::uint32_t launch, part, parts;
        std::uint32_t firsts;  // of each part among the trips of all, parts + 1 numbers
        bool parallel, barrier, checked;
        std::int32_t shares = -1;  // which of the loops whose trips threads take in chunks
    };
    struct LaunchEntry {
        const Plan* plan;
        const schedule::Launch* launch;
        std::uint32_t first_step, last_step;
        std::vector<Access> accesses;
    };
    void add_launch(const Plan& plan, const schedule::Launch& launch,
                    std::span<const std::uint32_t> values, std::uint32_t first_bind);
    void place_barriers();

    std::vector<Operand> operands_;
    std::vector<schedule::Scalar> scalars_;
    std::vector<Part> parts_;
    std::vector<Step> steps_;
    std::vector<std::int64_t> firsts_;  // where every size is known
    std::vector<LaunchEntry> launches_;
    std::int64_t arena_bytes_ = 0, shared_bytes_ = 0, thread_bytes_ = 0;
    std::int32_t shares_ = 0;
    bool parallel_ = false, checks_ = false;
    bool sizes_known_ = true;  // no trip count depends on a bind
};

/// The operands of one run of a Tape.
class Binding {
public:
    explicit Binding(const Tape& tape);

    /// Takes the addresses of the values, the bits of the binds and the scratch.
    void bind(std::span<void* const> values, std::span<const std::int64_t> binds,
              std::byte* scratch);
    /// Runs everything. Throws IndexError for an index out of range, before anything is written
    /// over.
    void run();
    /// The same without a word to DEBUG and PROFILE.
    void run_silently();

private:
    struct Extent {  // of a thread in a launch, for PROFILE
        int thread = 0;
        std::chrono::steady_clock::time_point begin, end;
    };
    class Timer;
    void trace_launch(const std::string& name, const LaunchReport& report);
    void run_steps(std::uint32_t first, std::uint32_t last);
    void run_timed();
    void share_range(const Tape::Step& step, int thread, int threads, void* scratch);
    void run_range(const Tape::Step& step, std::int64_t begin, std::int64_t end, int thread,
                   void* scratch);
    bool failed() const;
    [[noreturn]] void throw_failed_check(const Plan& plan) const;

    const Tape& tape_;
    std::vector<void*> pointers_;
    std::vector<std::int64_t> scalars_, own_firsts_;
    const std::int64_t* firsts_;
    std::byte* shared_ = nullptr;
    Shares shares_;
    std::vector<CheckRecord> checks_;  // by thread
    std::uint32_t failed_launch_ = 0;
    std::vector<Extent> extents_;  // by thread, while launches are timed
};

}  // namespace sinter::runtime
