#include <algorithm>
#include <map>
#include <memory>
#include <unordered_map>

#include "chain.h"
#include "finish.h"
#include "in_place.h"
#include "late.h"
#include "layout.h"
#include "lower.h"
#include "memory.h"
#include "order.h"
#include "pack.h"
#include "parts.h"
#include "recompute.h"
#include "steady.h"
#include "unchanged.h"

namespace sinter::schedule {

using ir::Op;

namespace {

// Every value that is in memory: the inputs first, in order, then results, then what kernels write
// for one another.
struct BlockTable {
    std::vector<std::uint32_t> of;  // by node
};

void add_block(const Graph& graph, Id n, Block::Kind kind, std::int32_t position, BlockTable& table,
               Schedule& out) {
    table.of[n] = static_cast<std::uint32_t>(out.blocks.size());
    out.blocks.push_back({kind, graph.dtype(n), graph.numel(n), 0, position, -1});
}

BlockTable make_blocks(const Graph& graph, Schedule& out) {
    BlockTable table{std::vector<std::uint32_t>(graph.size(), kNone)};
    const auto add = [&](Id n, Block::Kind kind, std::int32_t position) {
        add_block(graph, n, kind, position, table, out);
    };
    for (Id n = 0; n < graph.size(); ++n)
        if (graph.op(n) == Op::Buffer) add(n, Block::Kind::Input, graph.leaf(n));
    for (std::size_t i = 0; i < graph.roots().size(); ++i) {
        const Id stored = graph.base(graph.roots()[i]);
        if (table.of[stored] == kNone)
            add(stored, Block::Kind::Output, static_cast<std::int32_t>(i));
        out.outputs.push_back(table.of[stored]);
    }
    return table;
}

void add_temporaries(const Graph& graph, const Plan& plan, const Layouts& layouts,
                     BlockTable& table, Schedule& out) {
    for (Id n = 0; n < graph.size(); ++n)
        if (plan.home(n) != kNone && table.of[n] == kNone && !layouts.parts.contains(n))
            add_block(graph, n, Block::Kind::Temporary, -1, table, out);
}

bool has_check(ir::Ref sink) {
    return std::ranges::any_of(ir::toposort(std::span<const ir::Ref>(&sink, 1)),
                               [](ir::Ref node) { return node->is(Op::Check); });
}

void describe(Task& task, const FinishedKernel& f, const BlockTable& blocks) {
    task.segmentable = f.segmentable;
    task.segment.blocks.clear();
    for (Id memory : f.memories) task.segment.blocks.push_back(blocks.of[memory]);
    task.segment.scalars = f.scalars;
    task.flops = f.flops;
    task.bytes = f.bytes;
}

// A task for each kernel, whose entry is not known yet.
std::vector<Task> make_tasks(const Plan& plan, const Chains& chains, const BlockTable& blocks) {
    std::unordered_map<ir::Ref, bool> checks;
    std::vector<Task> tasks;
    for (const FinishedKernel& f : chains.kernels) {
        const auto [check, fresh] = checks.try_emplace(f.sink, false);
        if (fresh) check->second = has_check(f.sink);
        Task task{kNone, false, {}, {}, check->second};
        describe(task, f, blocks);
        tasks.push_back(std::move(task));
    }
    for (KernelId k = 0; k < plan.kernels().size(); ++k) {
        std::vector<std::uint32_t>& after = tasks[chains.of[k]].after;
        for (KernelId read : plan.kernels()[k].reads) {
            const std::uint32_t task = chains.of[read];
            if (task != chains.of[k] && std::ranges::find(after, task) == after.end())
                after.push_back(task);
        }
        std::ranges::sort(after);
    }
    return tasks;
}

// Assigns take their targets' memory where they may, and leave what stays as it is alone.
void write_in_place(const Graph& graph, const Plan& plan, const BlockTable& blocks,
                    const Assumptions& assumptions, Schedule& out, std::vector<Task>& tasks,
                    Chains& chains) {
    std::map<std::uint32_t, std::vector<std::pair<Id, Id>>> written;  // by task: result, target
    for (Id n = 0; n < graph.size(); ++n) {
        if (graph.op(n) != Op::Assign || plan.home(n) == kNone) continue;
        const Id target = graph.base(graph.src(n, 0));
        const std::uint32_t writer = chains.of[plan.home(n)];
        if (graph.op(target) == Op::Buffer &&
            write_in_place(out, tasks, writer, chains.kernels[writer].sink, blocks.of[n],
                           blocks.of[target], assumptions))
            written[writer].emplace_back(n, target);
    }
    for (const auto& [task, pairs] : written) {
        FinishedKernel& f = chains.kernels[task];
        if (auto narrower = without_unchanged(graph, *out.arena, f, pairs)) {
            f = *std::move(narrower);
            describe(tasks[task], f, blocks);
        }
    }
}

// Equal kernels are one entry.
void take_kernels(const Chains& chains, Schedule& out, std::vector<Task>& tasks) {
    std::unordered_map<ir::Ref, std::uint32_t> entries;
    for (std::size_t t = 0; t < tasks.size(); ++t) {
        const FinishedKernel& f = chains.kernels[t];
        if (f.sink->src().empty()) continue;
        const auto [entry, fresh] =
            entries.try_emplace(f.sink, static_cast<std::uint32_t>(out.kernels.size()));
        if (fresh) out.kernels.push_back({f.sink, f.name});
        tasks[t].kernel = entry->second;
    }
}

}  // namespace

Schedule make_schedule(const Normalised& normalised, const Assumptions& assumptions) {
    Schedule out;
    out.arena = std::make_unique<ir::Arena>();
    out.input_count = normalised.inputs.size();
    out.bind_count = normalised.binds.size();

    Graph graph(normalised);
    Profile profile(graph);
    if (auto packed = pack_operands(graph, profile, assumptions.steady,
                                    {assumptions.panel_columns, assumptions.pack_always})) {
        graph = *std::move(packed);
        profile = Profile(graph);
    }
    if (auto changed =
            recompute_columns(graph, profile, {assumptions.near_bytes, assumptions.chain_always})) {
        graph = *std::move(changed);
        profile = Profile(graph);
    }
    Expansion expansion(graph, *out.arena, out.checks);
    const Plan plan(expansion, profile);
    BlockTable blocks = make_blocks(graph, out);

    const std::vector<std::uint32_t> lasting = blocks.of;
    const auto is_temporary = [&](Id n) { return plan.home(n) != kNone && lasting[n] == kNone; };
    Layouts layouts = choose_layouts(expansion, plan, is_temporary);
    place_parts(expansion, plan, is_temporary, layouts);
    add_temporaries(graph, plan, layouts, blocks, out);
    std::vector<bool> has_parts(graph.size(), false);
    for (const auto& [n, part] : layouts.parts) has_parts[part.whole] = true;
    const std::vector<bool> is_steady = steady_nodes(graph, assumptions.steady);

    std::vector<FinishedKernel> finished;
    for (KernelId k = 0; k < plan.kernels().size(); ++k)
        finished.push_back(finish(graph, *out.arena, lower_kernel(expansion, plan, layouts, k)));

    Chains chains =
        chain_kernels(graph, *out.arena, plan, std::move(finished),
                      [&](Id n) { return is_temporary(n) && !has_parts[n] && !is_steady[n]; },
                      {assumptions.near_bytes, assumptions.chain_always});

    std::vector<Task> tasks = make_tasks(plan, chains, blocks);
    write_in_place(graph, plan, blocks, assumptions, out, tasks, chains);
    take_kernels(chains, out, tasks);
    mark_steady(out, tasks, assumptions.steady);
    out.launches = order_launches(tasks);
    mark_late(out);
    out.arena_bytes = place_temporaries(out.launches, out.blocks);
    return out;
}

}  // namespace sinter::schedule
