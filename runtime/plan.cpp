#include "plan.h"

#include <algorithm>
#include <utility>

#include <sinter/ir/env.h>
#include <sinter/ir/kernel.h>
#include <sinter/runtime/pins.h>
#include <sinter/runtime/target.h>

#include "cuda/program.h"
#include "trace.h"
#include "tune_plan.h"

namespace sinter::runtime {
namespace {

constexpr std::size_t kMaxPlans = 1024;
constexpr std::size_t kMaxKeyWords = std::size_t{8} << 20;  // 64 MiB of keys

bool has_check(ir::Ref sink) {
    const std::vector<ir::Ref> nodes = ir::toposort(std::span<const ir::Ref>(&sink, 1));
    return std::any_of(nodes.begin(), nodes.end(),
                       [](ir::Ref node) { return node->is(ir::Op::Check); });
}

// A part of a core's second-level cache, which holds what a kernel streams besides.
constexpr std::int64_t kNearPart = 4;

// Of products by tiles (codegen/tiles.cpp); and few, for tests of however small ones.
constexpr std::int64_t kPanelColumns = 64, kFewPanelColumns = 2;

bool packs_always() { return ir::env::number("PACK") == 2; }

std::int64_t panel_columns() {
    const codegen::Target& target = host_target();
    const bool tiles = target.tiles_of_bf16 && target.tiles_of_bytes;
    if (packs_always()) return kFewPanelColumns;
    return tiles && ir::env::number("DOTS") == 1 ? kPanelColumns : 0;
}

std::vector<bool> written(ir::Ref sink, std::size_t slots) {
    std::vector<bool> result(slots, false);
    for (ir::Ref store : sink->src())
        if (!ir::is_near(store->src(0)))
            result.at(static_cast<std::size_t>(store->src(0)->arg(0))) = true;
    return result;
}

std::shared_ptr<const Plan> make_plan(const schedule::Normalised& graph,
                                      const std::vector<bool>& may_overwrite, DeviceId device,
                                      const std::vector<bool>& steady) {
    auto plan = std::make_shared<Plan>();
    {
        const trace::Span span("schedule", "compile");
        const std::int64_t chain = ir::env::number("CHAIN");
        const bool near = device == DeviceId::CPU && chain != 0;
        plan->schedule = schedule::make_schedule(
            graph, {may_overwrite, near ? host_target().cache_bytes / kNearPart : 0, chain > 1,
                    steady, panel_columns(), packs_always()});
    }
    plan->graph = hash_bytes(
        {reinterpret_cast<const char*>(graph.key.data()), graph.key.size() * sizeof(std::int64_t)});

    std::vector<KernelRequest> requests;
    for (const schedule::Kernel& kernel : plan->schedule.kernels)
        requests.push_back({kernel.sink, kernel.name, pinned_schedule(kernel.name)});
    if (ir::env::number("BEAM") != 0) {
        std::vector<std::int64_t> binds;
        for (ir::Ref bind : graph.binds) binds.push_back(bind->arg(0));
        tune(*plan, requests, binds, device);
    }
    add_programs(*plan, requests, device, ProgramCache::instance());
    return plan;
}

}  // namespace

void add_programs(Plan& plan, std::span<const KernelRequest> requests, DeviceId device,
                  ProgramCache& programs) {
    for (const schedule::Kernel& kernel : plan.schedule.kernels)
        plan.checks.push_back(has_check(kernel.sink));
    plan.any_checks = std::find(plan.checks.begin(), plan.checks.end(), true) != plan.checks.end();
    if (device == DeviceId::CUDA) {
        plan.cuda_programs = cuda::ProgramCache::instance().load(requests);
        for (const auto& program : plan.cuda_programs)
            plan.shared_bytes = std::max(plan.shared_bytes, program->code.shared_bytes);
        return;  // which needs no tape: the stream is in order
    }
    plan.programs = programs.load(requests, host_target());
    for (const schedule::Launch& launch : plan.schedule.launches)
        plan.shared_bytes =
            std::max(plan.shared_bytes, shared_stride(*plan.programs[launch.kernel]) *
                                            static_cast<std::int64_t>(launch.segments.size()));
    plan.writes.resize(plan.schedule.kernels.size());
    for (const schedule::Launch& launch : plan.schedule.launches)
        if (!launch.segments.empty())
            plan.writes[launch.kernel] = written(plan.schedule.kernels[launch.kernel].sink,
                                                 launch.segments.front().blocks.size());
    plan.tape.append(plan, values_of_blocks(plan.schedule), 0);
    plan.tape.finish();
}

std::vector<std::uint32_t> values_of_blocks(const schedule::Schedule& schedule) {
    std::vector<std::uint32_t> values;
    values.reserve(schedule.blocks.size());
    for (const schedule::Block& block : schedule.blocks)
        values.push_back(block.reuses >= 0 ? static_cast<std::uint32_t>(block.reuses)
                                           : static_cast<std::uint32_t>(values.size()));
    return values;
}

std::size_t PlanCache::KeyHash::operator()(const std::vector<std::int64_t>& key) const {
    return hash_bytes(
               {reinterpret_cast<const char*>(key.data()), key.size() * sizeof(std::int64_t)})
        .low;
}

PlanCache& PlanCache::instance() {
    // Never destroyed: threads that outlive main may still realize.
    static PlanCache& cache = *new PlanCache;
    return cache;
}

std::shared_ptr<PlanCache::Entry> PlanCache::entry_of(const std::vector<std::int64_t>& key) {
    const std::lock_guard lock(mutex_);
    if (const auto found = slots_.find(key); found != slots_.end()) {
        order_.splice(order_.begin(), order_, found->second.place);
        return found->second.entry;
    }
    key_words_ += key.size();
    const auto made = slots_.emplace(key, Slot{std::make_shared<Entry>(), {}}).first;
    order_.push_front(&made->first);
    made->second.place = order_.begin();
    while (slots_.size() > 1 && (slots_.size() > kMaxPlans || key_words_ > kMaxKeyWords)) {
        key_words_ -= order_.back()->size();
        slots_.erase(slots_.find(*order_.back()));
        order_.pop_back();
    }
    return made->second.entry;
}

std::shared_ptr<const Plan> PlanCache::get(schedule::Normalised graph,
                                           const std::vector<bool>& may_overwrite, DeviceId device,
                                           const std::vector<bool>& steady) {
    std::vector<std::int64_t>& key = graph.key;
    const std::size_t graph_words = key.size();
    // What else the plan depends on.
    const auto push_bits = [&](const std::vector<bool>& list) {
        std::int64_t bits = 1;
        for (const bool bit : list) {
            bits = bits << 1 | (bit ? 1 : 0);
            if (bits >> 62 != 0) key.push_back(std::exchange(bits, 1));
        }
        key.push_back(bits);
    };
    push_bits(may_overwrite);
    push_bits(steady);
    key.push_back(ir::env::number("NOOPT"));
    key.push_back(ir::env::number("BLOCKS"));
    key.push_back(ir::env::number("WINOGRAD"));
    key.push_back(ir::env::number("STREAM"));
    key.push_back(ir::env::number("DOTS"));
    key.push_back(ir::env::number("CHAIN"));
    key.push_back(ir::env::number("PACK"));
    key.push_back(ir::env::number("SCHEDULE"));
    key.push_back(ir::env::number("BEAM"));
    key.push_back(pins_now());
    key.push_back(static_cast<std::int64_t>(device));
    for (const char letter : ir::env::text("SINTER_TARGET")) key.push_back(letter);

    const std::shared_ptr<Entry> entry = entry_of(key);
    const std::lock_guard making(entry->making);
    const bool hit = entry->plan != nullptr;
    if (!hit) {
        key.resize(graph_words);
        entry->plan = make_plan(graph, may_overwrite, device, steady);
    }
    const std::lock_guard lock(mutex_);
    ++(hit ? counts_.hits : counts_.misses);
    return entry->plan;
}

PlanCache::Counts PlanCache::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

void PlanCache::reset_counts() {
    const std::lock_guard lock(mutex_);
    counts_ = {};
}

void PlanCache::clear() {
    const std::lock_guard lock(mutex_);
    slots_.clear();
    order_.clear();
    key_words_ = 0;
}

}  // namespace sinter::runtime
