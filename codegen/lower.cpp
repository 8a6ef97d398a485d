#include <algorithm>
#include <functional>
#include <optional>
#include <tuple>

#include <sinter/codegen/codegen.h>
#include <sinter/codegen/decompose.h>
#include <sinter/ir/affine.h>
#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/simplify.h>
#include <sinter/ir/spec.h>

#include "blocks.h"
#include "chain.h"
#include "choose.h"
#include "choose_gpu.h"
#include "columns.h"
#include "cuda.h"
#include "dots.h"
#include "induction.h"
#include "linearize.h"
#include "llvm.h"
#include "lowering.h"
#include "masks.h"
#include "order.h"
#include "phases.h"
#include "random_schedule.h"
#include "replay.h"
#include "tiles.h"
#include "winograd.h"

namespace sinter::codegen {
namespace {

using ir::ReduceKind;

constexpr double kSortOps = 100;          // of an element of an Order, as vectors count
constexpr double kNanosecondsAnOp = 0.2;  // of an instruction in the middle of others

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
    for (auto [r, by] = divided(); r != nullptr; std::tie(r, by) = divided()) form.divide(r, by);
}

Phase describe_phase(const Analysis& a, const Placed& placed, const std::string& symbol) {
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
    phase.trip_cost = work / trips * kNanosecondsAnOp / placed.lanes;
    return phase;
}

// A kernel on its way to a program.
struct Lowering {
    const std::string& name;
    const Target& target;
    const Schedule* pinned;  // null: the cost model's
    Random* random;          // not null: picked by it
    const Wish* wish;        // not null: which of the cost model's choices
    bool plain;              // nothing is chosen
    Program program = {};
    std::vector<Function> functions = {};
    std::vector<std::string> schedule = {};  // a line a part
    std::vector<std::size_t> plans = {};     // with a wish: by part, how many there are

    bool gpu() const { return target.kind == Target::Kind::Cuda; }
    bool line_is_given() const {
        return pinned != nullptr || (wish != nullptr && wish->kernel != nullptr);
    }
};

// A part that is ready for its function.
struct Part {
    Form form;
    Analysis analysis;
    Placed placed = {};
};

// `trips`, where given, run in parallel and nothing else does; with `copies`, an operand may be
// copied for all rows of a trip.
Part schedule_part(Lowering& l, Form form, const std::optional<std::vector<Ref>>& trips = {},
                   bool copies = false) {
    const Ref sink = form.sink();
    Part part{std::move(form), analyse(sink)};
    if (l.pinned != nullptr) {
        const std::vector<std::vector<Step>>& parts = l.pinned->parts;
        const std::size_t i = l.schedule.size();
        part.placed = replay_part(part.form, i < parts.size() ? parts[i] : std::vector<Step>{},
                                  l.target, trips);
    } else if (l.random != nullptr) {
        part.placed = random_part(part.form, l.target, trips, *l.random);
    } else if (l.wish != nullptr) {
        const std::size_t i = l.plans.size();
        const std::size_t rank = i < l.wish->plans.size() ? l.wish->plans[i] : 0;
        if (l.gpu()) {
            l.plans.push_back(kGpuVariants);
            part.placed = schedule_for_gpu(part.form, false, static_cast<GpuVariant>(rank));
        } else {
            const std::vector<Plan> plans = choose_several(part.analysis, l.target, trips, copies);
            l.plans.push_back(plans.size());
            part.placed = apply(part.form, part.analysis, plans.at(rank));
        }
    } else if (l.gpu()) {
        part.placed = schedule_for_gpu(part.form, l.plain);
    } else {
        part.placed = apply(part.form, part.analysis,
                            l.plain ? Plan{} : choose(part.analysis, l.target, trips, copies));
    }
    l.schedule.push_back(to_text(part.form.steps()));
    return part;
}

// The function of a part, and what it does.
Phase add_function(Lowering& l, Part& part, const std::string& symbol,
                   std::vector<Limit> limits = {}) {
    Form& form = part.form;
    const Placed& placed = part.placed;
    ir::establishes(ir::Level::Scheduled, form.sink(), "the transformations");
    std::int64_t thread_bytes = form.reserved_bytes();
    const Ref sink = l.gpu()
                         ? place_orders(form.arena(), form.sink(), kSharedSlot,
                                        l.program.shared_bytes, placed.parallel)
                         : place_orders(form.arena(), form.sink(), kThreadSlot, thread_bytes, {});
    l.program.thread_bytes = std::max(l.program.thread_bytes, thread_bytes);
    l.functions.push_back(linearize(form.arena(), sink, placed.order, placed.parallel, symbol,
                                    {.fma = l.target.fma,
                                     .streamed = placed.streamed,
                                     .far = placed.far,
                                     .spans = !l.gpu(),
                                     .squares = placed.squares,
                                     .limits = std::move(limits),
                                     .teams = l.gpu(),
                                     .prefetch = placed.prefetch}));
    if (!l.gpu()) carry_indices(l.functions.back());
    return describe_phase(part.analysis, placed, symbol);
}

// Phases of a launch, one after the other.
void lower_phases(Lowering& l, Form& form, const std::optional<Step>& cut) {
    Phases phases{{form.sink()}, 0};
    if (has_near_memory(form.sink()))
        phases = chain_as_phases(form);
    else if (cut)
        phases = split_reductions(form, cut->operands[0], cut->operands[1]);
    else if (!l.plain && !l.line_is_given() && l.random == nullptr)
        phases = split_long_reductions(form, l.gpu() ? kGpuChunks : ChunkLimits{});
    l.program.shared_bytes = std::max(l.program.shared_bytes, phases.shared_bytes);
    for (Ref sink : phases.sinks) {
        Part part = schedule_part(l, Form(form.arena(), sink));
        Phase phase = add_function(l, part, l.name + "_" + std::to_string(l.functions.size()));
        if (l.gpu()) {
            const Team team = team_of(part.form.sink(), phase.trips, part.form.reserved_bytes());
            phase.lanes = team.lanes;
            phase.teams = team.per_block;
        }
        l.program.phases.push_back(std::move(phase));
    }
}

// A step of a trip: it runs once for each of its own ranges' trips, in turn.
struct TripStep {
    Ref sink;
    std::vector<Ref> trips;    // those of all steps, then its own
    std::int64_t repeats = 1;  // trips of its own
    bool copies = false;       // an operand may be copied for all rows of a trip
    std::vector<Limit> limits = {};
    std::optional<TileProduct> product = {};  // runs after it, before the next
};

// The step runs for each of the blocks in turn.
void add_turns(TripStep& step, std::span<const Ref> blocks) {
    for (Ref r : blocks) {
        step.trips.push_back(r);
        step.repeats *= r->src(0)->arg(0);
    }
}

// Steps that follow one another in each trip, handing values on in near memory: one phase. The
// first `in_turn` do so for each of their own trips.
using LimitSteps = std::function<void(std::vector<TripStep>&, std::span<const Ref> transformed)>;
void lower_steps(Lowering& l, Form& form, std::vector<TripStep> steps, std::int64_t near_bytes,
                 const LimitSteps& limit, std::size_t in_turn = 0) {
    l.program.thread_bytes = std::max(l.program.thread_bytes, near_bytes);
    std::vector<Part> parts;
    std::vector<Ref> transformed;
    for (const TripStep& step : steps) {
        Form own(form.arena(), step.sink);
        own.reserve(near_bytes, step.trips);
        parts.push_back(schedule_part(l, std::move(own), step.trips, step.copies));
        transformed.push_back(parts.back().form.sink());
    }
    if (limit) limit(steps, transformed);
    Function all, turn;
    all.symbol = l.name + "_" + std::to_string(l.functions.size());
    turn.symbol = all.symbol + "_turn";
    Phase phase;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::string symbol = all.symbol + "_" + std::to_string(i);
        TripStep& step = steps[i];
        if (!step.limits.empty())
            l.schedule[i] += " (r" + std::to_string(step.limits[0].range) +
                             (step.limits[0].end != nullptr ? " up to" : " from") +
                             " the diagonal)";
        const Phase mine = add_function(l, parts[i], symbol, std::move(step.limits));
        std::vector<Function::Step>& calls = i < in_turn ? turn.each_trip : all.each_trip;
        const std::int64_t repeats = i < in_turn ? 1 : step.repeats;
        calls.push_back({symbol, repeats});
        if (step.product) {
            calls.push_back({symbol + "_product", repeats});
            Function product;
            product.symbol = calls.back().symbol;
            product.product = step.product;
            l.functions.push_back(std::move(product));
            phase.trip_cost += nanoseconds_of(*step.product) * static_cast<double>(step.repeats);
        }
        if (i + 1 == in_turn) {
            all.each_trip.push_back({turn.symbol, step.repeats});
            l.functions.push_back(std::move(turn));
        }
        phase.trips = mine.trips / step.repeats;
        phase.trip_cost += mine.trip_cost * static_cast<double>(step.repeats);
    }
    phase.symbol = all.symbol;
    l.functions.push_back(std::move(all));
    l.program.phases.push_back(std::move(phase));
}

// Steps that a block of rows goes through.
void lower_chain(Lowering& l, Form& form, const std::optional<Triangle>& triangle,
                 const std::optional<Step>& given) {
    const ChainCut cut = cut_chain(form, l.target.cache_bytes,
                                   given ? std::optional(given->operands[0]) : std::nullopt);
    std::vector<TripStep> steps;
    for (Ref sink : cut.sinks) steps.push_back({sink, cut.trips});
    LimitSteps limit;
    if (triangle)
        limit = [&](std::vector<TripStep>& all, std::span<const Ref> transformed) {
            auto limits = column_limits(form.arena(), cut, *triangle, transformed);
            for (std::size_t i = 0; i < all.size(); ++i) all[i].limits = std::move(limits[i]);
        };
    lower_steps(l, form, std::move(steps), cut.near_bytes, limit);
}

// Long sums, a block of their steps at a time.
void lower_blocks(Lowering& l, Form& form, const BlockSizes& sizes) {
    const BlockCut cut = cut_sums(form, sizes);
    std::vector<TripStep> steps{{cut.accumulate, cut.trips}, {cut.finish, cut.trips}};
    steps[0].copies = true;
    add_turns(steps[0], cut.blocks);
    lower_steps(l, form, std::move(steps), cut.near_bytes, {});
}

// A sum by an instruction that multiplies tiles, a block of its steps at a time.
void lower_tiles(Lowering& l, Form& form, const BlockSizes& sizes) {
    const TileCut cut = cut_into_tiles(form, sizes, l.target);
    std::vector<TripStep> steps{{cut.rows, cut.trips}, {cut.columns, cut.trips}};
    for (TripStep& step : steps) add_turns(step, cut.blocks);
    steps.back().product = cut.product;
    steps.push_back({cut.finish, cut.trips});
    lower_steps(l, form, std::move(steps), cut.near_bytes, {}, 2);
}

// A convolution in fewer products.
void lower_winograd(Lowering& l, Form& form, const WinogradSizes& sizes) {
    const WinogradCut cut = cut_convolution(form, sizes);
    for (const WinogradCut::Phase& phase : cut.phases) {
        Form own(form.arena(), phase.sink);
        own.reserve(cut.near_bytes, phase.trips);
        Part part = schedule_part(l, std::move(own), phase.trips);
        l.program.phases.push_back(
            add_function(l, part, l.name + "_" + std::to_string(l.functions.size())));
    }
    l.program.shared_bytes = std::max(l.program.shared_bytes, cut.shared_bytes);
    std::vector<TripStep> steps;
    for (Ref sink : cut.block_steps) {
        steps.push_back({sink, cut.trips});
        add_turns(steps.back(), cut.blocks);
    }
    for (Ref sink : cut.steps) steps.push_back({sink, cut.trips});
    lower_steps(l, form, std::move(steps), cut.near_bytes, {}, cut.block_steps.size());
}

void lower_as_cut(Lowering& l, Form& form, const std::optional<Triangle>& triangle,
                  std::span<const Step> cuts) {
    const bool chain = has_near_memory(form.sink()) && !l.gpu();
    const Step* const cut = cuts.empty() ? nullptr : &cuts[0];
    if (cut != nullptr && cut->kind != StepKind::Chunk &&
        (l.gpu() || chain != (cut->kind == StepKind::Chain)))
        throw ValueError("schedule: `" + to_text(*cut) + "`: the kernel is not of this kind");
    const std::optional<Step> given = cut != nullptr ? std::optional(*cut) : std::nullopt;
    if (chain) {
        lower_chain(l, form, triangle, given);
    } else if (cut != nullptr && cut->kind == StepKind::Sums) {
        const ChunkedSums sums = cut_into_sums(form, {cut->operands[0], cut->operands[1]});
        Form chunks(form.arena(), sums.parts);
        lower_as_cut(l, chunks, triangle, cuts.subspan(1));
        form.set_sink(sums.merged);
        lower_phases(l, form, {});
        l.program.shared_bytes = std::max(l.program.shared_bytes, sums.shared_bytes);
    } else if (cut != nullptr && cut->kind == StepKind::Blocks) {
        lower_blocks(l, form, sizes_of(*cut));
    } else if (cut != nullptr && cut->kind == StepKind::Contract) {
        lower_tiles(l, form, contract_sizes(*cut));
    } else if (cut != nullptr && cut->kind == StepKind::Winograd) {
        lower_winograd(l, form, winograd_of(*cut));
    } else {
        lower_phases(l, form, given);
    }
}

// How the cost model cuts a kernel.
std::vector<Step> choose_cuts(const Lowering& l, const Form& form) {
    std::vector<Step> cuts;
    const std::int64_t blocks = ir::env::number("BLOCKS");
    if (l.plain || l.gpu() || blocks == 0 || has_near_memory(form.sink())) return cuts;
    // The whole kernel, or chunks of its sum.
    const auto cut_further = [&](const std::optional<BlockPart>& chunk, const auto& choose) {
        if (!chunk) return choose(form);
        cuts.push_back({StepKind::Sums, {chunk->range, chunk->size}});
        Form whole = form;  // with the numbers that are taken
        return choose(Form(form.arena(), cut_into_sums(whole, *chunk).parts));
    };
    const std::int64_t cache_bytes = l.target.cache_bytes;
    if (const std::int64_t winograd = ir::env::number("WINOGRAD"); winograd != 0) {
        const WinogradWish wish =
            winograd == 2 ? WinogradWish::WherePossible : WinogradWish::WhereItPays;
        if (const auto whole = choose_winograd(form, wish, cache_bytes)) {
            const auto chunk = choose_winograd_chunks(form, wish, cache_bytes);
            if (!chunk) return {step_of(*whole)};
            cut_further(chunk, [&](const Form& sum) {
                if (const auto sizes = choose_winograd(sum, wish, cache_bytes))
                    cuts.push_back(step_of(*sizes));
                else
                    cuts.clear();
            });
            if (!cuts.empty()) return cuts;
        }
    }
    cut_further(choose_chunks(form, blocks == 2, cache_bytes), [&](const Form& sum) {
        const BlockWish wish = blocks == 2 ? BlockWish::Tiny : BlockWish::WhereItPays;
        if (const std::optional<BlockSizes> sizes = choose_blocks(sum, wish, cache_bytes))
            cuts.push_back(step_of(*sizes));
    });
    return cuts;
}

// Sums of narrow products, several at a time. What hands rows on is cut first. Gives the cut that
// the sum is made of words for, if any.
std::vector<Step> make_dots(const Lowering& l, Form& form) {
    const std::int64_t dots = ir::env::number("DOTS");
    if (dots == 0 || l.gpu() || has_near_memory(form.sink())) return {};
    bool words_anywhere = dots >= 2, tiles_anywhere = dots == 3, tiles = dots != 2;
    if (l.random != nullptr) {
        words_anywhere = ((*l.random)() & 1) != 0;
        tiles = tiles_anywhere = words_anywhere && ((*l.random)() & 1) != 0;
        if (!words_anywhere) return {};
    }
    tiles = tiles && (l.target.tiles_of_bf16 || l.target.tiles_of_bytes);
    // Words for tiles may be worth it where those for vectors are not.
    if (const auto sum = tiles ? choose_dots(form, l.target, true) : std::nullopt) {
        Form words = form;
        make_dots(words, *sum, l.target);
        if (const std::optional<BlockSizes> sizes =
                choose_tiles(words, l.target,
                             tiles_anywhere ? TileWish::WherePossible : TileWish::WhereItPays)) {
            make_dots(form, *sum, l.target);
            return {contract_step(*sizes)};
        }
    }
    if (const auto sum = choose_dots(form, l.target, words_anywhere))
        make_dots(form, *sum, l.target);
    return {};
}

// How a kernel is cut, if at all; then its parts. Gives the steps of the kernel's own line.
std::vector<Step> lower_cut(Lowering& l, Form& form, const std::optional<Triangle>& triangle) {
    std::vector<Step> cuts;
    if (l.line_is_given()) {
        cuts =
            replay_kernel(form, l.pinned != nullptr ? l.pinned->kernel : *l.wish->kernel, l.target);
    } else if (!l.plain) {
        divide_ranges(form);
        fuse_ranges(form);
        cuts = make_dots(l, form);
        if (cuts.empty() && l.random == nullptr) {
            cuts = choose_cuts(l, form);
        } else if (cuts.empty()) {
            if (const auto cut = random_cut(form, has_near_memory(form.sink()), *l.random))
                cuts = {*cut};
        }
    }
    std::vector<Step> steps = form.steps();
    const std::size_t before = steps.size();
    try {
        lower_as_cut(l, form, triangle, cuts);
    } catch (const ValueError&) {
        if (l.random == nullptr || cuts.empty() || form.steps().size() != before) throw;
        cuts.clear();  // not possible, and nothing is done yet
        lower_as_cut(l, form, triangle, cuts);
    }
    // What else the form has recorded is the cut as it was made.
    if (cuts.empty()) return form.steps();
    steps.insert(steps.end(), cuts.begin(), cuts.end());
    return steps;
}

}  // namespace

Prepared prepare(Arena& arena, Ref sink, const Target& target) {
    ir::establishes(ir::Level::Kernel, sink, "scheduling");
    sink = spell_out_combining(arena, sink);
    sink = widen_scalars(arena, sink);
    sink = gather_masks(arena, sink);
    // Before functions are spelled out.
    const std::optional<Triangle> triangle =
        has_near_memory(sink) ? find_triangle(sink) : std::nullopt;
    return {decompose(arena, sink, target), triangle};
}

Lowered lower_prepared(Arena& arena, const Prepared& kernel, const std::string& name,
                       const Target& target, const Schedule* pinned, const Wish* wish) {
    Form form(arena, kernel.sink);
    const std::int64_t choice = ir::env::number("SCHEDULE");
    std::optional<Random> random;
    if (choice > 1 && pinned == nullptr && wish == nullptr)
        random = random_for(static_cast<std::uint64_t>(choice), kernel.sink);
    Lowering l{name, target, pinned, random ? &*random : nullptr, wish, ir::env::flag("NOOPT")};
    const std::vector<Step> steps = lower_cut(l, form, kernel.triangle);
    if (pinned != nullptr && pinned->parts.size() > l.schedule.size())
        throw ValueError("schedule: it has " + std::to_string(pinned->parts.size()) +
                         " parts, the kernel " + std::to_string(l.schedule.size()));
    if (!steps.empty()) l.program.schedule = "kernel: " + to_text(steps) + "\n";
    for (std::size_t i = 0; i < l.schedule.size(); ++i)
        l.program.schedule += "part " + std::to_string(i) + ": " + l.schedule[i] + "\n";
    l.program.source = l.gpu() ? render_cuda(l.functions, l.program.phases, l.program.thread_bytes)
                               : render_llvm(l.functions, target);
    return {std::move(l.program), std::move(l.plans)};
}

std::optional<std::vector<Step>> unasked_cut(Arena& arena, const Prepared& kernel,
                                             const Target& target) {
    if (target.kind == Target::Kind::Cuda || has_near_memory(kernel.sink)) return std::nullopt;
    Form form(arena, kernel.sink);
    divide_ranges(form);
    fuse_ranges(form);
    const std::optional<BlockSizes> sizes =
        choose_blocks(form, BlockWish::WherePossible, target.cache_bytes);
    if (!sizes) return std::nullopt;
    std::vector<Step> steps = form.steps();
    steps.push_back(step_of(*sizes));
    return steps;
}

std::string Target::key() const {
    return (kind == Kind::Cuda ? "cuda|" : "") + triple + "|" + cpu + "|" + features + "|" +
           std::to_string(vector_bits) + "|" + std::to_string(vector_registers) + "|" +
           (fma ? "fma " : "") + (native_f16 ? "f16 " : "") + (native_bf16 ? "bf16 " : "") +
           (dots_of_bf16 ? "pairs " : "") + (fast_dots_of_bf16 ? "fast " : "") +
           (tiles_of_bf16 ? "tiles " : "") + (tiles_of_bytes ? "bytes " : "") +
           (dots_of_bytes ? "quads" : "") + "|" + std::to_string(cache_bytes);
}

Program lower(Ref sink, const std::string& name, const Target& target, const Schedule* pinned) {
    Arena arena;
    const Prepared kernel = prepare(arena, sink, target);
    const auto lower_as = [&](const Schedule* schedule) {
        return lower_prepared(arena, kernel, name, target, schedule, nullptr).program;
    };
    Program program = lower_as(pinned);
    if (pinned != nullptr || ir::env::number("SCHEDULE") == 0) return program;
    const Schedule schedule = Schedule::parse(program.schedule);
    const Program again = lower_as(&schedule);
    if (again.source != program.source)
        throw InternalError("codegen: the schedule of " + name +
                            ", done again, gives other code:\n" + program.schedule +
                            again.schedule);
    return program;
}

}  // namespace sinter::codegen
