#include "profile.h"

#include <algorithm>

namespace sinter::schedule {

using ir::Op;

namespace {

constexpr float kMaxFlops = 1e6f, kMaxBytes = 1e6f;
constexpr double kReuse = 4;  // reads of an element from which a product is a contraction

bool is_reduction(Op op) {
    return op == Op::Reduce || op == Op::ArgReduce || op == Op::Fold || op == Op::Scan ||
           op == Op::Sort;
}

bool is_mark(Op op) {
    return op == Op::Contiguous || op == Op::Detach || op == Op::Assign || op == Op::Copy;
}

// The value under movement and casts.
Id under_movement(const Graph& g, Id n) {
    while (ir::is_movement(g.op(n)) || g.op(n) == Op::Cast || g.op(n) == Op::Detach)
        n = g.src(n, 0);
    return n;
}

bool is_contraction(const Graph& g, Id n) {
    if (g.op(n) != Op::Reduce || static_cast<ir::ReduceKind>(g.arg(n, 0)) != ir::ReduceKind::Add)
        return false;
    Id product = g.src(n, 0);
    while (g.op(product) == Op::Cast) product = g.src(product, 0);
    if (g.op(product) != Op::Mul) return false;
    const double points = static_cast<double>(g.numel(product));
    for (Id operand : g.src(product))
        if (points < kReuse * static_cast<double>(g.numel(under_movement(g, operand))))
            return false;
    return true;
}

NodeFacts facts_of(const Graph& g, Id n, std::span<const NodeFacts> known) {
    NodeFacts f;
    const Op op = g.op(n);
    if (g.is_leaf(n)) {
        f.bytes = op == Op::Buffer ? static_cast<float>(size_of(g.dtype(n))) : 0;
        f.cast_of_memory = true;
        return f;
    }
    f.contraction = is_contraction(g, n);
    if (is_reduction(op) || op == Op::Scatter) {
        f.heavy = true;
        f.bytes = static_cast<float>(size_of(g.dtype(n)));
        return f;
    }
    f.flops = ir::info(op).flops;
    const std::span<const Id> src = op == Op::Assign ? g.src(n).subspan(1) : g.src(n);
    for (std::size_t i = 0; i < src.size(); ++i) {
        NodeFacts s = known[src[i]];
        if (s.stored) {
            s.heavy = false;
            s.flops = 0;
            s.bytes = static_cast<float>(size_of(g.dtype(src[i])));
        }
        const bool same_size = g.numel(src[i]) == g.numel(n) && !(op == Op::Gather && i == 0);
        // What is spread over many elements is read from near memory.
        const float share =
            same_size
                ? 1.0f
                : std::min(1.0f, static_cast<float>(g.numel(src[i])) /
                                     static_cast<float>(std::max<std::int64_t>(1, g.numel(n))));
        f.heavy = f.heavy || (s.heavy && same_size);
        f.flops = std::min(kMaxFlops, f.flops + s.flops);
        f.bytes = std::min(kMaxBytes, f.bytes + s.bytes * (op == Op::Gather ? 1.0f : share));
    }
    f.cast_of_memory = (ir::is_movement(op) || op == Op::Cast || op == Op::Detach) &&
                       (known[src[0]].stored || known[src[0]].cast_of_memory);
    return f;
}

}  // namespace

Profile::Profile(const Graph& graph) : facts_(graph.size()) {
    std::vector<bool> asked(graph.size());
    for (Id root : graph.roots()) asked[graph.base(root)] = true;
    for (Id n = 0; n < graph.size(); ++n) {
        // The mark's own wish; values that are in memory of their own already need no copy.
        const Op op = graph.op(n);
        if (op == Op::Scan || op == Op::Sort || op == Op::Scatter || op == Op::Assign ||
            op == Op::Copy)
            asked[n] = true;
        if (op == Op::Contiguous) asked[graph.base(n)] = true;
    }
    for (Id n = 0; n < graph.size(); ++n) {
        facts_[n] = facts_of(graph, n, std::span(facts_).first(n));
        facts_[n].stored = asked[n] && graph.op(n) != Op::Buffer && graph.numel(n) > 0;
    }
}

Id reduction_below(const Graph& graph, Id n) {
    std::vector<Id> stack{n};
    for (int budget = 64; budget > 0 && !stack.empty(); --budget) {
        const Id at = stack.back();
        stack.pop_back();
        const Op op = graph.op(at);
        if (op == Op::Reduce || op == Op::ArgReduce) return at;
        if (!ir::is_elementwise(op) && !is_mark(op) && op != Op::Reshape && op != Op::Permute)
            continue;
        const std::span<const Id> src = op == Op::Assign ? graph.src(at).subspan(1) : graph.src(at);
        for (std::size_t i = src.size(); i-- > 0;)
            if (graph.numel(src[i]) == graph.numel(n)) stack.push_back(src[i]);
    }
    return kNone;
}

std::vector<Id> values_run_over(const Graph& graph, const Profile& profile, Id n) {
    const Id reduction = reduction_below(graph, n);
    const std::int64_t points =
        reduction == kNone ? graph.numel(n) : graph.numel(graph.src(reduction, 0));
    std::vector<Id> found, stack;
    const auto enter = [&](Id node) {
        for (Id s : graph.op(node) == Op::Assign ? graph.src(node).subspan(1) : graph.src(node))
            stack.push_back(s);
    };
    enter(n);
    for (int budget = 128; budget > 0 && !stack.empty(); --budget) {
        const Id at = stack.back();
        stack.pop_back();
        if (graph.numel(at) == points && profile[at].bytes > 0 &&
            std::ranges::find(found, at) == found.end())
            found.push_back(at);
        if (!graph.is_leaf(at) && (!profile[at].stored || at == n)) enter(at);
    }
    return found;
}

}  // namespace sinter::schedule
