#include "plan.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "cost.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

constexpr std::size_t kMostParts = 64;  // that are looked through

// Always written, by a kernel that does nothing else.
bool is_row_by_row(Op op) { return op == Op::Scan || op == Op::Sort; }

bool is_reduction(Op op) { return op == Op::Reduce || op == Op::ArgReduce || op == Op::Fold; }

bool subset(std::uint64_t a, std::uint64_t b) { return (a & ~b) == 0; }

// What a kernel that stores `n` runs over: values with equal domains are loops over the same
// points.
std::vector<std::int64_t> domain_of(const Graph& g, Id n) {
    const Id reduction = reduction_below(g, n);
    std::vector<std::int64_t> domain;
    if (reduction == kNone) {
        domain.push_back(-1);
        domain.insert(domain.end(), g.shape(n).begin(), g.shape(n).end());
        return domain;
    }
    const std::span<const std::int64_t> from = g.shape(g.src(reduction, 0));
    domain.push_back(-2);
    domain.insert(domain.end(), from.begin(), from.end());
    domain.push_back(-3);
    const auto axes = g.args(reduction).subspan(1);
    domain.insert(domain.end(), axes.begin(), axes.end());
    // The same reduction in another shape (after a reshape) is stored over other ranges.
    domain.push_back(-4);
    domain.insert(domain.end(), g.shape(n).begin(), g.shape(n).end());
    return domain;
}

// Whether not all elements of the last axis are taken.
bool takes_parts_of_lines(const Graph& g, Id n) {
    if (g.op(n) != Op::Stride) return false;
    const std::span<const std::int64_t> from = g.shape(g.src(n, 0));
    std::size_t last = from.size() - 1;
    while (last > 0 && from[last] == 1) --last;
    return g.shape(n)[last] < from[last];
}

// Reductions of little work, and what only they lead to.
std::vector<bool> placed_last(const Graph& g, const Profile& profile) {
    std::vector<bool> small(g.size()), last(g.size());
    for (Id n = 0; n < g.size(); ++n)
        small[n] = static_cast<double>(g.numel(n)) <= cost::kSerialWork &&
                   std::ranges::all_of(g.src(n), [&](Id s) { return small[s]; });
    for (Id n = g.size(); n-- > 0;) {
        last[n] = last[n] || (small[n] && !profile[n].stored && g.op(n) == Op::Reduce);
        if (last[n])
            for (Id s : g.src(n)) last[s] = true;
    }
    return last;
}

}  // namespace

Plan::Plan(Expansion& expansion, const Profile& profile)
    : expansion_(expansion),
      graph_(expansion.graph()),
      profile_(profile),
      home_(graph_.size(), kNone),
      uses_(graph_.size()),
      users_(graph_.size()) {
    for (Id n = 0; n < graph_.size(); ++n)
        for (Id s : graph_.src(n)) ++users_[s];
    // Results first: when a node's turn comes, every use of it is known. Small sums come last: one
    // that is written beside a small result (how many labels count, beside the loss) would make
    // large kernels wait for it that could write what the small one reads.
    const std::vector<bool> last = placed_last(graph_, profile_);
    for (Id n = graph_.size(); n-- > 0;)
        if (!last[n]) place(n);
    for (Id n = graph_.size(); n-- > 0;)
        if (last[n]) place(n);
}

void Plan::place(Id n) {
    if (graph_.numel(n) == 0) return;
    if (profile_[n].stored) {
        graph_.op(n) == Op::Scatter ? store_scatter(n) : store(n);
    } else if (!uses_[n].empty() && graph_.op(n) != Op::Buffer) {
        stays_inline(n) ? expand(n) : store(n);
    }
    std::vector<Use>().swap(uses_[n]);
}

std::vector<std::span<const Plan::Use>> Plan::by_kernel(Id n) const {
    std::vector<std::span<const Use>> groups;
    const std::span<const Use> uses = uses_[n];
    for (std::size_t begin = 0; begin < uses.size();) {
        std::size_t end = begin + 1;
        while (end < uses.size() && uses[end].kernel == uses[begin].kernel) ++end;
        groups.push_back(uses.subspan(begin, end - begin));
        begin = end;
    }
    return groups;
}

std::uint64_t Plan::mask(const Use& use) const {
    return expansion_.mask(use.tuple) | use.valid->ranges();
}

double Plan::evaluations(Id n, const Use& use) const {
    const std::uint64_t m = mask(use);
    if (use.scope != 0) return expansion_.extent(use.kernel, m | scopes_[use.scope].open);
    const PlannedKernel& kernel = kernels_[use.kernel];
    for (std::uint64_t rows : kernel.spine)
        if (subset(m, rows)) return expansion_.extent(use.kernel, rows);
    // What lies over a reduction is computed where that will be.
    if (profile_[n].heavy && may_run_over(use.kernel, m))
        if (const Id below = reduction_below(graph_, n);
            below != kNone && !profile_[below].contraction)
            return expansion_.extent(use.kernel, m);
    // Loops nest in order of their numbers: a value is computed once a turn of the innermost that
    // it needs.
    const int top = 64 - std::countl_zero(m);
    const std::uint64_t outer = top == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << top) - 1;
    return expansion_.extent(use.kernel, m | (kernel.loops & outer));
}

bool Plan::stays_inline(Id n) {
    if (graph_.is_leaf(n)) return true;
    const std::vector<std::span<const Use>> groups = by_kernel(n);
    // Of a sum that is stored, no more than is asked for.
    if (const Id sum = cut_from(n);
        sum != kNone && (groups.size() > 1 || !may_inline_reduction(sum, groups[0])))
        return false;
    double evaluated = 0;
    for (const std::span<const Use> uses : groups) {
        if (!may_inline(n, uses)) return false;
        for (const Use& use : uses) evaluated += evaluations(n, use);
    }
    if (groups.size() == 1 || ir::is_movement(graph_.op(n)) || graph_.op(n) == Op::Detach)
        return true;
    if (is_reduction(graph_.op(n))) return false;
    return profile_[n].heavy ? is_made_of_shared(n) && !pays_to_read_back(n, evaluated)
                             : !pays_to_store(n, evaluated);
}

// Whether n is made of nothing but values over reductions that are used elsewhere as well: these
// have to be in memory, n need not be.
bool Plan::is_made_of_shared(Id n) const {
    const auto is_part = [&](Id source) {
        return graph_.numel(source) == graph_.numel(n) && profile_[source].bytes >= 1;
    };
    std::vector<std::pair<Id, std::uint32_t>> parts{{n, 0}};  // and their uses by one another
    const auto find = [&](Id part) {
        return std::ranges::find(parts, part, &std::pair<Id, std::uint32_t>::first);
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts.size() > kMostParts) return false;
        if (is_reduction(graph_.op(parts[i].first))) continue;
        for (Id source : graph_.src(parts[i].first)) {
            if (!is_part(source)) continue;
            if (const auto known = find(source); known != parts.end())
                ++known->second;
            else
                parts.emplace_back(source, 1);
        }
    }
    std::vector<Id> stack{n};
    std::vector<Id> seen;
    while (!stack.empty()) {
        const Id at = stack.back();
        stack.pop_back();
        if (at != n && profile_[at].heavy && users_[at] > find(at)->second) continue;
        if (!profile_[at].heavy || is_reduction(graph_.op(at))) return false;
        for (Id source : graph_.src(at))
            if (is_part(source) && std::ranges::find(seen, source) == seen.end()) {
                seen.push_back(source);
                stack.push_back(source);
            }
    }
    return true;
}

// Its parts are there: what is left is to compute it once more, or to write and read it.
bool Plan::pays_to_read_back(Id n, double evaluated) const {
    const double numel = static_cast<double>(graph_.numel(n));
    const double size = static_cast<double>(size_of(graph_.dtype(n)));
    return (evaluated - numel) * profile_[n].flops * cost::kFlop > (numel + evaluated) * size;
}

Id Plan::cut_from(Id n) const {
    if (graph_.op(n) != Op::Shrink) return kNone;
    Id at = graph_.src(n, 0);
    while (users_[at] == 1 && !profile_[at].stored) {
        if (is_reduction(graph_.op(at))) return graph_.numel(n) < graph_.numel(at) ? at : kNone;
        if (graph_.op(at) != Op::Reshape && graph_.op(at) != Op::Permute) break;
        at = graph_.src(at, 0);
    }
    return kNone;
}

// A stored value is read back wherever it would be evaluated, by every pass of every kernel.
bool Plan::pays_to_store(Id n, double evaluated) const {
    const NodeFacts& facts = profile_[n];
    const double each = facts.bytes + facts.flops * cost::kFlop;
    const double numel = static_cast<double>(graph_.numel(n));
    const double size = static_cast<double>(size_of(graph_.dtype(n)));
    return evaluated * each > numel * (each + size) + evaluated * size + cost::kLaunch;
}

bool Plan::may_inline(Id n, std::span<const Use> uses) const {
    if (is_reduction(graph_.op(n))) return may_inline_reduction(n, uses);
    return may_inline_value(n, uses);
}

bool Plan::may_inline_value(Id n, std::span<const Use> uses) const {
    const Op op = graph_.op(n);
    const NodeFacts& facts = profile_[n];
    if (ir::is_movement(op)) {
        // Padding stays out of the inner loops of a contraction, and so do lines of which it reads
        // a part alone: its operands have no masks, and vectors are loaded from memory as they lie.
        // Not that of an image that nothing but overlapping windows read again: it is loaded as
        // seldom as a copy would be.
        if (facts.bytes == 0 || (op != Op::Pad && !takes_parts_of_lines(graph_, n))) return true;
        return std::ranges::none_of(uses, [&](const Use& use) {
            const double repeats = subset(kernels_[use.kernel].loops, mask(use))
                                       ? cost::kWindowRepeats
                                       : cost::kRepeats;
            return scopes_[use.scope].contraction &&
                   evaluations(n, use) > repeats * static_cast<double>(graph_.numel(n));
        });
    }
    if (op == Op::Detach) return true;
    if (kernels_[uses[0].kernel].nodes > cost::kMaxNodes || uses.size() > cost::kMaxPlaces)
        return false;
    if (facts.cast_of_memory || (facts.bytes == 0 && facts.flops <= 16)) return true;
    const double numel = static_cast<double>(graph_.numel(n));
    for (const Use& use : uses) {
        const double evaluated = evaluations(n, use);
        if (evaluated <= cost::kRepeats * numel) continue;
        const double wasted = (evaluated - numel) * std::max(1.0f, facts.flops);
        if (wasted <= cost::kTinyWork) continue;
        // Cheap values that are spread over rows are computed for each; operands of products are
        // not.
        if (use.scope != 0 || facts.flops > 8) return false;
    }
    return true;
}

bool Plan::fits_spine(const PlannedKernel& kernel, std::uint64_t open) const {
    return std::ranges::all_of(
        kernel.spine, [&](std::uint64_t rows) { return subset(rows, open) || subset(open, rows); });
}

void Plan::join_spine(KernelId id, std::uint64_t open) {
    std::vector<std::uint64_t>& spine = kernels_[id].spine;
    if (std::ranges::find(spine, open) != spine.end()) return;
    spine.push_back(open);
    std::ranges::sort(spine, {}, [](std::uint64_t m) { return std::popcount(m); });
}

bool Plan::may_inline_reduction(Id n, std::span<const Use> uses) const {
    if (uses.size() != 1) return false;
    const Use& use = uses[0];
    const PlannedKernel& kernel = kernels_[use.kernel];
    if (expansion_.data_dependent(use.tuple) || kernel.nodes > cost::kMaxNodes) return false;
    if (expansion_.ranges(use.kernel).size() + graph_.shape(graph_.src(n, 0)).size() >
        cost::kMaxRanges)
        return false;
    const std::uint64_t open = mask(use);
    const Scope& scope = scopes_[use.scope];
    const bool contraction = profile_[n].contraction;
    const double numel = static_cast<double>(graph_.numel(n));
    const double length = static_cast<double>(reduction_length(graph_, n));

    if (use.scope != 0) {
        const double evaluated = expansion_.extent(use.kernel, open | scope.open);
        if (evaluated > numel * (scope.fold ? cost::kHalo : 1.0)) return false;
        const double work = evaluated * length;
        if (work <= cost::kSerialWork) return true;
        if (contraction && !scope.fold) return false;
        return expansion_.extent(use.kernel, scope.open) >= cost::kParallelRows;
    }

    if (expansion_.extent(use.kernel, open) > numel || !fits_spine(kernel, open)) return false;
    // The range of a scan runs innermost: nothing is computed for each of its steps but what
    // belongs to one element.
    if ((open & walked(kernel)) != 0 && !subset(kernel.loops, open)) return false;
    if (subset(kernel.loops, open))  // an epilogue
        return !contraction || (!kernel.contraction && kernel.stores.size() <= 2);
    return !contraction && may_run_over(use.kernel, open);
}

// The range that a scan of this kernel walks.
std::uint64_t Plan::walked(const PlannedKernel& kernel) const {
    std::uint64_t ranges = 0;
    for (const PlannedStore& s : kernel.stores)
        if (graph_.op(s.node) == Op::Scan)
            ranges |= expansion_.tuple(s.tuple)[static_cast<std::size_t>(graph_.arg(s.node, 1))]
                          ->ranges();
    return ranges;
}

// Rows that are gone through more than once: the rows alone must keep the machine busy.
bool Plan::may_run_over(KernelId id, std::uint64_t rows) const {
    const PlannedKernel& kernel = kernels_[id];
    if (!fits_spine(kernel, rows) || !subset(rows, kernel.loops)) return false;
    return expansion_.extent(id, rows) >= cost::kParallelRows ||
           expansion_.extent(id, kernel.loops) <= cost::kSerialWork;
}

KernelId Plan::new_kernel() {
    expansion_.new_kernel();
    kernels_.emplace_back();
    return static_cast<KernelId>(kernels_.size() - 1);
}

void Plan::add_store(KernelId id, Id n, TupleId tuple, PlannedStore::Kind kind) {
    kernels_[id].stores.push_back({n, tuple, kind});
    kernels_[id].loops |= expansion_.mask(tuple);
}

void Plan::load(Id n, const Use& use) {
    const Scope& scope = scopes_[use.scope];
    kernels_[use.kernel].loads.push_back({n, use.tuple, scope.contraction ? scope.closed : 0});
}

// Every kernel but its own that uses the stored value finds it in memory.
void Plan::read_back(Id n) {
    for (const Use& use : uses_[n]) {
        if (use.kernel == home_[n]) continue;
        depend(use.kernel, home_[n]);
        load(n, use);
    }
}

void Plan::depend(KernelId reader, KernelId writer) {
    std::vector<KernelId>& reads = kernels_[reader].reads;
    const auto at = std::ranges::lower_bound(reads, writer);
    if (at == reads.end() || *at != writer) reads.insert(at, writer);
}

bool Plan::reaches(KernelId from, KernelId to) const {
    if (from == to) return true;
    std::vector<KernelId> stack{from};
    std::vector<bool> seen(kernels_.size());
    seen[from] = true;
    while (!stack.empty()) {
        const KernelId at = stack.back();
        stack.pop_back();
        for (KernelId next : kernels_[at].reads) {
            if (next == to) return true;
            if (!seen[next]) {
                seen[next] = true;
                stack.push_back(next);
            }
        }
    }
    return false;
}

void Plan::store(Id n) {
    if (!store_where_used(n)) {
        if (!store_beside_sibling(n)) {
            const KernelId id = new_kernel();
            kernels_[id].sealed = is_row_by_row(graph_.op(n));
            kernels_[id].domain = domain_of(graph_, n);
            add_store(id, n, expansion_.plain_tuple(id, graph_.shape(n)));
            home_[n] = id;
        }
        const KernelId home = home_[n];
        read_back(n);
        uses_[n].assign(1,
                        {home, 0, kernels_[home].stores.back().tuple, expansion_.index().truth()});
    } else {
        const KernelId home = home_[n];
        read_back(n);
        std::erase_if(uses_[n], [&](const Use& use) { return use.kernel != home; });
    }
    expand(n);
    if (!kernels_[home_[n]].sealed)
        for (Id read : values_run_over(graph_, profile_, n)) readers_[read].push_back(home_[n]);
}

// A kernel that computes the value anyway writes it, too.
bool Plan::store_where_used(Id n) {
    // A part of a sum is computed where the sum would be.
    if (is_row_by_row(graph_.op(n)) || cut_from(n) != kNone) return false;
    const std::vector<std::span<const Use>> groups = by_kernel(n);
    for (const std::span<const Use> uses : groups) {
        const KernelId id = uses[0].kernel;
        const PlannedKernel& kernel = kernels_[id];
        if (kernel.sealed || kernel.stores.size() >= cost::kMaxStores ||
            std::ranges::any_of(uses, &Use::loads) || !may_inline(n, uses))
            continue;
        const bool rows = is_reduction(graph_.op(n)) || profile_[n].heavy;
        const auto plain = std::ranges::find_if(uses, [&](const Use& use) {
            if (use.scope != 0 || use.valid != expansion_.index().truth()) return false;
            if (!expansion_.is_plain(id, use.tuple, graph_.shape(n))) return false;
            const std::uint64_t m = mask(use);
            return m == kernel.loops || (rows && subset(m, kernel.loops) && fits_spine(kernel, m));
        });
        if (plain == uses.end()) continue;
        if (std::ranges::any_of(groups, [&](std::span<const Use> other) {
                return other[0].kernel != id && reaches(id, other[0].kernel);
            }))
            continue;
        add_store(id, n, plain->tuple);
        if (rows) join_spine(id, mask(*plain));
        home_[n] = id;
        return true;
    }
    return false;
}

// A kernel that runs over the same points of a shared value.
bool Plan::store_beside_sibling(Id n) {
    const Id reduction = reduction_below(graph_, n);
    if (is_row_by_row(graph_.op(n)) || (reduction != kNone && profile_[reduction].contraction))
        return false;
    const std::vector<std::int64_t> domain = domain_of(graph_, n);
    for (Id read : values_run_over(graph_, profile_, n)) {
        const auto readers = readers_.find(read);
        if (readers == readers_.end()) continue;
        for (KernelId id : readers->second) {
            const PlannedKernel& kernel = kernels_[id];
            if (kernel.sealed || kernel.contraction || kernel.domain != domain ||
                kernel.stores.size() >= cost::kMaxStores || kernel.nodes > cost::kMaxNodes)
                continue;
            if (std::ranges::any_of(uses_[n],
                                    [&](const Use& use) { return reaches(id, use.kernel); }))
                continue;
            const TupleId tuple = expansion_.plain_tuple(id, graph_.shape(n));
            if (!fits_spine(kernel, expansion_.mask(tuple))) continue;
            add_store(id, n, tuple);
            home_[n] = id;
            return true;
        }
    }
    return false;
}

void Plan::store_scatter(Id n) {
    const KernelId base = new_kernel();
    kernels_[base].sealed = true;
    add_store(base, n, expansion_.plain_tuple(base, graph_.shape(n)), PlannedStore::Kind::Base);
    push(base, 0, {graph_.src(n, 0), kernels_[base].stores[0].tuple, expansion_.index().truth()});
    home_[n] = base;
    if (graph_.numel(graph_.src(n, 1)) > 0) {
        const KernelId combine = new_kernel();
        kernels_[combine].sealed = true;
        const TupleId tuple = expansion_.plain_tuple(combine, graph_.shape(graph_.src(n, 1)));
        add_store(combine, n, tuple, PlannedStore::Kind::Combine);
        push(combine, 0, {graph_.src(n, 1), tuple, expansion_.index().truth()});
        push(combine, 0, {graph_.src(n, 2), tuple, expansion_.index().truth()});
        depend(combine, base);
        home_[n] = combine;
    }
    read_back(n);
}

void Plan::expand(Id n) {
    std::vector<Read> reads;
    for (const Use& use : uses_[n]) {
        reads.clear();
        expansion_.reads(use.kernel, n, use.tuple, use.valid, reads);
        std::uint32_t scope = use.scope;
        if (is_reduction(graph_.op(n)) || graph_.op(n) == Op::Sort) {
            std::uint64_t closed = 0, open = mask(use);
            for (Ref r : expansion_.closed_ranges(use.kernel, n, use.tuple, use.valid))
                closed |= r->ranges();
            // A row is sorted once, whichever place of it is read.
            if (graph_.op(n) == Op::Sort)
                open &= ~expansion_.tuple(use.tuple)[static_cast<std::size_t>(graph_.arg(n, 0))]
                             ->ranges();
            scopes_.push_back({use.scope, closed, open | scopes_[use.scope].open,
                               graph_.op(n) == Op::Fold, profile_[n].contraction});
            scope = static_cast<std::uint32_t>(scopes_.size() - 1);
            if (use.scope == 0) join_spine(use.kernel, open);
            kernels_[use.kernel].contraction =
                kernels_[use.kernel].contraction || profile_[n].contraction;
        }
        for (const Read& read : reads) push(use.kernel, scope, read, graph_.is_read_back(n));
    }
}

void Plan::push(KernelId kernel, std::uint32_t scope, const Read& read, bool loads) {
    ++kernels_[kernel].nodes;
    const bool leaf = graph_.is_leaf(read.node);
    if (leaf && graph_.op(read.node) != Op::Buffer) return;
    Use use{kernel, scope, read.tuple, read.valid, loads};
    // What does not depend on a reduction's ranges is computed outside of it.
    while (use.scope != 0 && (mask(use) & scopes_[use.scope].closed) == 0)
        use.scope = scopes_[use.scope].parent;
    if (leaf) return load(read.node, use);
    std::vector<Use>& uses = uses_[read.node];
    auto at = uses.begin();
    while (at != uses.end() && at->kernel <= kernel) {
        if (*at == use) return;
        ++at;
    }
    uses.insert(at, use);
}

}  // namespace sinter::schedule
