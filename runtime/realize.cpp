#include <sinter/runtime/realize.h>

#include <algorithm>
#include <map>
#include <utility>

#include <sinter/ir/error.h>
#include <sinter/ir/ref_map.h>
#include <sinter/runtime/allocator.h>
#include <sinter/runtime/capture.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/tune.h>
#include <sinter/schedule/schedule.h>

#include "cuda/program.h"
#include "cuda/run_plan.h"
#include "execute.h"
#include "plan.h"
#include "scan.h"

namespace sinter::runtime {
namespace {

void attach_buffer(ir::Ref node, const ir::UOp& buffer, bool over_memory) {
    auto* done =
        static_cast<Realized*>(node->attach(std::make_unique<Realized>(buffer, over_memory)));
    if (!over_memory) done->add(buffer);
}

void attach_memory(ir::Ref node, std::shared_ptr<Memory> memory, bool over_memory) {
    attach_buffer(node, make_buffer(node->dtype(), node->shape(), std::move(memory)), over_memory);
}

// Roots that have yet to be computed, each once.
std::vector<Root> unfinished(std::span<const ir::UOp> roots,
                             std::span<const std::uint32_t> replaced, DeviceId home) {
    std::vector<Root> result;
    result.reserve(roots.size());
    ir::RefMap<std::size_t> places(roots.size());
    for (std::size_t i = 0; i < roots.size(); ++i) {
        ir::Ref node = roots[i].get();
        if (in_memory(node, home)) continue;
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

// Those of `roots` that have yet to be computed.
std::vector<Root> unfinished(std::span<const Root> roots, DeviceId home) {
    std::vector<Root> left;
    for (const Root& root : roots)
        if (!in_memory(root.node, home)) left.push_back(root);
    return left;
}

// Where the graph's memory is; `home` if it has none.
DeviceId device_of(const Scan& graph, DeviceId home) {
    DeviceId found = home;
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

DeviceId compute(std::span<const Root> roots, DeviceId home);

// Copies are done before the rest: level by level, since a copy may stand above another. All that
// one level needs is computed together.
void make_copies(const Scan& graph, DeviceId home) {
    ir::RefMap<std::int64_t> levels(graph.nodes.size());  // copies on the way down
    std::map<std::int64_t, std::vector<ir::Ref>> by_level;
    for (ir::Ref node : graph.nodes) {
        std::int64_t level = 0;
        if (!in_memory(node, home)) {
            for (ir::Ref source : node->src()) level = std::max(level, *levels.find(source));
            if (node->is(ir::Op::Copy)) by_level[level++].push_back(node);
        }
        levels[node] = level;
    }
    for (const auto& [level, copies] : by_level) {
        std::map<DeviceId, std::vector<Root>> sources;  // to compute, by where
        for (ir::Ref copy : copies) {
            ir::Ref source = copy->src(0);
            if (in_memory(source, home)) continue;
            const Scan below = scan(std::span<const ir::Ref>(&source, 1), home);
            auto& group = sources[device_of(below, home)];
            const auto is_source = [&](const Root& root) { return root.node == source; };
            if (std::none_of(group.begin(), group.end(), is_source)) group.push_back({source});
        }
        for (const auto& [device, group] : sources) compute(group, home);
        for (ir::Ref copy : copies) {
            const auto to = static_cast<DeviceId>(copy->arg(0));
            const std::shared_ptr<Memory>& from = memory_behind(buffer_of(copy->src(0), home));
            if (from->device() == to) {
                attach_memory(copy, from, true);
                continue;
            }
            const std::size_t bytes =
                static_cast<std::size_t>(copy->numel()) * size_of(copy->dtype());
            std::shared_ptr<Memory> memory = Memory::allocate(to, bytes);
            copy_memory(*memory, *from, bytes);
            attach_memory(copy, std::move(memory), true);
        }
    }
}

void compute_on_ref(const Scan& graph, std::span<const Root> roots) {
    std::vector<ir::UOp> handles;
    for (const Root& root : roots) handles.push_back(ir::UOp::share(root.node));
    const std::vector<ir::UOp> buffers = ref::evaluate(handles);
    for (std::size_t i = 0; i < roots.size(); ++i)
        attach_buffer(roots[i].node, buffers[i], graph.over_memory[i]);
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
    schedule::Normalised form =
        schedule::normalise(roots, [device](ir::Ref node) { return buffer_of(node, device); });
    Recorder* const recorder = device == DeviceId::CPU ? current_recorder() : nullptr;
    RecordedRun run;
    if (recorder != nullptr) {
        keep_constants(*recorder, form.inputs);
        for (ir::Ref input : form.inputs) run.inputs.push_back(input->arg(0));
        for (ir::Ref bind : form.binds) run.binds.push_back(ir::UOp::share(bind));
        run.key = form.key;
    }
    std::vector<bool> may_overwrite(form.inputs.size(), false);
    if (graph.has_assign) may_overwrite = overwritable(graph, targets, form.inputs, device);
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
    for (std::size_t i = 0; i < roots.size(); ++i)
        attach_memory(roots[i], std::move(outputs[i]), graph.over_memory[i]);
    if (recorder == nullptr) return;
    run.plan = plan;
    run.may_overwrite = may_overwrite;
    for (ir::Ref root : roots) run.outputs.push_back(attached(root, device)->arg(0));
    recorder->made.insert(run.outputs.begin(), run.outputs.end());
    recorder->runs.push_back(std::move(run));
}

// Roots on several devices, each device's together. Throws DeviceError for one that mixes them.
void compute_apart(std::span<const Root> roots, DeviceId home) {
    std::map<DeviceId, std::vector<Root>> groups;
    for (const Root& root : roots)
        groups[device_of(scan(std::span<const ir::Ref>(&root.node, 1), home), home)].push_back(
            root);
    for (const auto& [device, group] : groups) compute(group, home);
}

// Gives the device of the roots: `home` if there is no memory below them.
DeviceId compute(std::span<const Root> roots, DeviceId home) {
    if (roots.empty()) return home;
    const Scan graph = scan(nodes_of(roots), home);
    Recorder* const recorder = current_recorder();
    const bool recording = recorder != nullptr && recorder->refusal.empty();
    if (!graph.copies.empty()) {
        if (recording) recorder->refusal = "it copies from one device to another";
        make_copies(graph, home);
        return compute(unfinished(roots, home), home);  // once: no copies are left
    }
    if (std::ranges::count(graph.on, true) > 1 && roots.size() > 1) {
        compute_apart(roots, home);
        return home;
    }
    const DeviceId device = device_of(graph, home);
    if (recording && device != DeviceId::CPU)
        recorder->refusal = "it runs on " + std::string(name(device));
    // Once: what is not over memory is looked for where the rest is.
    if (device != home && graph.met_realized_constants) {
        compute(unfinished(roots, device), device);
        return device;
    }
    if (device == DeviceId::REF)
        compute_on_ref(graph, roots);
    else
        compute_by_kernels(graph, roots, device);
    return device;
}

}  // namespace

std::vector<ir::UOp> realize(std::span<const ir::UOp> roots,
                             std::span<const std::uint32_t> replaced) {
    if (!replaced.empty() && replaced.size() != roots.size())
        throw InternalError("realize: counts of handles for " + std::to_string(replaced.size()) +
                            " of " + std::to_string(roots.size()) + " roots");
    const DeviceId home = default_device();
    const DeviceId device = compute(unfinished(roots, replaced, home), home);
    std::vector<ir::UOp> buffers;
    buffers.reserve(roots.size());
    for (const ir::UOp& root : roots) {
        ir::Ref buffer = attached(root.get(), home);
        if (buffer == nullptr) buffer = attached(root.get(), device);
        if (buffer == nullptr)
            throw InternalError("realize left " + ir::describe(root.get()) + " without a value");
        buffers.push_back(ir::UOp::share(buffer));
    }
    return buffers;
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
    TuningDatabase::instance().clear();
}

}  // namespace sinter::runtime
