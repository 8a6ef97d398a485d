#include <unordered_map>

#include <sinter/schedule/schedule.h>

#include "key.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

Normalised normalise(std::span<const Ref> roots, const RealizedBuffer& realized) {
    Normalised out;
    std::unordered_map<Ref, std::int64_t> number;  // position in the key's list of nodes
    std::int64_t count = 0;

    // A node that stands for another one (realized to a Buffer) has that one's number.
    const auto stand_in = [&](Ref node) {
        if (node->is(Op::Buffer) || !realized) return node;
        const Ref buffer = realized(node);
        return buffer != nullptr ? buffer : node;
    };

    const auto emit = [&](Ref node) {
        const bool buffer = node->is(Op::Buffer), bind = node->is(Op::Bind);
        // Of a Buffer its device counts; of a Bind nothing: id and bits are what may differ from
        // graph to graph.
        const std::size_t nargs = buffer ? 1 : bind ? 0 : node->args().size();
        out.key.push_back(pack_header(
            {node->op(), node->dtype(), static_cast<std::uint8_t>(node->rank()),
             static_cast<std::uint32_t>(node->src().size()), static_cast<std::uint32_t>(nargs)}));
        for (Ref s : node->src()) out.key.push_back(number.at(s));
        if (buffer) {
            out.key.push_back(node->arg(1));
            out.inputs.push_back(node);
        } else if (bind) {
            out.binds.push_back(node);
        } else {
            out.key.insert(out.key.end(), node->args().begin(), node->args().end());
        }
        out.key.insert(out.key.end(), node->shape().begin(), node->shape().end());
        number.emplace(node, count++);
    };

    struct Frame {
        Ref node, stands;
        std::size_t next;
    };
    std::vector<Frame> stack;
    const auto enter = [&](Ref node) {
        if (!number.contains(node)) stack.push_back({node, stand_in(node), 0});
    };
    for (Ref root : roots) {
        enter(root);
        while (!stack.empty()) {
            Frame& frame = stack.back();
            const Ref node = frame.node, stands = frame.stands;
            if (frame.next < stands->src().size()) {
                enter(stands->src(frame.next++));
                continue;
            }
            if (!number.contains(stands)) emit(stands);
            if (node != stands) number.emplace(node, number.at(stands));
            stack.pop_back();
        }
    }
    out.key.push_back(
        pack_header({Op::Sink, DType::None, 0, static_cast<std::uint32_t>(roots.size()), 0}));
    for (Ref root : roots) out.key.push_back(number.at(root));
    return out;
}

}  // namespace sinter::schedule
