#pragma once
// What realize has to know of a graph before it is scheduled.

#include <span>
#include <vector>

#include <sinter/ir/node.h>
#include <sinter/runtime/capture.h>
#include <sinter/runtime/realize.h>

namespace sinter::runtime {

/// The part of a graph that is not yet in memory, and the leaves below it.
struct Scan {
    std::vector<ir::Ref>
        nodes;  ///< each after its sources; leaves are Buffers, realized nodes, constants
    std::vector<ir::Ref> copies;  ///< Copy nodes among them, in that order
    bool has_assign = false;
    bool on[3] = {};  ///< by DeviceId: memory of it is among the leaves
};
Scan scan(std::span<const ir::Ref> roots);

bool made_by_capture(ir::Ref node);  // of this thread, which there is
/// Whether the node is a leaf of what has to be computed: a Buffer, or realized; in a capture, by
/// the capture's own runs.
inline bool in_memory(ir::Ref node) {
    if (node->is(ir::Op::Buffer)) return true;
    return node->attachment() != nullptr &&
           (current_recorder() == nullptr || made_by_capture(node));
}

/// The Buffer behind a node for which in_memory holds.
ir::Ref buffer_of(ir::Ref node);
/// The memory behind it. Throws InternalError for a Buffer without storage.
const std::shared_ptr<Memory>& memory_behind(ir::Ref node);

/// A root, and how many of its owners let go of it after the run.
struct Root {
    ir::Ref node;
    std::uint32_t released = 0;
};

/// By input: whether a run may write over its memory, because after the run nobody can ask for what
/// it held. That is so if every owner of the buffer, and of every node of the graph that depends on
/// it, is in the graph itself or lets go of a root. Asked of targets of assignments alone.
std::vector<bool> overwritable(const Scan& graph, std::span<const Root> roots,
                               std::span<const ir::Ref> inputs);

}  // namespace sinter::runtime
