#pragma once
// Making a changed copy of a kernel's graph.

#include <functional>
#include <span>
#include <vector>

#include <sinter/ir/kernel.h>
#include <sinter/ir/ref_map.h>

namespace sinter::codegen {

using ir::Arena;
using ir::named_ranges;
using ir::Op;
using ir::range_bit;
using ir::Ref;
using ir::RefMap;
using ir::value_count;

/// Slots of Params that are no operands: the launch's scratch, and the running thread's.
inline constexpr std::int64_t kSharedSlot = -1, kThreadSlot = -2;

/// The node with these sources, or what it folds to where the folding is certain from bounds and
/// constants: masks that always or never hold, index arithmetic with neutral operands, a choice
/// whose condition is known.
Ref make_folded(Arena& arena, Ref like, std::span<const Ref> src);
Ref make_folded(Arena& arena, Op op, DType dtype, std::span<const Ref> src,
                std::span<const std::int64_t> args = {});
inline Ref fold(Arena& a, Op op, Ref x, Ref y) {
    const Ref src[] = {x, y};
    return make_folded(a, op, ir::info(op).dtype == ir::DTypeRule::Bool ? DType::Bool : x->dtype(),
                       src);
}

/// Calls `make(node, new sources)` for every node below `roots`, sources first, and gives the new
/// roots. `make` may return anything; with_src-like behaviour is make_folded.
using Make = std::function<Ref(Ref node, std::span<const Ref> src)>;
std::vector<Ref> rebuild(std::span<const Ref> roots, const Make& make);
Ref rebuild(Ref root, const Make& make);

/// `from` (a Range or Variable) replaced by `to` where it is free: below a Reduce or
/// Accumulate that closes it, it is another index of the same name and stays.
std::vector<Ref> substitute_free(Arena& arena, std::span<const Ref> roots, Ref from, Ref to);
Ref substitute_free(Arena& arena, Ref root, Ref from, Ref to);

/// Whether the node closes the range, by number.
bool closes(Ref node, Ref range);

/// Whether the last trip of a range made by a split differs from the others.
inline bool is_ragged(Ref range) { return range->args().size() > 2 && range->arg(2) != 0; }

/// The ranges in each of whose steps what a sink keeps in the thread's scratch is filled anew.
std::uint64_t renewed_ranges(Ref sink);

}  // namespace sinter::codegen
