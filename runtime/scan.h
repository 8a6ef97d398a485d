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
    std::vector<bool> over_memory;  ///< by root: memory is below it, so that it has a device
    bool on[3] = {};                ///< by DeviceId: memory of it is among the leaves
    bool met_realized_constants =
        false;  ///< nodes that are not over memory, but realized on some device
};

// A node that is not over memory counts as realized if it is on the device `home`.

Scan scan(std::span<const ir::Ref> roots, DeviceId home);

/// The Buffer that a node is or was realized to, or null.
inline ir::Ref attached(ir::Ref node, DeviceId home) {
    if (node->is(ir::Op::Buffer)) return node;
    const auto* done = static_cast<const Realized*>(node->attachment());
    return done == nullptr ? nullptr : done->on(home);
}
// `buffer` is the node's, and a capture of this thread there is.
bool made_by_capture(ir::Ref node, ir::Ref buffer);
/// The same for a node that is a leaf of what has to be computed. Null for others, which in a
/// capture are those that were realized by other than the capture's own runs.
inline ir::Ref buffer_of(ir::Ref node, DeviceId home) {
    ir::Ref buffer = attached(node, home);
    if (buffer == nullptr || buffer == node || current_recorder() == nullptr) return buffer;
    return made_by_capture(node, buffer) ? buffer : nullptr;
}
inline bool in_memory(ir::Ref node, DeviceId home) { return buffer_of(node, home) != nullptr; }

/// The memory of a Buffer. Throws InternalError for one without storage.
const std::shared_ptr<Memory>& memory_behind(ir::Ref buffer);

/// A root, and how many of its owners let go of it after the run.
struct Root {
    ir::Ref node;
    std::uint32_t released = 0;
};

/// By input: whether a run may write over its memory, because after the run nobody can ask for what
/// it held. That is so if every owner of the buffer, and of every node of the graph that depends on
/// it, is in the graph itself or lets go of a root. Asked of targets of assignments alone.
std::vector<bool> overwritable(const Scan& graph, std::span<const Root> roots,
                               std::span<const ir::Ref> inputs, DeviceId home);

}  // namespace sinter::runtime
