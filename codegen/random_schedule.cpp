#include "random_schedule.h"

#include <algorithm>
#include <array>
#include <vector>

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr int kTries = 24;  // of steps for a part; most are not possible

std::int64_t below(Random& random, std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
}
bool one_in(Random& random, std::int64_t n) { return below(random, n) == 0; }
template <class T>
const T& one_of(Random& random, const std::vector<T>& list) {
    return list[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(list.size())))];
}
template <std::size_t n>
std::int64_t one_of(Random& random, const std::array<std::int64_t, n>& list) {
    return list[static_cast<std::size_t>(below(random, n))];
}

std::int64_t role(Role r) { return static_cast<std::int64_t>(r); }

// Proposals for a part, as it is at the time.
class Proposals {
public:
    Proposals(Form& form, const Target& target, Random& random)
        : form_(form), gpu_(target.kind == Target::Kind::Cuda), random_(random) {}

    std::optional<Step> next() {
        if (tries_-- == 0) return std::nullopt;
        const Ref sink = form_.sink();
        nodes_ = ir::toposort(std::span(&sink, 1));
        ranges_.clear();
        for (Ref n : nodes_)
            if (n->is(Op::Range)) ranges_.push_back(n);
        if (ranges_.empty()) return std::nullopt;
        switch (below(random_, gpu_ ? 8 : 13)) {
            case 0:
            case 1:
            case 2:
                return vectorise();
            case 3:
            case 4:
                return split(Role::Serial, one_in(random_, 2) ? Role::Unroll : Role::Serial,
                             one_of(random_, std::array<std::int64_t, 5>{2, 3, 4, 5, 8}));
            case 5:
                return split(Role::Parallel, one_in(random_, 2) ? Role::Unroll : Role::Loop,
                             one_of(random_, std::array<std::int64_t, 5>{2, 3, 4, 7, 30}));
            case 6:
                return Step{StepKind::Bind,
                            {one_of(random_, ranges_)->arg(0),
                             role(one_of(random_, std::vector<Role>{Role::Parallel, Role::Serial,
                                                                    Role::Unroll}))}};
            case 7:
                return order();
            case 8:
            case 9:
                return stage();
            case 10:
                return Step{one_in(random_, 2) ? StepKind::Squares : StepKind::Prefetch, {}};
            case 11:
                if (one_in(random_, 2)) return Step{StepKind::Fetch, {1, below(random_, 4)}};
                return Step{StepKind::Stream, {below(random_, 4), 0}};
            default:
                return one_in(random_, 3) ? rename() : fuse();
        }
    }

private:
    std::int64_t fresh(std::int64_t after = -1) const {
        std::int64_t n = after + 1;
        while (n < 63 && form_.is_used(n)) ++n;
        return n;
    }

    // `lined`: the slot whose lines the parts begin, or -1.
    Step split(Role outer, Role inner, std::int64_t by, std::int64_t lined = -1) {
        const Ref r = one_of(random_, ranges_);
        const bool single =
            r->src(0)->is(Op::Const) && r->src(0)->arg(0) + form_.head(r, lined) <= by;
        const std::int64_t first = single ? -1 : fresh(), second = fresh(first);
        Step step{StepKind::Split, {r->arg(0), by, role(outer), first, role(inner), second}};
        if (lined >= 0) {
            step.kind = StepKind::SplitLined;
            step.operands.push_back(lined);
        }
        return step;
    }
    Step vectorise() {
        const Role outer = one_in(random_, 2) ? Role::Serial : Role::Loop;
        if (gpu_) return split(outer, Role::Vector, 32);
        if (one_in(random_, 5)) return split(outer, Role::Vector, 16, below(random_, 3));
        return split(outer, Role::Vector,
                     one_of(random_, std::array<std::int64_t, 5>{2, 4, 8, 16, 16}));
    }
    Step order() {
        std::vector<std::int64_t> numbers;
        for (Ref r : ranges_) numbers.push_back(r->arg(0));
        std::ranges::shuffle(numbers, random_);
        numbers.insert(numbers.begin(), static_cast<std::int64_t>(numbers.size()));
        return {StepKind::Order, numbers};
    }
    Step stage() {
        const bool load = !one_in(random_, 3);
        std::vector<std::pair<std::int64_t, Ref>> values;
        std::int64_t place = 0;
        for (Ref n : nodes_) {
            if ((load ? n->is(Op::Load) : ir::is_elementwise(n->op())) && n->ranges() != 0)
                values.emplace_back(place, n);
            if (!load || n->is(Op::Load)) ++place;
        }
        if (values.empty()) return {StepKind::Prefetch, {}};
        const auto [at, value] = one_of(random_, values);
        std::vector<std::int64_t> over;
        for (Ref r : ranges_)
            if ((value->ranges() & range_bit(r)) != 0 && !one_in(random_, 4))
                over.push_back(r->arg(0));
        std::ranges::shuffle(over, random_);
        const auto count = static_cast<std::int64_t>(over.size());
        std::vector<std::int64_t> operands{load ? 1 : 0, at, count};
        operands.insert(operands.end(), over.begin(), over.end());
        if (load && count > 0 && one_in(random_, 4)) {
            const std::int64_t first = below(random_, count),
                               last = first + 1 + below(random_, count - first);
            operands.insert(operands.end(), {first, last, 4});
            return {StepKind::StageTurned, operands};
        }
        if (!one_in(random_, 3)) return {StepKind::Stage, operands};
        operands.push_back(below(random_, 20));
        return {StepKind::StagePadded, operands};
    }
    Step rename() { return {StepKind::RenameInCopy, {one_of(random_, ranges_)->arg(0), fresh()}}; }
    Step fuse() {
        return {StepKind::Fuse,
                {one_of(random_, ranges_)->arg(0), one_of(random_, ranges_)->arg(0)}};
    }

    Form& form_;
    const bool gpu_;
    Random& random_;
    int tries_ = kTries;
    std::vector<Ref> nodes_, ranges_;
};

}  // namespace

Random random_for(std::uint64_t seed, Ref sink) {
    std::uint64_t mixed = seed;
    for (Ref n : ir::toposort(std::span(&sink, 1))) {
        mixed = mixed * 0x100000001b3 + static_cast<std::uint64_t>(n->op());
        for (const std::int64_t arg : n->args())
            mixed = mixed * 0x100000001b3 + static_cast<std::uint64_t>(arg);
    }
    return Random(mixed);
}

std::optional<Step> random_cut(const Form& form, bool near_memory, Random& random) {
    const Analysis a = analyse(form.sink());
    if (near_memory) return Step{StepKind::Chain, {1 + below(random, 20)}};
    if (a.numbers.empty() || one_in(random, 2)) return std::nullopt;
    const std::int64_t n = one_of(random, a.numbers);
    if (one_in(random, 3)) return Step{StepKind::Chunk, {n, 1 + below(random, a.size(n))}};
    if (one_in(random, 3)) return Step{StepKind::Sums, {n, 1 + below(random, a.size(n))}};
    std::vector<std::int64_t> parts[2];
    for (std::int64_t r : a.numbers)
        if (!one_in(random, 3)) {
            std::vector<std::int64_t>& mine = parts[has(a.closed, r) ? 1 : 0];
            mine.insert(mine.end(), {r, 1 + below(random, std::min<std::int64_t>(a.size(r), 40))});
        }
    Step step{StepKind::Blocks, {}};
    for (const std::vector<std::int64_t>& some : parts) {
        step.operands.push_back(static_cast<std::int64_t>(some.size()) / 2);
        step.operands.insert(step.operands.end(), some.begin(), some.end());
    }
    step.operands.push_back(one_in(random, 2) ? -1 : one_of(random, a.numbers));
    return step;
}

Placed random_part(Form& form, const Target& target, const std::optional<std::vector<Ref>>& trips,
                   Random& random) {
    Proposals proposals(form, target, random);
    return try_steps(form, [&] { return proposals.next(); }, target, trips);
}

}  // namespace sinter::codegen
