#include <sinter/runtime/realize.h>

#include <algorithm>
#include <map>
#include <utility>

#include <sinter/ir/error.h>
#include <sinter/ir/ref_map.h>
#include <sinter/runtime/allocator.h>
#include <sinter/runtime/capture.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/schedule/schedule.h>

#include "cuda/program.h"
#include "cuda/run_plan.h"
#include "execute.h"
#include "plan.h"
#include "scan.h"

namespace sinter::runtime {
namespace {

void attach_buffer(ir::Ref node, std::shared_ptr<Memory> memory) {
    node->attach(
        std::make_unique<Realized>(make_buffer(node->dtype(), node->shape(), std::move(memory))));
}

// Roots that have yet to be computed, each once.
std::vector<Root> unfinished(std::span<const ir::UOp> roots,
                             std::span<const std::uint32_t> replaced) {
    std::vector<Root> result;
    result.reserve(roots.size());
    ir::RefMap<std::size_t> places(roots.size());
    for (std::size_t i = 0; i < roots.size(); ++i) {
        ir::Ref node = roots[i].get();
        if (in_memory(node)) continue;
        if (!places.contains(node)) {
            places[node] = result.size();
            // Handles elsewhere are counted once, since two roots may tell of the same one.
            result.push_back({node, replaced.empty() ? 0 : replaced[i]});
        }
        if (!replaced.empty()) ++result[places[node]].released;
    }
    return result;
}

std::vector<ir::Ref> nodes_of(std::span<const Root> roots) {
    std::vector<ir::Ref> nodes;
    nodes.reserve(roots.size());
    for (const Root& root : roots) nodes.push_back(root.node);
    return nodes;
}

DeviceId device_of(const Scan& graph) {
    DeviceId found = default_device();
    bool any = false;
    for (const DeviceId device : {DeviceId::CPU, DeviceId::REF, DeviceId::CUDA}) {
        if (!graph.on[static_cast<std::size_t>(device)]) continue;
        if (any)
            throw DeviceError("tensors on " + std::string(name(found)) + " and on " +
                              std::string(name(device)) +
                              " in one expression: move one of them with to(Device) first");
        found = device;
        any = true;
    }
    return found;
}

void compute(std::span<const Root> roots);

// Copies are done before the rest: level by level, since a copy may stand above another. All that
// one level needs is computed together.
void make_copies(const Scan& graph) {
    ir::RefMap<std::int64_t> levels(graph.nodes.size());  // copies on the way down
    std::map<std::int64_t, std::vector<ir::Ref>> by_level;
    for (ir::Ref node : graph.nodes) {
        std::int64_t level = 0;
        if (!in_memory(node)) {
            for (ir::Ref source : node->src()) level = std::max(level, *levels.find(source));
            if (node->is(ir::Op::Copy)) by_level[level++].push_back(node);
        }
        levels[node] = level;
    }
    for (const auto& [level, copies] : by_level) {
        std::map<DeviceId, std::vector<Root>> sources;  // to compute, by where
        for (ir::Ref copy : copies) {
            ir::Ref source = copy->src(0);
            if (in_memory(source)) continue;
            auto& group = sources[device_of(scan(std::span<const ir::Ref>(&source, 1)))];
            const auto is_source = [&](const Root& root) { return root.node == source; };
            if (std::none_of(group.begin(), group.end(), is_source)) group.push_back({source});
        }
        for (const auto& [device, group] : sources) compute(group);
        for (ir::Ref copy : copies) {
            const auto to = static_cast<DeviceId>(copy->arg(0));
            const std::shared_ptr<Memory>& from = memory_behind(copy->src(0));
            if (from->device() == to) {
                attach_buffer(copy, from);
                continue;
            }
            const std::size_t bytes =
                static_cast<std::size_t>(copy->numel()) * size_of(copy->dtype());
            std::shared_ptr<Memory> memory = Memory::allocate(to, bytes);
            copy_memory(*memory, *from, bytes);
            attach_buffer(copy, std::move(memory));
        }
    }
}

void compute_on_ref(std::span<const ir::Ref> roots) {
    std::vector<ir::UOp> handles;
    for (ir::Ref root : roots) handles.push_back(ir::UOp::share(root));
    std::vector<ir::UOp> buffers = ref::evaluate(handles);
    for (std::size_t i = 0; i < roots.size(); ++i)
        roots[i]->attach(std::make_unique<Realized>(std::move(buffers[i])));
}

// Keeps the Buffers that nobody else answers for: whoever replays the run reads them again.
void keep_constants(Recorder& recorder, std::span<const ir::Ref> inputs) {
    for (ir::Ref input : inputs) {
        const std::int64_t id = input->arg(0);
        if (recorder.made.contains(id) || recorder.is_state(id)) continue;
        if (std::ranges::none_of(recorder.constants,
                                 [&](const ir::UOp& known) { return known.get() == input; }))
            recorder.constants.push_back(ir::UOp::share(input));
    }
}

void compute_by_kernels(const Scan& graph, std::span<const Root> targets, DeviceId device) {
    const std::vector<ir::Ref> roots = nodes_of(targets);
    schedule::Normalised form = schedule::normalise(
        roots, [](ir::Ref node) { return in_memory(node) ? buffer_of(node) : nullptr; });
    Recorder* const recorder = device == DeviceId::CPU ? current_recorder() : nullptr;
    RecordedRun run;
    if (recorder != nullptr) {
        keep_constants(*recorder, form.inputs);
        for (ir::Ref input : form.inputs) run.inputs.push_back(input->arg(0));
        for (ir::Ref bind : form.binds) run.binds.push_back(ir::UOp::share(bind));
    }
    std::vector<bool> may_overwrite(form.inputs.size(), false);
    if (graph.has_assign) may_overwrite = overwritable(graph, targets, form.inputs);
    std::vector<std::shared_ptr<Memory>> inputs;
    inputs.reserve(form.inputs.size());
    for (ir::Ref input : form.inputs) inputs.push_back(memory_behind(input));
    std::vector<std::int64_t> binds;
    binds.reserve(form.binds.size());
    for (ir::Ref bind : form.binds) binds.push_back(bind->arg(0));
    const std::shared_ptr<const Plan> plan =
        PlanCache::instance().get(std::move(form), may_overwrite, device);
    std::vector<std::shared_ptr<Memory>> outputs = device == DeviceId::CUDA
                                                       ? cuda::execute(*plan, inputs, binds)
                                                       : execute(*plan, inputs, binds);
    for (std::size_t i = 0; i < roots.size(); ++i) attach_buffer(roots[i], std::move(outputs[i]));
    if (recorder == nullptr) return;
    run.plan = plan;
    for (ir::Ref root : roots) run.outputs.push_back(buffer_of(root)->arg(0));
    recorder->made.insert(run.outputs.begin(), run.outputs.end());
    recorder->runs.push_back(std::move(run));
}

void compute(std::span<const Root> roots) {
    Scan graph = scan(nodes_of(roots));
    if (Recorder* recorder = current_recorder();
        recorder != nullptr && recorder->refusal.empty() &&
        (!graph.copies.empty() || device_of(graph) != DeviceId::CPU))
        recorder->refusal = !graph.copies.empty()
                                ? "it copies from one device to another"
                                : "it runs on " + std::string(name(device_of(graph)));
    if (!graph.copies.empty()) {
        make_copies(graph);
        std::vector<Root> left;
        for (const Root& root : roots)
            if (!in_memory(root.node)) left.push_back(root);
        if (left.empty()) return;
        return compute(left);  // once: no copies are left
    }
    const DeviceId device = device_of(graph);
    if (device == DeviceId::REF)
        compute_on_ref(nodes_of(roots));
    else
        compute_by_kernels(graph, roots, device);
}

}  // namespace

void realize(std::span<const ir::UOp> roots, std::span<const std::uint32_t> replaced) {
    if (!replaced.empty() && replaced.size() != roots.size())
        throw InternalError("realize: counts of handles for " + std::to_string(replaced.size()) +
                            " of " + std::to_string(roots.size()) + " roots");
    const std::vector<Root> targets = unfinished(roots, replaced);
    if (!targets.empty()) compute(targets);
}

Stats stats() {
    Stats all;
    LaunchCounts launches = launch_counts();
    all.launches = launches.launches;
    all.kernel_names = std::move(launches.names);
    const ProgramCache::Counts programs = ProgramCache::instance().counts();
    all.compiled = programs.compiled;
    all.program_hits = programs.hits;
    all.disk_hits = programs.disk_hits;
    const PlanCache::Counts plans = PlanCache::instance().counts();
    all.schedule_hits = plans.hits;
    all.schedule_misses = plans.misses;
    const Allocator::Stats memory = Allocator::instance().stats();
    all.allocated_bytes = memory.in_use;
    all.peak_bytes = memory.peak;
    if (cuda::Gpu::is_open()) {
        const ProgramCache::Counts gpu_programs = cuda::ProgramCache::instance().counts();
        all.compiled += gpu_programs.compiled;
        all.program_hits += gpu_programs.hits;
        all.disk_hits += gpu_programs.disk_hits;
        const cuda::Gpu::Stats gpu_memory = cuda::Gpu::instance().stats();
        all.allocated_bytes += gpu_memory.in_use;
        all.peak_bytes += gpu_memory.peak;
    }
    return all;
}

void reset_stats() {
    reset_launch_counts();
    ProgramCache::instance().reset_counts();
    PlanCache::instance().reset_counts();
    Allocator::instance().reset_peak();
    if (!cuda::Gpu::is_open()) return;
    cuda::ProgramCache::instance().reset_counts();
    cuda::Gpu::instance().reset_peak();
}

void clear_caches() {
    PlanCache::instance().clear();
    ProgramCache::instance().clear();
    cuda::ProgramCache::instance().clear();
}

}  // namespace sinter::runtime
