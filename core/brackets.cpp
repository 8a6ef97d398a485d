// x[{...}] and x.set({...}, value): every entry is parsed to a cut of an axis or an index tensor;
// cuts are movement, index tensors a gather or scatter.

#include <algorithm>
#include <numeric>

#include <sinter/create.h>
#include <sinter/tensor.h>

#include "call.h"
#include "gather.h"

namespace sinter {
namespace {

using ir::Op;
using ir::Shape;

// Elements first, first + step, …, n of them, of one axis; the step may be negative.
struct Cut {
    std::int64_t first = 0, n = 0, step = 1;
};

// What becomes of an axis of x, or a new one, in the order of the entries.
struct Slot {
    enum class Kind { Kept, Dropped, New, Indexed } kind;
    std::size_t axis = 0;
};

struct Plan {
    std::vector<Cut> cuts;  // by axis of x
    std::vector<Slot> slots;
    std::vector<std::size_t> axes;  // that have an index tensor, ascending
    std::vector<UOp> indices;  // i64, in range of their axis or not at all; one an entry of `axes`
    bool in_front = false;  // the index tensors' axes come first: index entries are not neighbours
};

Cut cut_of(const Slice& s, std::int64_t n) {
    if (s.step == 0) fail<ValueError>("the step of a slice may not be 0");
    const std::int64_t low = s.step > 0 ? 0 : -1, high = s.step > 0 ? n : n - 1;
    const auto end_of = [&](std::optional<std::int64_t> end, std::int64_t open) {
        if (!end) return open;
        return std::clamp(*end < 0 ? *end + n : *end, low, high);
    };
    const std::int64_t begin = end_of(s.begin, s.step > 0 ? 0 : n - 1);
    const std::int64_t end = end_of(s.end, s.step > 0 ? n : -1);
    const std::int64_t span = s.step > 0 ? end - begin : begin - end;
    // |step| without overflow at the smallest integer.
    const auto size =
        static_cast<std::uint64_t>(s.step > 0 ? s.step : -(s.step + 1)) + (s.step > 0 ? 0U : 1U);
    if (span <= 0) return {0, 0, 1};
    const auto count = (static_cast<std::uint64_t>(span) - 1) / size + 1;
    if (count == 1) return {begin, 1, 1};
    return {begin, static_cast<std::int64_t>(count), s.step};
}

// Positions of the true elements of a mask, one tensor an axis. Runs the mask: how many there are
// depends on data.
std::vector<UOp> nonzero(const Tensor& mask, const Where& where) {
    const sinter::Shape shape = mask.shape();
    const std::vector<bool> bits = mask.to_vector<bool>(where);
    std::vector<std::vector<std::int64_t>> found(shape.size());
    std::vector<std::int64_t> at(shape.size(), 0);
    for (const bool bit : bits) {
        for (std::size_t d = 0; bit && d < at.size(); ++d) found[d].push_back(at[d]);
        for (std::size_t d = at.size(); d-- > 0;) {
            if (++at[d] < shape[d]) break;
            at[d] = 0;
        }
    }
    std::vector<UOp> out;
    out.reserve(found.size());
    for (const auto& column : found) out.push_back(Tensor(column, where).node());
    return out;
}

Plan parse(Call& call, const UOp& x, std::span<const Index> entries) {
    std::size_t used = 0, ellipses = 0;
    for (const Index& e : entries) {
        if (e.kind() == Index::Kind::Ellipsis) ++ellipses;
        if (e.kind() == Index::Kind::Position || e.kind() == Index::Kind::Slice) ++used;
        if (e.kind() == Index::Kind::Tensor) {
            const UOp t = call.node(e.tensor());
            if (is_float(t->dtype()))
                fail<DTypeError>("an index must be integers or a bool mask, got " + text(t));
            used += t->dtype() == boolean ? t->rank() : 1;
        }
    }
    if (ellipses > 1) fail<ShapeError>("only one ellipsis may stand in an index");
    if (used > x->rank())
        fail<IndexError>("too many indices: " + std::to_string(used) + " for " + text(x));

    Plan plan;
    for (const std::int64_t n : x->shape()) plan.cuts.push_back({0, n, 1});
    std::size_t axis = 0;
    const auto keep = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) plan.slots.push_back({Slot::Kind::Kept, axis++});
    };
    // Index entries are neighbours if nothing else stands between them; numbers count as index
    // entries beside tensors.
    bool seen_index = false, seen_gap = false;
    const auto mark_index = [&] {
        if (seen_index && seen_gap) plan.in_front = true;
        seen_index = true;
        seen_gap = false;
    };
    for (const Index& e : entries) {
        switch (e.kind()) {
            case Index::Kind::Position: {
                const std::int64_t n = x->shape()[axis], p = e.position();
                if (p < -n || p >= n)
                    fail<IndexError>("index " + text(p) + " is out of range for axis " +
                                     std::to_string(axis) + " of " + text(x) + " with " + text(n) +
                                     " elements");
                plan.cuts[axis] = {p < 0 ? p + n : p, 1, 1};
                plan.slots.push_back({Slot::Kind::Dropped, axis++});
                mark_index();
                break;
            }
            case Index::Kind::Slice:
                plan.cuts[axis] = cut_of(e.slice(), x->shape()[axis]);
                keep(1);
                seen_gap = true;
                break;
            case Index::Kind::Ellipsis:
                keep(x->rank() - used);
                seen_gap = true;
                break;
            case Index::Kind::NewAxis:
                plan.slots.push_back({Slot::Kind::New, 0});
                seen_gap = true;
                break;
            case Index::Kind::Tensor: {
                std::vector<UOp> indices;
                const UOp t = call.node(e.tensor());
                if (t->dtype() == boolean) {
                    for (std::size_t d = 0; d < t->rank(); ++d)
                        if (t->shape()[d] != x->shape()[axis + d])
                            fail<IndexError>("the mask " + text(t) + " does not fit axis " +
                                             std::to_string(axis + d) + " of " + text(x));
                    indices = nonzero(e.tensor(), e.where());
                } else {
                    indices.push_back(t);
                }
                for (const UOp& index : indices) {
                    plan.indices.push_back(counted_from_front(index, x->shape()[axis]));
                    plan.axes.push_back(axis);
                    plan.slots.push_back({Slot::Kind::Indexed, axis++});
                }
                mark_index();
                break;
            }
        }
    }
    if (plan.axes.empty()) plan.in_front = false;
    if (ellipses == 0) keep(x->rank() - axis);
    return plan;
}

bool is_whole(const Plan& plan, const UOp& x) {
    for (std::size_t d = 0; d < plan.cuts.size(); ++d)
        if (plan.cuts[d].n != x->shape()[d] || plan.cuts[d].step != 1) return false;
    return true;
}

// The lowest and one past the highest element of a cut.
std::pair<std::int64_t, std::int64_t> extent(const Cut& c) {
    if (c.n == 0) return {0, 0};
    const std::int64_t last = c.first + (c.n - 1) * c.step;
    return {std::min(c.first, last), std::max(c.first, last) + 1};
}

UOp cut(const UOp& x, const Plan& plan) {
    Shape begin, end, flipped, step;
    for (std::size_t d = 0; d < plan.cuts.size(); ++d) {
        const auto [low, high] = extent(plan.cuts[d]);
        begin.push_back(low);
        end.push_back(high);
        if (plan.cuts[d].step < 0) flipped.push_back(static_cast<std::int64_t>(d));
        step.push_back(std::abs(plan.cuts[d].step));
    }
    return ir::stride(ir::flip(ir::shrink(x, begin, end), flipped), step);
}

// The transpose of cut: the elements of `part` at their places in x's shape, and where those places
// are.
UOp place(const UOp& x, UOp part, const Plan& plan) {
    UOp inside;
    Shape flipped;
    for (std::size_t d = 0; d < plan.cuts.size(); ++d) {
        const Cut& c = plan.cuts[d];
        const std::int64_t step = std::abs(c.step), n = x->shape()[d];
        if (c.step < 0) flipped.push_back(static_cast<std::int64_t>(d));
        if (c.n == n && step == 1) continue;
        const auto [low, high] = extent(c);
        const UOp i = ir::iota(i64, x->shape(), static_cast<std::int64_t>(d));
        const auto number = [&](std::int64_t value) {
            return ir::constant_int(i64, value, x->shape());
        };
        UOp here = ir::binary(Op::And, ir::binary(Op::Le, number(low), i),
                              ir::binary(Op::Lt, i, number(high)));
        if (step != 1) {
            const UOp rest = ir::binary(Op::Mod, ir::binary(Op::Sub, i, number(low)), number(step));
            here = ir::binary(Op::And, here, ir::binary(Op::Eq, rest, number(0)));
        }
        inside = inside ? ir::binary(Op::And, inside, here) : here;
    }
    part = ir::flip(part, flipped);
    for (std::size_t d = 0; d < plan.cuts.size(); ++d) {
        const std::int64_t step = std::abs(plan.cuts[d].step), n = part->shape()[d];
        if (step == 1) continue;
        // [n] to [n, 1], padded to [n, step], read as one axis, without the tail.
        Shape column = shape_of(part);
        column.insert(column.begin() + static_cast<std::ptrdiff_t>(d) + 1, 1);
        Shape before(column.size(), 0), after(column.size(), 0), joined = shape_of(part);
        after[d + 1] = step - 1;
        joined[d] = n * step;
        part = ir::reshape(ir::pad(ir::reshape(part, column), before, after), joined);
        Shape begin(joined.size(), 0), end = joined;
        end[d] = (n - 1) * step + 1;
        part = ir::shrink(part, begin, end);
    }
    Shape before, after;
    for (std::size_t d = 0; d < plan.cuts.size(); ++d) {
        const auto [low, high] = extent(plan.cuts[d]);
        before.push_back(low);
        after.push_back(x->shape()[d] - high);
    }
    part = ir::pad(part, before, after);
    return inside ? ir::where(inside, part, x) : part;
}

// How the indexed axes of a cut lie: they go in front as one axis of N elements, are gathered from
// (or scattered to), and the one axis that comes out is put in its place.
struct Layout {
    Shape order;            // of the cut's axes: indexed ones first, unless there is just one
    Shape flat;             // sizes after that, indexed ones joined
    std::int64_t axis = 0;  // of the joined ones
    Shape gathered;         // `flat` with the indices' element count at `axis`
    Shape placing;          // permutation that puts that axis in its place
    Shape result;           // as the user sees it
    UOp index;              // i64, of shape `gathered`
};

Layout layout_of(const UOp& part, const Plan& plan) {
    Layout out;
    const Shape sizes = shape_of(part);
    Shape common;
    for (const UOp& i : plan.indices) common = broadcast_shapes(common, i->shape());
    const std::int64_t count = checked_numel(common);
    const auto before = static_cast<std::int64_t>(plan.axes[0]);

    std::int64_t joined = 1;
    UOp linear, valid;
    for (std::size_t i = 0; i < plan.axes.size(); ++i) {
        const std::int64_t n = sizes[plan.axes[i]];
        const UOp index = expand_to(plan.indices[i], common);
        joined *= n;
        if (plan.axes.size() == 1) {
            linear = index;
            break;
        }
        const UOp ok = ir::binary(Op::And, ir::binary(Op::Le, like(index, 0), index),
                                  ir::binary(Op::Lt, index, ir::constant_int(i64, n, common)));
        valid = valid ? ir::binary(Op::And, valid, ok) : ok;
        linear = linear ? ir::binary(Op::Add,
                                     ir::binary(Op::Mul, linear, ir::constant_int(i64, n, common)),
                                     index)
                        : index;
    }
    // An index outside its own axis must not name another element.
    if (valid) linear = ir::where(valid, linear, ir::constant_int(i64, -1, common));

    const bool single = plan.axes.size() == 1;
    if (!single)
        for (const std::size_t d : plan.axes) out.order.push_back(static_cast<std::int64_t>(d));
    for (std::size_t d = 0; d < sizes.size(); ++d)
        if (single || std::ranges::find(plan.axes, d) == plan.axes.end())
            out.order.push_back(static_cast<std::int64_t>(d));
    out.axis = single ? before : 0;
    for (std::size_t i = single ? 0 : plan.axes.size(); i < sizes.size(); ++i)
        out.flat.push_back(sizes[static_cast<std::size_t>(out.order[i])]);
    if (!single) out.flat.insert(out.flat.begin(), joined);
    out.gathered = out.flat;
    out.gathered[static_cast<std::size_t>(out.axis)] = count;
    Shape line(out.gathered.size(), 1);
    line[static_cast<std::size_t>(out.axis)] = count;
    out.index = expand_to(ir::reshape(linear, line), out.gathered);

    // The joined axis goes to the front, or where the first indexed axis was.
    const std::int64_t target = plan.in_front ? 0 : before;
    for (std::int64_t d = 0; d < static_cast<std::int64_t>(out.gathered.size()); ++d)
        if (d != out.axis) out.placing.push_back(d);
    out.placing.insert(out.placing.begin() + target, out.axis);

    bool placed = plan.in_front;
    if (placed) out.result = common;
    for (const Slot& slot : plan.slots) {
        switch (slot.kind) {
            case Slot::Kind::Kept:
                out.result.push_back(sizes[slot.axis]);
                break;
            case Slot::Kind::New:
                out.result.push_back(1);
                break;
            case Slot::Kind::Dropped:
                break;
            case Slot::Kind::Indexed:
                if (!placed) out.result.insert(out.result.end(), common.begin(), common.end());
                placed = true;
                break;
        }
    }
    return out;
}

Shape result_of(const UOp& part, const Plan& plan) {
    Shape out;
    for (const Slot& slot : plan.slots) {
        if (slot.kind == Slot::Kind::Kept) out.push_back(part->shape()[slot.axis]);
        if (slot.kind == Slot::Kind::New) out.push_back(1);
    }
    return out;
}

Shape inverse(Ints permutation) {
    Shape out(permutation.size());
    for (std::size_t i = 0; i < permutation.size(); ++i)
        out[static_cast<std::size_t>(permutation[i])] = static_cast<std::int64_t>(i);
    return out;
}

Shape permuted(Ints sizes, Ints order) {
    Shape out;
    for (const std::int64_t d : order) out.push_back(sizes[static_cast<std::size_t>(d)]);
    return out;
}

Where where_of(std::span<const Index> index) {
    return index.empty() ? Where() : index.front().where();
}

// value broadcast to the shape that an index names; leading axes of size 1 may be more.
UOp fit(UOp value, Ints shape, const UOp& x) {
    Shape sizes = shape_of(value);
    while (sizes.size() > shape.size() && sizes.front() == 1) sizes.erase(sizes.begin());
    value = ir::reshape(value, sizes);
    if (sizes.size() > shape.size() ||
        broadcast_shapes(sizes, shape) != Shape(shape.begin(), shape.end()))
        fail<ShapeError>("a value of shape " + text(value->shape()) +
                         " does not fit the elements named, " + text(shape) + " of " + text(x));
    return expand_to(value, shape);
}

}  // namespace

Tensor Tensor::operator[](const Index& index) const {
    return at(std::span<const Index>(&index, 1));
}
Tensor Tensor::operator[](std::initializer_list<Index> index) const {
    return at(std::span<const Index>(index.begin(), index.size()));
}

Tensor Tensor::at(std::span<const Index> index) const {
    Call call("operator[]", where_of(index));
    const UOp x = call.node(*this);
    const Plan plan = parse(call, x, index);
    const UOp part = cut(x, plan);
    if (plan.axes.empty()) return call.wrap(ir::reshape(part, result_of(part, plan)));
    const Layout layout = layout_of(part, plan);
    const UOp flat = ir::reshape(ir::permute(part, layout.order), layout.flat);
    const UOp gathered = ir::gather(flat, layout.index, layout.axis);
    return call.wrap(ir::reshape(ir::permute(gathered, layout.placing), layout.result));
}

Tensor& Tensor::set(std::initializer_list<Index> index, const Arg& value) {
    return set(std::span<const Index>(index.begin(), index.size()), value);
}

Tensor& Tensor::set(std::span<const Index> index, const Arg& value) {
    Call call("set", value);
    const UOp x = call.node(*this);
    const UOp source = value.tensor() == nullptr ? scalar_node(value.scalar(), x->dtype())
                                                 : ir::cast(call.node(value), x->dtype());
    // One mask over leading axes and one value: a choice, which needs not know how many elements
    // there are.
    if (index.size() == 1 && index[0].kind() == Index::Kind::Tensor && source->numel() == 1) {
        const UOp mask = call.node(index[0].tensor());
        const bool fits = mask->rank() <= x->rank() &&
                          std::ranges::equal(mask->shape(), x->shape().first(mask->rank()));
        if (mask->dtype() == boolean && fits) {
            ir::Shape ones = shape_of(mask);
            ones.resize(x->rank(), 1);
            const UOp one = ir::reshape(source, {});
            *this =
                call.wrap(ir::assign(x, ir::where(expand_to(ir::reshape(mask, ones), x->shape()),
                                                  expand_to(one, x->shape()), x)));
            return *this;
        }
    }
    const Plan plan = parse(call, x, index);
    const UOp part = cut(x, plan);
    UOp changed;
    if (plan.axes.empty()) {
        changed = ir::reshape(fit(source, result_of(part, plan), x), part->shape());
    } else {
        const Layout layout = layout_of(part, plan);
        const UOp flat = ir::reshape(ir::permute(part, layout.order), layout.flat);
        const UOp placed =
            ir::reshape(fit(source, layout.result, x), permuted(layout.gathered, layout.placing));
        const UOp rows = ir::permute(placed, inverse(layout.placing));
        const UOp scattered =
            ir::scatter(ir::ReduceKind::Set, flat, layout.index, rows, layout.axis);
        changed = ir::permute(ir::reshape(scattered, permuted(part->shape(), layout.order)),
                              inverse(layout.order));
    }
    *this = call.wrap(ir::assign(x, is_whole(plan, x) ? changed : place(x, changed, plan)));
    return *this;
}

}  // namespace sinter
