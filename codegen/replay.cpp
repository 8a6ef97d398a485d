#include "replay.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include <sinter/ir/error.h>

#include "chain.h"
#include "choose.h"
#include "dots.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kMostLanes = 64, kWarp = 32;
constexpr std::int64_t kMostTeam = 256;    // as many as the prelude has room for to exchange values
constexpr std::int64_t kMostCopies = 256;  // of the code
constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // part of a range

std::string name(std::int64_t range) { return "r" + std::to_string(range); }

std::int64_t size_of_range(Ref r) { return r->src(0)->arg(0); }
bool is_constant(Ref r) { return r->src(0)->is(Op::Const); }

// What may be done to a range without a change of results; its parts inherit it.
struct Rights {
    bool parallel = false, vector = false, unroll = false, split = false;
    bool running = false;  // only the innermost part of it may be a vector, and nothing else
    bool last = false;     // walked in order: it stays the innermost
    bool outer = false;    // all stores and reductions have it
};

class Replay {
public:
    Replay(Form& form, const Target* target, const std::optional<std::vector<Ref>>& trips)
        : form_(form), target_(target), before_(analyse(form.sink())) {
        if (trips) {
            trips_ = *trips;
            given_trips_ = true;
            for (Ref r : trips_) fixed_ |= range_bit(r);
        }
        std::uint64_t in_order = before_.ordered, sorted_rows = 0;
        for (const Reducing& r : before_.reductions)
            if (r.node->is(Op::Order)) {
                sorted_rows |= r.scope;
                in_order |= r.closed;
            }
        const bool sorts = std::ranges::any_of(
            before_.reductions, [](const Reducing& r) { return r.node->is(Op::Order); });
        const bool variable = std::ranges::any_of(
            before_.numbers, [&](std::int64_t n) { return !is_constant(before_.range[n]); });
        for (std::int64_t n : before_.numbers) {
            Rights& mine = rights_[n];
            if (has(fixed_, n)) continue;
            const bool free = !has(in_order, n);
            mine.outer = has(before_.outer, n);
            mine.parallel = has(before_.eligible, n) && !given_trips_ &&
                            (!variable || !is_constant(before_.range[n]));
            mine.unroll = free && !has(sorted_rows | before_.renewed, n);
            // On a GPU a row that is sorted, or goes on from step to step, is one thread's.
            mine.vector = may_be_vector(before_, n, kShortest) &&
                          !(is_gpu() && (sorts || has(before_.ordered, n)));
            mine.running = !free;
            mine.last = has(before_.ordered, n);
            mine.split = free || mine.vector;
        }
    }

    void run(const Step& step) {
        step_ = &step;
        const std::vector<std::int64_t>& o = step.operands;
        switch (step.kind) {
            case StepKind::Split:
                return split(o, {Role{o[2]}, Role{o[4]}}, {o[3], o[5]});
            case StepKind::SplitLined:
                check_lined(o[0], o[1], o[6]);
                return split(o, {Role{o[2]}, Role{o[4]}}, {o[3], o[5]}, o[6]);
            case StepKind::Divide:
                return divide(o);
            case StepKind::Bind:
                return bind(range(o[0]), Role{o[1]});
            case StepKind::Fuse:
                return fuse(range(o[0]), range(o[1]));
            case StepKind::Stage:
            case StepKind::StagePadded:
            case StepKind::StageWhile:
            case StepKind::StageTurned:
                return stage(step);
            case StepKind::RenameInCopy:
                return rename(range(o[0]), o[1]);
            case StepKind::Let:
                return let(range(o[0]), range(o[1]));
            case StepKind::Share:
                return share(o);
            case StepKind::Join:
                return join(range(o[0]), range(o[1]), o[2]);
            case StepKind::Expand:
                return form_.expand_unrolled(o[0] > 0 ? range(o[1]) : nullptr);
            case StepKind::Trips:
                named_trips_.assign(list(o, 0).begin(), list(o, 0).end());
                trips_are_named_ = true;
                return;
            case StepKind::Order:
                for (std::int64_t n : list(o, 0)) named_order_.push_back(range(n)->arg(0));
                return;
            case StepKind::Squares:
                placed_.squares = true;
                return;
            case StepKind::Prefetch:
                placed_.prefetch = true;
                return;
            case StepKind::Fetch:
                for (std::int64_t slot : list(o, 0)) fetch(slot);
                return;
            case StepKind::Stream:
                return stream(o[0], o[1]);
            case StepKind::Dots:
                fail("is a step of the kernel, not of a part");
            case StepKind::Chunk:
            case StepKind::Sums:
            case StepKind::Blocks:
            case StepKind::Contract:
            case StepKind::Winograd:
            case StepKind::Chain:
                fail("cuts a kernel: it is the last step of its line");
        }
    }

    Placed place() {
        step_ = nullptr;
        form_.expand_unrolled();
        const Analysis after = analyse(form_.sink());
        std::vector<std::pair<std::int64_t, Ref>> parallel;  // by stride
        for (std::int64_t n : after.numbers) {
            Ref r = after.range[n];
            if (ir::role_of(r) == Role::Loop || ir::role_of(r) == Role::Reduce) {
                const bool trip = rights_[n].parallel && rights_[n].outer && !trips_are_named_ &&
                                  !has(kept_inside_, n);
                r = form_.bind(r, trip ? Role::Parallel : Role::Serial);
            }
            if (ir::role_of(r) != Role::Parallel || has(fixed_, n)) continue;
            std::int64_t stride = 0;
            for (const MemoryAccess& m : after.accesses)
                if (m.is_store) stride = std::max(stride, std::abs(m.stride[n]));
            parallel.emplace_back(-stride, r);
        }
        std::ranges::stable_sort(parallel, {}, [](const auto& p) { return p.first; });
        if (!given_trips_)
            for (const auto& [stride, r] : parallel) trips_.push_back(r);
        if (trips_are_named_) {
            std::vector<std::int64_t> all;
            for (Ref r : trips_) all.push_back(r->arg(0));
            if (!std::ranges::is_permutation(all, named_trips_))
                fail("the trips are not the ranges that run in parallel");
            if (!given_trips_) {
                trips_.clear();
                for (std::int64_t n : named_trips_) trips_.push_back(range(n));
            }
        }
        placed_.parallel = trips_;
        for (Ref r : trips_) placed_.order.push_back(r->arg(0));
        place_order();
        const Ref lane = vector_range();
        placed_.lanes = lane == nullptr || is_gpu() ? 1 : static_cast<int>(size_of_range(lane));
        record(form_, placed_);
        return placed_;
    }

private:
    static constexpr int kShortest = 2;

    [[noreturn]] void fail(const std::string& why) const {
        throw ValueError("schedule: " + (step_ == nullptr ? "" : "`" + to_text(*step_) + "`: ") +
                         why);
    }
    bool is_gpu() const { return target_ != nullptr && target_->kind == Target::Kind::Cuda; }

    Ref form_range(std::int64_t number) const {
        const Ref sink = form_.sink();
        for (Ref n : ir::toposort(std::span(&sink, 1)))
            if (n->is(Op::Range) && n->arg(0) == number) return n;
        return nullptr;
    }
    Ref range(std::int64_t number) const {
        const Ref r = number < 0 ? nullptr : form_range(number);
        if (r == nullptr) fail("the kernel has no range " + name(number));
        return r;
    }
    Ref vector_range() const {
        const Ref sink = form_.sink();
        for (Ref n : ir::toposort(std::span(&sink, 1)))
            if (n->is(Op::Range) && ir::role_of(n) == Role::Vector) return n;
        return nullptr;
    }
    Ref value(std::int64_t is_load, std::int64_t place) const {
        const Ref v = named_value(form_.sink(), is_load != 0, place);
        if (v == nullptr) fail("the kernel has no such value");
        return v;
    }
    static std::span<const std::int64_t> list(std::span<const std::int64_t> o, std::size_t at) {
        return o.subspan(at + 1, static_cast<std::size_t>(o[at]));
    }
    std::int64_t free_number(std::int64_t number) const {
        if (number < 0 || form_.is_used(number)) fail(name(number) + " is another range already");
        return number;
    }

    // Copies of the code that the unrolled ranges make of a store, at most.
    std::int64_t unrolled() const {
        std::int64_t most = 1;
        for (Ref store : form_.sink()->src()) {
            std::int64_t copies = 1;
            for (Ref n : ir::toposort(std::span(&store, 1)))
                if (n->is(Op::Range) && ir::role_of(n) == Role::Unroll) copies *= size_of_range(n);
            most = std::max(most, copies);
        }
        return most;
    }

    void allow(Ref r, const Rights& rights, Role role, Ref size) const {
        const auto number = r->arg(0);
        const bool constant = size->is(Op::Const);
        const std::int64_t n = constant ? size->arg(0) : 0;
        if (has(first_, number) && (role == Role::Unroll || role == Role::Vector))
            fail("what is staged depends on " + name(number));
        switch (role) {
            case Role::Parallel:
                if (!rights.parallel)
                    fail(name(number) + " cannot run in parallel: it is reduced, or ordered");
                if (has(kept_inside_, number)) fail("what is staged goes through " + name(number));
                return;
            case Role::Vector: {
                if (!rights.vector) fail(name(number) + " cannot be a vector: its order matters");
                const std::int64_t most = is_gpu() ? kMostTeam : kMostLanes;
                if (!constant || n < (is_gpu() ? kWarp : 2) || n > most ||
                    !std::has_single_bit(static_cast<std::uint64_t>(n)))
                    fail("a vector has a power of two of lanes, at most " + std::to_string(most));
                if (const Ref other = vector_range(); other != nullptr && other->arg(0) != number)
                    fail(name(other->arg(0)) + " is the vector range already");
                return;
            }
            case Role::Unroll:
                if (!rights.unroll || !constant || n * unrolled() > kMostCopies)
                    fail(name(number) + " cannot be unrolled: it is ordered, or too long");
                return;
            case Role::Serial:
                if (!constant) fail(name(number) + " has no fixed size: it must run in parallel");
                return;
            case Role::Loop:
                return;
            case Role::Reduce:
                fail("a range is placed as loop, parallel, serial, unroll or vector");
        }
    }

    // Whether each row of a memory, along r, has one place where its line begins.
    void check_lined(std::int64_t r, std::int64_t n, std::int64_t slot) const {
        const Analysis now = analyse(form_.sink());
        for (const MemoryAccess& m : now.accesses) {
            if (!m.is_store || m.node->src(0)->arg(0) != slot) continue;
            const auto bytes = static_cast<std::int64_t>(size_of(m.node->src(2)->dtype()));
            bool fixed = !has(kept_inside_, r) && m.general == 0 && m.stride[r] == 1 && slot >= 0 &&
                         n * bytes >= kLineBytes && is_constant(range(r)) && !rights_[r].running &&
                         before_.ordered == 0;
            for (std::int64_t other : now.numbers)
                fixed = fixed && (other == r || m.stride[other] == 0 || !has(now.closed, other));
            for (const Reducing& reduction : before_.reductions)
                fixed = fixed && reduction.node->is(Op::Reduce);
            if (!fixed) break;
            return;
        }
        fail("slot " + std::to_string(slot) + " has no rows along " + name(r) +
             " that vectors of this size may begin before");
    }

    void split(const std::vector<std::int64_t>& o, std::array<Role, 2> roles, NewNumbers numbers,
               std::int64_t lined = -1) {
        const Ref r = range(o[0]);
        const Rights rights = rights_[o[0]];
        const Role now = ir::role_of(r);
        if (!rights.split || has(frozen_, o[0]) || now == Role::Vector || now == Role::Unroll)
            fail(name(o[0]) + " cannot be split");
        if (o[1] < 1 || o[1] >= kLargest) fail("parts have 1 to 2^31 - 1 steps");
        const std::int64_t size = is_constant(r) ? size_of_range(r) + form_.head(r, lined) : 0;
        const bool single = is_constant(r) && size <= o[1];
        if (single != (numbers.outer < 0))
            fail(single ? "there is one trip: the outer range is `-`" : "there are several trips");
        if (!single) free_number(numbers.outer);
        free_number(numbers.inner);
        if (numbers.outer == numbers.inner) fail("two ranges of one number");
        if (has(before_.ordered, o[0]) && size_of_range(r) < o[1])
            fail("a range that is walked in order has at least one whole vector");
        Rights outer = rights, inner = rights;
        if (!is_constant(r)) {
            // How many trips there are follows from its size, divided once.
            outer = {.parallel = true, .outer = rights.outer};
            inner.parallel = false;
        }
        if (rights.running) {
            outer = {.running = true, .last = rights.last};
            inner = {.vector = true, .running = true, .last = rights.last};
            if (roles != std::array{Role::Serial, Role::Vector})
                fail("of a range whose order matters the inner part is a vector, the outer serial");
        }
        if (!single)
            allow(r, outer, roles[0],
                  is_constant(r) ? form_.arena().index((size + o[1] - 1) / o[1]) : r->src(0));
        allow(r, inner, roles[1], form_.arena().index(o[1]));
        if (lined < 0)
            form_.split(r, o[1], roles[0], roles[1], numbers);
        else
            form_.split_lined(r, o[1], roles[0], roles[1], lined, numbers);
        for (std::uint64_t* marks : {&kept_inside_, &first_})
            if (has(*marks, o[0]))
                for (const std::int64_t part : {numbers.outer, numbers.inner})
                    if (part >= 0) *marks |= std::uint64_t{1} << part;
        if (!single) rights_[numbers.outer] = outer;
        rights_[numbers.inner] = inner;
    }

    void divide(const std::vector<std::int64_t>& o) {
        const Ref r = range(o[0]);
        const Rights rights = rights_[o[0]];
        if (!rights.split || rights.running) fail(name(o[0]) + " cannot be divided");
        if (!is_constant(r) || o[1] < 2 || o[1] >= size_of_range(r) || size_of_range(r) % o[1] != 0)
            fail(std::to_string(o[1]) + " does not divide " + name(o[0]));
        for (const Reducing& reduction : before_.reductions)
            if (!reduction.node->is(Op::Reduce) && has(reduction.closed, o[0]))
                fail("positions along " + name(o[0]) + " tell equal values apart");
        if (free_number(o[2]) == free_number(o[3])) fail("two ranges of one number");
        form_.divide(r, o[1], {o[2], o[3]});
        rights_[o[2]] = rights_[o[3]] = rights;
    }

    void bind(Ref r, Role role) {
        if (has(fixed_ | frozen_, r->arg(0))) fail(name(r->arg(0)) + " numbers the trips");
        if (ir::role_of(r) == Role::Vector || ir::role_of(r) == Role::Unroll)
            fail(name(r->arg(0)) + " has its place already");
        allow(r, rights_[r->arg(0)], role, r->src(0));
        form_.bind(r, role);
    }

    void fuse(Ref outer, Ref inner) {
        Rights &x = rights_[outer->arg(0)], &y = rights_[inner->arg(0)];
        const auto open = [](Ref r) {
            return !is_ragged(r) && ir::role_of(r) != Role::Vector &&
                   ir::role_of(r) != Role::Unroll;
        };
        const bool free = x.split && y.split && !x.running && !y.running && outer != inner &&
                          open(outer) && open(inner) && ir::role_of(outer) == ir::role_of(inner);
        const std::uint64_t both = range_bit(outer) | range_bit(inner);
        if (((kept_inside_ | first_ | frozen_) & both) != 0)
            fail("what is staged goes through them");
        if (!free || form_.fuse(outer, inner) == nullptr)
            fail("memory is not walked with these ranges as if they were one");
        x = {x.parallel && y.parallel,
             x.vector && y.vector,
             x.unroll && y.unroll,
             true,
             false,
             false,
             x.outer && y.outer};
    }

    void stage(const Step& step) {
        const std::vector<std::int64_t>& o = step.operands;
        const Ref v = value(o[0], o[1]);
        const bool load = v->is(Op::Load);
        if (!load && (!ir::is_elementwise(v->op()) || v->dtype() == DType::Bool ||
                      v->dtype() == DType::Index))
            fail("neither a load nor a value");
        for (Ref n : ir::toposort(std::span(&v, 1)))
            if (n->is(Op::Scan) ||
                (n->is(Op::Load) && (n->src().size() > 3 || n->src(0)->arg(0) == kThreadSlot)))
                fail("it is made in order, or reads what is stored on the way");
        for (Ref store : form_.sink()->src())
            if (store->src(0)->arg(0) == kThreadSlot)
                for (Ref n : ir::toposort(std::span(&store, 1)))
                    if (n == v) fail("another copy is made from it");
        std::vector<Ref> over;
        std::uint64_t mask = 0;
        double elements = 1;
        for (std::int64_t n : list(o, 2)) {
            const Ref r = range(n);
            if (!has(v->ranges(), n) || has(mask, n) || !is_constant(r) ||
                ir::role_of(r) == Role::Parallel || has(fixed_, n))
                fail(
                    "it is staged over different ranges of its own, of constant size, that do "
                    "not run in parallel");
            mask |= range_bit(r);
            over.push_back(r);
            elements *= static_cast<double>(size_of_range(r));
        }
        if (over.empty()) fail("it is staged over no range");
        // For each trip of the others a copy of its own: they are opened first, for all copies.
        std::uint64_t others = 0, frozen = 0;
        for (std::int64_t n = 0; n < 64; ++n)
            if (has(v->ranges() & ~mask & ~fixed_, n)) {
                const Ref r = range(n);
                const Role role = ir::role_of(r);
                if (!rights_[n].outer || role == Role::Unroll || role == Role::Vector)
                    fail("it depends on " + name(n) +
                         ", which not all of the kernel has, or copies of it have apart");
                if (role != Role::Parallel)
                    others |= range_bit(r);
                else
                    frozen |= range_bit(r);
            }
        if ((first_ & mask) != 0 || (kept_inside_ & others) != 0 ||
            (others != 0 && first_ != 0 && others != first_))
            fail("what is kept for some trips alone must be so for the same ones");
        const std::size_t rest = 3 + over.size();
        const std::int64_t padding = step.kind == StepKind::StagePadded ? o[rest] : 0;
        if (padding < 0 || padding > kMostScratch) fail("rows cannot lie so far apart");
        const double bytes = elements / static_cast<double>(size_of_range(over.back())) *
                             static_cast<double>(size_of_range(over.back()) + padding) *
                             static_cast<double>(size_of(v->dtype()));
        if (static_cast<double>(form_.reserved_bytes()) + bytes > static_cast<double>(kMostScratch))
            fail("it does not fit the thread's scratch");
        if (step.kind == StepKind::StageTurned) {
            turn(v, over, o[rest], o[rest + 1], o[rest + 2]);
        } else {
            std::vector<Ref> computing;
            if (step.kind == StepKind::StageWhile)
                for (std::int64_t i = 0; i < o[rest]; ++i) {
                    const auto at = rest + 1 + 2 * static_cast<std::size_t>(i);
                    computing.push_back(value(o[at], o[at + 1]));
                }
            form_.stage(v, over, computing, padding);
        }
        first_ |= others;
        frozen_ |= frozen;
        kept_inside_ |= mask;
        staged_over_ = mask;
    }

    void turn(Ref v, const std::vector<Ref>& over, std::int64_t first, std::int64_t last,
              std::int64_t by) {
        const auto count = static_cast<std::int64_t>(over.size());
        if (!v->is(Op::Load) || first < 0 || first >= last || last > count || by < 1 ||
            by > kMostCopies)
            fail("the ranges that are walked as one are not among those it is staged over");
        const Analysis now = analyse(form_.sink());
        const auto m = std::ranges::find(now.accesses, v, &MemoryAccess::node);
        for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
            const std::int64_t n = over[i]->arg(0);
            // As one range, their masks would not know how far each of them is.
            const bool masked = last - first > 1 && has(v->src(2)->ranges(), n);
            const bool even =
                !has(m->general, n) && !masked &&
                (i + 1 == static_cast<std::size_t>(last) ||
                 m->stride[n] == m->stride[over[i + 1]->arg(0)] * size_of_range(over[i + 1]));
            if (!even) fail("memory is not walked with these ranges as if they were one");
        }
        form_.stage(v, over, {static_cast<std::size_t>(first), static_cast<std::size_t>(last)},
                    static_cast<int>(by));
    }

    // Whether the first store is a copy that was staged.
    bool has_copy() const {
        return form_.sink()->src(0)->src(0)->arg(0) == kThreadSlot && staged_over_ != 0;
    }

    void rename(Ref r, std::int64_t number) {
        if (!has_copy() || !has(staged_over_, r->arg(0)))
            fail("no copy was staged last that goes through " + name(r->arg(0)));
        form_.rename_in_copy(r, free_number(number));
        rights_[number] = rights_[r->arg(0)];
        rights_[number].parallel = rights_[number].outer = rights_[number].last = false;
    }

    void let(Ref r, Ref other) {
        if (!is_constant(r) || !is_constant(other) || size_of_range(r) != size_of_range(other))
            fail("ranges of different sizes");
        int with = 0;
        for (Ref s : form_.sink()->src())
            if ((s->ranges() & range_bit(r)) != 0) {
                const bool copy = s->src(0)->arg(0) == kThreadSlot && staged_over_ != 0;
                if (!copy || (s->ranges() & range_bit(other)) != 0)
                    fail(name(r->arg(0)) + " is no range of a copy alone, or it has both");
                ++with;
            }
        if (with != 1) fail("not one copy has " + name(r->arg(0)));
        form_.let(r, other);
    }

    void share(const std::vector<std::int64_t>& o) {
        const Ref v = value(o[0], o[1]);
        const Form::Tile tile{range(o[2]), range(o[3]), range(o[4])};
        if (!is_gpu()) fail("only teams of threads share");
        std::int64_t elements = 1;
        for (Ref r : {tile.row, tile.copy, tile.step}) {
            if (!is_constant(r) || !has(v->ranges(), r->arg(0))) fail("no tile of this value");
            elements *= size_of_range(r);
        }
        const std::int64_t lanes = o[6];
        if (!v->is(Op::Load) || lanes < kWarp || lanes > kMostTeam || elements % lanes != 0)
            fail("the team does not share out the tile evenly");
        Ref lane = form_range(o[5]);
        if (lane == nullptr)
            lane = ir::range(form_.arena(), form_.take(free_number(o[5])), lanes, Role::Vector);
        if (lanes != size_of_range(lane)) fail("the team has other lanes");
        form_.share(v, tile, lane);
    }

    void join(Ref outer, Ref inner, std::int64_t number) {
        const Ref into = range(number);
        if (!is_gpu() || ir::role_of(into) != Role::Vector || !is_constant(outer) ||
            !is_constant(inner) ||
            size_of_range(into) != size_of_range(outer) * size_of_range(inner))
            fail("they are no digits of a team's threads");
        form_.join(outer, inner, into);
    }

    void fetch(std::int64_t slot) {
        const bool read = std::ranges::any_of(before_.accesses, [&](const MemoryAccess& m) {
            return !m.is_store && m.node->src(0)->arg(0) == slot;
        });
        if (is_gpu() || slot < 0 || !read) fail("slot " + std::to_string(slot) + " is not read");
        placed_.far.push_back(slot);
    }

    void stream(std::int64_t slot, std::int64_t least) {
        if (is_gpu()) fail("a GPU has no such stores");
        for (Streamed& s : streamable(before_))
            if (s.slot == slot) {
                s.least = least;
                return placed_.streamed.push_back(s);
            }
        fail("slot " + std::to_string(slot) + " is not written, or read as well");
    }

    // What copies are made for outermost, then as named, then by stride; what is ordered last.
    void place_order() {
        Placed usual = placed_;
        order_serial(form_, usual);
        const auto is_serial = [&](std::int64_t n) {
            return std::ranges::find(usual.order, n) != usual.order.end();
        };
        std::uint64_t placed = 0;
        for (std::int64_t n : placed_.order) placed |= std::uint64_t{1} << n;
        const auto put = [&](std::int64_t n) {
            if (!is_serial(n) || has(placed, n)) return;
            placed |= std::uint64_t{1} << n;
            placed_.order.push_back(n);
        };
        for (std::int64_t n : named_order_)
            if (has(first_, n)) put(n);
        for (std::int64_t n : usual.order)
            if (has(first_, n)) put(n);
        for (std::int64_t n : named_order_)
            if (!rights_[n].last) put(n);
        for (std::int64_t n : usual.order) put(n);
    }

    Form& form_;
    const Target* target_;
    const Analysis before_;
    Rights rights_[64];
    std::uint64_t fixed_ = 0;        // the trips that were given
    std::uint64_t first_ = 0;        // not in parallel, and copies depend on them
    std::uint64_t frozen_ = 0;       // in parallel, and copies depend on them
    std::uint64_t kept_inside_ = 0;  // ranges that copies go through
    std::uint64_t staged_over_ = 0;  // those of the last one
    std::vector<std::int64_t> named_order_, named_trips_;
    std::vector<Ref> trips_;
    bool given_trips_ = false, trips_are_named_ = false;
    Placed placed_;
    const Step* step_ = nullptr;
};

}  // namespace

std::vector<Step> replay_kernel(Form& form, std::span<const Step> steps, const Target& target) {
    const auto is_cut = [](const Step& s) {
        return s.kind == StepKind::Chunk || s.kind == StepKind::Sums ||
               s.kind == StepKind::Blocks || s.kind == StepKind::Contract ||
               s.kind == StepKind::Winograd || s.kind == StepKind::Chain;
    };
    const auto first = std::ranges::find_if(steps, is_cut);
    std::vector<Step> cuts(first, steps.end());
    const bool most = cuts.size() < 2 ||
                      (cuts.size() == 2 && cuts[0].kind == StepKind::Sums &&
                       (cuts[1].kind == StepKind::Blocks || cuts[1].kind == StepKind::Winograd));
    if (!most) throw ValueError("schedule: `" + to_text(cuts.back()) + "`: it is cut already");
    std::optional<Replay> replay(std::in_place, form, nullptr, std::nullopt);
    for (const Step& step : std::span(steps.begin(), first)) {
        if (step.kind == StepKind::Dots) {
            if (target.kind == Target::Kind::Cuda || has_near_memory(form.sink()))
                throw ValueError("schedule: `" + to_text(step) +
                                 "`: not on a GPU, nor where rows are handed on");
            if (step.operands[2] < 0 || form.is_used(step.operands[2]))
                throw ValueError("schedule: `" + to_text(step) + "`: a range of a number in use");
            make_dots(form, {step.operands[0], step.operands[1]}, target, step.operands[2]);
            replay.emplace(form, nullptr, std::nullopt);
            continue;
        }
        if (step.kind != StepKind::Divide && step.kind != StepKind::Fuse)
            throw ValueError("schedule: `" + to_text(step) +
                             "` is a step of a part, not of the kernel");
        replay->run(step);
    }
    return cuts;
}

Placed replay_part(Form& form, std::span<const Step> steps, const Target& target,
                   const std::optional<std::vector<Ref>>& trips) {
    Replay replay(form, &target, trips);
    for (const Step& step : steps) replay.run(step);
    return replay.place();
}

Placed try_steps(Form& form, const std::function<std::optional<Step>()>& next, const Target& target,
                 const std::optional<std::vector<Ref>>& trips) {
    Replay replay(form, &target, trips);
    while (const std::optional<Step> step = next()) {
        try {
            replay.run(*step);
        } catch (const ValueError&) {  // another one, then
        }
    }
    return replay.place();
}

}  // namespace sinter::codegen
