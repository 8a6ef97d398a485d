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

// The columns for which `condition` holds, if it says so by position.
std::optional<Triangle> triangle_of(Ref condition, Ref column, Ref row) {
    if (!condition->is(Op::Lt) || condition->src(0)->dtype() != DType::Index) return std::nullopt;
    const ir::Affine d = ir::affine(condition->src(0)) - ir::affine(condition->src(1));
    if (d.terms.size() != 2) return std::nullopt;
    // column - row + constant < 0, or row - column + constant < 0.
    if (d.coefficient(column) == 1 && d.coefficient(row) == -1) return Triangle{false, -d.constant};
    if (d.coefficient(column) == -1 && d.coefficient(row) == 1)
        return Triangle{true, d.constant + 1};
    return std::nullopt;
}

// The stores between which a block of rows passes no near memory on.
struct ChainStep {
    std::vector<Ref> stores;
    std::vector<Ref> nodes;
    Ref column;
    std::set<std::int64_t> reads;  // near slots
};

// What is known of a step's values outside of a row's columns.
class Outside {
public:
    Outside(const ChainStep& step, Ref row, const Triangle& triangle,
            const std::set<std::int64_t>& zero_slots)
        : step_(step), row_(row), triangle_(triangle), zero_slots_(zero_slots) {}

    bool is_negative_infinity(Ref n) const {
        if (n->is(Op::Where)) return fails(n->src(0)) && codegen::is_negative_infinity(n->src(2));
        return (n->is(Op::Sub) || n->is(Op::Add)) && is_negative_infinity(n->src(0));
    }

    bool is_zero(Ref n) const {
        switch (n->op()) {
            case Op::Const:
                return is_float(n->dtype()) && ir::as_double(n) == 0;
            case Op::Exp:
            case Op::Exp2:
                return is_negative_infinity(n->src(0));
            case Op::Div:
            case Op::Cast:
            case Op::Neg:
                return is_zero(n->src(0));
            case Op::Mul:
                return is_zero(n->src(0)) || is_zero(n->src(1));
            case Op::Where:
                return is_zero(n->src(2)) && (fails(n->src(0)) || is_zero(n->src(1)));
            case Op::Load:
                return zero_slots_.contains(n->src(0)->arg(0));
            default:
                return false;
        }
    }

private:
    bool fails(Ref condition) const {
        return triangle_of(condition, step_.column, row_) == triangle_;
    }

    const ChainStep& step_;
    const Ref row_;
    const Triangle triangle_;
    const std::set<std::int64_t>& zero_slots_;
};

bool finds_maxima(const ChainStep& step) {
    return std::ranges::any_of(step.nodes, [&](Ref n) {
        return n->is(Op::Reduce) && static_cast<ReduceKind>(n->arg(0)) == ReduceKind::Max &&
               closes(n, step.column);
    });
}

// Weights that are made from the maxima of columns are 0 outside only where each has one that is
// no -infinity.
bool every_column_has_a_row(const Triangle& triangle, Ref column, Ref row) {
    if (triangle.upper) return triangle.bound == 0;
    return row->src(0)->is(Op::Const) &&
           column->src(0)->arg(0) <= row->src(0)->arg(0) - 1 + triangle.bound;
}

// Whether what is copied in trips of the loop is read in the same trips: another loop would read
// what was never copied.
bool keeps_to_itself(Ref sink, Ref loop) {
    const std::vector<Ref> nodes = ir::toposort(std::span(&sink, 1));
    const auto is_copy = [](Ref n) { return n->src(0)->arg(0) == kThreadSlot; };
    const auto depends = [&](Ref n) { return (n->src(1)->ranges() & range_bit(loop)) != 0; };
    for (Ref store : sink->src()) {
        if (!is_copy(store) || !depends(store)) continue;
        for (Ref load : nodes)
            if (load->is(Op::Load) && is_copy(load) && !depends(load) &&
                load->src(1)->vmin() <= store->src(1)->vmax() &&
                load->src(1)->vmax() >= store->src(1)->vmin())
                return false;
    }
    return true;
}

}  // namespace

std::optional<Triangle> find_triangle(Ref sink) {
    const std::uint64_t rows = ir::ranges_of_all_stores(sink);
    std::vector<ChainStep> steps;
    Ref row = nullptr;
    std::int64_t row_stride = 0;
    for (const std::vector<Ref>& stores : chain_steps(sink, rows)) {
        ChainStep step{stores, ir::toposort(stores), nullptr, {}};
        step.column = column_of(step.nodes, rows);
        if (step.column == nullptr) return std::nullopt;
        if (!steps.empty() && step.column->src(0) != steps[0].column->src(0)) return std::nullopt;
        for (Ref n : step.nodes)
            if (n->is(Op::Load) && ir::is_near(n->src(0))) step.reads.insert(n->src(0)->arg(0));
        for (Ref s : stores) {
            if (!ir::is_near(s->src(0))) continue;
            for (const auto& [term, stride] : ir::affine(s->src(1)).terms)
                if (term->is(Op::Range) && (range_bit(term) & rows) != 0 &&
                    (row == nullptr || stride < row_stride)) {
                    row = term;
                    row_stride = stride;
                }
        }
        steps.push_back(std::move(step));
    }
    if (row == nullptr) return std::nullopt;

    // The first step with the mask.
    std::size_t masking = 0;
    std::optional<Triangle> found;
    for (; masking < steps.size() && !found; ++masking)
        for (Ref n : steps[masking].nodes)
            if (n->is(Op::Where) && is_negative_infinity(n->src(2)) && !found)
                found = triangle_of(n->src(0), steps[masking].column, row);
    if (!found || (found->upper ? found->bound < 0 : found->bound < 1)) return std::nullopt;
    --masking;
    if (!finds_maxima(steps[masking]) &&
        !every_column_has_a_row(*found, steps[masking].column, row))
        return std::nullopt;

    // Those before it make what it reads, and nobody else reads that.
    for (std::size_t s = 0; s < steps.size(); ++s) {
        const ChainStep& step = steps[s];
        const auto is_near_store = [](Ref store) { return ir::is_near(store->src(0)); };
        if (s < masking &&
            (!step.reads.empty() || !std::ranges::all_of(step.stores, is_near_store)))
            return std::nullopt;
        if (s > masking)
            for (std::size_t earlier = 0; earlier < masking; ++earlier)
                for (Ref store : steps[earlier].stores)
                    if (step.reads.contains(store->src(0)->arg(0))) return std::nullopt;
    }

    // From there on all is 0 outside, and sums are not changed by it.
    std::set<std::int64_t> zero_slots;
    for (std::size_t s = masking; s < steps.size(); ++s) {
        const ChainStep& step = steps[s];
        const Outside known(step, row, *found, zero_slots);
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
        std::set<std::int64_t> zeros;
        for (Ref store : step.stores) {
            const bool near = ir::is_near(store->src(0));
            const bool over_columns = (store->ranges() & range_bit(step.column)) != 0;
            if (over_columns && (!near || !known.is_zero(store->src(2)))) return std::nullopt;
            if (near) zeros.insert(store->src(0)->arg(0));
        }
        zero_slots.merge(zeros);
    }
    return found;
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
        if (loop.range == nullptr || is_ragged(loop.range) || !keeps_to_itself(sink, loop.range))
            return none;
        widest = std::max(widest, loop.width);
        loops.push_back(loop);
    }
    if (cut.columns % widest != 0 ||
        std::ranges::any_of(loops, [&](const ColumnLoop& l) { return widest % l.width != 0; }))
        return none;
    // The block's last row reaches farthest, or its first one begins first; all steps go to the
    // end, or from the begin, of the widest of their blocks.
    const Ref first_row = fold(arena, Op::Mul, cut.block_of_rows, arena.index(cut.rows));
    if (triangle.upper && first_row->vmax() + triangle.bound >= cut.columns) return none;
    const Ref column = fold(
        arena, Op::Add, first_row,
        arena.index(triangle.upper ? triangle.bound : cut.rows - 1 + triangle.bound + widest - 1));
    const Ref blocks = fold(arena, Op::IDiv, column, arena.index(widest));
    std::vector<std::vector<Limit>> limits;
    for (const ColumnLoop& l : loops) {
        const Ref trips = fold(arena, Op::Mul, blocks, arena.index(widest / l.width));
        limits.push_back({triangle.upper ? Limit{l.range->arg(0), trips, nullptr}
                                         : Limit{l.range->arg(0), nullptr, trips}});
    }
    return limits;
}

}  // namespace sinter::codegen
