#include "factor.h"

#include <algorithm>

namespace sinter::schedule {

using ir::Op;

namespace {

using Dims = std::vector<std::int64_t>;

Dims list(std::span<const std::int64_t> of) { return {of.begin(), of.end()}; }

// The dimensions of what the node n moves by its own; empty if they are not the same ones.
Dims dims_below(const Graph& g, Id n, const Dims& dims) {
    const Id from = g.src(n, 0);
    if (g.op(n) != Op::Permute && g.op(n) != Op::Reshape) return dims;
    Dims below(g.shape(from).size(), Factor::kNoDim);
    if (g.op(n) == Op::Permute) {
        for (std::size_t d = 0; d < below.size(); ++d)
            below[static_cast<std::size_t>(g.arg(n, d))] = dims[d];
        return below;
    }
    const Dims here = long_dims(g.shape(n)), there = long_dims(g.shape(from));
    if (long_sizes(g.shape(n)) != long_sizes(g.shape(from))) return {};
    for (std::size_t i = 0; i < here.size(); ++i)
        below[static_cast<std::size_t>(there[i])] = dims[static_cast<std::size_t>(here[i])];
    return below;
}

bool is_passed(Op op, bool casts) {
    return op == Op::Permute || op == Op::Reshape || op == Op::Expand || op == Op::Detach ||
           (casts && op == Op::Cast);
}

}  // namespace

std::vector<std::int64_t> long_dims(std::span<const std::int64_t> shape) {
    Dims dims;
    for (std::size_t d = 0; d < shape.size(); ++d)
        if (shape[d] != 1) dims.push_back(static_cast<std::int64_t>(d));
    return dims;
}

std::vector<std::int64_t> long_sizes(std::span<const std::int64_t> shape) {
    Dims sizes;
    for (std::int64_t size : shape)
        if (size != 1) sizes.push_back(size);
    return sizes;
}

bool is_sum(const Graph& g, Id n) {
    return g.op(n) == Op::Reduce && static_cast<ir::ReduceKind>(g.arg(n, 0)) == ir::ReduceKind::Add;
}

std::vector<bool> reduced_dims(const Graph& g, Id reduce) {
    std::vector<bool> reduced(g.shape(reduce).size());
    for (std::int64_t axis : g.args(reduce).subspan(1))
        reduced[static_cast<std::size_t>(axis)] = true;
    return reduced;
}

std::vector<bool> Factor::summed(const Graph& graph, Id sum) const {
    const std::vector<bool> reduced = reduced_dims(graph, sum);
    std::vector<bool> result;
    for (std::int64_t d : dims)
        result.push_back(d != kNoDim && reduced[static_cast<std::size_t>(d)]);
    return result;
}

Factor factor_of(const Graph& g, Id sum, std::size_t side, bool casts) {
    Factor f{g.src(g.src(sum, 0), side), {}, {}};
    for (std::size_t d = 0; d < g.shape(f.value).size(); ++d)
        f.dims.push_back(static_cast<std::int64_t>(d));
    while (is_passed(g.op(f.value), casts)) {
        Dims below = dims_below(g, f.value, f.dims);
        if (below.empty() && !f.dims.empty()) break;
        f.path.push_back(f.value);
        f.value = g.src(f.value, 0);
        f.dims = std::move(below);
    }
    return f;
}

Id copy_over(const Graph& old, Graph& made, Id n, Id source) {
    return made.make(old.op(n), old.dtype(n), list(old.shape(n)), list(old.args(n)),
                     std::span(&source, 1));
}

Id product_over(const Graph& old, Graph& made, std::span<const Id> now, Id sum, std::size_t side,
                const Factor& factor, Id value) {
    for (auto step = factor.path.rbegin(); step != factor.path.rend(); ++step)
        value = copy_over(old, made, *step, value);
    const Id product = old.src(sum, 0);
    std::vector<Id> factors;
    for (Id s : old.src(product)) factors.push_back(now[s]);
    factors[side] = value;
    return made.make(Op::Mul, old.dtype(product), list(old.shape(product)), {}, factors);
}

}  // namespace sinter::schedule
