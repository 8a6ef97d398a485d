#include "emitter.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>
#include <sinter/ir/simplify.h>

#include "analysis.h"
#include "combine.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kAheadBytes = 1 << 18;  // of the second-level cache, for what is to come
constexpr std::size_t kLeastRows = 4;          // fewer are written an element at a time
// How far ahead of a walk its memory is fetched: a page, or a share of what lies side by side.
constexpr std::int64_t kFarBytes = 4096, kLeastFar = 512, kShareOfRun = 4, kMostCopies = 8;
constexpr std::int64_t kLeastPart = 16;  // bytes of the smallest vector that may go past the caches

// Bytes that a Load or Store of the thread's scratch may touch: [first, second).
std::pair<std::int64_t, std::int64_t> scratch_bytes(Ref access) {
    const auto bytes = static_cast<std::int64_t>(size_of(access->src(0)->dtype()));
    return {access->src(1)->vmin() * bytes, (access->src(1)->vmax() + 1) * bytes};
}

}  // namespace

Emitter::Emitter(Arena& arena, bool fma) : arena_(arena), fma_(fma) {
    levels_.emplace_back();
    levels_[0].block = &function_.body;
}

void Emitter::set_vector(Ref range) {
    vector_range_ = range;
    vector_mask_ = range_bit(range);
    lanes_ = static_cast<std::uint16_t>(range->src(0)->arg(0));
}

// --- placing

Value Emitter::push(const Inst& inst, std::size_t depth) {
    const auto v = static_cast<Value>(function_.insts.size());
    function_.insts.push_back(inst);
    depth_.push_back(depth);
    levels_[depth].block->items.emplace_back(v);
    return v;
}

void Emitter::remember(Ref node, std::vector<Value> values, std::size_t depth) {
    Known& entry = known_[node];
    entry.values = std::move(values);
    entry.valid = true;
    levels_[depth].made.push_back(node);
}

void Emitter::forget_level() {
    Level& level = levels_.back();
    for (Ref n : level.made) known_.find(n)->valid = false;
    level.made.clear();
    open_ &= ~level.opened;
    level.opened = 0;
}

const std::vector<Value>* Emitter::lookup(Ref node) const {
    const Known* k = known_.find(node);
    return k != nullptr && k->valid ? &k->values : nullptr;
}

bool Emitter::known(Ref node) const { return lookup(node) != nullptr; }

void Emitter::define(Ref reduction, std::vector<Value> components) {
    remember(reduction, std::move(components), levels_.size() - 1);
}

void Emitter::bind(Ref range, Value v) {
    const std::size_t depth = levels_.size() - 1;
    if (depth_of(v) != depth) {
        // What depends on the range must stay in the branch, though the number itself is older.
        Inst alias{Code::Alias};
        alias.dtype = DType::Index;
        alias.src[0] = v;
        v = push(alias, depth);
    }
    remember(range, {v}, depth);
    levels_.back().opened |= range_bit(range) & ~open_;
    open_ |= range_bit(range);
}

// --- values

Value Emitter::constant(DType dtype, std::int64_t bits, std::uint16_t lanes) {
    const auto [it, fresh] = constants_.try_emplace({dtype, bits, lanes}, kNone);
    if (fresh) {
        Inst c{Code::Const};
        c.dtype = dtype;
        c.lanes = lanes;
        c.imm = bits;
        it->second = push(c, 0);
    }
    return it->second;
}

Value Emitter::argument(Arg which) {
    Inst inst{Code::Argument};
    inst.dtype = DType::Index;
    inst.imm = static_cast<std::int64_t>(which);
    return push(inst, 0);
}

Value Emitter::arith(Op op, DType dtype, std::initializer_list<Value> src, std::int64_t imm) {
    std::uint16_t lanes = 1;
    std::size_t depth = 0, i = 0;
    for (Value v : src) lanes = std::max(lanes, this->lanes(v));
    Inst inst{Code::Arith};
    inst.op = op;
    inst.dtype = dtype;
    inst.lanes = lanes;
    inst.imm = imm;
    for (Value v : src) {
        const Value wide = splat(v, lanes);
        inst.src[i++] = wide;
        depth = std::max(depth, depth_of(wide));
    }
    return push(inst, depth);
}

Value Emitter::splat(Value v, std::uint16_t lanes) {
    if (this->lanes(v) == lanes) return v;
    const Inst& source = function_.insts[static_cast<std::size_t>(v)];
    if (source.code == Code::Const) return constant(source.dtype, source.imm, lanes);
    Inst inst{Code::Splat};
    inst.dtype = dtype(v);
    inst.lanes = lanes;
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

Value Emitter::rotate(Value v, int by) {
    Inst inst{Code::Rotate};
    inst.dtype = dtype(v);
    inst.lanes = lanes(v);
    inst.imm = by;
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

Value Emitter::first(Value v) {
    Inst inst{Code::First};
    inst.dtype = dtype(v);
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

// Loads place their own address and mask; reductions are made by whoever opens their loops.
std::span<const Ref> Emitter::needs(Ref node) const {
    switch (node->op()) {
        case Op::Load:
        case Op::Range:
        case Op::Reduce:
        case Op::Accumulate:
        case Op::Order:
            return {};
        case Op::Scan:
            return node->src().first(1);
        default:
            return node->src();
    }
}

Value Emitter::value(Ref root) {
    if (const auto* found = lookup(root)) return found->front();
    std::vector<Ref> stack{root};
    while (!stack.empty()) {
        const Ref node = stack.back();
        if (known(node)) {
            stack.pop_back();
            continue;
        }
        bool ready = true;
        for (Ref s : needs(node)) {
            if (known(s)) continue;
            stack.push_back(s);
            ready = false;
        }
        if (!ready) continue;
        stack.pop_back();
        const Value v = make(node);
        if (!known(node)) remember(node, {v}, depth_of(v));
    }
    return lookup(root)->front();
}

Value Emitter::make(Ref node) {
    switch (node->op()) {
        case Op::Const:
            return constant(node->dtype(), node->arg(0), 1);
        case Op::Variable: {
            Inst inst{Code::Scalar};
            inst.dtype = node->dtype();
            inst.imm = node->arg(0);
            return push(inst, 0);
        }
        case Op::Param: {
            if (node->arg(0) == kSharedSlot) return argument(Arg::Shared);
            if (node->arg(0) == kThreadSlot || ir::is_near(node)) return argument(Arg::Thread);
            Inst inst{Code::Block};
            inst.imm = node->arg(0);
            return push(inst, 0);
        }
        case Op::Range: {
            if (node != vector_range_)
                throw InternalError("codegen: a value outside the loop of its range " +
                                    std::to_string(node->arg(0)));
            Inst inst{Code::Lanes};
            inst.dtype = DType::Index;
            inst.lanes = lanes_;
            inst.imm = 1;
            return push(inst, 0);
        }
        case Op::Load:
            return make_load(node);
        case Op::Scan:
            return make_scan(node);
        case Op::Get:
            return (*lookup(node->src(0)))[static_cast<std::size_t>(node->arg(0))];
        case Op::Check: {
            const Value v = lookup(node->src(0))->front();
            Inst inst{Code::Check};
            inst.dtype = DType::Index;
            inst.lanes = lanes(v);
            inst.imm = node->arg(0);
            inst.fill = node->arg(1);
            inst.src[0] = v;
            return push(inst, depth_of(v));
        }
        case Op::Reduce:
        case Op::Accumulate:
        case Op::Order:
            throw InternalError("codegen: a reduction is read where it was not computed");
        default:
            break;
    }
    Value src[4] = {kNone, kNone, kNone, kNone};
    if (node->src().size() > 4)
        throw InternalError("codegen: no instruction for " + std::string(ir::name(node->op())));
    for (std::size_t i = 0; i < node->src().size(); ++i) src[i] = lookup(node->src(i))->front();
    // What the op needs to know besides its operands: a machine op's argument, or whether an index
    // that is divided may be negative.
    std::int64_t imm = node->args().empty() ? 0 : node->arg(0);
    if ((node->is(Op::IDiv) || node->is(Op::Mod)) && node->dtype() == DType::Index)
        imm = node->src(0)->vmin() < 0 ? kSignedDividend : 0;
    switch (node->src().size()) {
        case 1:
            return arith(node->op(), node->dtype(), {src[0]}, imm);
        case 2:
            return arith(node->op(), node->dtype(), {src[0], src[1]}, imm);
        case 3:
            return arith(node->op(), node->dtype(), {src[0], src[1], src[2]}, imm);
        default:
            throw InternalError("codegen: no instruction for " + std::string(ir::name(node->op())));
    }
}

// --- memory

namespace {

// What x - x mod m is a multiple of, and the rest of the sum, where a sum has such a part: a row
// from where its line begins. Else 0, and the sum.
std::pair<std::int64_t, ir::Affine> without_line_begin(const ir::Affine& sum) {
    for (const auto& [term, coefficient] : sum.terms) {
        if (coefficient != -1 || !term->is(Op::Mod) || !term->src(1)->is(Op::Const)) continue;
        ir::Affine rest = sum;
        std::erase_if(rest.terms, [&](const auto& t) { return t.first == term; });
        return {term->src(1)->arg(0), rest - ir::affine(term->src(0))};
    }
    return {0, sum};
}

}  // namespace

Emitter::Address Emitter::address(Ref index) {
    const ir::Affine sum = ir::affine(index);
    Address result;
    result.constant = sum.constant;
    const auto [line, others] = without_line_begin(sum);
    result.outer_align = line;
    result.outer_constant = others.constant;
    for (const auto& [term, coefficient] : others.terms)
        if (term != vector_range_) result.outer_align = std::gcd(result.outer_align, coefficient);
    std::int64_t step = 0;
    bool general = false;
    std::vector<std::pair<std::size_t, Ref>>
        terms;  // by the loop they belong to: sums of outer ones are hoisted
    for (const auto& [term, coefficient] : sum.terms) {
        result.align = std::gcd(result.align, coefficient);
        if (term == vector_range_) {
            step = coefficient;
            continue;
        }
        general = general || is_vector(term);
        const Ref product = fold(arena_, Op::Mul, term, arena_.index(coefficient));
        terms.emplace_back(depth_of(value(product)), product);
    }
    std::ranges::stable_sort(terms, {}, [](const auto& t) { return t.first; });
    Ref base = nullptr;
    for (const auto& [depth, product] : terms)
        base = base == nullptr ? product : arena_.add(base, product);
    if (base != nullptr) result.index = value(base);
    const bool apart = step != 0 && step != 1 && step != -1;
    if (spans_ && !general && apart) {
        result.access = Access::Strided;
        result.step = step;
    } else if (general || apart) {
        result.access = Access::Indexed;
        Value offsets = kNone;
        if (step != 0) {
            Inst lanes{Code::Lanes};
            lanes.dtype = DType::Index;
            lanes.lanes = lanes_;
            lanes.imm = step;
            offsets = push(lanes, 0);
        }
        if (result.index == kNone)
            result.index = offsets;
        else if (offsets != kNone)
            result.index = arith(Op::Add, DType::Index, {result.index, offsets});
    } else if (step != 0) {
        result.access = step == 1 ? Access::Contiguous : Access::Reverse;
    }
    return result;
}

Value Emitter::mask(Ref valid, Access access) {
    if (valid->vmin() == 1) return kNone;
    const Value v = value(valid);
    return access == Access::Scalar ? v : splat(v, lanes_);
}

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

Value Emitter::make_load(Ref node) {
    if (const auto* square = squares_.find(node)) {
        const std::shared_ptr<std::vector<Ref>> loads = *square;
        const bool first = std::ranges::none_of(*loads, [&](Ref n) { return known(n); });
        if (first) {
            make_square(*loads);
            return lookup(node)->front();
        }
    }
    const Value memory = value(node->src(0));
    Address where = address(node->src(1));
    Value allowed = mask(node->src(2), where.access);
    if (allowed != kNone && where.access == Access::Scalar && lanes(allowed) != 1) {
        // One address, some lanes only: as good as an indexed load.
        where.access = Access::Indexed;
        where.index = splat(where.index == kNone ? value(arena_.index(0)) : where.index, lanes_);
    }
    Inst inst{Code::Load};
    inst.dtype = node->dtype();
    inst.lanes = where.access == Access::Scalar ? std::uint16_t{1} : lanes_;
    inst.access = where.access;
    inst.step = where.step;
    inst.imm = where.constant;
    inst.align = where.align;
    inst.fill = node->arg(0);
    inst.src[0] = memory;
    inst.src[1] = where.index;
    inst.src[2] = allowed;
    std::size_t depth = std::max({depth_of(memory), depth_of(where.index), depth_of(allowed)});
    if (node->src(0)->arg(0) == kThreadSlot) depth = std::max(depth, scratch_depth_);
    if (std::ranges::count(updated_, node->src(0)) != 0) depth = levels_.size() - 1;
    // Further sources are ranges that the memory's contents depend on.
    for (Ref r : node->src().subspan(3)) depth = std::max(depth, depth_of(value(r)));
    if (ahead_.range != nullptr && depth > ahead_.depth) {
        if (const std::int64_t next = next_row(node, inst); next > 0) prefetch(inst, next);
    } else {
        prefetch_far(node, inst, depth);
    }
    return push(inst, depth);
}

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

void Emitter::scratch_is_filled(std::span<const Ref> stores) {
    // Trips that are code of their own fill the same places one after the other.
    const auto refilled = [&](Ref load) {
        const std::pair<std::int64_t, std::int64_t> read = scratch_bytes(load);
        return std::ranges::any_of(stores, [&](Ref s) {
            const auto [first, last] = scratch_bytes(s);
            return read.first < last && first < read.second;
        });
    };
    forget(
        [&](Ref n) { return n->is(Op::Load) && n->src(0)->arg(0) == kThreadSlot && refilled(n); });
    scratch_depth_ = levels_.size() - 1;
    push(Inst{Code::Barrier}, scratch_depth_);
}

void Emitter::forget(const std::function<bool(Ref)>& is_stale) {
    for (Level& level : levels_) {
        RefMap<char> stale;
        for (Ref n : ir::toposort(level.made))
            if (is_stale(n) ||
                std::ranges::any_of(n->src(), [&](Ref s) { return stale.contains(s); }))
                stale[n] = 1;
        std::erase_if(level.made, [&](Ref n) {
            if (stale.contains(n)) known_.find(n)->valid = false;
            return stale.contains(n);
        });
    }
}

void Emitter::scratch_is_free() { push(Inst{Code::Barrier}, levels_.size() - 1); }

Value Emitter::read_scratch(Arg memory, DType dtype, std::int64_t offset, Value index,
                            std::uint16_t lanes) {
    Inst inst{Code::Load};
    inst.dtype = dtype;
    inst.lanes = lanes;
    inst.access = lanes == 1 ? Access::Scalar : Access::Contiguous;
    inst.imm = offset / static_cast<std::int64_t>(size_of(dtype));
    inst.src[0] = argument(memory);
    inst.src[1] = index;
    return push(inst, levels_.size() - 1);
}

void Emitter::write_scratch(Arg memory, std::int64_t offset, Value index, Value value) {
    Inst inst{Code::Store};
    inst.dtype = dtype(value);
    inst.lanes = lanes(value);
    inst.access = inst.lanes == 1 ? Access::Scalar : Access::Contiguous;
    inst.imm = offset / static_cast<std::int64_t>(size_of(inst.dtype));
    inst.src[0] = argument(memory);
    inst.src[1] = index;
    inst.src[3] = value;
    push(inst, levels_.size() - 1);
}

void Emitter::define_here(Ref node) {
    const std::size_t depth = levels_.size() - 1;
    Inst alias{Code::Alias};
    alias.dtype = DType::Index;
    alias.src[0] = constant(DType::Index, 0, 1);
    remember(node, {push(alias, depth)}, depth);
}

void Emitter::prepare(Ref node) {
    if (node->src(3)->vmax() != 0) value(node->src(2));
}

void Emitter::store(Ref node) {
    const Ref valid = node->src(3);
    if (valid->vmax() == 0) return;
    const Value memory = value(node->src(0));
    const Value stored = value(node->src(2));
    const Address where = address(node->src(1));
    if (where.access == Access::Scalar && lanes(stored) != 1)
        throw InternalError("codegen: a vector stored at one place");
    Inst inst{Code::Store};
    inst.dtype = node->src(2)->dtype();
    inst.lanes = where.access == Access::Scalar ? std::uint16_t{1} : lanes_;
    inst.access = where.access;
    inst.step = where.step;
    inst.imm = where.constant;
    inst.align = where.align;
    inst.src[0] = memory;
    inst.src[1] = where.index;
    inst.src[2] = mask(valid, where.access);
    inst.src[3] = splat(stored, inst.lanes);
    if (const Value lined = streaming(node, where); lined != kNone) {
        inst.streaming = true;
        inst.src[2] = lined;
    }
    push(inst, levels_.size() - 1);
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

// The condition under which the store may go past the caches: lines are filled. None if it never
// may.
Value Emitter::streaming(Ref store, const Address& where) {
    if (where.access != Access::Contiguous || store->src(3)->vmin() != 1) return kNone;
    for (Streamed& s : streamed_) {
        if (s.slot != store->src(0)->arg(0)) continue;
        const auto bytes = static_cast<std::int64_t>(size_of(store->src(2)->dtype())),
                   part = lanes_ * bytes;
        if (part != kLineBytes && (!s.end_to_end || part < kLeastPart)) return kNone;
        if (where.outer_align * bytes % part != 0 || where.outer_constant * bytes % part != 0)
            return kNone;
        if (s.lined != kNone) return s.lined;
        Inst inst{Code::Lined};
        inst.dtype = DType::Bool;
        inst.imm = s.least;
        inst.src[0] = value(store->src(0));
        if (s.size != nullptr) inst.src[1] = value(s.size);
        return s.lined = push(inst, 0);
    }
    return kNone;
}

bool Emitter::accumulate_product(Ref reduction, Ref product, Value& acc, std::uint16_t lanes) {
    const bool sum = reduction->is(Op::Reduce) &&
                     reduction->arg(0) == static_cast<std::int64_t>(ir::ReduceKind::Add);
    const bool dot = sum && without_masks(product)->is(Op::Dot);
    if (!dot && (!fma_ || !sum || (product->dtype() != f32 && product->dtype() != f64)))
        return false;
    // A product that counts only where a mask holds leaves the sum alone elsewhere.
    std::vector<Ref> masks;
    while (product->is(Op::Where) && product->src(2)->is(Op::Const) &&
           product->src(2)->arg(0) == 0) {
        masks.push_back(product->src(0));
        product = product->src(1);
    }
    if ((!product->is(Op::Mul) && !dot) || known(product)) return false;
    const Value a = splat(value(product->src(0)), lanes), b = splat(value(product->src(1)), lanes);
    const Value next = dot ? arith(Op::Dot, product->dtype(), {a, b, acc}, product->arg(0))
                           : arith(Op::Fma, product->dtype(), {a, b, acc});
    Value counts = kNone;
    for (Ref m : masks) counts = counts == kNone ? value(m) : logic(Op::And, counts, value(m));
    acc = counts == kNone ? next : select(splat(counts, lanes), next, acc);
    return true;
}

// --- loops and branches

void Emitter::open_loop(Value begin, Value end, bool may_be_empty) {
    Level level;
    level.loop = std::make_unique<Loop>();
    level.loop->begin = begin;
    level.loop->end = end;
    level.loop->may_be_empty = may_be_empty;
    level.block = &level.loop->body;
    levels_.push_back(std::move(level));
    Inst index{Code::LoopIndex};
    index.dtype = DType::Index;
    function_.insts.push_back(index);
    depth_.push_back(levels_.size() - 1);
    levels_.back().loop->index = static_cast<Value>(function_.insts.size() - 1);
}

Value Emitter::loop_index() const { return levels_.back().loop->index; }

Value Emitter::carry(Value init) {
    Level& level = levels_.back();
    Inst phi{Code::Phi};
    phi.dtype = dtype(init);
    phi.lanes = lanes(init);
    function_.insts.push_back(phi);
    depth_.push_back(levels_.size() - 1);
    const auto v = static_cast<Value>(function_.insts.size() - 1);
    level.carried.push_back(level.loop->carried.size());
    level.loop->carried.push_back({v, init, kNone});
    return v;
}

void Emitter::set_next(Value v) {
    Level& level = levels_.back();
    level.loop->carried[level.carried[level.set++]].next = v;
}

// The running values of a vector's lanes: each lane takes in the one 1, 2, 4, … before it.
Value Emitter::scan_lanes(ir::ReduceKind kind, Value v) {
    const DType dt = dtype(v);
    const Value neutral = constant(dt, ir::identity_bits(kind, dt), lanes_);
    Inst numbers{Code::Lanes};
    numbers.dtype = DType::Index;
    numbers.lanes = lanes_;
    numbers.imm = 1;
    const Value lane = push(numbers, 0);
    for (int by = 1; by < lanes_; by *= 2) {
        const Value has_one =
            arith(Op::Le, DType::Bool, {constant(DType::Index, by, lanes_), lane});
        v = combine(*this, kind, select(has_one, rotate(v, lanes_ - by), neutral), v);
    }
    return v;
}

Value Emitter::make_scan(Ref node) {
    const auto kind = static_cast<ir::ReduceKind>(node->arg(0));
    const bool in_lanes = vector_range_ != nullptr && node->src().back() == vector_range_;
    Value next = lookup(node->src(0))->front();
    if (in_lanes) next = scan_lanes(kind, splat(next, lanes_));
    const Ref walked = node->src(1);
    if (!walked->is(Op::Range) || walked == vector_range_) return next;  // of one trip
    std::size_t depth = 0;
    for (std::size_t d = 1; d < levels_.size(); ++d)
        if (levels_[d].loop != nullptr && (levels_[d].opened & range_bit(walked)) != 0) depth = d;
    if (depth == 0) throw InternalError("codegen: a scan outside the loop it walks");
    const Value init = constant(node->dtype(), ir::identity_bits(kind, node->dtype()), lanes(next));
    Inst phi{Code::Phi};
    phi.dtype = node->dtype();
    phi.lanes = lanes(next);
    function_.insts.push_back(phi);
    depth_.push_back(depth);
    const auto carried = static_cast<Value>(function_.insts.size() - 1);
    const Value running = combine(*this, kind, carried, next);
    // The next trip waits for one step alone: what the last lane has is known without the carry.
    const Value after =
        in_lanes ? combine(*this, kind, carried, splat(first(rotate(next, lanes_ - 1)), lanes_))
                 : running;
    if (depth_of(after) != depth) throw InternalError("codegen: a scan inside another loop");
    levels_[depth].loop->carried.push_back({carried, init, after});
    return running;
}

// What was filled in a level that ends is read after it.
Emitter::Level Emitter::take_level() {
    forget_level();
    Level level = std::move(levels_.back());
    levels_.pop_back();
    scratch_depth_ = std::min(scratch_depth_, levels_.size() - 1);
    return level;
}

std::vector<Value> Emitter::close_loop() {
    Level level = take_level();
    Loop& loop = *level.loop;
    for (const Loop::Carried& c : loop.carried) {
        Inst phi{Code::Phi};
        phi.dtype = dtype(c.phi);
        phi.lanes = lanes(c.phi);
        function_.insts.push_back(phi);
        depth_.push_back(levels_.size() - 1);
        loop.results.push_back(static_cast<Value>(function_.insts.size() - 1));
    }
    std::vector<Value> results;
    for (std::size_t i : level.carried) results.push_back(loop.results[i]);
    levels_.back().block->items.emplace_back(std::move(level.loop));
    return results;
}

void Emitter::open_if(Value condition) {
    Level level;
    level.branch = std::make_unique<If>();
    level.branch->condition = condition;
    level.block = &level.branch->then;
    levels_.push_back(std::move(level));
}

void Emitter::open_else() {
    forget_level();
    levels_.back().block = &levels_.back().branch->otherwise;
}

void Emitter::close_if() {
    Level level = take_level();
    levels_.back().block->items.emplace_back(std::move(level.branch));
}

}  // namespace sinter::codegen
