#include "columns.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <set>

#include <sinter/ir/affine.h>

namespace sinter::codegen {
namespace {

using ir::ReduceKind;
using ir::Role;

bool is_negative_infinity(Ref n) {
    return n->is(Op::Const) && is_float(n->dtype()) &&
           std::bit_cast<double>(n->arg(0)) == -std::numeric_limits<double>::infinity();
}

// The one range along which near memory is walked element by element, the same in all of `nodes`;
// null if there is no such range.
Ref column_of(std::span<const Ref> nodes, std::uint64_t rows) {
    Ref column = nullptr;
    for (Ref n : nodes) {
        if (!is_near_access(n)) continue;
        Ref mine = nullptr;
        for (const auto& [term, stride] : ir::affine(n->src(1)).terms)
            if (stride == 1 && term->is(Op::Range) && (range_bit(term) & rows) == 0) mine = term;
        if (mine == nullptr || (column != nullptr && column != mine)) return nullptr;
        column = mine;
    }
    return column != nullptr && column->src(0)->is(Op::Const) ? column : nullptr;
}

// What is known of a step's values beyond a row's columns.
class Beyond {
public:
    Beyond(Ref condition, const std::set<std::int64_t>& zero_slots)
        : condition_(condition), zero_slots_(zero_slots) {}

    bool is_negative_infinity(Ref n) const {
        if (n->is(Op::Where))
            return n->src(0) == condition_ && codegen::is_negative_infinity(n->src(2));
        return (n->is(Op::Sub) || n->is(Op::Add)) && is_negative_infinity(n->src(0));
    }

    bool is_zero(Ref n) const {
        switch (n->op()) {
            case Op::Exp:
            case Op::Exp2:
                return is_negative_infinity(n->src(0));
            case Op::Div:
            case Op::Cast:
                return is_zero(n->src(0));
            case Op::Mul:
                return is_zero(n->src(0)) || is_zero(n->src(1));
            case Op::Load:
                return zero_slots_.contains(n->src(0)->arg(0));
            default:
                return false;
        }
    }

private:
    Ref condition_;
    const std::set<std::int64_t>& zero_slots_;
};

// Whether near memory is read below `root` other than where the condition holds.
bool reads_near_beyond(Ref root, Ref condition) {
    std::vector<Ref> stack{root};
    RefMap<char> seen;
    while (!stack.empty()) {
        const Ref n = stack.back();
        stack.pop_back();
        if (seen.contains(n)) continue;
        seen[n] = 1;
        if (n->is(Op::Load) && ir::is_near(n->src(0))) return true;
        if (n->is(Op::Where) && n->src(0) == condition) {
            stack.push_back(n->src(2));
            continue;
        }
        stack.insert(stack.end(), n->src().begin(), n->src().end());
    }
    return false;
}

struct ChainStep {
    Ref store;
    std::vector<Ref> nodes;
    Ref column;
    std::set<std::int64_t> reads;  // near slots
};

// i + beyond, where the condition says column < i + beyond; nothing if it says something else.
std::optional<std::int64_t> reach(Ref condition, Ref column, Ref row) {
    if (!condition->is(Op::Lt) || condition->src(0)->dtype() != DType::Index) return std::nullopt;
    const ir::Affine d = ir::affine(condition->src(0)) - ir::affine(condition->src(1));
    if (d.terms.size() != 2 || d.coefficient(column) != 1 || d.coefficient(row) != -1)
        return std::nullopt;
    return -d.constant;
}

}  // namespace

std::optional<Triangle> find_triangle(Ref sink) {
    std::uint64_t rows = ~std::uint64_t{0};
    for (Ref s : sink->src()) rows &= s->ranges();
    std::vector<ChainStep> steps;
    Ref row = nullptr;
    std::int64_t row_stride = 0;
    for (Ref s : sink->src()) {
        ChainStep step{s, ir::toposort(std::span(&s, 1)), nullptr, {}};
        step.column = column_of(step.nodes, rows);
        if (step.column == nullptr) return std::nullopt;
        if (!steps.empty() && step.column->src(0) != steps[0].column->src(0)) return std::nullopt;
        for (Ref n : step.nodes)
            if (n->is(Op::Load) && ir::is_near(n->src(0))) step.reads.insert(n->src(0)->arg(0));
        if (ir::is_near(s->src(0)))
            for (const auto& [term, stride] : ir::affine(s->src(1)).terms)
                if (term->is(Op::Range) && (range_bit(term) & rows) != 0 &&
                    (row == nullptr || stride < row_stride)) {
                    row = term;
                    row_stride = stride;
                }
        steps.push_back(std::move(step));
    }
    if (row == nullptr) return std::nullopt;

    // The step with the mask.
    std::size_t masking = 0;
    Ref condition = nullptr;
    std::optional<std::int64_t> beyond;
    for (; masking < steps.size() && !beyond; ++masking)
        for (Ref n : steps[masking].nodes)
            if (n->is(Op::Where) && is_negative_infinity(n->src(2)) && !beyond) {
                condition = n->src(0);
                beyond = reach(condition, steps[masking].column, row);
            }
    if (!beyond || *beyond < 1) return std::nullopt;
    --masking;

    // Those before it make what it reads where the mask holds, and nobody else reads that.
    for (std::size_t s = 0; s < steps.size(); ++s) {
        const ChainStep& step = steps[s];
        if (s < masking && (!step.reads.empty() || !ir::is_near(step.store->src(0))))
            return std::nullopt;
        if (s > masking)
            for (std::size_t earlier = 0; earlier < masking; ++earlier)
                if (step.reads.contains(steps[earlier].store->src(0)->arg(0))) return std::nullopt;
    }
    if (reads_near_beyond(steps[masking].store, condition)) return std::nullopt;

    // From there on all is 0 beyond, and sums are not changed by it.
    std::set<std::int64_t> zero_slots;
    for (std::size_t s = masking; s < steps.size(); ++s) {
        const ChainStep& step = steps[s];
        const Beyond known(s == masking ? condition : nullptr, zero_slots);
        for (Ref n : step.nodes) {
            if (!n->is(Op::Reduce) && !n->is(Op::Accumulate)) continue;
            if (!closes(n, step.column)) continue;
            if (!n->is(Op::Reduce)) return std::nullopt;
            const auto kind = static_cast<ReduceKind>(n->arg(0));
            const bool unchanged =
                (kind == ReduceKind::Max && known.is_negative_infinity(n->src(0))) ||
                (kind == ReduceKind::Add && known.is_zero(n->src(0)));
            if (!unchanged) return std::nullopt;
        }
        const bool over_columns = (step.store->ranges() & range_bit(step.column)) != 0;
        if (over_columns &&
            (!ir::is_near(step.store->src(0)) || !known.is_zero(step.store->src(2))))
            return std::nullopt;
        if (ir::is_near(step.store->src(0))) zero_slots.insert(step.store->src(0)->arg(0));
    }
    return Triangle{*beyond};
}

std::vector<std::vector<Limit>> column_limits(Arena& arena, const ChainCut& cut,
                                              const Triangle& triangle,
                                              std::span<const Ref> transformed) {
    std::vector<std::vector<Limit>> none(transformed.size());
    if (cut.block_of_rows == nullptr) return none;
    struct ColumnLoop {
        Ref range;
        std::int64_t width;  // columns a trip
    };
    std::vector<ColumnLoop> loops;
    std::int64_t widest = 1;
    for (Ref sink : transformed) {
        // The outermost loop over columns, by what it does to the index of near memory.
        ColumnLoop loop{nullptr, 0};
        for (Ref n : ir::toposort(std::span(&sink, 1))) {
            if (!is_near_access(n)) continue;
            for (const auto& [term, stride] : ir::affine(n->src(1)).terms)
                if (term->is(Op::Range) && ir::role_of(term) == Role::Serial &&
                    term->src(0)->is(Op::Const) && stride > loop.width && stride < cut.columns &&
                    stride * term->src(0)->arg(0) == cut.columns)
                    loop = {term, stride};
        }
        if (loop.range == nullptr || is_ragged(loop.range)) return none;
        widest = std::max(widest, loop.width);
        loops.push_back(loop);
    }
    if (cut.columns % widest != 0 ||
        std::ranges::any_of(loops, [&](const ColumnLoop& l) { return widest % l.width != 0; }))
        return none;
    // The block's last row reaches farthest; all steps go to the end of the widest of their blocks.
    const Ref last =
        fold(arena, Op::Add, fold(arena, Op::Mul, cut.block_of_rows, arena.index(cut.rows)),
             arena.index(cut.rows - 1 + triangle.beyond + widest - 1));
    const Ref blocks = fold(arena, Op::IDiv, last, arena.index(widest));
    std::vector<std::vector<Limit>> limits;
    for (const ColumnLoop& l : loops)
        limits.push_back(
            {{l.range->arg(0), fold(arena, Op::Mul, blocks, arena.index(widest / l.width))}});
    return limits;
}

}  // namespace sinter::codegen
