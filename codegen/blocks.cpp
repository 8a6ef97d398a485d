#include "blocks.h"

#include <algorithm>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "scratch.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kNearSum = ir::kNearSlot;
constexpr std::int64_t kShortRow = 16;  // elements, of results

// Ranges of the result, those that go through its memory in the shortest steps first.
std::vector<std::pair<std::int64_t, Ref>> by_stride_of_stores(const Analysis& a,
                                                              std::uint64_t ranges) {
    std::vector<std::pair<std::int64_t, Ref>> order;
    for (std::int64_t n : a.numbers) {
        if (!has(ranges, n)) continue;
        std::int64_t stride = 0;
        for (const MemoryAccess& m : a.accesses)
            if (m.is_store) stride = std::max(stride, std::abs(m.stride[n]));
        order.emplace_back(stride, a.range[n]);
    }
    std::ranges::stable_sort(order, {}, [](const auto& o) { return o.first; });
    return order;
}

}  // namespace

std::int64_t trips_of(const Analysis& a, std::span<const BlockPart> parts) {
    std::int64_t trips = 1;
    for (const BlockPart& p : parts) trips *= (a.size(p.range) + p.size - 1) / p.size;
    return trips;
}

bool may_be_cut(const Analysis& a, const Reducing& r, std::size_t operands) {
    const bool sum = r.node->is(Op::Reduce) &&
                     r.node->arg(0) == static_cast<std::int64_t>(ir::ReduceKind::Add) &&
                     r.node->args().size() == 1;
    return sum && a.ordered == 0 && r.loads.size() >= operands &&
           std::ranges::all_of(a.stores, [&](Ref s) { return s->ranges() == r.scope; }) &&
           std::ranges::all_of(a.numbers,
                               [&](auto n) { return a.range[n]->src(0)->is(Op::Const); });
}

namespace {

bool reads_reduction(Ref node) {
    const std::vector<Ref> below = ir::toposort(node->src());
    return std::ranges::any_of(below, [](Ref n) {
        return n->is(Op::Reduce) || n->is(Op::Accumulate) || n->is(Op::Order);
    });
}

}  // namespace

std::vector<const Reducing*> sums_to_cut(const Analysis& a) {
    std::vector<const Reducing*> sums;
    std::size_t loads = 0;  // each of which counts for one sum of those that share it
    for (const Reducing& r : a.reductions) {
        const bool wide = r.node->dtype() == f32 || r.node->dtype() == f64;
        const bool alike = sums.empty() || r.closed == sums[0]->closed;
        if (!wide || !alike || !may_be_cut(a, r, 0) || (!sums.empty() && reads_reduction(r.node)))
            return {};
        loads += r.loads.size();
        sums.push_back(&r);
    }
    return loads > 0 ? sums : std::vector<const Reducing*>{};
}

const Reducing* sum_to_cut(const Analysis& a) {
    const std::vector<const Reducing*> sums = sums_to_cut(a);
    return sums.size() == 1 && sums[0]->loads.size() > 1 ? sums[0] : nullptr;
}

ChunkedSums cut_into_sums(Form& form, const BlockPart& part) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const std::vector<const Reducing*> sums = sums_to_cut(before);
    if (sums.empty() || !has(sums[0]->closed, part.range) || part.size < 1 ||
        part.size >= before.size(part.range))
        throw ValueError("schedule: no sum over r" + std::to_string(part.range) +
                         " comes in chunks of " + std::to_string(part.size));
    form.record(StepKind::Sums, {part.range, part.size});
    const Form::Quiet one_step(form);
    const Ref chunk =
        form.split(before.range[part.range], part.size, Role::Loop, Role::Reduce).outer;
    const Analysis after = analyse(form.sink());
    const Ref whole = a.truth(true);
    const Ref again = ir::range(a, form.fresh_number(), chunk->src(0)->arg(0), Role::Reduce);
    // Sums lie as the results do, unless these lie in rows too short for vectors.
    std::vector<std::pair<std::int64_t, Ref>> order =
        by_stride_of_stores(after, after.reductions[0].scope);
    if (!order.empty() && order.front().second->src(0)->arg(0) < kShortRow)
        std::ranges::sort(order, {}, [](const auto& o) { return o.second->arg(0); });
    Ref place = a.index(0);
    std::int64_t elements = 1;
    for (const auto& [stride, r] : order) {
        place = fold(a, Op::Add, place, fold(a, Op::Mul, r, a.index(elements)));
        elements *= r->src(0)->arg(0);
    }
    const auto at = [&](std::int64_t first, Ref range) {
        const Ref row = fold(a, Op::Add, place, fold(a, Op::Mul, range, a.index(elements)));
        return fold(a, Op::Add, row, a.index(first));
    };
    ChunkedSums result;
    std::vector<Ref> stores;
    RefMap<Ref> merged;
    for (const Reducing& r : after.reductions) {
        const DType type = r.node->dtype();
        const auto bytes = static_cast<std::int64_t>(size_of(type));
        const std::int64_t first = result.shared_bytes / bytes;
        std::vector<Ref> values(r.node->src().begin(), r.node->src().end());
        std::erase(values, chunk);
        const Ref memory = ir::param(a, type, kSharedSlot);
        const Ref mine = a.make(Op::Reduce, type, values, r.node->args());
        const Ref parts[] = {ir::load(a, memory, at(first, again), whole, 0), again};
        merged[r.node] = a.make(Op::Reduce, type, parts, r.node->args());
        stores.push_back(ir::store(a, memory, at(first, chunk), mine, whole));
        result.shared_bytes += whole_lines(chunk->src(0)->arg(0) * elements * bytes);
    }
    result.parts = a.make(Op::Sink, DType::None, stores);
    result.merged = rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) {
        const Ref* m = merged.find(n);
        return m != nullptr ? *m : make_folded(a, n, src);
    });
    return result;
}

void append_parts(Step& step, std::span<const BlockPart> parts) {
    step.operands.push_back(static_cast<std::int64_t>(parts.size()));
    for (const BlockPart& p : parts) step.operands.insert(step.operands.end(), {p.range, p.size});
}

std::vector<BlockPart> take_parts(std::span<const std::int64_t>& operands) {
    std::vector<BlockPart> parts;
    const auto count = static_cast<std::size_t>(operands[0]);
    for (std::size_t i = 0; i < count; ++i)
        parts.push_back({operands[1 + 2 * i], operands[2 + 2 * i]});
    operands = operands.subspan(1 + 2 * count);
    return parts;
}

Step step_of(const BlockSizes& sizes) {
    Step step{StepKind::Blocks, {}};
    append_parts(step, sizes.trips);
    append_parts(step, sizes.blocks);
    step.operands.push_back(sizes.columns);
    return step;
}

BlockSizes sizes_of(const Step& step) {
    BlockSizes sizes;
    std::span<const std::int64_t> rest = step.operands;
    sizes.trips = take_parts(rest);
    sizes.blocks = take_parts(rest);
    sizes.columns = rest[0];
    return sizes;
}

Ref add_to_block_sum(Arena& a, std::span<const Ref> blocks, Ref memory, Ref index, Ref block_sum) {
    Ref first = a.truth(true);
    for (Ref r : blocks) first = fold(a, Op::And, first, fold(a, Op::Lt, r, a.index(1)));
    const DType type = block_sum->dtype();
    const Ref choice[] = {first, a.constant_bits(type, 0),
                          ir::load(a, memory, index, a.truth(true), 0)};
    return a.add(a.make(Op::Where, type, choice), block_sum);
}

BlockCut cut_sums(Form& form, const BlockSizes& sizes) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const std::vector<const Reducing*> sums = sums_to_cut(before);
    if (sums.empty()) throw ValueError("schedule: the kernel is not one of sums alone");
    std::uint64_t seen = 0;
    for (const auto& [parts, among] :
         {std::pair(&sizes.trips, sums[0]->scope), std::pair(&sizes.blocks, sums[0]->closed)}) {
        for (const BlockPart& p : *parts) {
            if (!has(among & ~seen, p.range) || p.size < 1 || p.size > before.size(p.range))
                throw ValueError("schedule: no blocks of " + std::to_string(p.size) + " along r" +
                                 std::to_string(p.range));
            seen |= std::uint64_t{1} << p.range;
        }
    }
    if (sizes.columns >= 0 && !has(sums[0]->scope, sizes.columns))
        throw ValueError("schedule: r" + std::to_string(sizes.columns) + " is none of the result");
    Step step = step_of(sizes);
    form.record(step.kind, std::move(step.operands));
    const Form::Quiet one_step(form);

    BlockCut cut;
    std::vector<Ref> columns_within;  // of a trip, where they are copied transposed
    const auto divide = [&](const BlockPart& p, Role inner, std::vector<Ref>& outer) {
        const Ref range = before.range[p.range];
        if (p.size == before.size(p.range)) return;
        if (p.size == 1) {
            outer.push_back(form.bind(range, Role::Parallel));
            return;
        }
        const Form::Halves halves = form.split(range, p.size, Role::Parallel, inner);
        outer.push_back(halves.outer);
        if (p.range == sizes.columns) columns_within.push_back(halves.inner);
    };
    if (sizes.columns >= 0 &&
        std::ranges::find(sizes.trips, sizes.columns, &BlockPart::range) == sizes.trips.end())
        columns_within.push_back(before.range[sizes.columns]);
    for (const BlockPart& p : sizes.trips) divide(p, Role::Loop, cut.trips);
    for (const BlockPart& p : sizes.blocks) divide(p, Role::Reduce, cut.blocks);

    const Analysis after = analyse(form.sink());
    std::uint64_t outside = 0;
    for (Ref r : cut.trips) outside |= range_bit(r);
    // The sums of a trip lie as the result does, but for columns that are copied, which go in
    // vectors; rows a power of two apart are moved by a line.
    std::vector<std::pair<std::int64_t, Ref>> kept =
        by_stride_of_stores(after, after.reductions[0].scope & ~outside);
    for (auto& [stride, r] : kept)
        if (std::ranges::count(columns_within, r) != 0) stride = 0;
    std::ranges::stable_sort(kept, {}, [](const auto& k) { return k.first; });
    std::vector<Ref> stores;
    RefMap<Ref> summed;
    for (const Reducing& r : after.reductions) {
        const DType type = r.node->dtype();
        const auto bytes = static_cast<std::int64_t>(size_of(type));
        Ref index = a.index(cut.near_bytes / bytes);
        std::int64_t elements = 1;
        for (const auto& [stride, k] : kept) {
            index = fold(a, Op::Add, index, fold(a, Op::Mul, k, a.index(elements)));
            elements *= k->src(0)->arg(0);
            elements = row_step(elements, bytes);
        }
        if (elements > (kMostScratch - cut.near_bytes) / bytes)
            throw ValueError("schedule: the sums of a trip do not fit a thread's scratch");
        cut.near_bytes += whole_lines(elements * bytes);

        std::vector<Ref> values(r.node->src().begin(), r.node->src().end());
        std::erase_if(values, [&](Ref v) { return std::ranges::count(cut.blocks, v) != 0; });
        const Ref block_sum = values.size() == 1  // a block of one step
                                  ? values[0]
                                  : a.make(Op::Reduce, type, values, r.node->args());
        const Ref memory = ir::param(a, type, kNearSum), whole = a.truth(true);
        summed[r.node] = ir::load(a, memory, index, whole, 0);
        stores.push_back(ir::store(
            a, memory, index, add_to_block_sum(a, cut.blocks, memory, index, block_sum), whole));
    }
    cut.accumulate = a.make(Op::Sink, DType::None, stores);
    cut.finish = rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) {
        const Ref* s = summed.find(n);
        return s != nullptr ? *s : make_folded(a, n, src);
    });
    return cut;
}

}  // namespace sinter::codegen
