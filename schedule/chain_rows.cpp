#include "chain_rows.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <sinter/ir/affine.h>

namespace sinter::schedule {

using ir::Op;
using ir::Ref;
using ir::Role;

namespace {

// Loads that are operands of summed products: what such a sum is computed for is read in blocks,
// each many times.
std::unordered_set<Ref> product_operands(std::span<const Ref> order) {
    std::unordered_set<Ref> loads;
    for (Ref n : order) {
        if (!n->is(Op::Reduce) || static_cast<ir::ReduceKind>(n->arg(0)) != ir::ReduceKind::Add)
            continue;
        const auto under_cast = [](Ref x) {
            while (x->is(Op::Cast)) x = x->src(0);
            return x;
        };
        const Ref product = under_cast(n->src(0));
        if (!product->is(Op::Mul)) continue;
        for (Ref factor : product->src())
            if (const Ref load = under_cast(factor); load->is(Op::Load)) loads.insert(load);
    }
    return loads;
}

}  // namespace

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

std::vector<Row> common_rows(Ref writer, Ref store, Ref reader, std::int64_t slot) {
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

    const std::uint64_t open = ir::ranges_of_all_stores(writer);
    std::uint64_t loops = ir::ranges_of_all_stores(reader);
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
            if ((range->ranges() & open) == 0) break;
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

double shared_bytes(Ref sink, std::span<const Ref> rows, std::int64_t but_slot) {
    std::unordered_map<Ref, double> most;
    std::vector<Ref> ranges;
    const std::vector<Ref> order = ir::toposort(std::span<const Ref>(&sink, 1));
    for (Ref n : order)
        if (n->is(Op::Range)) ranges.push_back(n);
    const std::unordered_set<Ref> operands = product_operands(order);
    for (Ref n : order) {
        if (!n->is(Op::Load) || n->src(0)->arg(0) == but_slot) continue;
        const std::uint64_t used = n->src(1)->ranges();
        std::uint64_t outer = 0;
        for (Ref row : rows) {
            outer |= row->ranges();
            const bool again =
                (used & row->ranges()) == 0 && (row == rows.back() || operands.contains(n));
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

bool reads_again_for_outer_rows(Ref sink, std::span<const Ref> rows, std::int64_t but_slot) {
    const std::vector<Ref> order = ir::toposort(std::span<const Ref>(&sink, 1));
    return std::ranges::any_of(product_operands(order), [&](Ref load) {
        return load->src(0)->arg(0) != but_slot &&
               std::ranges::any_of(rows.first(rows.size() - 1), [&](Ref row) {
                   return (load->src(1)->ranges() & row->ranges()) == 0;
               });
    });
}

}  // namespace sinter::schedule
