// Tiles that the threads of a team compute together: their operands are kept in the team's scratch.

#include <sinter/ir/affine.h>
#include <sinter/ir/simplify.h>

#include "transform.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kBorder = 16;  // bytes that what is kept begins at a multiple of

std::int64_t size_of_range(Ref r) { return r->src(0)->arg(0); }

std::int64_t stride_of(Ref index, Ref range) {
    for (const auto& [term, coefficient] : ir::affine(index).terms)
        if (term == range) return coefficient;
    return 0;
}

}  // namespace

void Form::join(Ref outer, Ref inner, Ref into) {
    Arena& a = arena_;
    const Ref n = inner->src(0);
    const Ref high = a.idiv(into, n), low = a.mod(into, n);
    sink_ = rebuild(sink_, [&](Ref node, std::span<const Ref> src) -> Ref {
        if (node == outer) return high;
        if (node == inner) return low;
        return make_folded(a, node, src);
    });
    sink_ = ir::simplify(a, sink_);
    record(StepKind::Join, {outer->arg(0), inner->arg(0), into->arg(0)});
}

std::int64_t Form::share(Ref load, const Tile& tile, Ref lane) {
    Arena& a = arena_;
    std::vector<std::int64_t> operands;
    append_value(operands, load);
    for (Ref r : {tile.row, tile.copy, tile.step, lane}) operands.push_back(r->arg(0));
    operands.push_back(size_of_range(lane));
    record(StepKind::Share, std::move(operands));
    const std::int64_t rows = size_of_range(tile.row) * size_of_range(tile.copy),
                       steps = size_of_range(tile.step), lanes = size_of_range(lane);
    const std::int64_t by = rows * steps / lanes;
    // Element e of the tile, `by` neighbours a thread, along what lies side by side in memory.
    const Ref q = ir::range(a, fresh_number(), by, Role::Unroll);
    const Ref e = fold(a, Op::Add, fold(a, Op::Mul, lane, a.index(by)), q);
    const bool by_steps = stride_of(load->src(1), tile.step) == 1;
    const Ref fast = a.index(by_steps ? steps : rows);
    const Ref low = a.mod(e, fast), high = a.idiv(e, fast);
    const Ref row = by_steps ? high : low, step = by_steps ? low : high;
    const Ref copies = a.index(size_of_range(tile.copy));
    Ref copied = substitute_free(a, load, tile.row, a.idiv(row, copies));
    copied = substitute_free(a, copied, tile.copy, a.mod(row, copies));
    copied = substitute_free(a, copied, tile.step, step);

    const auto bytes = static_cast<std::int64_t>(size_of(load->dtype()));
    const std::int64_t pitch = rows + kBorder / bytes;  // rows apart by other than a power of two
    const Ref memory = ir::param(a, load->dtype(), kThreadSlot);
    const Ref base = a.index(scratch_ / bytes);
    const auto place = [&](Ref r, Ref s) {
        return fold(a, Op::Add, base, fold(a, Op::Add, fold(a, Op::Mul, s, a.index(pitch)), r));
    };
    const Ref stored =
        ir::simplify(a, ir::store(a, memory, place(row, step), copied, a.truth(true)));
    const Ref mine = fold(a, Op::Add, fold(a, Op::Mul, tile.row, copies), tile.copy);
    const Ref read = ir::load(a, memory, place(mine, tile.step), a.truth(true));
    const Ref rest = rebuild(sink_, [&](Ref node, std::span<const Ref> src) {
        return node == load ? read : make_folded(a, node, src);
    });
    std::vector<Ref> stores{stored};
    stores.insert(stores.end(), rest->src().begin(), rest->src().end());
    sink_ = a.make(Op::Sink, DType::None, stores);
    scratch_ += (steps * pitch * bytes + kBorder - 1) / kBorder * kBorder;
    return scratch_;
}

}  // namespace sinter::codegen
