// Squares: loads and stores of neighbours, whose lanes lie apart, go by rows and are transposed in
// registers.

#include <algorithm>
#include <bit>

#include <sinter/ir/affine.h>
#include <sinter/ir/simplify.h>

#include "emitter.h"

namespace sinter::codegen {
namespace {

constexpr std::size_t kLeastRows = 4;  // fewer are written an element at a time

}  // namespace

// How far apart an index's lanes lie; 0 where that is not the same for all.
std::int64_t Emitter::lane_step(Ref index) const {
    std::int64_t step = 0;
    for (const auto& [term, coefficient] : ir::affine(index).terms) {
        if (term == vector_range_)
            step = coefficient;
        else if (is_vector(term))
            return 0;
    }
    return step;
}

void Emitter::find_squares(std::span<const Ref> roots) {
    // By memory and the index without its constant: loads by that constant.
    std::map<std::pair<Ref, Ref>, std::map<std::int64_t, Ref>> rows;
    for (Ref n : ir::toposort(roots)) {
        if (!n->is(Op::Load) || known(n) || n->src(2)->vmin() != 1 || n->src().size() != 3)
            continue;
        const ir::Affine sum = ir::affine(n->src(1));
        if (std::abs(lane_step(n->src(1))) < 2) continue;
        const Ref base = fold(arena_, Op::Sub, n->src(1), arena_.index(sum.constant));
        rows[{n->src(0), ir::simplify(arena_, base)}][sum.constant] = n;
    }
    for (const auto& [key, row] : rows) {
        std::vector<Ref> run;
        std::int64_t next = 0;
        for (const auto& [constant, node] : row) {
            if (!run.empty() && constant != next) run.clear();
            next = constant + 1;
            run.push_back(node);
            if (run.size() < lanes_) continue;
            const auto square = std::make_shared<std::vector<Ref>>(std::move(run));
            for (Ref n : *square) squares_[n] = square;
            run.clear();
        }
    }
}

Value Emitter::mix(Value a, Value b, int distance, bool high) {
    Inst inst{Code::Mix};
    inst.dtype = dtype(a);
    inst.lanes = lanes_;
    inst.imm = distance;
    inst.fill = high ? distance : 0;
    inst.src[0] = a;
    inst.src[1] = b;
    return push(inst, std::max(depth_of(a), depth_of(b)));
}

// Of as many rows as a block has lanes, row r's lane l of each block becomes row l's lane r of it.
void Emitter::transpose(std::vector<Value>& rows, int block) {
    for (int distance = block / 2; distance > 0; distance /= 2)
        for (int i = 0; i < block; ++i) {
            if ((i & distance) != 0) continue;
            const auto low = static_cast<std::size_t>(i),
                       high = static_cast<std::size_t>(i + distance);
            const Value a = rows[low], b = rows[high];
            rows[low] = mix(a, b, distance, false);
            rows[high] = mix(a, b, distance, true);
        }
}

void Emitter::make_square(std::span<const Ref> loads) {
    const Ref first = loads[0];
    std::vector<Value> rows;
    for (int lane = 0; lane < lanes_; ++lane) {
        // The row of a lane: what the loads read at it lies side by side.
        const Ref at = substitute_free(arena_, first->src(1), vector_range_, arena_.index(lane));
        const Ref along = ir::simplify(arena_, arena_.add(at, vector_range_));
        const Ref src[] = {first->src(0), along, first->src(2)};
        rows.push_back(value(arena_.make(Op::Load, first->dtype(), src, first->args())));
    }
    transpose(rows, lanes_);
    for (std::size_t i = 0; i < loads.size(); ++i) remember(loads[i], {rows[i]}, depth_of(rows[i]));
}

std::vector<bool> Emitter::store_transposed(std::span<const Ref> stores) {
    std::vector<bool> done(stores.size());
    // By memory and the index without its constant: stores by that constant.
    std::map<std::pair<Ref, Ref>, std::map<std::int64_t, std::size_t>> rows;
    for (std::size_t i = 0; i < stores.size(); ++i) {
        const Ref s = stores[i];
        if (s->src(3)->vmin() != 1 || s->src().size() != 4 || size_of(s->src(2)->dtype()) < 4 ||
            std::abs(lane_step(s->src(1))) < 2)
            continue;
        const std::int64_t constant = ir::affine(s->src(1)).constant;
        const Ref base = fold(arena_, Op::Sub, s->src(1), arena_.index(constant));
        rows[{s->src(0), ir::simplify(arena_, base)}][constant] = i;
    }
    for (const auto& [key, row] : rows) {
        std::vector<Ref> run;
        std::vector<std::size_t> at;
        const auto write = [&] {
            if (run.size() >= kLeastRows) {
                store_rows(run);
                for (std::size_t i : at) done[i] = true;
            }
            run.clear();
            at.clear();
        };
        std::int64_t next = 0;
        for (const auto& [constant, i] : row) {
            if (constant != next || run.size() == lanes_) write();
            next = constant + 1;
            run.push_back(stores[i]);
            at.push_back(i);
        }
        write();
    }
    return done;
}

void Emitter::store_rows(std::span<const Ref> stores) {
    const Ref first = stores[0];
    const int n = static_cast<int>(stores.size());
    const int block = static_cast<int>(std::bit_ceil(stores.size()));
    std::vector<Value> rows;
    for (Ref s : stores) rows.push_back(splat(value(s->src(2)), lanes_));
    const DType stored = first->src(2)->dtype();
    while (std::ssize(rows) < block) rows.push_back(constant(stored, 0, lanes_));
    transpose(rows, block);
    for (int lane = 0; lane < lanes_; ++lane) {
        // What was this lane of all rows lies side by side, in lanes from `from` on.
        const int from = lane / block * block;
        const Ref at = substitute_free(arena_, first->src(1), vector_range_, arena_.index(lane));
        const Ref along =
            ir::simplify(arena_, arena_.add(arena_.add(at, arena_.index(-from)), vector_range_));
        Ref valid = fold(arena_, Op::Lt, vector_range_, arena_.index(from + n));
        if (from > 0)
            valid = fold(arena_, Op::And, valid,
                         fold(arena_, Op::Lt, arena_.index(from - 1), vector_range_));
        const Address where = address(along);
        Inst inst{Code::Store};
        inst.dtype = stored;
        inst.lanes = lanes_;
        inst.access = where.access;
        inst.imm = where.constant;
        inst.align = where.align;
        inst.src[0] = value(first->src(0));
        inst.src[1] = where.index;
        inst.src[2] = mask(valid, where.access);
        inst.src[3] = rows[static_cast<std::size_t>(lane - from)];
        push(inst, levels_.size() - 1);
    }
}

}  // namespace sinter::codegen
