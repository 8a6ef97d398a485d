#include "execute.h"

#include <chrono>
#include <mutex>

#include <sinter/ir/error.h>

#include "tape.h"

namespace sinter::runtime {
namespace {

constexpr std::size_t kMaxNames = 10000;

struct Counter {
    std::mutex mutex;
    LaunchCounts counts;
};
Counter& counter() {
    static Counter& all = *new Counter;
    return all;
}

}  // namespace

std::vector<std::shared_ptr<Memory>> execute(const Plan& plan,
                                             std::span<const std::shared_ptr<Memory>> inputs,
                                             std::span<const std::int64_t> binds) {
    const auto& blocks = plan.schedule.blocks;
    // All that the run writes, so that memory that cannot be had is known before anything is
    // written.
    std::shared_ptr<Memory> scratch;
    if (plan.tape.scratch_bytes() > 0)
        scratch =
            Memory::allocate(DeviceId::CPU, static_cast<std::size_t>(plan.tape.scratch_bytes()));
    std::vector<std::shared_ptr<Memory>> made(blocks.size());  // by block: outputs
    const auto memory_of_block = [&](std::size_t b) -> const std::shared_ptr<Memory>& {
        if (blocks[b].kind == schedule::Block::Kind::Input)
            return inputs[static_cast<std::size_t>(blocks[b].node)];
        if (!made[b])
            throw InternalError("a schedule gives out block " + std::to_string(b) +
                                ", which ends with the run");
        return made[b];
    };
    std::vector<void*> addresses(blocks.size(), nullptr);
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        const schedule::Block& block = blocks[b];
        if (block.kind == schedule::Block::Kind::Temporary) continue;
        if (block.kind == schedule::Block::Kind::Output)
            made[b] = block.reuses >= 0
                          ? memory_of_block(static_cast<std::size_t>(block.reuses))
                          : Memory::allocate(DeviceId::CPU, static_cast<std::size_t>(block.numel) *
                                                                size_of(block.dtype));
        if (block.reuses >= 0) made[b]->written_over();
        addresses[b] = memory_of_block(b)->data();
    }
    Binding run(plan.tape);
    run.bind(addresses, binds, scratch ? static_cast<std::byte*>(scratch->data()) : nullptr);
    run.run();
    count_launches(plan);
    std::vector<std::shared_ptr<Memory>> outputs;
    outputs.reserve(plan.schedule.outputs.size());
    for (const std::uint32_t block : plan.schedule.outputs)
        outputs.push_back(memory_of_block(block));
    return outputs;
}

double time_runs(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
                 std::span<const std::int64_t> binds, int repeats) {
    const auto bytes = static_cast<std::size_t>(plan.tape.scratch_bytes());
    const std::shared_ptr<Memory> scratch =
        bytes > 0 ? Memory::allocate(DeviceId::CPU, bytes) : nullptr;
    std::vector<void*> addresses;
    for (const std::shared_ptr<Memory>& input : inputs) addresses.push_back(input->data());
    Binding run(plan.tape);
    run.bind(addresses, binds, scratch ? static_cast<std::byte*>(scratch->data()) : nullptr);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) run.run_silently();
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::nano>(end - begin).count();
}

void count_launches(const Plan& plan, Tape::Which which) {
    Counter& all = counter();
    const std::lock_guard lock(all.mutex);
    for (const schedule::Launch& launch : plan.schedule.launches) {
        if (!Tape::is_among(launch, which)) continue;
        ++all.counts.launches;
        if (all.counts.names.size() < kMaxNames)
            all.counts.names.push_back(plan.schedule.kernels[launch.kernel].name);
    }
}

IndexError failed_check(const schedule::Schedule& schedule, std::int64_t check,
                        std::int64_t index) {
    const schedule::CheckSite& site = schedule.checks.at(static_cast<std::size_t>(check));
    return IndexError(site.what + ": index " + std::to_string(index) +
                      " is out of range for size " + std::to_string(site.bound) +
                      "; indices are from 0 to " + std::to_string(site.bound - 1));
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
