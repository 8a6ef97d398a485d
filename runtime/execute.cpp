#include "execute.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include <sinter/ir/error.h>
#include <sinter/runtime/pool.h>

#include "report.h"

namespace sinter::runtime {
namespace {

// Work, in estimated nanoseconds, that is worth a second thread.
constexpr double kParallelWork = 5000;
constexpr std::size_t kMaxNames = 10000;

// One thread's report of an index out of range, on a cache line of its own.
struct alignas(64) CheckRecord {
    std::int64_t id = 0;  // check id + 1
    std::int64_t index = 0;
};

struct Counter {
    std::mutex mutex;
    LaunchCounts counts;
};
Counter& counter() {
    static Counter& all = *new Counter;
    return all;
}

class Run {
public:
    Run(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
        std::span<const std::int64_t> binds)
        : plan_(plan), inputs_(inputs), binds_(binds), checks_(plan.any_checks ? threads() : 1) {
        allocate();
    }

    void launch_all() {
        const bool timed = wants_launches();
        for (const schedule::Launch& launch : plan_.schedule.launches) {
            const schedule::Kernel& kernel = plan_.schedule.kernels[launch.kernel];
            LaunchReport report{&kernel, launch.segments.size(), false, 0, {}, {}};
            if (timed) report.begin = std::chrono::steady_clock::now();
            run_launch(launch, report);
            if (timed) {
                report.end = std::chrono::steady_clock::now();
                report_launch(report);
            }
            if (plan_.checks[launch.kernel]) throw_failed_check();
        }
        count();
    }

    std::vector<std::shared_ptr<Memory>> outputs() const {
        std::vector<std::shared_ptr<Memory>> result;
        for (const std::uint32_t block : plan_.schedule.outputs)
            result.push_back(memory_of_block(block));
        return result;
    }

private:
    static std::size_t threads() {
        return static_cast<std::size_t>(ThreadPool::instance().threads());
    }

    // All that the run writes, so that memory that cannot be had is known before anything is
    // written.
    void allocate() {
        const auto& blocks = plan_.schedule.blocks;
        const std::int64_t arena = (plan_.schedule.arena_bytes + 63) / 64 * 64;
        if (arena + plan_.shared_bytes > 0)
            arena_ = Memory::allocate(DeviceId::CPU,
                                      static_cast<std::size_t>(arena + plan_.shared_bytes));
        std::byte* base = arena_ ? static_cast<std::byte*>(arena_->data()) : nullptr;
        shared_ = base == nullptr ? nullptr : base + arena;
        made_.resize(blocks.size());
        addresses_.reserve(blocks.size());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const schedule::Block& block = blocks[i];
            switch (block.kind) {
                case schedule::Block::Kind::Input:
                    addresses_.push_back(inputs_[static_cast<std::size_t>(block.node)]->data());
                    break;
                case schedule::Block::Kind::Output:
                    made_[i] = block.reuses >= 0
                                   ? memory_of_block(static_cast<std::uint32_t>(block.reuses))
                                   : Memory::allocate(DeviceId::CPU,
                                                      static_cast<std::size_t>(block.numel) *
                                                          size_of(block.dtype));
                    addresses_.push_back(made_[i]->data());
                    break;
                case schedule::Block::Kind::Temporary:
                    addresses_.push_back(base + block.offset);
                    break;
            }
        }
    }

    const std::shared_ptr<Memory>& memory_of_block(std::uint32_t i) const {
        const schedule::Block& block = plan_.schedule.blocks[i];
        if (block.kind == schedule::Block::Kind::Input)
            return inputs_[static_cast<std::size_t>(block.node)];
        if (!made_[i])
            throw InternalError("a schedule gives out block " + std::to_string(i) +
                                ", which ends with the run");
        return made_[i];
    }

    // Operands of a launch: by segment, blocks and scalars one after the other.
    void bind_operands(const schedule::Launch& launch) {
        pointers_.clear();
        scalars_.clear();
        for (const schedule::Segment& segment : launch.segments) {
            for (const std::uint32_t block : segment.blocks) pointers_.push_back(addresses_[block]);
            for (const schedule::Scalar& scalar : segment.scalars)
                scalars_.push_back(scalar.bind < 0 ? scalar.bits
                                                   : binds_[static_cast<std::size_t>(scalar.bind)]);
        }
    }

    void run_launch(const schedule::Launch& launch, LaunchReport& report) {
        const LoadedProgram& program = *plan_.programs[launch.kernel];
        bind_operands(launch);
        // Segments of one launch are of one kernel: their operands are equally many.
        const std::size_t segments = launch.segments.size();
        const std::size_t block_count = segments == 0 ? 0 : launch.segments[0].blocks.size();
        const std::size_t scalar_count = segments == 0 ? 0 : launch.segments[0].scalars.size();
        const std::int64_t stride = shared_stride(program);
        const auto call = [&](const LoadedPhase& phase, std::size_t segment, std::int64_t begin,
                              std::int64_t end, int thread) {
            void* scratch = program.thread_bytes > 0
                                ? thread_scratch(static_cast<std::size_t>(program.thread_bytes))
                                : nullptr;
            CheckRecord& check =
                checks_[std::min(static_cast<std::size_t>(thread), checks_.size() - 1)];
            void* shared =
                stride == 0 ? nullptr : shared_ + stride * static_cast<std::int64_t>(segment);
            phase.run(pointers_.data() + segment * block_count,
                      scalars_.data() + segment * scalar_count, shared, scratch, &check.id, begin,
                      end);
        };
        for (const LoadedPhase& phase : program.phases) {
            firsts_.assign(1, 0);  // of each segment, among the trips of all
            for (std::size_t s = 0; s < segments; ++s)
                firsts_.push_back(firsts_.back() +
                                  phase.trip_count(scalars_.data() + s * scalar_count));
            const std::int64_t trips = firsts_.back();
            const auto body = [&](std::int64_t begin, std::int64_t end, int thread) {
                auto segment = static_cast<std::size_t>(
                    std::upper_bound(firsts_.begin(), firsts_.end(), begin) - firsts_.begin() - 1);
                for (; begin < end; ++segment) {
                    const std::int64_t stop = std::min(end, firsts_[segment + 1]);
                    if (begin < stop)
                        call(phase, segment, begin - firsts_[segment], stop - firsts_[segment],
                             thread);
                    begin = std::max(begin, stop);
                }
            };
            const bool parallel =
                trips > 1 && phase.trip_cost * static_cast<double>(trips) > kParallelWork;
            if (parallel)
                ThreadPool::instance().parallel_for(trips, body);
            else if (trips > 0)
                body(0, trips, 0);
            report.trips = std::max(report.trips, trips);
            report.parallel = report.parallel || parallel;
        }
    }

    // The first thread's failure is the one named: threads take pieces in order, so it is the first
    // of them all.
    void throw_failed_check() const {
        for (const CheckRecord& record : checks_) {
            if (record.id == 0) continue;
            const schedule::CheckSite& site =
                plan_.schedule.checks.at(static_cast<std::size_t>(record.id - 1));
            throw IndexError(site.what + ": index " + std::to_string(record.index) +
                             " is out of range for size " + std::to_string(site.bound) +
                             "; indices are from 0 to " + std::to_string(site.bound - 1));
        }
    }

    void count() const {
        Counter& all = counter();
        const std::lock_guard lock(all.mutex);
        all.counts.launches += plan_.schedule.launches.size();
        for (const schedule::Launch& launch : plan_.schedule.launches) {
            if (all.counts.names.size() >= kMaxNames) break;
            all.counts.names.push_back(plan_.schedule.kernels[launch.kernel].name);
        }
    }

    const Plan& plan_;
    std::span<const std::shared_ptr<Memory>> inputs_;
    std::span<const std::int64_t> binds_;
    std::shared_ptr<Memory> arena_;
    std::byte* shared_ = nullptr;
    std::vector<std::shared_ptr<Memory>> made_;  // by block: outputs
    std::vector<void*> addresses_;               // by block
    std::vector<void*> pointers_;
    std::vector<std::int64_t> scalars_, firsts_;
    std::vector<CheckRecord> checks_;  // by thread
};

}  // namespace

std::vector<std::shared_ptr<Memory>> execute(const Plan& plan,
                                             std::span<const std::shared_ptr<Memory>> inputs,
                                             std::span<const std::int64_t> binds) {
    Run run(plan, inputs, binds);
    run.launch_all();
    return run.outputs();
}

LaunchCounts launch_counts() {
    const std::lock_guard lock(counter().mutex);
    return counter().counts;
}

void reset_launch_counts() {
    const std::lock_guard lock(counter().mutex);
    counter().counts = {};
}

}  // namespace sinter::runtime
