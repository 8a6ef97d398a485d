#include "scan.h"

#include <cstdint>

#include <sinter/ir/error.h>
#include <sinter/ir/ref_map.h>

namespace sinter::runtime {

Scan scan(std::span<const ir::Ref> roots, DeviceId home) {
    Scan result;
    enum class Met : std::uint8_t { No, Constant, OverMemory };
    ir::RefMap<Met> met;
    struct Frame {
        ir::Ref node;
        std::size_t next;
        bool leaf, over_memory;
    };
    std::vector<Frame> stack;  // a graph may be as deep as it has nodes
    const auto enter = [&](ir::Ref node) {
        Met& known = met[node];
        if (known != Met::No) {
            if (known == Met::OverMemory && !stack.empty()) stack.back().over_memory = true;
            return;
        }
        known = Met::Constant;
        ir::Ref buffer = buffer_of(node, home);
        Frame frame{node, 0, buffer != nullptr, node->is(ir::Op::Copy) || buffer == node};
        if (buffer != node && node->attachment() != nullptr) {
            frame.over_memory = static_cast<const Realized*>(node->attachment())->over_memory;
            if (!frame.over_memory) result.met_realized_constants = true;
        }
        if (frame.leaf && frame.over_memory)
            result.on[static_cast<std::size_t>(buffer->arg(1))] = true;
        stack.push_back(frame);
    };
    for (ir::Ref root : roots) {
        enter(root);
        while (!stack.empty()) {
            Frame& top = stack.back();
            if (!top.leaf && top.next < top.node->src().size()) {
                enter(top.node->src(top.next++));
                continue;
            }
            const Frame frame = top;
            stack.pop_back();
            result.nodes.push_back(frame.node);
            if (frame.over_memory) {
                *met.find(frame.node) = Met::OverMemory;
                if (!stack.empty()) stack.back().over_memory = true;
            }
            if (frame.leaf) continue;
            if (frame.node->is(ir::Op::Copy)) result.copies.push_back(frame.node);
            if (frame.node->is(ir::Op::Assign)) result.has_assign = true;
        }
        result.over_memory.push_back(*met.find(root) == Met::OverMemory);
    }
    return result;
}

// What an assignment wrote over cannot be computed again.
bool made_by_capture(ir::Ref node, ir::Ref buffer) {
    const Recorder& recorder = *current_recorder();
    return !recorder.refusal.empty() || node->is(ir::Op::Assign) ||
           recorder.made.contains(buffer->arg(0));
}

const std::shared_ptr<Memory>& memory_behind(ir::Ref buffer) {
    const ir::Attachment* storage = buffer->attachment();
    if (storage == nullptr) throw InternalError("no memory behind " + ir::describe(buffer));
    return static_cast<const Storage*>(storage)->memory;
}

namespace {

std::uint32_t owners_of(ir::Ref node) { return ir::UOp::share(node).use_count() - 1; }

}  // namespace

std::vector<bool> overwritable(const Scan& graph, std::span<const Root> roots,
                               std::span<const ir::Ref> inputs, DeviceId home) {
    struct Use {
        std::uint32_t owners = 0;  // that are accounted for
        bool needed = false;  // somebody may ask for it, or for something made of it, after the run
        bool target = false;  // of an assignment
    };
    ir::RefMap<Use> uses(graph.nodes.size());
    for (ir::Ref node : graph.nodes) {
        if (in_memory(node, home)) continue;
        for (ir::Ref source : node->src()) ++uses[source].owners;
        if (node->is(ir::Op::Assign)) uses[node->src(0)].target = true;
    }
    for (const Root& root : roots) uses[root.node].owners += root.released;
    // Users before their sources.
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
        ir::Ref node = graph.nodes[i];
        Use& use = uses[node];
        use.needed = use.needed || owners_of(node) > use.owners;
        if (!use.needed || in_memory(node, home)) continue;
        for (ir::Ref source : node->src()) uses[source].needed = true;
    }
    // A buffer may be there as itself or behind a realized node.
    ir::RefMap<Use> buffers(inputs.size());
    for (ir::Ref node : graph.nodes) {
        ir::Ref buffer = buffer_of(node, home);
        if (buffer == nullptr) continue;
        const Use& use = *uses.find(node);
        Use& all = buffers[buffer];
        all.target = all.target || use.target;
        all.needed = all.needed || use.needed || (node != buffer && owners_of(buffer) > 1) ||
                     memory_behind(buffer).use_count() > 1;
    }
    std::vector<bool> result;
    for (ir::Ref input : inputs) {
        const Use* use = buffers.find(input);
        result.push_back(use != nullptr && use->target && !use->needed);
    }
    return result;
}

}  // namespace sinter::runtime
