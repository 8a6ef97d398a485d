#include "in_place.h"

#include <algorithm>

#include <sinter/ir/kernel.h>

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

bool contains(std::span<const std::uint32_t> list, std::uint32_t x) {
    return std::ranges::find(list, x) != list.end();
}

bool runs_after(std::span<const Task> tasks, std::uint32_t task, std::uint32_t other) {
    std::vector<std::uint32_t> stack{task};
    std::vector<bool> seen(tasks.size());
    while (!stack.empty()) {
        const std::uint32_t at = stack.back();
        stack.pop_back();
        if (at == other) return true;
        if (seen[at]) continue;
        seen[at] = true;
        stack.insert(stack.end(), tasks[at].after.begin(), tasks[at].after.end());
    }
    return false;
}

// Whether every load of Param `read` is of the element that the store to Param `written` writes in
// that turn.
bool reads_what_it_writes(Ref sink, std::int64_t read, std::int64_t written) {
    Ref target = nullptr;
    for (Ref store : sink->src())
        if (store->src(0)->arg(0) == written) {
            if (target != nullptr || store->arg(0) != ir::kPlainStore) return false;
            target = store;
        }
    if (target == nullptr) return false;
    const auto is_read = [&](Ref node) {
        return node->is(Op::Load) && node->src(0)->arg(0) == read;
    };
    for (Ref store : sink->src()) {
        bool found = false;
        for (Ref node : ir::toposort(std::span<const Ref>(&store, 1))) {
            if (is_read(node)) {
                found = true;
                if (node->src(1) != target->src(1) || node->src(2)->vmin() != 1) return false;
            }
            // Inside a reduction or a scan the same index is another pass over the memory.
            if (node->is(Op::Reduce) || node->is(Op::Accumulate) || node->is(Op::Order) ||
                node->is(Op::Scan))
                if (std::ranges::any_of(ir::toposort(node->src()), is_read)) return false;
        }
        if (found && store->ranges() != target->ranges()) return false;
    }
    return true;
}

}  // namespace

bool write_in_place(Schedule& schedule, std::span<Task> tasks, std::uint32_t writer, ir::Ref sink,
                    std::uint32_t result, std::uint32_t target, const Assumptions& assumptions) {
    Block& block = schedule.blocks[result];
    const Block& input = schedule.blocks[target];
    const auto number = static_cast<std::size_t>(input.node);
    if (block.kind != Block::Kind::Output || number >= assumptions.may_overwrite.size() ||
        !assumptions.may_overwrite[number])
        return false;
    if (block.dtype != input.dtype || block.numel != input.numel ||
        contains(schedule.outputs, target))
        return false;
    for (const Block& other : schedule.blocks)
        if (other.reuses == static_cast<std::int32_t>(target)) return false;

    Task& task = tasks[writer];
    const auto slot_of = [&](std::uint32_t b) {
        return std::ranges::find(task.segment.blocks, b) - task.segment.blocks.begin();
    };
    if (contains(task.segment.blocks, target) &&
        !reads_what_it_writes(sink, slot_of(target), slot_of(result)))
        return false;
    if (task.checks) return false;
    std::vector<std::uint32_t> before;
    for (std::uint32_t t = 0; t < tasks.size(); ++t) {
        if (t == writer || !(tasks[t].checks || contains(tasks[t].segment.blocks, target)))
            continue;
        if (runs_after(tasks, t, writer)) return false;
        before.push_back(t);
    }
    for (std::uint32_t t : before)
        if (!contains(task.after, t)) task.after.push_back(t);
    block.reuses = static_cast<std::int32_t>(target);
    return true;
}

}  // namespace sinter::schedule
