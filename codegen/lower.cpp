#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>

#include <sinter/codegen/codegen.h>
#include <sinter/codegen/decompose.h>
#include <sinter/ir/affine.h>
#include <sinter/ir/env.h>
#include <sinter/ir/simplify.h>
#include <sinter/ir/spec.h>

#include "blocks.h"
#include "chain.h"
#include "choose.h"
#include "choose_gpu.h"
#include "columns.h"
#include "cuda.h"
#include "linearize.h"
#include "llvm.h"
#include "masks.h"
#include "order.h"
#include "phases.h"

namespace sinter::codegen {
namespace {

using ir::ReduceKind;

constexpr double kSortOps = 100;          // of an element of an Order, as vectors count
constexpr double kNanosecondsAnOp = 0.2;  // of an instruction in the middle of others
// Results of this size are not read again from the caches: a share of the last one that threads and
// neighbours leave.
constexpr double kStreamBytes = 32 << 20;
// Nor are smaller ones of a kernel that goes through so much memory in all.
// Memory that is fetched ahead of walks: so large, read so often at most, with so many ops for each
// of its elements; what a load of every second element and a maximum (with its NaN) count for.
constexpr double kFarBytes = 1 << 20, kFarReads = 4, kFarWork = 8;
constexpr double kShuffledOps = 3, kExtremeOps = 3;
constexpr double kStreamPart = 8 << 20, kStreamAll = 48 << 20;
constexpr std::int64_t kLinedTrips = 8;  // of a row whose first and last vectors are code apart

Ref combine_node(Arena& a, ReduceKind kind, Ref old, Ref value) {
    switch (kind) {
        case ReduceKind::Add:
            return a.add(old, value);
        case ReduceKind::Mul:
            return a.mul(old, value);
        case ReduceKind::Max:
            return a.binary(Op::Max, old, value);
        case ReduceKind::Min:
            return a.binary(Op::Min, old, value);
        case ReduceKind::Set:
            return value;
    }
    return value;
}

// A store that combines becomes a read, the combination and a plain store. Both name the ranges
// that must be walked in order: those of the store that do not move it to other memory in even
// steps.
Ref spell_out_combining(Arena& a, Ref sink) {
    return rebuild(sink, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (!n->is(Op::Store) || n->arg(0) == ir::kPlainStore) return make_folded(a, n, src);
        const auto kind = static_cast<ReduceKind>(n->arg(0));
        std::uint64_t steady = 0;
        for (const auto& [term, coefficient] : ir::affine(src[1]).terms)
            if (term->is(Op::Range)) steady |= range_bit(term);
        std::vector<Ref> ranges;
        for (Ref r : ir::toposort(std::span(&n, 1)))
            if (r->is(Op::Range) && (n->ranges() & range_bit(r)) != 0 &&
                (steady & range_bit(r)) == 0)
                ranges.push_back(r);
        std::ranges::sort(ranges, {}, [](Ref r) { return r->arg(0); });
        std::vector<Ref> read{src[0], src[1], src[3]};
        read.insert(read.end(), ranges.begin(), ranges.end());
        const std::int64_t fill[] = {0}, mode[] = {ir::kPlainStore};
        const Ref value =
            kind == ReduceKind::Set
                ? src[2]
                : combine_node(a, kind, a.make(Op::Load, src[0]->dtype(), read, fill), src[2]);
        std::vector<Ref> stored{src[0], src[1], value, src[3]};
        stored.insert(stored.end(), ranges.begin(), ranges.end());
        return a.make(Op::Store, DType::None, stored, mode);
    });
}

// Scalars are passed as doubles and hold values of their type, so f32 loses nothing of 16 bits.
Ref widen_scalars(Arena& a, Ref sink) {
    return rebuild(sink, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (n->is(Op::Variable) && is_float(n->dtype()) && size_of(n->dtype()) == 2)
            return a.cast(a.make(Op::Variable, DType::F32, src, n->args()), n->dtype());
        return make_folded(a, n, src);
    });
}

// Fuses ranges that memory is walked with as if they were one.
void fuse_ranges(Form& form) {
    bool changed = true;
    while (changed) {
        changed = false;
        const Analysis a = analyse(form.sink());
        for (std::int64_t outer : a.numbers) {
            for (std::int64_t inner : a.numbers) {
                if (inner == outer || !a.range[inner]->src(0)->is(Op::Const) ||
                    !a.range[outer]->src(0)->is(Op::Const))
                    continue;
                if ((a.ordered >> outer & 1) != 0 || (a.ordered >> inner & 1) != 0) continue;
                const std::int64_t n = a.size(inner);
                const bool even = std::ranges::all_of(a.accesses, [&](const MemoryAccess& m) {
                    return m.stride[outer] == m.stride[inner] * n &&
                           (m.general >> outer & 1) == 0 && (m.general >> inner & 1) == 0;
                });
                if (even && form.fuse(a.range[outer], a.range[inner]) != nullptr) {
                    changed = true;
                    break;
                }
            }
            if (changed) break;
        }
    }
}

// A range whose quotient and remainder by some number index memory becomes two: all strides are
// even then. Not where the order of its steps matters: to positions, which tell equal values apart.
void divide_ranges(Form& form) {
    std::optional<std::uint64_t> in_order;  // few kernels have anything to divide
    const auto find_in_order = [&] {
        const Ref sink = form.sink();
        in_order = analyse(sink).ordered;
        for (Ref n : ir::toposort(std::span(&sink, 1)))
            if (n->is(Op::Order) || n->is(Op::Accumulate))
                for (Ref r : named_ranges(n)) *in_order |= range_bit(r);
    };
    const auto divided = [&]() -> std::pair<Ref, std::int64_t> {
        const Ref sink = form.sink();
        for (Ref n : ir::toposort(std::span(&sink, 1))) {
            if ((!n->is(Op::IDiv) && !n->is(Op::Mod)) || !n->src(1)->is(Op::Const)) continue;
            const Ref r = n->src(0);
            if (!r->is(Op::Range) || !r->src(0)->is(Op::Const)) continue;
            const std::int64_t size = r->src(0)->arg(0), by = n->src(1)->arg(0);
            if (by <= 1 || by >= size || size % by != 0) continue;
            if (!in_order) find_in_order();
            if ((*in_order & range_bit(r)) == 0) return {r, by};
        }
        return {nullptr, 0};
    };
    for (auto [r, by] = divided(); r != nullptr; std::tie(r, by) = divided()) {
        form.split(r, by, ir::role_of(r), ir::role_of(r));
        form.set_sink(ir::simplify(form.arena(), form.sink()));
    }
}

// Bytes of the memory that a kernel goes through, each once.
double footprint(const Analysis& a) {
    std::map<std::int64_t, double> bytes;  // by slot
    for (const MemoryAccess& m : a.accesses) {
        double steps = a.volume(a.ranges_of(m)), span = 1;
        for (std::int64_t n : a.numbers)
            span += static_cast<double>(std::abs(m.stride[n])) * static_cast<double>(a.size(n) - 1);
        if (m.general == 0) steps = std::min(steps, span);
        const DType dtype = m.is_store ? m.node->src(2)->dtype() : m.node->dtype();
        double& most = bytes[m.node->src(0)->arg(0)];
        most = std::max(most, steps * static_cast<double>(size_of(dtype)));
    }
    double all = 0;
    for (const auto& [slot, most] : bytes)
        if (slot >= 0) all += most;
    return all;
}

// Memory that is read about once, and is more than the near caches hold, if what is done with it
// takes so long that the machine does not come to the next page while it waits for this one.
std::vector<std::int64_t> read_far(const Analysis& a) {
    std::map<std::int64_t, double> elements;  // by slot
    double work = a.value_work;
    for (Ref n : ir::toposort(a.stores))
        if (n->is(Op::Fma)) work += a.volume(n->ranges());
    for (const MemoryAccess& m : a.accesses) {
        const Ref memory = m.node->src(0);
        if (m.is_store || memory->arg(0) < 0 || ir::is_near(memory) || m.general != 0) continue;
        double span = 1;
        bool variable = false, shuffled = false;
        for (std::int64_t n : a.numbers) {
            const std::int64_t stride = std::abs(m.stride[n]);
            span += static_cast<double>(stride) * static_cast<double>(a.size(n) - 1);
            variable = variable || (stride != 0 && !a.range[n]->src(0)->is(Op::Const));
            shuffled = shuffled || (stride == 2 && has(a.outer, n));
        }
        const double volume = a.volume(m.region);
        work += (shuffled ? kShuffledOps : 1) * volume;
        const double bytes = span * static_cast<double>(size_of(m.node->dtype()));
        if ((bytes >= kFarBytes || variable) && volume <= kFarReads * span)
            elements[memory->arg(0)] = std::max(elements[memory->arg(0)], span);
    }
    for (const Reducing& r : a.reductions) {
        const auto kind = static_cast<ReduceKind>(r.node->arg(0));
        const bool extreme =
            r.node->is(Op::Reduce) && (kind == ReduceKind::Max || kind == ReduceKind::Min);
        work += (extreme ? kExtremeOps : 1) * r.volume;
    }
    double all = 0;
    std::vector<std::int64_t> slots;
    for (const auto& [slot, count] : elements) {
        all += count;
        slots.push_back(slot);
    }
    if (work < kFarWork * all) slots.clear();
    return slots;
}

// Memory that is written and not read, and is so large that nothing of it would be in the caches
// when it is read again.
std::vector<Streamed> streamed(const Analysis& a, bool contraction) {
    std::vector<Streamed> result;
    const std::int64_t mode = ir::env::number("STREAM");
    if (mode == 0) return result;
    const double least = mode == 2 ? 0 : kStreamBytes, all = contraction ? INFINITY : kStreamAll,
                 in_all = footprint(a);
    for (const MemoryAccess& m : a.accesses) {
        const std::int64_t slot = m.node->src(0)->arg(0);
        const bool plain = m.is_store && slot >= 0 && m.node->src().size() == 4;
        if (!plain || std::ranges::any_of(a.accesses, [&](const MemoryAccess& other) {
                return !other.is_store && other.node->src(0) == m.node->src(0);
            }))
            continue;
        const double bytes = static_cast<double>(size_of(m.node->src(2)->dtype()));
        Streamed s{slot, a.numbers.size() == 1};
        double elements = 1;
        for (std::int64_t n : a.numbers) {
            if ((m.region >> n & 1) == 0) continue;
            const Ref size = a.range[n]->src(0);
            if (size->is(Op::Const))
                elements *= static_cast<double>(size->arg(0));
            else
                s.size = size;
        }
        if (s.size != nullptr)
            s.least = static_cast<std::int64_t>(
                std::min(least / bytes / elements, all / (in_all / Analysis::kNominal)));
        if (s.size != nullptr || elements * bytes >= least ||
            (elements * bytes >= kStreamPart && in_all >= all))
            result.push_back(s);
    }
    return result;
}

// The memory of `streamed` whose rows do not begin where lines do, if the plan goes through them
// one by one and in vectors that fill a line; -1 if there is none. Rows begin at a line's begin
// then, in front of their first element, since only whole lines go past the caches.
std::int64_t lined_memory(const Analysis& a, const Plan& plan, std::span<const Streamed> streamed) {
    const std::int64_t v = plan.vector;
    if (v < 0 || !plan.unrolled.empty() || plan.staged_for != 0 || plan.copied_rows >= 0 ||
        plan.contraction || plan.squares || plan.trips || a.ordered != 0 ||
        !a.range[v]->src(0)->is(Op::Const) ||
        std::ranges::any_of(
            a.reductions, [](const Reducing& r) { return !r.node->is(Op::Reduce); }))
        return -1;
    const bool all = ir::env::number("STREAM") == 2;
    const std::int64_t step = std::int64_t{plan.vectors} * plan.lanes;
    if (a.size(v) < (all ? step : kLinedTrips * step)) return -1;
    // Blocks of the row must be a loop, not trips that threads share.
    if (!all && has(a.outer, v) && a.volume(a.outer & ~range_bit(a.range[v])) < kEnoughTrips)
        return -1;
    for (const MemoryAccess& m : a.accesses) {
        if (!m.is_store || m.general != 0 || m.stride[v] != 1) continue;
        const std::int64_t slot = m.node->src(0)->arg(0);
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->src(2)->dtype()));
        if (plan.lanes * bytes != kLineBytes ||
            std::ranges::none_of(
                streamed, [&](const Streamed& s) { return s.slot == slot && s.size == nullptr; }))
            continue;
        // Where a row's line begins must be one place for all of its passes.
        std::int64_t apart = ir::affine(m.node->src(1)).constant;
        bool fixed = true;
        for (std::int64_t n : a.numbers) {
            if (n == v) continue;
            apart = std::gcd(apart, m.stride[n]);
            fixed = fixed && (m.stride[n] == 0 || !has(a.closed, n));
        }
        if (fixed && apart * bytes % kLineBytes != 0) return slot;
    }
    return -1;
}

Phase describe_phase(const Analysis& a, const Placed& placed, const std::string& symbol,
                     int lanes) {
    Phase phase;
    phase.symbol = symbol;
    for (Ref r : placed.parallel) {
        const Ref size = r->src(0);
        if (size->is(Op::Const)) {
            phase.trips *= size->arg(0);
            continue;
        }
        for (Ref n : ir::toposort(std::span(&size, 1)))
            if (n->is(Op::Variable)) phase.trips_slot = static_cast<std::int32_t>(n->arg(0));
        // A split range is (size + step - 1) / step long.
        if (size->is(Op::IDiv)) phase.trips_step = size->src(1)->arg(0);
    }
    double work = a.value_work;
    for (const MemoryAccess& m : a.accesses) work += a.volume(m.region);
    for (const Reducing& r : a.reductions)
        work += r.volume * (r.node->is(Op::Order) ? kSortOps : 1);
    const double trips = phase.trips_slot < 0 ? static_cast<double>(phase.trips)
                                              : static_cast<double>(Analysis::kNominal) /
                                                    static_cast<double>(phase.trips_step);
    phase.trip_cost = work / trips * kNanosecondsAnOp / lanes;
    return phase;
}

// One function, and what it does.
struct Lowered {
    Function function;
    Phase phase;
};

Lowered linear(Form& form, const Placed& placed, const Analysis& analysis, const Plan& plan,
               const std::string& symbol, const Target& target, Program& program,
               std::vector<Limit> limits = {}) {
    const bool gpu = target.kind == Target::Kind::Cuda;
    ir::establishes(ir::Level::Scheduled, form.sink(), "the transformations");
    std::int64_t thread_bytes = placed.thread_bytes;
    const Ref sink = gpu ? place_orders(form.arena(), form.sink(), kSharedSlot,
                                        program.shared_bytes, placed.parallel)
                         : place_orders(form.arena(), form.sink(), kThreadSlot, thread_bytes, {});
    program.thread_bytes = std::max(program.thread_bytes, thread_bytes);
    program.schedule += symbol + ": " + (form.log().empty() ? "as it is" : form.log()) + "\n";
    return {
        linearize(form.arena(), sink, placed.order, placed.parallel, symbol,
                  {target.fma, gpu ? std::vector<Streamed>{} : streamed(analysis, plan.contraction),
                   gpu ? std::vector<std::int64_t>{} : read_far(analysis), !gpu, plan.squares,
                   std::move(limits), gpu}),
        describe_phase(analysis, placed, symbol, plan.vector < 0 ? 1 : plan.lanes)};
}

// Phases of a launch, one after the other.
void lower_phases(Form& form, const std::string& name, const Target& target, bool plain,
                  Program& program, std::vector<Function>& functions) {
    const bool gpu = target.kind == Target::Kind::Cuda;
    Phases phases{{form.sink()}, 0};
    if (has_near_memory(form.sink()))
        phases = chain_as_phases(form);
    else if (!plain)
        phases = split_long_reductions(form, gpu ? kGpuChunks : ChunkLimits{});
    program.shared_bytes = phases.shared_bytes;
    for (Ref sink : phases.sinks) {
        const std::string symbol = name + "_" + std::to_string(functions.size());
        Form part(form.arena(), sink);
        const Analysis analysis = analyse(sink);
        Plan plan = plain || gpu ? Plan{} : choose(analysis, target);
        plan.lined = lined_memory(analysis, plan, streamed(analysis, plan.contraction));
        const Placed placed = gpu ? schedule_for_gpu(part, plain) : apply(part, plan);
        Lowered lowered = linear(part, placed, analysis, plan, symbol, target, program);
        if (gpu) {
            const Team team = team_of(part.sink(), lowered.phase.trips, placed.thread_bytes);
            lowered.phase.lanes = team.lanes;
            lowered.phase.teams = team.per_block;
        }
        functions.push_back(std::move(lowered.function));
        program.phases.push_back(std::move(lowered.phase));
    }
}

// A step of a trip: it runs once for each of its own ranges' trips, in turn.
struct Step {
    Ref sink;
    std::vector<Ref> trips;    // those of all steps, then its own
    std::int64_t repeats = 1;  // trips of its own
    bool copies = false;       // an operand may be copied for all rows of a trip
    std::vector<Limit> limits = {};
};

// Steps that follow one another in each trip, handing values on in near memory: one phase.
using LimitSteps = std::function<void(std::vector<Step>&, std::span<const Ref> transformed)>;
void lower_steps(Form& form, std::vector<Step> steps, std::int64_t near_bytes,
                 const LimitSteps& limit, const std::string& name, const Target& target,
                 Program& program, std::vector<Function>& functions) {
    program.schedule += name + ": " + form.log() + "\n";
    program.thread_bytes = near_bytes;
    struct Part {
        Form form;
        Analysis analysis;
        Plan plan;
        Placed placed;
    };
    std::vector<Part> parts;
    std::vector<Ref> transformed;
    for (const Step& step : steps) {
        Part part{Form(form.arena(), step.sink), analyse(step.sink), {}, {}};
        part.form.reserve(near_bytes, step.trips);
        part.plan = choose(part.analysis, target, step.trips, step.copies);
        part.placed = apply(part.form, part.plan);
        transformed.push_back(part.form.sink());
        parts.push_back(std::move(part));
    }
    if (limit) limit(steps, transformed);
    Function all;
    all.symbol = name + "_0";
    Phase phase;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::string symbol = all.symbol + "_" + std::to_string(i);
        Part& part = parts[i];
        Step& step = steps[i];
        if (!step.limits.empty())
            part.form.note("r" + std::to_string(step.limits[0].range) + " up to the diagonal");
        Lowered lowered = linear(part.form, part.placed, part.analysis, part.plan, symbol, target,
                                 program, std::move(step.limits));
        functions.push_back(std::move(lowered.function));
        all.each_trip.push_back({symbol, step.repeats});
        phase.trips = lowered.phase.trips / step.repeats;
        phase.trip_cost += lowered.phase.trip_cost * static_cast<double>(step.repeats);
    }
    phase.symbol = all.symbol;
    functions.push_back(std::move(all));
    program.phases.push_back(std::move(phase));
}

// Steps that a block of rows goes through.
void lower_chain(Form& form, const std::optional<Triangle>& triangle, const std::string& name,
                 const Target& target, Program& program, std::vector<Function>& functions) {
    const ChainCut cut = cut_chain(form);
    std::vector<Step> steps;
    for (Ref sink : cut.sinks) steps.push_back({sink, cut.trips});
    LimitSteps limit;
    if (triangle)
        limit = [&](std::vector<Step>& all, std::span<const Ref> transformed) {
            auto limits = column_limits(form.arena(), cut, *triangle, transformed);
            for (std::size_t i = 0; i < all.size(); ++i) all[i].limits = std::move(limits[i]);
        };
    lower_steps(form, std::move(steps), cut.near_bytes, limit, name, target, program, functions);
}

// A long sum, a block of its steps at a time.
void lower_blocks(Form& form, const BlockCut& cut, const std::string& name, const Target& target,
                  Program& program, std::vector<Function>& functions) {
    std::vector<Step> steps{{cut.accumulate, cut.trips}, {cut.finish, cut.trips}};
    steps[0].copies = true;
    for (Ref r : cut.blocks) {
        steps[0].trips.push_back(r);
        steps[0].repeats *= r->src(0)->arg(0);
    }
    lower_steps(form, std::move(steps), cut.near_bytes, {}, name, target, program, functions);
}

}  // namespace

std::string Target::key() const {
    return (kind == Kind::Cuda ? "cuda|" : "") + triple + "|" + cpu + "|" + features + "|" +
           std::to_string(vector_bits) + "|" + std::to_string(vector_registers) + "|" +
           (fma ? "fma " : "") + (native_f16 ? "f16 " : "") + (native_bf16 ? "bf16" : "");
}

Program lower(Ref sink, const std::string& name, const Target& target) {
    ir::establishes(ir::Level::Kernel, sink, "scheduling");
    Arena arena;
    sink = spell_out_combining(arena, sink);
    sink = widen_scalars(arena, sink);
    sink = gather_masks(arena, sink);
    // Before functions are spelled out.
    const std::optional<Triangle> triangle =
        has_near_memory(sink) ? find_triangle(sink) : std::nullopt;
    sink = decompose(arena, sink, target);
    Form form(arena, sink);
    const std::int64_t blocks = ir::env::number("BLOCKS");
    const bool plain = ir::env::flag("NOOPT"), gpu = target.kind == Target::Kind::Cuda;
    if (!plain) {
        divide_ranges(form);
        fuse_ranges(form);
    }
    Program program;
    std::vector<Function> functions;
    std::int64_t shared_bytes = 0;
    if (!has_near_memory(form.sink()) && !plain && !gpu && blocks != 0) {
        if (const std::optional<ChunkedSum> chunks = chunk_long_sum(form, blocks == 2)) {
            Form parts(arena, chunks->parts);
            if (const std::optional<BlockCut> cut = cut_long_sum(parts, blocks == 2))
                lower_blocks(parts, *cut, name, target, program, functions);
            else
                lower_phases(parts, name, target, plain, program, functions);
            form.set_sink(chunks->merged);
            shared_bytes = chunks->shared_bytes;
        }
    }
    if (has_near_memory(form.sink()) && !gpu)
        lower_chain(form, triangle, name, target, program, functions);
    else if (const std::optional<BlockCut> cut =
                 plain || gpu || blocks == 0 ? std::nullopt : cut_long_sum(form, blocks == 2))
        lower_blocks(form, *cut, name, target, program, functions);
    else
        lower_phases(form, name, target, plain, program, functions);
    program.shared_bytes = std::max(program.shared_bytes, shared_bytes);
    program.source = gpu ? render_cuda(functions, program.phases, program.thread_bytes)
                         : render_llvm(functions, target);
    return program;
}

}  // namespace sinter::codegen
