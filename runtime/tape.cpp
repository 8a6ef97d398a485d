#include "tape.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <unordered_map>

#include <sinter/ir/error.h>
#include <sinter/runtime/pool.h>

#include "execute.h"
#include "plan.h"
#include "report.h"
#include "trace.h"

namespace sinter::runtime {
namespace {

// Work, in estimated nanoseconds, that is worth sharing: within a region it costs barriers, and a
// region costs waking the other threads.
constexpr double kSharedStep = 2500, kRegion = 5000;
// What a chunk of trips has to last at least, and a step so that its trips are taken in chunks.
constexpr double kChunk = 2000, kChunkedStep = 20000;
// Accesses to compare with before a barrier is the cheaper way out.
constexpr std::size_t kMostAccesses = 256;

std::int64_t round_up(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

// --- making

void Tape::append(const Plan& plan, std::span<const std::uint32_t> values, std::uint32_t first_bind,
                  Which which) {
    arena_bytes_ = std::max(arena_bytes_, round_up(plan.schedule.arena_bytes));
    shared_bytes_ = std::max(shared_bytes_, plan.shared_bytes);
    checks_ = checks_ || plan.any_checks;
    for (const schedule::Launch& launch : plan.schedule.launches)
        if (is_among(launch, which)) add_launch(plan, launch, values, first_bind);
}

void Tape::add_launch(const Plan& plan, const schedule::Launch& launch,
                      std::span<const std::uint32_t> values, std::uint32_t first_bind) {
    const LoadedProgram& program = *plan.programs[launch.kernel];
    thread_bytes_ = std::max(thread_bytes_, program.thread_bytes);
    LaunchEntry entry{&plan, &launch, static_cast<std::uint32_t>(steps_.size()), 0, {}};
    const std::vector<bool>& writes = plan.writes[launch.kernel];
    const std::int64_t stride = shared_stride(program);

    std::vector<Part> parts;
    for (const schedule::Segment& segment : launch.segments) {
        parts.push_back({static_cast<std::uint32_t>(operands_.size()),
                         static_cast<std::uint32_t>(scalars_.size()),
                         stride == 0 ? -1 : stride * static_cast<std::int64_t>(parts.size())});
        for (std::size_t slot = 0; slot < segment.blocks.size(); ++slot) {
            const std::uint32_t b = segment.blocks[slot];
            const schedule::Block& block = plan.schedule.blocks[b];
            const bool temporary = block.kind == schedule::Block::Kind::Temporary;
            const Operand operand{temporary ? kScratch : values[b], temporary ? block.offset : 0};
            operands_.push_back(operand);
            const std::int64_t bytes =
                block.numel * static_cast<std::int64_t>(size_of(block.dtype));
            entry.accesses.push_back(
                {operand.value, operand.offset, operand.offset + bytes, writes[slot]});
        }
        for (schedule::Scalar scalar : segment.scalars) {
            if (scalar.bind >= 0) scalar.bind += static_cast<std::int32_t>(first_bind);
            scalars_.push_back(scalar);
        }
    }
    for (const LoadedPhase& phase : program.phases) {
        Step step{&phase,
                  static_cast<std::uint32_t>(launches_.size()),
                  static_cast<std::uint32_t>(parts_.size()),
                  static_cast<std::uint32_t>(parts.size()),
                  static_cast<std::uint32_t>(firsts_.size()),
                  false,
                  false,
                  plan.checks[launch.kernel] && &phase == &program.phases.back()};
        std::int64_t trips = 0;
        for (const Part& part : parts) {
            firsts_.push_back(trips);
            std::int64_t count = phase.trips;
            if (phase.trips_slot >= 0) {
                const schedule::Scalar& size =
                    scalars_[part.scalars + static_cast<std::uint32_t>(phase.trips_slot)];
                if (size.bind >= 0) sizes_known_ = false;
                count = (size.bits + phase.trips_step - 1) / phase.trips_step;
            }
            trips += count;
        }
        firsts_.push_back(trips);
        step.parallel = trips > 1 && phase.trip_cost * static_cast<double>(trips) > kSharedStep;
        steps_.push_back(step);
    }
    parts_.insert(parts_.end(), parts.begin(), parts.end());
    entry.last_step = static_cast<std::uint32_t>(steps_.size());
    launches_.push_back(std::move(entry));
}

void Tape::finish() {
    double work = 0;
    for (const Step& step : steps_)
        if (step.parallel)
            work += step.phase->trip_cost * static_cast<double>(firsts_[step.firsts + step.parts]);
    // Sizes that are told at launch alone may be large.
    parallel_ = work > kRegion || !sizes_known_;
    if (!sizes_known_)
        for (Step& step : steps_) step.parallel = true;
    if (!parallel_)
        for (Step& step : steps_) step.parallel = false;
    if (parallel_) place_barriers();
    for (LaunchEntry& launch : launches_) launch.accesses = {};
    for (Step& step : steps_) {
        const std::int64_t trips = firsts_[step.firsts + step.parts];
        const bool chunked =
            step.parallel && sizes_known_ && trips <= Shares::kMostTrips &&
            step.phase->trip_cost * static_cast<double>(trips) > kChunkedStep &&
            // Of indices out of range the first is named.
            !launches_[step.launch].plan->checks[launches_[step.launch].launch->kernel];
        if (chunked) step.shares = shares_++;
    }
}

void Tape::place_barriers() {
    struct Seen {
        std::int64_t begin, end;
        bool writes, parallel;
    };
    std::unordered_map<std::uint32_t, std::vector<Seen>> seen;  // by value, since the last barrier
    std::size_t count = 0;
    for (const LaunchEntry& launch : launches_) {
        for (std::uint32_t s = launch.first_step; s < launch.last_step; ++s) {
            Step& step = steps_[s];
            // Phases of a kernel depend on one another. The first thread alone keeps its own order.
            const auto conflicts = [&](const Access& a) {
                const auto found = seen.find(a.value);
                return found != seen.end() &&
                       std::ranges::any_of(found->second, [&](const Seen& other) {
                           return (other.parallel || step.parallel) && (other.writes || a.writes) &&
                                  other.begin < a.end && a.begin < other.end;
                       });
            };
            const bool after_phase =
                s > launch.first_step && (step.parallel || steps_[s - 1].parallel);
            // What kernels share between their phases is one place for all of them.
            const LoadedProgram& program = *launch.plan->programs[launch.launch->kernel];
            const Access scratch{kScratch, arena_bytes_, arena_bytes_ + shared_bytes_,
                                 program.shared_bytes > 0};
            step.barrier = s != 0 && (after_phase || count > kMostAccesses ||
                                      std::ranges::any_of(launch.accesses, conflicts) ||
                                      (scratch.writes && conflicts(scratch)));
            if (step.barrier) {
                seen.clear();
                count = 0;
            }
            const auto remember = [&](const Access& a) {
                std::vector<Seen>& list = seen[a.value];
                const Seen now{a.begin, a.end, a.writes, step.parallel};
                const auto same = [&](const Seen& other) {
                    return other.begin == now.begin && other.end == now.end &&
                           other.writes == now.writes && other.parallel == now.parallel;
                };
                if (std::ranges::any_of(list, same)) return;
                list.push_back(now);
                ++count;
            };
            for (const Access& a : launch.accesses) remember(a);
            if (scratch.writes) remember(scratch);
            if (step.checked) {  // every thread stops there
                seen.clear();
                count = 0;
            }
        }
    }
}

std::size_t Tape::barrier_count() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(steps_, [](const Step& step) { return step.barrier; }));
}

// --- running

Binding::Binding(const Tape& tape)
    : tape_(tape),
      pointers_(tape.operands_.size()),
      scalars_(tape.scalars_.size()),
      firsts_(tape.firsts_.data()) {
    if (tape.checks_)
        checks_.resize(tape.parallel_ ? static_cast<std::size_t>(ThreadPool::instance().threads())
                                      : 1);
    else
        checks_.resize(1);
    if (tape.shares_ > 0)
        shares_ = Shares(static_cast<std::size_t>(tape.shares_), ThreadPool::instance().threads());
}

void Binding::bind(std::span<void* const> values, std::span<const std::int64_t> binds,
                   std::byte* scratch) {
    const std::size_t count = pointers_.size();
    for (std::size_t i = 0; i < count; ++i) {
        const Tape::Operand& operand = tape_.operands_[i];
        pointers_[i] = operand.value == Tape::kScratch
                           ? static_cast<void*>(scratch + operand.offset)
                           : values[operand.value];
    }
    for (std::size_t i = 0; i < scalars_.size(); ++i) {
        const schedule::Scalar& scalar = tape_.scalars_[i];
        scalars_[i] = scalar.bind < 0 ? scalar.bits : binds[static_cast<std::size_t>(scalar.bind)];
    }
    shared_ = scratch == nullptr ? nullptr : scratch + tape_.arena_bytes_;
    if (!tape_.sizes_known_) {
        own_firsts_ = tape_.firsts_;
        for (const Tape::Step& step : tape_.steps_) {
            std::int64_t trips = 0;
            for (std::uint32_t p = 0; p < step.parts; ++p) {
                own_firsts_[step.firsts + p] = trips;
                trips +=
                    step.phase->trip_count(scalars_.data() + tape_.parts_[step.part + p].scalars);
            }
            own_firsts_[step.firsts + step.parts] = trips;
        }
        firsts_ = own_firsts_.data();
    }
    for (CheckRecord& record : checks_) record = {};
}

void Binding::run_range(const Tape::Step& step, std::int64_t begin, std::int64_t end, int thread,
                        void* scratch) {
    if (begin >= end) return;
    CheckRecord& check = checks_[std::min(static_cast<std::size_t>(thread), checks_.size() - 1)];
    const std::int64_t* firsts = firsts_ + step.firsts;
    auto at = static_cast<std::uint32_t>(
        step.parts == 1 ? 0
                        : std::upper_bound(firsts, firsts + step.parts + 1, begin) - firsts - 1);
    for (; begin < end; ++at) {
        const std::int64_t stop = std::min(end, firsts[at + 1]);
        if (begin >= stop) continue;
        const Tape::Part& part = tape_.parts_[step.part + at];
        step.phase->run(pointers_.data() + part.pointers, scalars_.data() + part.scalars,
                        part.shared < 0 ? nullptr : shared_ + part.shared, scratch, &check.id,
                        begin - firsts[at], stop - firsts[at]);
        begin = stop;
    }
}

// A thread's part of a step.
void Binding::share_range(const Tape::Step& step, int thread, int threads, void* scratch) {
    if (step.shares < 0) {
        const std::int64_t trips = firsts_[step.firsts + step.parts];
        run_range(step, ThreadPool::piece(trips, thread, threads),
                  ThreadPool::piece(trips, thread + 1, threads), thread, scratch);
        return;
    }
    const std::int64_t least = 1 + static_cast<std::int64_t>(kChunk / step.phase->trip_cost);
    for (;;) {
        const Shares::Chunk chunk =
            shares_.take(static_cast<std::size_t>(step.shares), thread, least);
        if (chunk.empty()) return;
        run_range(step, chunk.begin, chunk.end, thread, scratch);
    }
}

bool Binding::failed() const {
    return std::ranges::any_of(checks_, [](const CheckRecord& record) { return record.id != 0; });
}

// Notes when a thread begins and ends.
class Binding::Timer {
public:
    explicit Timer(Extent* extent) : extent_(extent) {
        if (extent_ == nullptr) return;
        extent_->thread = trace::thread_number();
        extent_->begin = trace::Clock::now();
    }
    ~Timer() {
        if (extent_ != nullptr) extent_->end = trace::Clock::now();
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

private:
    Extent* extent_;
};

void Binding::run_steps(std::uint32_t first, std::uint32_t last) {
    std::atomic<bool> no_memory{false};
    std::exception_ptr failure;  // of the first thread that has no scratch
    const auto go = [&](int thread, auto& team) {
        const Timer timer(extents_.empty() ? nullptr : &extents_[static_cast<std::size_t>(thread)]);
        void* scratch = nullptr;
        if (tape_.thread_bytes_ > 0) {
            // Before anything is written, so that all threads stop where one has no memory.
            try {
                scratch = thread_scratch(static_cast<std::size_t>(tape_.thread_bytes_));
            } catch (...) {
                if (!no_memory.exchange(true)) failure = std::current_exception();
            }
            team.barrier();
            if (no_memory.load()) return;
        }
        for (std::uint32_t s = first; s < last; ++s) {
            const Tape::Step& step = tape_.steps_[s];
            if (step.barrier && s != first) team.barrier();
            if (step.parallel && team.size() > 1)
                share_range(step, thread, team.size(), scratch);
            else if (thread == 0)
                run_range(step, 0, firsts_[step.firsts + step.parts], 0, scratch);
            if (step.checked) {
                team.barrier();
                const bool stop = failed();
                team.barrier();  // nobody records more before all have looked
                if (stop) {
                    if (thread == 0) failed_launch_ = step.launch + 1;
                    return;
                }
            }
        }
    };
    struct Alone {
        static int size() { return 1; }
        static void barrier() {}
    };
    const bool parallel =
        tape_.parallel_ && std::any_of(tape_.steps_.begin() + first, tape_.steps_.begin() + last,
                                       [](const Tape::Step& step) { return step.parallel; });
    if (parallel) {
        for (std::uint32_t s = first; s < last; ++s)
            if (const Tape::Step& step = tape_.steps_[s]; step.shares >= 0)
                shares_.reset(static_cast<std::size_t>(step.shares),
                              firsts_[step.firsts + step.parts]);
        ThreadPool::instance().region(
            [&](int thread, ThreadPool::Team& team) { go(thread, team); });
    } else {
        Alone alone;
        go(0, alone);
    }
    if (failure) std::rethrow_exception(failure);
}

void Binding::run() {
    if (!wants_launches()) {
        run_silently();
        return;
    }
    failed_launch_ = 0;
    run_timed();
    if (failed_launch_ != 0) throw_failed_check(*tape_.launches_[failed_launch_ - 1].plan);
}

void Binding::run_silently() {
    failed_launch_ = 0;
    run_steps(0, static_cast<std::uint32_t>(tape_.steps_.size()));
    if (failed_launch_ != 0) throw_failed_check(*tape_.launches_[failed_launch_ - 1].plan);
}

void Binding::trace_launch(const std::string& name, const LaunchReport& report) {
    if (!trace::enabled()) return;
    const std::string args = "\"flops\":" + std::to_string(report.launch->flops) +
                             ",\"bytes\":" + std::to_string(report.launch->bytes) +
                             ",\"trips\":" + std::to_string(report.trips) +
                             ",\"segments\":" + std::to_string(report.launch->segments.size());
    for (const Extent& extent : extents_)
        if (extent.thread != 0)
            trace::write(name, "kernel", extent.thread, extent.begin, extent.end, args);
}

// Launch by launch, for DEBUG and PROFILE.
void Binding::run_timed() {
    const trace::Span all("run", "run");
    extents_.resize(static_cast<std::size_t>(ThreadPool::instance().threads()));
    for (const Tape::LaunchEntry& launch : tape_.launches_) {
        const schedule::Kernel& kernel = launch.plan->schedule.kernels[launch.launch->kernel];
        LaunchReport report{&kernel, launch.launch, false, 0, {}, {}};
        for (std::uint32_t s = launch.first_step; s < launch.last_step; ++s) {
            const Tape::Step& step = tape_.steps_[s];
            report.trips = std::max(report.trips, firsts_[step.firsts + step.parts]);
            report.parallel = report.parallel || step.parallel;
        }
        std::ranges::fill(extents_, Extent{});
        report.begin = std::chrono::steady_clock::now();
        run_steps(launch.first_step, launch.last_step);
        report.end = std::chrono::steady_clock::now();
        trace_launch(kernel.name, report);
        report_launch(report);
        if (failed_launch_ != 0) return;
    }
}

// The first thread's failure is the one named: threads take pieces in order, so it is the first of
// them all.
void Binding::throw_failed_check(const Plan& plan) const {
    for (const CheckRecord& record : checks_) {
        if (record.id == 0) continue;
        throw failed_check(plan.schedule, record.id - 1, record.index);
    }
    throw InternalError("an index out of range left no record");
}

}  // namespace sinter::runtime
