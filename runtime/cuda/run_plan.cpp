#include "cuda/run_plan.h"

#include <algorithm>
#include <array>
#include <chrono>

#include <sinter/ir/error.h>

#include "cuda/program.h"
#include "execute.h"
#include "report.h"

namespace sinter::runtime::cuda {
namespace {

constexpr std::int64_t kMostBlocks = 0x7fffffff;  // of a grid; teams take several trips beyond
constexpr std::size_t kRecordBytes = 64;          // {check id + 1, index}

std::int64_t trip_count(const codegen::Phase& phase, std::span<const std::int64_t> scalars) {
    if (phase.trips_slot < 0) return phase.trips;
    return (scalars[static_cast<std::size_t>(phase.trips_slot)] + phase.trips_step - 1) /
           phase.trips_step;
}

class Run {
public:
    Run(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
        std::span<const std::int64_t> binds)
        : plan_(plan), inputs_(inputs), binds_(binds), gpu_(Gpu::instance()) {
        allocate();
    }

    void launch_all(bool silently = false) {
        const bool timed = !silently && wants_launches();
        if (plan_.any_checks) gpu_.clear(record_->data(), kRecordBytes);
        for (const schedule::Launch& launch : plan_.schedule.launches) {
            const schedule::Kernel& kernel = plan_.schedule.kernels[launch.kernel];
            LaunchReport report{&kernel, &launch, true, 0, {}, {}, DeviceId::CUDA};
            if (timed) {
                gpu_.synchronize();
                report.begin = std::chrono::steady_clock::now();
            }
            report.trips = run_launch(launch);
            if (timed) {
                gpu_.synchronize();
                report.end = std::chrono::steady_clock::now();
                report_launch(report);
            }
            if (plan_.checks[launch.kernel]) throw_failed_check();
        }
    }

    std::vector<std::shared_ptr<Memory>> outputs() const {
        std::vector<std::shared_ptr<Memory>> result;
        for (const std::uint32_t block : plan_.schedule.outputs)
            result.push_back(memory_of_block(block));
        return result;
    }

private:
    // All that the run writes, so that memory that cannot be had is known before anything is
    // written. What is freed after the last launch may be given out again at once: its next user
    // comes later in the stream.
    void allocate() {
        const auto& blocks = plan_.schedule.blocks;
        const std::int64_t arena = (plan_.schedule.arena_bytes + 63) / 64 * 64;
        if (arena + plan_.shared_bytes > 0)
            arena_ = Memory::allocate(DeviceId::CUDA,
                                      static_cast<std::size_t>(arena + plan_.shared_bytes));
        if (plan_.any_checks) record_ = Memory::allocate(DeviceId::CUDA, kRecordBytes);
        std::byte* base = arena_ ? static_cast<std::byte*>(arena_->data()) : nullptr;
        shared_ = base == nullptr ? nullptr : base + arena;
        made_.resize(blocks.size());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const schedule::Block& block = blocks[i];
            switch (block.kind) {
                case schedule::Block::Kind::Input:
                    addresses_.push_back(inputs_[static_cast<std::size_t>(block.node)]->data());
                    break;
                case schedule::Block::Kind::Output:
                    made_[i] = block.reuses >= 0
                                   ? memory_of_block(static_cast<std::uint32_t>(block.reuses))
                                   : Memory::allocate(DeviceId::CUDA,
                                                      static_cast<std::size_t>(block.numel) *
                                                          size_of(block.dtype));
                    if (block.reuses >= 0) made_[i]->written_over();
                    addresses_.push_back(made_[i]->data());
                    break;
                case schedule::Block::Kind::Kept:
                    throw InternalError("a block that is kept between runs, on a GPU");
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

    // Gives the most trips that a phase has. Phases follow one another in the stream, which is the
    // barrier between them.
    std::int64_t run_launch(const schedule::Launch& launch) {
        const Program& program = *plan_.cuda_programs[launch.kernel];
        std::int64_t most = 0;
        for (const schedule::Segment& segment : launch.segments) {
            // The driver copies the operands; kernels have at least one of each kind.
            std::vector<void*> blocks;
            std::vector<std::int64_t> scalars;
            for (const std::uint32_t block : segment.blocks) blocks.push_back(addresses_[block]);
            for (const schedule::Scalar& scalar : segment.scalars)
                scalars.push_back(scalar.bind < 0 ? scalar.bits
                                                  : binds_[static_cast<std::size_t>(scalar.bind)]);
            if (blocks.empty()) blocks.push_back(nullptr);
            if (scalars.empty()) scalars.push_back(0);
            for (std::size_t p = 0; p < program.functions.size(); ++p) {
                const codegen::Phase& phase = program.code.phases[p];
                std::int64_t trips = trip_count(phase, scalars);
                most = std::max(most, trips);
                if (trips == 0) continue;
                void* shared = shared_;
                void* record = record_ ? record_->data() : nullptr;
                std::array<void*, 5> parameters = {static_cast<void*>(blocks.data()),
                                                   scalars.data(), static_cast<void*>(&shared),
                                                   static_cast<void*>(&record), &trips};
                const std::int64_t grid =
                    std::min((trips + phase.teams - 1) / phase.teams, kMostBlocks);
                gpu_.launch(
                    program.functions[p], phase.symbol,
                    {static_cast<unsigned>(grid), static_cast<unsigned>(phase.teams * phase.lanes),
                     static_cast<unsigned>(program.code.thread_bytes * phase.teams)},
                    parameters);
            }
        }
        return most;
    }

    void throw_failed_check() const {
        std::array<std::int64_t, 2> record{};
        gpu_.download(record.data(), record_->data(), sizeof record);
        if (record[0] == 0) return;
        throw failed_check(plan_.schedule, record[0] - 1, record[1]);
    }

    const Plan& plan_;
    std::span<const std::shared_ptr<Memory>> inputs_;
    std::span<const std::int64_t> binds_;
    Gpu& gpu_;
    std::shared_ptr<Memory> arena_, record_;
    std::byte* shared_ = nullptr;
    std::vector<std::shared_ptr<Memory>> made_;  // by block: outputs
    std::vector<void*> addresses_;               // by block
};

}  // namespace

std::vector<std::shared_ptr<Memory>> execute(const Plan& plan,
                                             std::span<const std::shared_ptr<Memory>> inputs,
                                             std::span<const std::int64_t> binds) {
    Run run(plan, inputs, binds);
    run.launch_all();
    count_launches(plan);
    return run.outputs();
}

double time_runs(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
                 std::span<const std::int64_t> binds, int repeats) {
    Run run(plan, inputs, binds);
    Gpu& gpu = Gpu::instance();
    gpu.synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) run.launch_all(true);
    gpu.synchronize();
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::nano>(end - begin).count();
}

}  // namespace sinter::runtime::cuda
