#include "chain.h"

#include <algorithm>
#include <unordered_map>

#include <sinter/ir/affine.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/spec.h>

#include "cost.h"
#include "rebuild.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;
using ir::Role;

namespace {

std::int64_t size_of_range(Ref r) { return r->src(0)->is(Op::Const) ? r->src(0)->arg(0) : -1; }

// A kernel of a chain.
struct Member {
    std::uint32_t kernel;
    std::vector<Ref> rows;  // its ranges that the chain runs over, outermost first
};

struct Chain {
    std::vector<Member> members;  // in the order in which they run
    std::vector<Id> near;         // values between them
    std::int64_t row_bytes = 0;   // of those, for one row
    std::size_t ranges = 0;
};

// What is asked of a kernel before it is looked at as part of a chain: plain stores, in any order.
bool may_be_chained(Ref sink) {
    for (Ref n : ir::toposort(std::span<const Ref>(&sink, 1))) {
        if (n->is(Op::Scan) || n->is(Op::Order)) return false;
        if (n->is(Op::Store) && n->arg(0) != ir::kPlainStore) return false;
        if (n->is(Op::Range) && size_of_range(n) < 0) return false;
    }
    return true;
}

std::size_t count_ranges(Ref sink) {
    return static_cast<std::size_t>(std::ranges::count_if(
        ir::toposort(std::span<const Ref>(&sink, 1)), [](Ref n) { return n->is(Op::Range); }));
}

bool has_reduction(Ref sink) {
    return std::ranges::any_of(ir::toposort(std::span<const Ref>(&sink, 1)),
                               [](Ref n) { return n->is(Op::Reduce) || n->is(Op::Accumulate); });
}

struct Row {
    Ref written, read;  // the range of the one that writes, of the one that reads
    std::int64_t stride;
};

// Ranges of the writer and the reader that go through the value's memory alike, outermost first;
// empty where there are none or the index is no sum of ranges.
std::vector<Row> common_rows(Ref store, Ref reader, std::int64_t slot) {
    std::vector<std::pair<std::int64_t, Ref>> written;
    const ir::Affine index = ir::affine(store->src(1));
    for (const auto& [term, stride] : index.terms) {
        if (!term->is(Op::Range) || stride <= 0) return {};
        written.emplace_back(stride, term);
    }
    std::ranges::sort(written, std::greater(), [](const auto& w) { return w.first; });
    std::int64_t dense = 1;
    for (std::size_t i = written.size(); i-- > 0;) {
        if (written[i].first != dense) return {};
        dense *= size_of_range(written[i].second);
    }
    if (index.constant != 0 || store->src(3)->vmin() != 1) return {};

    std::uint64_t loops = ~std::uint64_t{0};
    for (Ref s : reader->src()) loops &= s->ranges();
    // What a reduction goes through is no row, though the store may go through it again.
    for (Ref n : ir::toposort(std::span<const Ref>(&reader, 1)))
        if (n->is(Op::Reduce) || n->is(Op::Accumulate))
            for (Ref r : ir::named_ranges(n)) loops &= ~r->ranges();
    std::vector<Row> rows;
    bool first = true;
    for (Ref n : ir::toposort(std::span<const Ref>(&reader, 1))) {
        if (!n->is(Op::Load) || n->src(0)->arg(0) != slot) continue;
        const ir::Affine at = ir::affine(n->src(1));
        std::vector<Row> matched;
        for (const auto& [stride, range] : written) {
            const auto same = std::ranges::find_if(at.terms, [&](const auto& t) {
                return t.second == stride && t.first->is(Op::Range) &&
                       ir::role_of(t.first) == Role::Loop && (t.first->ranges() & loops) != 0 &&
                       size_of_range(t.first) == size_of_range(range);
            });
            if (same == at.terms.end()) break;
            matched.push_back({range, same->first, stride});
        }
        if (first) rows = matched;
        first = false;
        std::size_t common = 0;
        while (common < rows.size() && common < matched.size() &&
               rows[common].read == matched[common].read)
            ++common;
        rows.resize(common);
    }
    return rows;
}

// Whether, beyond its rows, every load of the slot stays within the row that it is in.
bool stays_in_row(Ref reader, std::int64_t slot, std::span<const Row> rows) {
    for (Ref n : ir::toposort(std::span<const Ref>(&reader, 1))) {
        if (!n->is(Op::Load) || n->src(0)->arg(0) != slot) continue;
        ir::Affine rest = ir::affine(n->src(1));
        std::erase_if(rest.terms, [&](const auto& t) {
            return std::ranges::any_of(rows, [&](const Row& r) { return r.read == t.first; });
        });
        const ir::Bounds b = ir::bounds(rest);
        if (b.min < 0 || b.max >= rows.back().stride) return false;
    }
    return true;
}

// The most bytes that blocks of rows read again and again, and that should stay near in between:
// what does not depend on the innermost row, and what a reduction goes through for each of the
// outer rows (a product's operand that has no such row would be read whole for each of them).
double shared_bytes(Ref sink, std::span<const Ref> rows, std::int64_t but_slot) {
    std::unordered_map<Ref, double> most;
    std::vector<Ref> ranges;
    std::uint64_t reduced = 0;
    const std::vector<Ref> order = ir::toposort(std::span<const Ref>(&sink, 1));
    for (Ref n : order) {
        if (n->is(Op::Range)) ranges.push_back(n);
        if (n->is(Op::Reduce) || n->is(Op::Accumulate))
            for (Ref r : ir::named_ranges(n)) reduced |= r->ranges();
    }
    for (Ref n : order) {
        if (!n->is(Op::Load) || n->src(0)->arg(0) == but_slot) continue;
        const std::uint64_t used = n->src(1)->ranges();
        std::uint64_t outer = 0;
        for (Ref row : rows) {
            outer |= row->ranges();
            const bool again =
                (used & row->ranges()) == 0 && (row == rows.back() || (used & reduced) != 0);
            if (!again) continue;
            double elements = 1;
            for (Ref r : ranges)
                if ((r->ranges() & used & ~outer) != 0)
                    elements *= static_cast<double>(size_of_range(r));
            double& bytes = most[n->src(0)];
            bytes = std::max(bytes, elements * static_cast<double>(size_of(n->dtype())));
        }
    }
    double total = 0;
    for (const auto& [param, bytes] : most) total += bytes;
    return total;
}

class Chainer {
public:
    Chainer(const Graph& graph, ir::Arena& arena, std::vector<FinishedKernel> kernels,
            const std::function<bool(Id)>& is_temporary, const ChainLimits& limits)
        : graph_(graph),
          arena_(arena),
          kernels_(std::move(kernels)),
          is_temporary_(is_temporary),
          limits_(limits),
          chain_of_(kernels_.size()) {
        for (std::uint32_t k = 0; k < kernels_.size(); ++k) {
            chain_of_[k] = k;
            chains_.push_back({{{k, {}}}, {}, 0, count_ranges(kernels_[k].sink)});
            for (Id memory : kernels_[k].memories) touching_[memory].push_back(k);
        }
    }

    Chains run() {
        for (std::uint32_t k = 0; k < kernels_.size(); ++k) join(k);
        Chains out;
        out.of.resize(kernels_.size());
        for (std::uint32_t c = 0; c < chains_.size(); ++c) {
            const Chain& chain = chains_[c];
            if (chain.members.empty()) continue;
            for (const Member& m : chain.members)
                out.of[m.kernel] = static_cast<std::uint32_t>(out.kernels.size());
            out.kernels.push_back(chain.members.size() == 1
                                      ? std::move(kernels_[chain.members[0].kernel])
                                      : joined(chain));
        }
        return out;
    }

private:
    // Joins kernel k, if it makes one value, to the chain of what reads that.
    void join(std::uint32_t k) {
        const FinishedKernel& f = kernels_[k];
        if (f.sink->src().size() != 1 || !has_reduction(f.sink) || !may_be_chained(f.sink)) return;
        const Ref store = f.sink->src(0);
        const Id value = f.memories[static_cast<std::size_t>(store->src(0)->arg(0))];
        const auto bytes =
            graph_.numel(value) * static_cast<std::int64_t>(size_of(graph_.dtype(value)));
        if (!is_temporary_(value) ||
            (static_cast<double>(bytes) < cost::kChainBytes && !limits_.always))
            return;
        const std::vector<std::uint32_t>& touching = touching_.at(value);
        if (touching.size() != 2) return;
        const std::uint32_t reader = touching[0] == k ? touching[1] : touching[0];
        Chain& into = chains_[chain_of_[reader]];
        const auto member = std::ranges::find(into.members, reader, &Member::kernel);
        const FinishedKernel& r = kernels_[reader];
        if (!may_be_chained(r.sink) || (into.members.size() == 1 && !has_reduction(r.sink))) return;
        const auto slot = std::ranges::find(r.memories, value) - r.memories.begin();

        std::vector<Row> rows = common_rows(store, r.sink, slot);
        if (!member->rows.empty()) {
            // As far as the chain has gone on already.
            if (rows.size() < member->rows.size()) return;
            rows.resize(member->rows.size());
            for (std::size_t i = 0; i < rows.size(); ++i)
                if (rows[i].read != member->rows[i]) return;
        }
        const std::size_t ranges = into.ranges + chains_[chain_of_[k]].ranges;
        if (ranges > cost::kMaxRanges) return;
        // A new chain may run over fewer of the rows, a product's columns not among them.
        const std::size_t fewest = member->rows.empty() ? 1 : member->rows.size();
        const auto row_bytes = [&] {
            return into.row_bytes +
                   rows.back().stride * static_cast<std::int64_t>(size_of(graph_.dtype(value)));
        };
        while (rows.size() >= fewest && !pays(f.sink, r.sink, slot, rows, row_bytes()))
            rows.pop_back();
        if (rows.size() < fewest) return;

        std::vector<Ref> written, read;
        for (const Row& row : rows) {
            written.push_back(row.written);
            read.push_back(row.read);
        }
        into.row_bytes = row_bytes();
        member->rows = std::move(read);
        into.members.insert(into.members.begin(), {k, std::move(written)});
        into.near.push_back(value);
        into.ranges = ranges;
        chains_[chain_of_[k]].members.clear();
        chain_of_[k] = chain_of_[reader];
    }

    // Whether kernels should hand each other those rows, where `row_bytes` are near for each.
    bool pays(Ref writer, Ref reader, std::int64_t slot, std::span<const Row> rows,
              std::int64_t row_bytes) const {
        if (!stays_in_row(reader, slot, rows)) return false;
        std::vector<Ref> written, read;
        double trips = 1;
        for (const Row& row : rows) {
            written.push_back(row.written);
            read.push_back(row.read);
            trips *= static_cast<double>(size_of_range(row.written));
        }
        return row_bytes * cost::kChainRows <= limits_.near_bytes &&
               (trips >= cost::kChainRows * cost::kParallelRows || limits_.always) &&
               shared_bytes(writer, written, -1) + shared_bytes(reader, read, slot) <=
                   2.0 * static_cast<double>(limits_.near_bytes);
    }

    FinishedKernel joined(const Chain& chain) {
        FinishedKernel out{};
        std::unordered_map<Id, std::int64_t> slots;
        for (std::size_t i = 0; i < chain.near.size(); ++i)
            slots[chain.near[i]] = ir::kNearSlot - static_cast<std::int64_t>(i);
        std::vector<Ref> stores;
        std::int64_t next_range = static_cast<std::int64_t>(chain.members[0].rows.size());
        // What the chain stores comes first among its operands, as in every kernel.
        for (auto m = chain.members.rbegin(); m != chain.members.rend(); ++m) {
            const FinishedKernel& f = kernels_[m->kernel];
            std::vector<std::int64_t> params, variables;
            for (Id memory : f.memories) {
                const auto [at, fresh] =
                    slots.try_emplace(memory, static_cast<std::int64_t>(out.memories.size()));
                if (fresh) out.memories.push_back(memory);
                params.push_back(at->second);
            }
            for (const Scalar& scalar : f.scalars) {
                variables.push_back(static_cast<std::int64_t>(out.scalars.size()));
                out.scalars.push_back(scalar);
            }
            std::unordered_map<std::int64_t, std::int64_t> ranges;
            for (std::size_t i = 0; i < m->rows.size(); ++i)
                ranges[m->rows[i]->arg(0)] = static_cast<std::int64_t>(i);
            const std::vector<Ref> renamed =
                rebuild(f.sink->src(), [&](Ref n, std::span<const Ref> src) {
                    switch (n->op()) {
                        case Op::Param:
                            return ir::param(arena_, n->dtype(),
                                             params[static_cast<std::size_t>(n->arg(0))]);
                        case Op::Variable:
                            return ir::variable(arena_, n->dtype(),
                                                variables[static_cast<std::size_t>(n->arg(0))],
                                                n->arg(1), n->arg(2));
                        case Op::Range: {
                            const auto [at, fresh] = ranges.try_emplace(n->arg(0), next_range);
                            if (fresh) ++next_range;
                            return ir::range(arena_, at->second, src[0], ir::role_of(n));
                        }
                        default:
                            return arena_.with_src(n, src);
                    }
                });
            stores.insert(stores.begin(), renamed.begin(), renamed.end());
            out.flops += f.flops;
        }
        out.sink = arena_.make(Op::Sink, DType::None, stores);
        ir::establishes(ir::Level::Kernel, out.sink, "chaining");
        out.name = name_of(chain);
        out.bytes = bytes_of(chain);
        return out;
    }

    // "chain_12_1024_max_add": the rows, and what is reduced on the way.
    std::string name_of(const Chain& chain) const {
        std::string name = "chain";
        for (Ref r : chain.members[0].rows) name += "_" + std::to_string(size_of_range(r));
        std::vector<std::string> kinds;
        for (const Member& m : chain.members) {
            const Ref sink = kernels_[m.kernel].sink;
            for (Ref n : ir::toposort(std::span<const Ref>(&sink, 1)))
                if (n->is(Op::Reduce)) {
                    const std::string kind(ir::name(static_cast<ir::ReduceKind>(n->arg(0))));
                    if (kinds.empty() || kinds.back() != kind) kinds.push_back(kind);
                }
        }
        for (const std::string& kind : kinds) name += "_" + kind;
        return name;
    }

    // Compulsory traffic: what is near is neither read nor written.
    std::uint64_t bytes_of(const Chain& chain) const {
        std::uint64_t bytes = 0;
        for (const Member& m : chain.members) bytes += kernels_[m.kernel].bytes;
        for (Id value : chain.near)
            bytes -=
                std::min<std::uint64_t>(bytes, 2 * static_cast<std::uint64_t>(graph_.numel(value)) *
                                                   size_of(graph_.dtype(value)));
        return bytes;
    }

    const Graph& graph_;
    ir::Arena& arena_;
    std::vector<FinishedKernel> kernels_;
    const std::function<bool(Id)>& is_temporary_;
    const ChainLimits limits_;
    std::vector<std::uint32_t> chain_of_;
    std::vector<Chain> chains_;
    std::unordered_map<Id, std::vector<std::uint32_t>> touching_;
};

}  // namespace

Chains chain_kernels(const Graph& graph, ir::Arena& arena, std::vector<FinishedKernel> kernels,
                     const std::function<bool(Id)>& is_temporary, const ChainLimits& limits) {
    return Chainer(graph, arena, std::move(kernels), is_temporary, limits).run();
}

}  // namespace sinter::schedule
