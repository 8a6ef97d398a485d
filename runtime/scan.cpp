#include "scan.h"

#include <utility>

#include <sinter/ir/error.h>
#include <sinter/ir/ref_map.h>

namespace sinter::runtime {

Scan scan(std::span<const ir::Ref> roots) {
    Scan result;
    ir::RefMap<bool> met;
    struct Frame {
        ir::Ref node;
        std::size_t next;
    };
    std::vector<Frame> stack;  // a graph may be as deep as it has nodes
    const auto enter = [&](ir::Ref node) {
        if (bool& known = met[node]; !std::exchange(known, true)) stack.push_back({node, 0});
    };
    for (ir::Ref root : roots) {
        enter(root);
        while (!stack.empty()) {
            Frame& frame = stack.back();
            ir::Ref node = frame.node;
            const bool leaf = in_memory(node);
            if (!leaf && frame.next < node->src().size()) {
                enter(node->src(frame.next++));
                continue;
            }
            stack.pop_back();
            result.nodes.push_back(node);
            if (leaf)
                result.on[static_cast<std::size_t>(buffer_of(node)->arg(1))] = true;
            else if (node->is(ir::Op::Copy))
                result.copies.push_back(node);
            else if (node->is(ir::Op::Assign))
                result.has_assign = true;
        }
    }
    return result;
}

// What an assignment wrote over cannot be computed again.
bool made_by_capture(ir::Ref node) {
    const Recorder& recorder = *current_recorder();
    return !recorder.refusal.empty() || node->is(ir::Op::Assign) ||
           recorder.made.contains(buffer_of(node)->arg(0));
}

ir::Ref buffer_of(ir::Ref node) {
    return node->is(ir::Op::Buffer)
               ? node
               : static_cast<const Realized*>(node->attachment())->buffer.get();
}

const std::shared_ptr<Memory>& memory_behind(ir::Ref node) {
    const ir::Attachment* storage = buffer_of(node)->attachment();
    if (storage == nullptr) throw InternalError("no memory behind " + ir::describe(node));
    return static_cast<const Storage*>(storage)->memory;
}

namespace {

std::uint32_t owners_of(ir::Ref node) { return ir::UOp::share(node).use_count() - 1; }

}  // namespace

std::vector<bool> overwritable(const Scan& graph, std::span<const Root> roots,
                               std::span<const ir::Ref> inputs) {
    struct Use {
        std::uint32_t owners = 0;  // that are accounted for
        bool needed = false;  // somebody may ask for it, or for something made of it, after the run
        bool target = false;  // of an assignment
    };
    ir::RefMap<Use> uses(graph.nodes.size());
    for (ir::Ref node : graph.nodes) {
        if (in_memory(node)) continue;
        for (ir::Ref source : node->src()) ++uses[source].owners;
        if (node->is(ir::Op::Assign)) uses[node->src(0)].target = true;
    }
    for (const Root& root : roots) uses[root.node].owners += root.released;
    // Users before their sources.
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
        ir::Ref node = graph.nodes[i];
        Use& use = uses[node];
        use.needed = use.needed || owners_of(node) > use.owners;
        if (!use.needed || in_memory(node)) continue;
        for (ir::Ref source : node->src()) uses[source].needed = true;
    }
    // A buffer may be there as itself or behind a realized node.
    ir::RefMap<Use> buffers(inputs.size());
    for (ir::Ref node : graph.nodes) {
        if (!in_memory(node)) continue;
        const Use& use = *uses.find(node);
        ir::Ref buffer = buffer_of(node);
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
