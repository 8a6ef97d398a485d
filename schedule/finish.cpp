#include "finish.h"

#include <algorithm>
#include <unordered_map>

#include <sinter/ir/kernel.h>
#include <sinter/ir/simplify.h>
#include <sinter/ir/spec.h>

#include "collapse.h"
#include "index.h"
#include "one_hot.h"
#include "rebuild.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;
using ir::Role;

namespace {

// Sizes that one kernel serves; small enough for 32-bit indices wherever they do.
constexpr std::int64_t kSmallSize = 0x7FFFFFFF, kAnySize = std::int64_t{1} << 48;
constexpr std::int64_t kSizeSlot =
    -1;  // the one Variable that is no Bind, until slots are numbered

// Elementwise over contiguous memory: one range, through which every operand is read and written as
// it lies.
bool is_flat(std::span<const Ref> stores) {
    Ref range = nullptr;
    for (Ref node : ir::toposort(stores)) {
        switch (node->op()) {
            case Op::Range:
                if (range != nullptr) return false;
                range = node;
                break;
            case Op::Reduce:
            case Op::Accumulate:
            case Op::Order:
            case Op::Scan:
            case Op::Check:
                return false;
            case Op::Load:
                if (node->src(2)->vmin() != 1) return false;
                if (!node->src(1)->is(Op::Range) && !node->src(1)->is(Op::Const)) return false;
                break;
            case Op::Store:
                if (node->arg(0) != ir::kPlainStore || !node->src(1)->is(Op::Range)) return false;
                break;
            default:
                // An index as a value (iota) is known to be below the size: that bound must not be
                // lost.
                if (node->dtype() != DType::Index && !node->src().empty())
                    for (Ref s : node->src())
                        if (s->dtype() == DType::Index) return false;
        }
    }
    return range != nullptr;
}

std::vector<Ref> with_size_at_launch(ir::Arena& arena, std::span<const Ref> stores,
                                     std::int64_t size) {
    const Ref variable =
        ir::variable(arena, DType::Index, kSizeSlot, 1, size <= kSmallSize ? kSmallSize : kAnySize);
    return rebuild(stores, [&](Ref node, std::span<const Ref> src) {
        return node->is(Op::Range) ? ir::range(arena, node->arg(0), variable, ir::role_of(node))
                                   : arena.with_src(node, src);
    });
}

struct Numbering {
    std::unordered_map<std::int64_t, std::int64_t> params, variables, ranges;
    std::uint64_t loops = 0;
};

class Finisher {
public:
    Finisher(const Graph& graph, ir::Arena& arena) : graph_(graph), arena_(arena) {}
    Finisher(const Graph& graph, ir::Arena& arena, const FinishedKernel& before)
        : Finisher(graph, arena) {
        out_.memories = before.memories;
        out_.scalars = before.scalars;
        numbered_ = true;
    }

    FinishedKernel run(std::vector<Ref> stores) {
        // Numbered first, so that what simplification makes of equal kernels is equal, too; once
        // more because it may have dropped operands.
        stores = renumber(collapse_ranges(arena_, std::move(stores)));
        stores = ir::simplify(arena_, sums_of_one(arena_, ir::simplify(arena_, stores)));
        stores = renumber(without_repeats(std::move(stores)));
        out_.segmentable = is_flat(stores);
        if (out_.segmentable) {
            size_ = range_size(stores);
            stores = renumber(with_size_at_launch(arena_, stores, size_));
        }
        out_.sink = arena_.make(Op::Sink, DType::None, stores);
        ir::establishes(ir::Level::Kernel, out_.sink, "schedule");
        measure();
        return std::move(out_);
    }

private:
    static std::int64_t range_size(std::span<const Ref> stores) {
        for (Ref node : ir::toposort(stores))
            if (node->is(Op::Range)) return node->src(0)->arg(0);
        return 1;
    }

    // A combining store names its ranges. Those that turn out to change nothing in it make it
    // combine the same value as often as they have trips: that is a reduction of its own.
    std::vector<Ref> without_repeats(std::vector<Ref> stores) {
        for (Ref& store : stores) {
            if (store->src().size() == 4) continue;
            const std::span<const std::int64_t> kind = store->args().first(1);
            std::vector<Ref> src(store->src().begin(), store->src().begin() + 4);
            std::uint64_t used = 0;
            for (Ref s : src) used |= s->ranges();
            std::vector<Ref> reduced{arena_.cast(src[2], accumulator_type(src[2]->dtype()))};
            for (Ref r : store->src().subspan(4))
                if ((r->ranges() & ~used) != 0) reduced.push_back(r);
            if (reduced.size() > 1 && kind[0] != static_cast<std::int64_t>(ir::ReduceKind::Set))
                src[2] = arena_.cast(arena_.make(Op::Reduce, reduced[0]->dtype(), reduced, kind),
                                     src[2]->dtype());
            store = arena_.make(Op::Store, DType::None, src, kind);
        }
        return stores;
    }

    // What Param and Variable slots stand for, now and after the numbering that is being made.
    struct Operands {
        std::vector<Id> memories;
        std::vector<Scalar> scalars;
    };

    std::vector<Ref> renumber(std::vector<Ref> stores) {
        names_ = {};
        Operands next;
        const auto param = [&](Ref memory) {
            const std::int64_t slot = memory->arg(0);
            if (!names_.params.try_emplace(slot, static_cast<std::int64_t>(next.memories.size()))
                     .second)
                return;
            next.memories.push_back(numbered_ ? out_.memories[static_cast<std::size_t>(slot)]
                                              : static_cast<Id>(slot));
        };
        const auto variable = [&](Ref node) {
            const std::int64_t slot = node->arg(0);
            if (!names_.variables.try_emplace(slot, static_cast<std::int64_t>(next.scalars.size()))
                     .second)
                return;
            next.scalars.push_back(slot == kSizeSlot ? Scalar{-1, size_}
                                   : numbered_       ? out_.scalars[static_cast<std::size_t>(slot)]
                                                     : Scalar{static_cast<std::int32_t>(slot), 0});
        };
        for (Ref store : stores) {
            param(store->src(0));
            names_.loops |= store->ranges();
        }
        std::vector<std::int64_t> ranges;
        for (Ref node : ir::toposort(stores)) {
            if (node->is(Op::Param)) param(node);
            if (node->is(Op::Range)) ranges.push_back(node->arg(0));
            if (node->is(Op::Variable)) variable(node);
        }
        // Loops first, then what only reductions close.
        const auto is_loop = [&](std::int64_t r) { return (names_.loops >> r & 1) != 0; };
        std::ranges::sort(ranges, [&](std::int64_t a, std::int64_t b) {
            return is_loop(a) != is_loop(b) ? is_loop(a) : a < b;
        });
        for (std::int64_t r : ranges)
            names_.ranges.try_emplace(r, static_cast<std::int64_t>(names_.ranges.size()));
        out_.memories = std::move(next.memories);
        out_.scalars = std::move(next.scalars);
        numbered_ = true;
        return renamed(stores);
    }

    std::vector<Ref> renamed(std::span<const Ref> stores) {
        return rebuild(stores, [&](Ref node, std::span<const Ref> src) {
            switch (node->op()) {
                case Op::Param:
                    return ir::param(arena_, node->dtype(), names_.params.at(node->arg(0)));
                case Op::Variable:
                    return ir::variable(arena_, node->dtype(), names_.variables.at(node->arg(0)),
                                        node->arg(1), node->arg(2));
                case Op::Range:
                    return ir::range(
                        arena_, names_.ranges.at(node->arg(0)), src[0],
                        (names_.loops >> node->arg(0) & 1) != 0 ? Role::Loop : Role::Reduce);
                default:
                    return arena_.with_src(node, src);
            }
        });
    }

    void measure();

    const Graph& graph_;
    ir::Arena& arena_;
    FinishedKernel out_{};
    Numbering names_;
    std::int64_t size_ = 0;
    bool numbered_ = false;
};

// Name, operations and compulsory traffic.
void Finisher::measure() {
    std::vector<Ref> ranges;
    std::vector<std::string> kinds;
    bool scan = false, combine = false;
    const std::vector<Ref> order = ir::toposort(std::span<const Ref>(&out_.sink, 1));
    for (Ref node : order)
        if (node->is(Op::Range)) ranges.push_back(node);
    std::ranges::sort(ranges, {}, [](Ref r) { return r->arg(0); });
    const auto extent = [&](std::uint64_t mask) {
        double product = 1;
        for (Ref r : ranges)
            if ((mask & r->ranges()) != 0)
                product *=
                    static_cast<double>(r->src(0)->is(Op::Const) ? r->src(0)->arg(0) : size_);
        return product;
    };
    const auto kind = [&](std::string name) {
        if (kinds.size() < 4 && std::ranges::find(kinds, name) == kinds.end())
            kinds.push_back(std::move(name));
    };
    double flops = 0, bytes = 0;
    std::unordered_map<Ref, double> touched;  // elements by Param
    for (Ref node : order) {
        switch (node->op()) {
            case Op::Reduce:
                kind(std::string(name(static_cast<ir::ReduceKind>(node->arg(0)))));
                flops += extent(node->src(0)->ranges());
                break;
            case Op::Accumulate:
                kind(static_cast<ir::Combine>(node->arg(0)) == ir::Combine::ArgMax ? "argmax"
                                                                                   : "argmin");
                flops += extent(node->src(0)->ranges());
                break;
            case Op::Order:
                kind("sort");
                flops += extent(node->src(0)->ranges()) * ir::info(Op::Sort).flops;
                break;
            case Op::Scan:
                scan = true;
                kind(std::string(name(static_cast<ir::ReduceKind>(node->arg(0)))));
                flops += extent(node->ranges());
                break;
            case Op::Load:
            case Op::Store: {
                combine = combine || (node->is(Op::Store) && node->arg(0) != ir::kPlainStore);
                const Id memory = out_.memories[static_cast<std::size_t>(node->src(0)->arg(0))];
                double& most = touched[node->src(0)];
                const double elements = std::min(static_cast<double>(graph_.numel(memory)),
                                                 extent(node->src(1)->ranges()));
                // Several stores of one memory are of parts of it.
                most = node->is(Op::Store) && node->arg(0) == ir::kPlainStore
                           ? most + elements
                           : std::max(most, elements);
                break;
            }
            default:
                if (ir::is_elementwise(node->op()) && node->dtype() != DType::Index)
                    flops += extent(node->ranges()) * ir::info(node->op()).flops;
        }
    }
    for (Ref node : order)
        if (node->is(Op::Param))
            bytes += touched[node] * static_cast<double>(size_of(node->dtype()));
    out_.flops = static_cast<std::uint64_t>(flops);
    out_.bytes = static_cast<std::uint64_t>(bytes);

    out_.name = combine ? "c" : scan ? "s" : kinds.empty() ? "e" : "r";
    std::size_t printed = 0;
    for (Ref r : ranges)
        if (printed++ < 6)
            out_.name += r->src(0)->is(Op::Const) ? "_" + std::to_string(r->src(0)->arg(0)) : "_n";
    for (const std::string& k : kinds) out_.name += "_" + k;
}

}  // namespace

FinishedKernel finish(const Graph& graph, ir::Arena& arena, std::vector<Ref> stores) {
    return Finisher(graph, arena).run(std::move(stores));
}

FinishedKernel finish_again(const Graph& graph, ir::Arena& arena, const FinishedKernel& before,
                            std::vector<Ref> stores) {
    return Finisher(graph, arena, before).run(std::move(stores));
}

}  // namespace sinter::schedule
