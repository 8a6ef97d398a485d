#include "chain.h"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include <sinter/ir/affine.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/spec.h>

#include "chain_rows.h"
#include "cost.h"
#include "index.h"
#include "rebuild.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

// A kernel of a chain.
struct Member {
    std::uint32_t kernel;
    std::vector<Ref> rows;  // its ranges that the chain runs over, outermost first
};

struct Chain {
    std::vector<Member> members;  // in the order in which they run; empty: they are of another
    std::vector<Id> near;         // values between them that nobody else reads
};

class Chainer {
public:
    Chainer(const Graph& graph, ir::Arena& arena, const Plan& plan,
            std::vector<FinishedKernel> kernels, const std::function<bool(Id)>& is_temporary,
            const ChainLimits& limits)
        : graph_(graph),
          arena_(arena),
          plan_(plan),
          kernels_(std::move(kernels)),
          is_temporary_(is_temporary),
          limits_(limits),
          chain_of_(kernels_.size()) {
        for (std::uint32_t k = 0; k < kernels_.size(); ++k) {
            chain_of_[k] = k;
            chains_.push_back({{{k, {}}}, {}});
            for (Id memory : kernels_[k].memories) touching_[memory].push_back(k);
            for (Ref store : kernels_[k].sink->src()) writer_[stored(k, store)] = k;
        }
    }

    Chains run() {
        std::vector<Ref> as_they_came;
        for (const FinishedKernel& f : kernels_) as_they_came.push_back(f.sink);
        for (bool more = limits_.near_bytes > 0; more;) {
            more = false;
            for (std::uint32_t k = 0; k < kernels_.size(); ++k)
                for (std::size_t i = 0; i < kernels_[k].sink->src().size(); ++i)
                    if (const Id value = stored(k, kernels_[k].sink->src(i));
                        is_large_temporary(value))
                        more = split_alike(value) || more;
        }
        for (std::uint32_t k = 0; k < kernels_.size(); ++k) join(k);
        Chains out;
        out.of.resize(kernels_.size());
        for (const std::uint32_t c : in_order()) {
            const Chain& chain = chains_[c];
            for (const Member& m : chain.members)
                out.of[m.kernel] = static_cast<std::uint32_t>(out.kernels.size());
            if (chain.members.size() == 1) {
                const std::uint32_t k = chain.members[0].kernel;
                kernels_[k].sink = as_they_came[k];
            }
            out.kernels.push_back(chain.members.size() == 1
                                      ? std::move(kernels_[chain.members[0].kernel])
                                      : joined(chain));
        }
        return out;
    }

private:
    Id stored(std::uint32_t k, Ref store) const {
        return kernels_[k].memories[static_cast<std::size_t>(store->src(0)->arg(0))];
    }
    std::int64_t slot_of(std::uint32_t k, Id value) const {
        return std::ranges::find(kernels_[k].memories, value) - kernels_[k].memories.begin();
    }
    Ref store_of(Id value) const {
        const std::uint32_t k = writer_.at(value);
        return *std::ranges::find_if(kernels_[k].sink->src(),
                                     [&](Ref s) { return stored(k, s) == value; });
    }
    // A value of several parts has several that write it.
    bool writes(std::uint32_t k, Id value) const {
        return std::ranges::any_of(kernels_[k].sink->src(),
                                   [&](Ref s) { return stored(k, s) == value; });
    }
    double bytes_of(Id value) const {
        return static_cast<double>(graph_.numel(value)) *
               static_cast<double>(size_of(graph_.dtype(value)));
    }
    bool is_large_temporary(Id value) const {
        return is_temporary_(value) && (bytes_of(value) >= cost::kChainBytes || limits_.always);
    }

    // Joins kernel k to the chains of what reads the values that it makes.
    void join(std::uint32_t k) {
        for (std::size_t i = 0; i < kernels_[k].sink->src().size(); ++i) {
            const Id value = stored(k, kernels_[k].sink->src(i));
            if (!is_large_temporary(value) || !may_be_chained(kernels_[k].sink)) continue;
            if (has_reduction(kernels_[k].sink)) {
                keep_near(value);
                continue;
            }
            // Without a reduction of its own it only hands on: worth it if what it is made from is
            // near as well.
            const std::vector<Chain> chains = chains_;
            const std::vector<std::uint32_t> chain_of = chain_of_;
            bool any = false;
            if (keep_near(value))
                for (Id source : kernels_[k].memories)
                    any = (writer_.contains(source) && writer_.at(source) != k &&
                           is_large_temporary(source) && keep_near(source)) ||
                          any;
            if (any) return;
            chains_ = chains;
            chain_of_ = chain_of;
        }
    }

    // The loops that go through the value in kernel k.
    template <class F>
    void for_each_term(std::uint32_t k, Id value, F&& f) const {
        const Ref sink = kernels_[k].sink;
        for (Ref n : ir::toposort(std::span<const Ref>(&sink, 1))) {
            if ((!n->is(Op::Load) && !n->is(Op::Store)) || n->src(0)->arg(0) != slot_of(k, value))
                continue;
            for (const auto& [term, stride] : ir::affine(n->src(1)).terms)
                if (term->is(Op::Range)) f(term, stride);
        }
    }

    // Ranges that are several of those of another kernel that goes through the value are split into
    // as many: what lies side by side in all memories of a kernel was made one range.
    bool split_alike(Id value) {
        bool any = false;
        std::set<std::int64_t> begins;  // strides
        for (std::uint32_t k : touching_.at(value))
            for_each_term(k, value, [&](Ref, std::int64_t stride) { begins.insert(stride); });
        for (std::uint32_t k : touching_.at(value)) {
            const Ref sink = kernels_[k].sink;
            if (!may_be_chained(sink)) continue;
            std::uint64_t closed = 0;
            std::int64_t next = 0;
            for (Ref n : ir::toposort(std::span<const Ref>(&sink, 1))) {
                if (n->is(Op::Range)) next = std::max(next, n->arg(0) + 1);
                if (n->is(Op::Reduce) || n->is(Op::Accumulate))
                    for (Ref r : ir::named_ranges(n)) closed |= r->ranges();
            }
            std::unordered_map<Ref, Ref> parts;
            for_each_term(k, value, [&](Ref range, std::int64_t stride) {
                const std::int64_t size = size_of_range(range);
                if ((range->ranges() & closed) != 0 || parts.contains(range)) return;
                Ref whole = nullptr;
                std::int64_t done = 1;  // the size of the parts so far
                const auto add = [&](std::int64_t part) {
                    const Ref r = ir::range(arena_, next++, part, ir::role_of(range));
                    whole = whole == nullptr ? r : index_.add(index_.mul(r, done), whole);
                    done *= part;
                };
                for (std::int64_t b : begins)
                    if (b > stride * done && b < stride * size && b % (stride * done) == 0 &&
                        stride * size % b == 0)
                        add(b / (stride * done));
                if (done == 1) return;
                add(size / done);
                parts.emplace(range, whole);
            });
            if (parts.empty() || next > static_cast<std::int64_t>(cost::kMaxRanges)) continue;
            kernels_[k].sink =
                rebuild(std::span<const Ref>(&sink, 1), [&](Ref n, std::span<const Ref> src) {
                    const auto at = parts.find(n);
                    return at != parts.end() ? at->second : arena_.with_src(n, src);
                })[0];
            any = true;
        }
        return any;
    }

    // Makes one chain of those that write and read the value, if that can be and pays.
    bool keep_near(Id value) {
        const std::uint32_t k = writer_.at(value);
        const Ref store = store_of(value);
        std::vector<std::uint32_t> readers;
        std::set<std::uint32_t> together{chain_of_[k]};
        for (std::uint32_t r : touching_.at(value)) {
            if (r == k) continue;
            readers.push_back(r);
            together.insert(chain_of_[r]);
        }
        if (readers.empty() || !may_be_chained(kernels_[k].sink)) return false;
        for (std::uint32_t r : readers)
            if (!may_be_chained(kernels_[r].sink) ||
                (chains_[chain_of_[r]].members.size() == 1 && !has_reduction(kernels_[r].sink)))
                return false;
        if (comes_between(together)) return false;

        // As far as the chains have gone on already; a new one may run over fewer of the rows, a
        // product's columns not among them.
        std::size_t fewest = 1, most = ~std::size_t{0}, ranges = 0;
        for (std::uint32_t c : together) {
            for (const Member& m : chains_[c].members)
                ranges += count_ranges(kernels_[m.kernel].sink);
            if (chains_[c].members.size() == 1) continue;
            const std::size_t rows = chains_[c].members[0].rows.size();
            fewest = std::max(fewest, rows);
            most = std::min(most, rows);
        }
        if (ranges > cost::kMaxRanges) return false;
        std::vector<std::vector<Row>> common;
        for (std::uint32_t r : readers) {
            common.push_back(
                common_rows(kernels_[k].sink, store, kernels_[r].sink, slot_of(r, value)));
            most = std::min(most, common.back().size());
        }
        for (std::size_t count = most; count >= fewest; --count) {
            std::optional<Chain> chain = aligned(together, k, readers, common, count);
            if (!chain) continue;
            const std::int64_t row_bytes = near_row_bytes(*chain);
            bool pay = true;
            for (std::size_t i = 0; i < readers.size() && pay; ++i)
                pay = pays(kernels_[k].sink, kernels_[readers[i]].sink, slot_of(readers[i], value),
                           std::span(common[i]).first(count), row_bytes);
            if (!pay) continue;
            const std::uint32_t into = *together.begin();
            for (std::uint32_t c : together) chains_[c] = {};
            for (const Member& m : chain->members) chain_of_[m.kernel] = into;
            chains_[into] = std::move(*chain);
            return true;
        }
        return false;
    }

    // The chains as one that runs over `count` rows, if what its kernels hand to one another they
    // write and read in the same rows.
    std::optional<Chain> aligned(const std::set<std::uint32_t>& together, std::uint32_t writer,
                                 std::span<const std::uint32_t> readers,
                                 std::span<const std::vector<Row>> common,
                                 std::size_t count) const {
        Chain chain;
        for (std::uint32_t c : together)
            chain.members.insert(chain.members.end(), chains_[c].members.begin(),
                                 chains_[c].members.end());
        order_members(chain.members);
        const auto give_rows = [&](std::uint32_t k, const std::vector<Ref>& rows) {
            Member& m = *std::ranges::find(chain.members, k, &Member::kernel);
            if (m.rows.empty()) m.rows = rows;
            return m.rows == rows;
        };
        for (std::size_t i = 0; i < readers.size(); ++i) {
            std::vector<Ref> written, read;
            for (const Row& row : std::span(common[i]).first(count)) {
                written.push_back(row.written);
                read.push_back(row.read);
            }
            if (!give_rows(writer, written) || !give_rows(readers[i], read)) return std::nullopt;
        }
        for (const Member& w : chain.members)
            for (Ref store : kernels_[w.kernel].sink->src()) {
                const Id value = stored(w.kernel, store);
                bool only_here = is_large_temporary(value), read = false;
                for (std::uint32_t r : touching_.at(value)) {
                    if (writes(r, value)) continue;
                    const auto m = std::ranges::find(chain.members, r, &Member::kernel);
                    only_here = only_here && m != chain.members.end();
                    if (m == chain.members.end()) continue;
                    read = true;
                    if (!same_rows(store, w, *m, slot_of(r, value))) return std::nullopt;
                }
                if (only_here && read) chain.near.push_back(value);
            }
        return chain;
    }

    // Those that write before those that read; mostly they come the other way.
    void order_members(std::vector<Member>& members) const {
        std::ranges::sort(members, std::greater(), &Member::kernel);
        for (std::size_t done = 0; done < members.size(); ++done) {
            const auto rest = members.begin() + static_cast<std::ptrdiff_t>(done);
            const auto next = std::find_if(rest, members.end(), [&](const Member& m) {
                return std::none_of(rest, members.end(), [&](const Member& other) {
                    return other.kernel != m.kernel && needs(m.kernel, other.kernel);
                });
            });
            std::rotate(rest, next, next + 1);
        }
    }

    bool needs(std::uint32_t k, std::uint32_t other) const {
        return std::ranges::binary_search(plan_.kernels()[k].reads, other);
    }

    bool same_rows(Ref store, const Member& writer, const Member& reader, std::int64_t slot) const {
        const Ref sink = kernels_[reader.kernel].sink;
        std::vector<Row> rows = common_rows(kernels_[writer.kernel].sink, store, sink, slot);
        if (rows.size() < writer.rows.size()) return false;
        rows.resize(writer.rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (rows[i].written != writer.rows[i] || rows[i].read != reader.rows[i]) return false;
        return stays_in_row(sink, slot, rows);
    }

    // Bytes that a row of the chain has near.
    std::int64_t near_row_bytes(const Chain& chain) const {
        std::int64_t bytes = 0;
        for (Id value : chain.near) {
            const Member& m = *std::ranges::find(chain.members, writer_.at(value), &Member::kernel);
            const std::int64_t stride =
                ir::affine(store_of(value)->src(1)).coefficient(m.rows.back());
            bytes += stride * static_cast<std::int64_t>(size_of(graph_.dtype(value)));
        }
        return bytes;
    }

    // Whether a chain outside needs a result of one of them and makes what another one needs.
    bool comes_between(const std::set<std::uint32_t>& together) const {
        if (together.size() == 1) return false;
        std::set<std::uint32_t> seen;
        std::vector<std::uint32_t> stack;
        const auto visit = [&](std::uint32_t c, bool inside) {
            for (const Member& m : chains_[c].members)
                for (KernelId read : plan_.kernels()[m.kernel].reads) {
                    const std::uint32_t source = chain_of_[read];
                    if (together.contains(source)) {
                        if (!inside) return true;
                    } else if (seen.insert(source).second) {
                        stack.push_back(source);
                    }
                }
            return false;
        };
        for (std::uint32_t c : together) visit(c, true);
        while (!stack.empty()) {
            const std::uint32_t c = stack.back();
            stack.pop_back();
            if (visit(c, false)) return true;
        }
        return false;
    }

    // The chains, those that need a result before the one that makes it, otherwise as they come.
    std::vector<std::uint32_t> in_order() const {
        std::vector<std::set<std::uint32_t>> makes_for(chains_.size());
        std::vector<std::size_t> waiting(chains_.size(), 0);
        std::vector<std::vector<std::uint32_t>> sources(chains_.size());
        for (std::uint32_t c = 0; c < chains_.size(); ++c)
            for (const Member& m : chains_[c].members)
                for (KernelId read : plan_.kernels()[m.kernel].reads) {
                    const std::uint32_t source = chain_of_[read];
                    if (source == c || !makes_for[source].insert(c).second) continue;
                    ++waiting[source];
                    sources[c].push_back(source);
                }
        std::set<std::uint32_t> ready;
        for (std::uint32_t c = 0; c < chains_.size(); ++c)
            if (!chains_[c].members.empty() && waiting[c] == 0) ready.insert(c);
        std::vector<std::uint32_t> order;
        while (!ready.empty()) {
            const std::uint32_t c = *ready.begin();
            ready.erase(ready.begin());
            order.push_back(c);
            for (std::uint32_t source : sources[c])
                if (--waiting[source] == 0) ready.insert(source);
        }
        return order;
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
        const bool few = size_of_range(rows.back().written) < cost::kNearRows;
        if (few && !limits_.always &&
            (reads_again_for_outer_rows(writer, written, -1) ||
             reads_again_for_outer_rows(reader, read, slot)))
            return false;
        return row_bytes * cost::kNearRows <= limits_.near_bytes &&
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
        for (auto m = chain.members.rbegin(); m != chain.members.rend(); ++m)
            for (Ref store : kernels_[m->kernel].sink->src()) {
                const Id value = stored(m->kernel, store);
                if (slots.try_emplace(value, static_cast<std::int64_t>(out.memories.size())).second)
                    out.memories.push_back(value);
            }
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
        out.bytes = traffic(chain);
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
    std::uint64_t traffic(const Chain& chain) const {
        std::uint64_t bytes = 0;
        for (const Member& m : chain.members) bytes += kernels_[m.kernel].bytes;
        for (Id value : chain.near)
            bytes -= std::min(
                bytes, static_cast<std::uint64_t>(bytes_of(value)) * touching_.at(value).size());
        return bytes;
    }

    const Graph& graph_;
    ir::Arena& arena_;
    const Plan& plan_;
    const Index index_{arena_};
    std::vector<FinishedKernel> kernels_;
    const std::function<bool(Id)>& is_temporary_;
    const ChainLimits limits_;
    std::vector<std::uint32_t> chain_of_;
    std::vector<Chain> chains_;
    std::unordered_map<Id, std::vector<std::uint32_t>> touching_;
    std::unordered_map<Id, std::uint32_t> writer_;
};

}  // namespace

Chains chain_kernels(const Graph& graph, ir::Arena& arena, const Plan& plan,
                     std::vector<FinishedKernel> kernels,
                     const std::function<bool(Id)>& is_temporary, const ChainLimits& limits) {
    return Chainer(graph, arena, plan, std::move(kernels), is_temporary, limits).run();
}

}  // namespace sinter::schedule
