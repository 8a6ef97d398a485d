#include "pack.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "cost.h"
#include "factor.h"

namespace sinter::schedule {

using ir::Op;

namespace {

using Dims = std::vector<std::int64_t>;

Dims list(std::span<const std::int64_t> of) { return {of.begin(), of.end()}; }

// A matrix that a product takes: its dimension that is summed, and that which is columns of the
// result.
struct Matrix {
    Factor factor;
    std::int64_t summed, columns;
    Id value() const { return factor.value; }
};

// The matrix behind one side of the product that `sum` adds up, if the columns of the result, which
// lie side by side, are its own.
std::optional<Matrix> matrix_of(const Graph& g, Id sum, std::size_t side) {
    Matrix m{factor_of(g, sum, side, true), Factor::kNoDim, Factor::kNoDim};
    const std::vector<bool> summed = m.factor.summed(g, sum);
    const Dims lengths = long_dims(g.shape(m.value())), results = long_dims(g.shape(sum));
    if (lengths.size() != 2 || results.empty() || g.numel(m.value()) == 0) return std::nullopt;
    for (std::int64_t d : lengths) {
        const auto at = static_cast<std::size_t>(d);
        if (summed[at])
            m.summed = d;
        else if (m.factor.dims[at] == results.back())
            m.columns = d;
    }
    if (m.summed == Factor::kNoDim || m.columns == Factor::kNoDim) return std::nullopt;
    return m;
}

// What is best for so many rows: panels from `panel_rows` on, if the device has them, and for fewer
// the sums side by side if `turned` says so, else the matrix as it is.
struct PackingRow {
    DType dtype;
    std::int64_t panel_rows;
    bool turned;
};
constexpr std::int64_t kNoPanels = INT64_MAX;
constexpr PackingRow kPackings[] = {
    {DType::F32, kNoPanels, true}, {DType::F64, kNoPanels, true}, {DType::BF16, 4, false},
    {DType::F16, 64, false},       {DType::I8, 32, true},         {DType::U8, 32, true},
};

enum class Packing : std::uint8_t { None, Turned, Panels };

struct Change {
    std::size_t side;  // of the product
    Matrix matrix;
    Packing packing;
};

class Packer {
public:
    Packer(const Graph& graph, const Profile& profile, const std::vector<bool>& steady,
           const PackLimits& limits)
        : g_(graph), limits_(limits) {
        const std::vector<bool> is_steady = steady_nodes(graph, steady);
        for (Id sum = 0; sum < g_.size(); ++sum) {
            if (!profile[sum].contraction || g_.op(sum) != Op::Reduce || is_steady[sum] ||
                g_.op(g_.src(sum, 0)) != Op::Mul)
                continue;
            for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
                const auto m = matrix_of(g_, sum, side);
                if (!m || !is_steady[m->value()]) continue;
                if (const Packing packing = packing_of(*m, sum); packing != Packing::None) {
                    changes_.emplace(sum, Change{side, *m, packing});
                    break;
                }
            }
        }
    }
    bool has_any() const { return !changes_.empty(); }

    void rewrite(Id n, std::vector<Id>& sources, Graph& made, std::span<const Id> now) {
        const auto found = changes_.find(n);
        if (found == changes_.end()) return;
        const auto& [side, m, packing] = found->second;
        const Id value = packed(m, packing, made, now);
        sources[0] = product_over(g_, made, now, n, side, m.factor, value);
    }

private:
    std::int64_t size(const Matrix& m, std::int64_t dim) const {
        return g_.shape(m.value())[static_cast<std::size_t>(dim)];
    }

    // Many rows are worth a copy in every run; of one, memory is read only once.
    Packing packing_of(const Matrix& m, Id sum) const {
        const std::int64_t columns = size(m, m.columns), rows = g_.numel(sum) / columns;
        if (!limits_.always && (rows < cost::kPackedRows || rows > cost::kMostPackedRows ||
                                g_.numel(m.value()) < cost::kPackedElements))
            return Packing::None;
        const auto row = std::ranges::find(kPackings, g_.dtype(m.value()), &PackingRow::dtype);
        if (row == std::end(kPackings)) return Packing::None;
        if (limits_.panel_columns != 0 && (rows >= row->panel_rows || limits_.always) &&
            columns % limits_.panel_columns == 0)
            return Packing::Panels;
        return row->turned && m.summed < m.columns ? Packing::Turned : Packing::None;
    }

    // The matrix as it is now, over its copy.
    Id packed(const Matrix& m, Packing packing, Graph& made, std::span<const Id> now) {
        const DType dtype = g_.dtype(m.value());
        const std::int64_t sums = size(m, m.summed), columns = size(m, m.columns),
                           panel = limits_.panel_columns;
        const auto reshaped = [&](Id x, const Dims& shape) {
            return made.make(Op::Reshape, dtype, shape, shape, std::span(&x, 1));
        };
        const auto permuted = [&](Id x, const Dims& order) {
            Dims shape;
            for (std::int64_t d : order)
                shape.push_back(made.shape(x)[static_cast<std::size_t>(d)]);
            return made.make(Op::Permute, dtype, shape, order, std::span(&x, 1));
        };
        Dims parts{sums, columns}, order{1, 0};  // which is its own inverse
        if (packing == Packing::Panels) {
            const bool sums_first = m.summed < m.columns;
            parts = sums_first ? Dims{sums, columns / panel, panel}
                               : Dims{columns / panel, panel, sums};
            order = sums_first ? Dims{1, 0, 2} : Dims{0, 2, 1};
        }
        const auto [copy, fresh] = copies_.try_emplace({m.value(), m.columns, packing}, kNone);
        if (fresh) {
            const Id laid_out = permuted(reshaped(now[m.value()], parts), order);
            copy->second = made.make(Op::Contiguous, dtype, list(made.shape(laid_out)), {1},
                                     std::span(&laid_out, 1));
        }
        return reshaped(permuted(copy->second, order), list(g_.shape(m.value())));
    }

    const Graph& g_;
    const PackLimits limits_;
    std::map<Id, Change> changes_;                                // by sum
    std::map<std::tuple<Id, std::int64_t, Packing>, Id> copies_;  // by value and columns
};

}  // namespace

std::vector<bool> steady_nodes(const Graph& graph, const std::vector<bool>& steady) {
    std::vector<bool> is(graph.size(), false);
    if (std::ranges::find(steady, true) == steady.end()) return is;
    for (Id n = 0; n < graph.size(); ++n) {
        if (graph.op(n) == Op::Buffer) {
            const auto input = static_cast<std::size_t>(graph.leaf(n));
            is[n] = input < steady.size() && steady[input];
        } else if (graph.is_leaf(n)) {
            is[n] = graph.op(n) != Op::Bind;
        } else {
            is[n] = std::ranges::all_of(graph.src(n), [&](Id s) { return is[s]; });
        }
    }
    return is;
}

std::optional<Graph> pack_operands(const Graph& graph, const Profile& profile,
                                   const std::vector<bool>& steady, const PackLimits& limits) {
    if (std::ranges::find(steady, true) == steady.end()) return std::nullopt;
    Packer packer(graph, profile, steady, limits);
    if (!packer.has_any()) return std::nullopt;
    return graph.rewritten([&](Id n, std::vector<Id>& sources, Graph& made,
                               std::span<const Id> now) { packer.rewrite(n, sources, made, now); });
}

}  // namespace sinter::schedule
