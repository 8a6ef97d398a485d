#include "one_hot.h"

#include <algorithm>

#include <sinter/ir/kernel.h>

#include "rebuild.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

bool is_zero(Ref n) { return n->is(Op::Const) && n->arg(0) == 0; }

// The sum of one element: its value where `found` holds, else zero.
struct Single {
    Ref range, found, value;
};

// `condition` as "range == a number without it", of a type that holds every number of the range:
// whether the number is one of them.
Ref is_within(ir::Arena& a, Ref condition, Ref range) {
    if (!condition->is(Op::Eq) || !range->src(0)->is(Op::Const)) return nullptr;
    const std::int64_t last = range->src(0)->arg(0) - 1;
    for (const int side : {0, 1}) {
        const Ref r = condition->src(static_cast<std::size_t>(side)),
                  number = condition->src(static_cast<std::size_t>(1 - side));
        const DType dt = number->dtype();
        const bool walks = r == range || (r->is(Op::Cast) && r->src(0) == range);
        if (!walks || (number->ranges() & range->ranges()) != 0) continue;
        if (!is_integer(dt) || info(dt).max < last) continue;
        return a.binary(Op::And, a.binary(Op::Le, a.constant_bits(dt, 0), number),
                        a.binary(Op::Le, number, a.constant_bits(dt, last)));
    }
    return nullptr;
}

// What a sum over `range` of `value` adds up to if all but one of its terms are zero.
bool find_single(ir::Arena& a, Ref value, Ref range, Single& single) {
    bool negative = false;
    for (; value->is(Op::Neg); value = value->src(0)) negative = !negative;
    if (!value->is(Op::Where) || !is_zero(value->src(2))) return false;
    if ((value->src(1)->ranges() & range->ranges()) != 0) return false;
    const Ref within = is_within(a, value->src(0), range);
    if (within == nullptr) return false;
    single = {range, within, negative ? a.unary(Op::Neg, value->src(1)) : value->src(1)};
    return true;
}

}  // namespace

std::vector<Ref> sums_of_one(ir::Arena& arena, std::vector<Ref> stores) {
    return rebuild(stores, [&](Ref node, std::span<const Ref> src) -> Ref {
        const bool sum = node->is(Op::Reduce) && src.size() > 1 && node->args().size() == 1 &&
                         node->arg(0) == static_cast<std::int64_t>(ir::ReduceKind::Add);
        if (!sum) return arena.with_src(node, src);
        for (std::size_t i = 1; i < src.size(); ++i) {
            Single single{};
            if (!find_single(arena, src[0], src[i], single)) continue;
            const Ref zero = arena.constant_bits(node->dtype(), 0);
            // A sum that begins with +0 is never -0.
            const Ref value =
                is_float(node->dtype()) ? arena.binary(Op::Add, single.value, zero) : single.value;
            std::vector<Ref> rest{arena.where(single.found, value, zero)};
            for (std::size_t k = 1; k < src.size(); ++k)
                if (k != i) rest.push_back(src[k]);
            return rest.size() == 1 ? rest[0]
                                    : arena.make(Op::Reduce, node->dtype(), rest, node->args());
        }
        return arena.with_src(node, src);
    });
}

}  // namespace sinter::schedule
