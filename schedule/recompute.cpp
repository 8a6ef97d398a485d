#include "recompute.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "cost.h"
#include "factor.h"

namespace sinter::schedule {

using ir::Op;
using ir::ReduceKind;

namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::int64_t kNearValues = 4;  // of a row: two products and what becomes of them

bool is_read_through(const Graph& g, Id n) {
    return ir::is_movement(g.op(n)) || g.op(n) == Op::Cast;
}

// What it takes to compute a value once more.
class Cone {
public:
    Cone(const Graph& graph, Id value)
        : g_(graph), value_(value), sizes_(long_sizes(g_.shape(value))) {
        complete_ = visit(value);
    }

    // Which of the long dimensions the statistics of its rows go along; nothing if it cannot be
    // computed again, or has no statistics or no products to begin with.
    std::optional<std::size_t> columns() const {
        if (!complete_ || products_ == 0 || statistics_.size() != 1) return std::nullopt;
        return *statistics_.begin();
    }
    const Dims& sizes() const { return sizes_; }

private:
    static constexpr std::size_t kMost = 64;        // nodes
    static constexpr std::int64_t kShortSum = 128;  // terms of a product that is done again

    bool visit(Id n) {
        if (!seen_.insert(n).second) return true;
        if (seen_.size() > kMost) return false;
        const Op op = g_.op(n);
        if (g_.is_leaf(n)) return true;
        if (ir::is_elementwise(op) || op == Op::Detach || is_squeeze(g_, n))
            return std::ranges::all_of(g_.src(n), [&](Id s) { return visit(s); });
        if (is_short_product(g_, n)) {
            ++products_;
            return true;
        }
        // From here on it is read from memory: what is smaller, or given.
        Id from = n;
        while (is_read_through(g_, from)) from = g_.src(from, 0);
        if (g_.op(from) == Op::Buffer || g_.op(from) == Op::Const || g_.op(from) == Op::Iota)
            return true;
        if (g_.numel(from) >= g_.numel(value_)) return false;
        find_statistics(from);
        return true;
    }

    // Reductions of values of this one's size below `n`, by the dimension that they go along.
    void find_statistics(Id n) {
        std::vector<Id> stack{n};
        std::set<Id> seen;
        for (int budget = 64; budget > 0 && !stack.empty(); --budget) {
            const Id at = stack.back();
            stack.pop_back();
            if (!seen.insert(at).second || g_.is_leaf(at)) continue;
            if (g_.op(at) == Op::Reduce) {
                const Id from = g_.src(at, 0);
                if (long_sizes(g_.shape(from)) != sizes_) continue;
                const std::vector<bool> reduced = reduced_dims(g_, at);
                const Dims dims = long_dims(g_.shape(from));
                for (std::size_t i = 0; i < dims.size(); ++i)
                    if (reduced[static_cast<std::size_t>(dims[i])]) statistics_.insert(i);
                continue;
            }
            for (Id s : g_.src(at)) stack.push_back(s);
        }
    }

public:
    // A movement that adds or drops dimensions of size 1 alone.
    static bool is_squeeze(const Graph& g, Id n) {
        return g.op(n) == Op::Reshape && long_sizes(g.shape(n)) == long_sizes(g.shape(g.src(n, 0)));
    }
    static bool is_short_product(const Graph& g, Id n) {
        return is_sum(g, n) && g.op(g.src(n, 0)) == Op::Mul && reduction_length(g, n) <= kShortSum;
    }

private:
    const Graph& g_;
    const Id value_;
    const Dims sizes_;
    std::set<Id> seen_;
    std::set<std::size_t> statistics_;
    std::size_t products_ = 0;
    bool complete_ = false;
};

// A sum to be given a factor the other way round.
struct Change {
    Factor factor;
    std::size_t side;          // of the product
    std::size_t columns, sum;  // among the long dimensions of its value: its rows' and the sum's
};

// What may change of the product that `sum` adds up, on one side: a large value computed from
// statistics of its rows that is summed down its columns alone, and of which a few columns fit
// near.
std::optional<Change> change_of(const Graph& g, const Profile& profile, Id sum, std::size_t side,
                                const RecomputeLimits& limits) {
    const Factor factor = factor_of(g, sum, side, false);
    if (!ir::is_elementwise(g.op(factor.value))) return std::nullopt;
    const Id value = factor.value;
    const std::vector<bool> summed = factor.summed(g, sum);
    const auto each = static_cast<std::int64_t>(size_of(g.dtype(value)));
    if (profile[value].stored || !is_float(g.dtype(value)) ||
        (static_cast<double>(g.numel(value) * each) < cost::kChainBytes && !limits.always))
        return std::nullopt;
    const Dims dims = long_dims(g.shape(value));
    const auto is_summed = [&](std::int64_t d) { return summed[static_cast<std::size_t>(d)]; };
    if (std::ranges::count_if(dims, is_summed) != 1) return std::nullopt;
    const auto down =
        static_cast<std::size_t>(std::ranges::find_if(dims, is_summed) - dims.begin());
    const Cone cone(g, value);
    const std::optional<std::size_t> columns = cone.columns();
    if (!columns || *columns == down ||
        cone.sizes()[down] * kNearValues * cost::kNearRows * each > limits.near_bytes)
        return std::nullopt;
    return Change{factor, side, *columns, down};
}

// The values that sums go down, by the sum.
std::map<Id, Change> find_changes(const Graph& g, const Profile& profile,
                                  const RecomputeLimits& limits) {
    std::map<Id, Change> changes;
    for (Id sum = 0; sum < g.size(); ++sum) {
        if (!profile[sum].contraction || g.op(g.src(sum, 0)) != Op::Mul) continue;
        std::optional<Change> change = change_of(g, profile, sum, 0, limits);
        if (!change) change = change_of(g, profile, sum, 1, limits);
        if (change) changes.emplace(sum, *std::move(change));
    }
    return changes;
}

// Values the other way round, by the value and the two dimensions that change places.
class Turned {
public:
    Turned(const Graph& old, const Profile& profile, Graph& made, std::span<const Id> now,
           std::map<std::array<Id, 3>, Id>& known)
        : old_(old), profile_(profile), made_(made), now_(now), known_(known) {}

    // `a` and `b` count the dimensions longer than 1.
    Id value(Id n, std::size_t a, std::size_t b) {
        const std::array<Id, 3> key{n, static_cast<Id>(a), static_cast<Id>(b)};
        if (const auto at = known_.find(key); at != known_.end()) return at->second;
        const Op op = old_.op(n);
        const Dims order = swapped(old_.shape(n), a, b);
        std::vector<Id> sources;
        Id turned = kNone;
        if (!old_.is_leaf(n) && (ir::is_elementwise(op) || op == Op::Detach)) {
            for (Id s : old_.src(n)) sources.push_back(value(s, a, b));
            turned = made_.make(op, old_.dtype(n), in_order(old_.shape(n), order),
                                list(old_.args(n)), sources);
        } else if (Cone::is_squeeze(old_, n)) {
            sources.push_back(value(old_.src(n, 0), a, b));
            const Dims shape = in_order(old_.shape(n), order);
            turned = made_.make(op, old_.dtype(n), shape, shape, sources);
        } else if (Cone::is_short_product(old_, n)) {
            sources.push_back(product(n, order));
            turned = made_.make(op, old_.dtype(n), in_order(old_.shape(n), order),
                                list(old_.args(n)), sources);
        } else {
            turned = permuted(from_memory(n), old_.dtype(n), old_.shape(n), order);
        }
        known_.emplace(key, turned);
        return turned;
    }

    Id permuted(Id n, DType dtype, std::span<const std::int64_t> shape, const Dims& order) {
        return made_.make(Op::Permute, dtype, in_order(shape, order), order, std::span(&n, 1));
    }

    static Dims swapped(std::span<const std::int64_t> shape, std::size_t a, std::size_t b) {
        const Dims dims = long_dims(shape);
        Dims order(shape.size());
        for (std::size_t d = 0; d < order.size(); ++d) order[d] = static_cast<std::int64_t>(d);
        std::swap(order[static_cast<std::size_t>(dims[a])],
                  order[static_cast<std::size_t>(dims[b])]);
        return order;
    }

private:
    static Dims in_order(std::span<const std::int64_t> shape, const Dims& order) {
        Dims out;
        for (std::int64_t d : order) out.push_back(shape[static_cast<std::size_t>(d)]);
        return out;
    }
    static Dims list(std::span<const std::int64_t> args) { return {args.begin(), args.end()}; }

    // The node; over a statistic, which those compute who walk along rows, as it is in memory.
    Id from_memory(Id n) {
        std::vector<Id> path;
        Id from = n;
        while (is_read_through(old_, from)) {
            path.push_back(from);
            from = old_.src(from, 0);
        }
        if (!profile_[from].heavy) return now_[n];
        Id at = now_[from];
        at = made_.make(Op::Contiguous, old_.dtype(from), list(old_.shape(from)), {1},
                        std::span(&at, 1));
        for (auto step = path.rbegin(); step != path.rend(); ++step)
            at = copy_over(old_, made_, *step, at);
        return at;
    }

    // What the short sum n goes over; the order moves none of the dimensions that it reduces.
    Id product(Id n, const Dims& order) {
        const Id mul = old_.src(n, 0);
        std::vector<Id> sources;
        for (Id s : old_.src(mul))
            sources.push_back(permuted(now_[s], old_.dtype(s), old_.shape(s), order));
        return made_.make(Op::Mul, old_.dtype(mul), in_order(old_.shape(mul), order), {}, sources);
    }

    const Graph& old_;
    const Profile& profile_;
    Graph& made_;
    std::span<const Id> now_;
    std::map<std::array<Id, 3>, Id>& known_;
};

}  // namespace

std::optional<Graph> recompute_columns(const Graph& graph, const Profile& profile,
                                       const RecomputeLimits& limits) {
    if (limits.near_bytes == 0) return std::nullopt;
    const std::map<Id, Change> changes = find_changes(graph, profile, limits);
    if (changes.empty()) return std::nullopt;
    std::map<std::array<Id, 3>, Id> known;
    return graph.rewritten(
        [&, &old = graph](Id n, std::vector<Id>& sources, Graph& made, std::span<const Id> now) {
            const auto found = changes.find(n);
            if (found == changes.end()) return;
            const Change& c = found->second;
            Turned turned(old, profile, made, now, known);
            const Id value = c.factor.value;
            const Dims order = Turned::swapped(old.shape(value), c.columns, c.sum);
            const Id there = turned.value(value, c.columns, c.sum),
                     back = turned.permuted(there, old.dtype(value), made.shape(there), order);
            sources[0] = product_over(old, made, now, n, c.side, c.factor, back);
        });
}

}  // namespace sinter::schedule
