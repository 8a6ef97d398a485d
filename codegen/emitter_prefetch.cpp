// Memory that is fetched before it is read: the next row, a place further on in a walk, and what
// follows a tile's sums.

#include <algorithm>

#include <sinter/ir/affine.h>

#include "emitter.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kAheadBytes = 1 << 18;  // of the second-level cache, for what is to come
// How far ahead of a walk its memory is fetched: a page, or a share of what lies side by side.
constexpr std::int64_t kFarBytes = 4096, kLeastFar = 512, kShareOfRun = 4, kMostCopies = 8;

}  // namespace

// Of rows that lie one behind the other, how far it is to the same place in the next one; else 0.
std::int64_t Emitter::next_row(Ref load, const Inst& inst) {
    const Ref memory = load->src(0);
    if (memory->arg(0) < 0 || inst.access == Access::Indexed || is_scattered(inst))
        return 0;  // scratch, or anywhere
    std::int64_t next = 0, row = 0;
    for (const auto& [term, coefficient] : ir::affine(load->src(1)).terms) {
        // Rows from where their lines begin: the next one differs by less than a line.
        if (coefficient == -1 && term->is(Op::Mod) && depth_of(value(term)) <= ahead_.depth)
            continue;
        if (!term->is(Op::Range)) return 0;
        if (term->arg(0) == ahead_.range->arg(0))
            next = coefficient;
        else if (term == vector_range_ || depth_of(value(term)) > ahead_.depth)
            row += std::abs(coefficient) * (term->src(0)->arg(0) - 1);
    }
    const bool fits = next * static_cast<std::int64_t>(size_of(load->dtype())) <= kAheadBytes;
    return row == 0 || row >= next || !fits ? 0 : next;
}

void Emitter::prefetch(const Inst& load, std::int64_t elements) {
    Inst ahead{Code::Prefetch};
    ahead.dtype = load.dtype;
    ahead.imm = load.imm + elements;
    ahead.src[0] = load.src[0];
    ahead.src[1] = load.src[1];
    push(ahead, std::max(depth_of(load.src[0]), depth_of(load.src[1])));
}

// What the machine foresees of a walk ends with a page, and its next one is as far away as memory.
void Emitter::prefetch_far(Ref load, const Inst& inst, std::size_t depth) {
    if (!fetches_far_ || std::ranges::count(far_, load->src(0)->arg(0)) == 0) return;
    if (inst.access != Access::Contiguous && inst.access != Access::Strided) return;
    if (is_scattered(inst)) return;
    if (inst.src[2] != kNone || levels_[depth].loop == nullptr) return;
    // The loops it is walked with, innermost first, as long as each goes on where the ones inside
    // it end. Copies of the load take what lies between the steps of the innermost.
    std::vector<std::tuple<std::size_t, std::int64_t, Ref>> loops;
    for (const auto& [term, coefficient] : ir::affine(load->src(1)).terms) {
        if (term == vector_range_) continue;
        if (!term->is(Op::Range) || coefficient < 0) return;
        loops.emplace_back(levels_.size() - depth_of(value(term)), coefficient, term);
    }
    std::ranges::sort(loops, {},
                      [](const auto& l) { return std::pair(std::get<0>(l), std::get<1>(l)); });
    std::int64_t run = std::int64_t{lanes_} * std::max<std::int64_t>(inst.step, 1);
    std::int64_t gap = kMostCopies * run;
    for (const auto& [level, step, range] : loops) {
        if (step > std::max(run, gap)) break;
        gap = 0;
        const Ref trips = range->src(0);
        run = trips->is(Op::Const) ? run + step * (trips->arg(0) - 1) : kFarBytes;
    }
    const auto bytes = static_cast<std::int64_t>(size_of(load->dtype()));
    const std::int64_t distance =
        std::min(kFarBytes, run * bytes / kShareOfRun / kLineBytes * kLineBytes);
    if (distance < kLeastFar) return;
    // As many lines as the load has.
    const std::int64_t span = std::int64_t{lanes_} * std::max<std::int64_t>(inst.step, 1) * bytes;
    for (std::int64_t at = 0; at < span; at += kLineBytes) {
        const std::tuple line{inst.src[0], inst.src[1], (inst.imm * bytes + at) >> 6};
        auto& fetched = levels_[depth].fetched;
        if (std::ranges::count(fetched, line) != 0) continue;
        fetched.push_back(line);
        prefetch(inst, (distance + at) / bytes);
    }
}

// Whether an index is read from where a reduction that has yet to run puts it.
bool Emitter::waits_for_reduction(Ref index) const {
    std::vector<Ref> stack{index};
    while (!stack.empty()) {
        const Ref n = stack.back();
        stack.pop_back();
        if (known(n)) continue;
        if (n->is(Op::Reduce) || n->is(Op::Accumulate) || n->is(Op::Order)) return true;
        stack.insert(stack.end(), n->src().begin(), n->src().end());
    }
    return false;
}

void Emitter::fetch_for_later(std::span<const Ref> values) {
    std::vector<Ref> stack(values.begin(), values.end());
    RefMap<char> seen;
    while (!stack.empty()) {
        const Ref n = stack.back();
        stack.pop_back();
        if (seen.contains(n) || known(n) || n->is(Op::Reduce) || n->is(Op::Accumulate) ||
            n->is(Op::Order))
            continue;
        seen[n] = 1;
        stack.insert(stack.end(), n->src().begin(), n->src().end());
        if (!n->is(Op::Load) || std::ranges::count(far_, n->src(0)->arg(0)) == 0) continue;
        if (waits_for_reduction(n->src(1))) continue;
        const Address where = address(n->src(1));
        if (where.access != Access::Contiguous) continue;
        Inst load{Code::Load};
        load.dtype = n->dtype();
        load.imm = where.constant;
        load.src[0] = value(n->src(0));
        load.src[1] = where.index;
        prefetch(load, 0);
    }
}

}  // namespace sinter::codegen
