#include <sinter/sorting.h>

#include <sinter/elementwise.h>
#include <sinter/indexing.h>
#include <sinter/movement.h>
#include <sinter/reduce.h>

#include "call.h"
#include "convert.h"

namespace sinter {
namespace {

ir::Sorting order_of(bool descending) {
    return descending ? ir::Sorting::Descending : ir::Sorting::Ascending;
}

// Positions in memory are counted with 32 bits.
constexpr std::int64_t kMostSorted = std::int64_t{1} << 31;

// The first `count` of a sorted axis; of all of it where none is said.
struct Sorting {
    UOp x;
    std::int64_t axis = 0, count = 0;
    ir::Sorting order;

    Sorting(const UOp& value, std::int64_t along, bool descending)
        : x(value->rank() == 0 ? ir::reshape(value, ir::Shape{1}) : value),
          axis(checked_axis(along, x)),
          count(x->shape()[static_cast<std::size_t>(axis)]),
          order(order_of(descending)) {
        if (count >= kMostSorted) fail<ShapeError>("an axis of 2^31 elements and more");
    }
    /// The first k only, at least `least` of them.
    void keep(std::int64_t k, std::int64_t least, const UOp& value) {
        if (k < least || k > count)
            fail<ValueError>("k is " + text(k) + ", but axis " + text(axis) + " of " + text(value) +
                             " has " + text(count) + " elements");
        count = k;
    }
    std::int64_t size() const { return x->shape()[static_cast<std::size_t>(axis)]; }
    UOp values() const { return ir::sort(x, axis, count, order); }
    UOp positions() const { return ir::sort_positions(x, axis, count, order); }
};

// A scalar is sorted as a vector of one.
Tensor shaped(Call& call, const UOp& like, const UOp& result) {
    return call.wrap(like->rank() == 0 && result->numel() == 1 ? ir::reshape(result, ir::Shape{})
                                                               : result);
}

Sorted at_place(const Sorted& sorted, std::int64_t place, std::int64_t axis, bool keepdim) {
    const auto pick = [&](const Tensor& t) {
        if (t.ndim() == 0) return t;
        const Tensor one = narrow(t, axis, place, 1);
        return keepdim ? one : squeeze(one, axis);
    };
    return {pick(sorted.values), pick(sorted.indices)};
}

}  // namespace

Sorted sort(const Arg& x, std::int64_t axis, bool descending) {
    Call call("sort", x);
    const UOp value = call.node(x);
    const Sorting s(value, axis, descending);
    return {shaped(call, value, s.values()), shaped(call, value, s.positions())};
}

Tensor argsort(const Arg& x, std::int64_t axis, bool descending) {
    Call call("argsort", x);
    const UOp value = call.node(x);
    return shaped(call, value, Sorting(value, axis, descending).positions());
}

Sorted topk(const Arg& x, std::int64_t k, std::int64_t axis, bool largest) {
    Call call("topk", x);
    const UOp value = call.node(x);
    Sorting s(value, axis, largest);
    s.keep(k, 0, value);
    return {shaped(call, value, s.values()), shaped(call, value, s.positions())};
}

Sorted kthvalue(const Arg& x, std::int64_t k, std::int64_t axis, bool keepdim) {
    Call call("kthvalue", x);
    const UOp value = call.node(x);
    Sorting s(value, axis, false);
    s.keep(k, 1, value);
    const Sorted all{shaped(call, value, s.values()), shaped(call, value, s.positions())};
    return at_place(all, k - 1, s.axis, keepdim);
}

Tensor median(const Arg& x) {
    Call call("median", x);
    const UOp value = call.node(x);
    const Tensor flat = call.wrap(ir::reshape(value, ir::Shape{value->numel()}));
    return median(Arg(flat, x.where()), 0).values;
}

Sorted median(const Arg& x, std::int64_t axis, bool keepdim) {
    Call call("median", x);
    const UOp value = call.node(x);
    Sorting s(value, axis, false);
    if (s.count == 0) fail<ValueError>("of no elements");
    s.count = (s.size() + 1) / 2;
    const Tensor rows = call.wrap(s.x);
    Tensor place = narrow(call.wrap(s.positions()), s.axis, s.count - 1, 1);
    if (is_float(value->dtype())) {
        const Tensor nan = isnan(max(rows, s.axis, true));
        place = where(nan, argmax(rows, s.axis, true), place);
    }
    Sorted result{gather(rows, s.axis, place), place};
    if (keepdim && value->rank() != 0) return result;
    return {squeeze(result.values, s.axis), squeeze(result.indices, s.axis)};
}

}  // namespace sinter
