#include "phases.h"

#include <algorithm>
#include <string>

#include <sinter/ir/error.h>

#include "analysis.h"

namespace sinter::codegen {
namespace {

using ir::Role;

// The closed range to cut into chunks: the longest that all of them share.
Ref range_to_cut(const Analysis& a, const std::vector<const Reducing*>& longs) {
    std::uint64_t shared = ~std::uint64_t{0};
    for (const Reducing* r : longs) shared &= r->closed;
    Ref best = nullptr;
    for (std::int64_t n : a.numbers) {
        if ((shared >> n & 1) == 0 || (a.ordered >> n & 1) != 0 ||
            !a.range[n]->src(0)->is(Op::Const))
            continue;
        if (best == nullptr || a.size(n) > best->src(0)->arg(0)) best = a.range[n];
    }
    return best;
}

// One reduction over `chunks` in the place of `node`: its steps within a chunk are stored by chunk
// in the scratch, for a store list to be run before.
struct Cut {
    std::vector<Ref> stores;
    Ref merged;
};

Cut cut_one(Form& form, Ref node, Ref chunk, std::int64_t& shared_bytes) {
    Arena& a = form.arena();
    const std::size_t values = value_count(node);
    std::vector<Ref> src(node->src().begin(),
                         node->src().begin() + static_cast<std::ptrdiff_t>(values));
    for (Ref r : named_ranges(node))
        if (r != chunk) src.push_back(r);
    const Ref part =
        src.size() == values ? nullptr : a.make(node->op(), node->dtype(), src, node->args());
    const std::int64_t chunks = chunk->src(0)->arg(0);
    const Ref again = ir::range(a, form.fresh_number(), chunks, Role::Reduce);
    Cut result;
    std::vector<Ref> merged;
    for (std::size_t i = 0; i < values; ++i) {
        const DType dt = node->src(i)->dtype();
        const auto bytes = static_cast<std::int64_t>(size_of(dt));
        const Ref memory = ir::param(a, dt, kSharedSlot), base = a.index(shared_bytes / bytes);
        shared_bytes += (chunks * bytes + 63) / 64 * 64;
        const std::int64_t component = static_cast<std::int64_t>(i);
        Ref value = part == nullptr ? node->src(i) : part;
        if (node->is(Op::Accumulate) && part != nullptr)
            value = a.make(Op::Get, dt, {part}, {component});
        result.stores.push_back(
            ir::store(a, memory, fold(a, Op::Add, base, chunk), value, a.truth(true)));
        merged.push_back(ir::load(a, memory, fold(a, Op::Add, base, again), a.truth(true), 0));
    }
    merged.push_back(again);
    result.merged = a.make(node->op(), node->dtype(), merged, node->args());
    return result;
}

Phases in_chunks(Form& form, Ref cut, std::int64_t step) {
    Phases phases;
    form.record(StepKind::Chunk, {cut->arg(0), step});
    const Form::Quiet one_step(form);
    const Ref chunk = form.split(cut, step, Role::Loop, Role::Reduce).outer;
    if (chunk == nullptr) {
        phases.sinks.push_back(form.sink());
        return phases;
    }
    Arena& a = form.arena();
    // Reductions over the chunks go one level at a time: those that read no other, then those that
    // read these, …
    while (true) {
        std::vector<Ref> ready;
        RefMap<char> above;  // what depends on a reduction over the chunks
        const Ref sink = form.sink();
        for (Ref n : ir::toposort(std::span(&sink, 1))) {
            const bool waits =
                std::ranges::any_of(n->src(), [&](Ref s) { return above.contains(s); });
            const bool cuts =
                (n->is(Op::Reduce) || n->is(Op::Accumulate)) && n->ranges() == 0 &&
                std::ranges::any_of(named_ranges(n), [&](Ref r) { return r == chunk; });
            if (cuts && !waits) ready.push_back(n);
            if (waits || cuts) above[n] = 1;
        }
        if (ready.empty()) break;
        RefMap<Ref> merged;
        std::vector<Ref> stores;
        for (Ref n : ready) {
            Cut parts = cut_one(form, n, chunk, phases.shared_bytes);
            stores.insert(stores.end(), parts.stores.begin(), parts.stores.end());
            merged[n] = parts.merged;
        }
        phases.sinks.push_back(a.make(Op::Sink, DType::None, stores));
        form.set_sink(rebuild(sink, [&](Ref n, std::span<const Ref> src) {
            const Ref* m = merged.find(n);
            return m != nullptr ? *m : make_folded(a, n, src);
        }));
    }
    phases.sinks.push_back(form.sink());
    return phases;
}

}  // namespace

Phases split_long_reductions(Form& form, const ChunkLimits& limits) {
    const Analysis before = analyse(form.sink());
    std::vector<const Reducing*> longs;
    for (const Reducing& r : before.reductions)
        if (r.scope == 0 && r.volume >= kSplitSteps) longs.push_back(&r);
    const Ref c = longs.empty() || before.volume(before.outer) >= kFewTrips
                      ? nullptr
                      : range_to_cut(before, longs);
    if (c == nullptr) return {{form.sink()}, 0};
    const std::int64_t size = c->src(0)->arg(0);
    const double rest = longs[0]->volume / static_cast<double>(size);
    std::int64_t step =
        std::max((size + limits.most - 1) / limits.most,
                 static_cast<std::int64_t>(static_cast<double>(limits.steps) / rest));
    if (step >= 64) step = (step + 63) / 64 * 64;
    return in_chunks(form, c, std::clamp<std::int64_t>(step, 1, size));
}

Phases split_reductions(Form& form, std::int64_t cut, std::int64_t step) {
    const Analysis before = analyse(form.sink());
    const bool possible = step >= 1 && std::ranges::count(before.numbers, cut) != 0 &&
                          !has(before.ordered, cut) && before.range[cut]->src(0)->is(Op::Const) &&
                          std::ranges::any_of(before.reductions, [&](const Reducing& r) {
                              return r.scope == 0 && has(r.closed, cut) && !r.node->is(Op::Order);
                          });
    if (!possible)
        throw ValueError("schedule: no reduction of the whole over r" + std::to_string(cut) +
                         " can be cut into chunks of " + std::to_string(step));
    return in_chunks(form, before.range[cut], step);
}

}  // namespace sinter::codegen
