#include "steady.h"

#include <algorithm>

#include "graph.h"
#include "operands.h"

namespace sinter::schedule {

void mark_steady(Schedule& schedule, std::span<Task> tasks, const std::vector<bool>& steady) {
    if (std::ranges::find(steady, true) == steady.end()) return;
    std::vector<Operands> operands;
    for (const Kernel& k : schedule.kernels) operands.push_back(operands_of(k.sink));
    const auto block = [](const Task& t, ir::Ref param) {
        return t.segment.blocks[static_cast<std::size_t>(param->arg(0))];
    };
    for (Task& t : tasks)
        t.steady =
            t.kernel != kNone && !t.checks &&
            std::ranges::all_of(t.segment.scalars, [](const Scalar& s) { return s.bind < 0; });

    // Whether a block is, until one of those that write it turns out not to be.
    std::vector<bool> made;
    for (const Block& b : schedule.blocks)
        made.push_back(b.kind == Block::Kind::Input
                           ? static_cast<std::size_t>(b.node) < steady.size() &&
                                 steady[static_cast<std::size_t>(b.node)]
                           : b.kind == Block::Kind::Temporary);
    for (bool more = true; more;) {
        more = false;
        for (Task& t : tasks) {
            if (t.kernel == kNone) continue;
            const Operands& used = operands[t.kernel];
            const auto is_made = [&](ir::Ref param) { return made[block(t, param)]; };
            t.steady = t.steady && std::ranges::all_of(used.read, is_made) &&
                       std::ranges::all_of(used.written, is_made);
            if (t.steady) continue;
            for (ir::Ref param : used.written) {
                more = more || is_made(param);
                made[block(t, param)] = false;
            }
        }
    }
    for (const Task& t : tasks) {
        if (t.kernel == kNone || t.steady) continue;
        for (ir::Ref param : operands[t.kernel].read) {
            Block& b = schedule.blocks[block(t, param)];
            if (b.kind == Block::Kind::Temporary && made[block(t, param)])
                b.kind = Block::Kind::Kept;
        }
    }
}

}  // namespace sinter::schedule
