#include <sinter/movement.h>

#include <algorithm>
#include <numeric>

#include "call.h"

namespace sinter {
namespace {

ir::Shape identity_axes(std::size_t rank) {
    ir::Shape axes(rank);
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
}

std::size_t at_axis(std::int64_t axis) { return static_cast<std::size_t>(axis); }

// Fills in one size of -1 so that the product is `numel`.
ir::Shape inferred(const Shape& shape, std::int64_t numel, const UOp& x) {
    ir::Shape out(shape.begin(), shape.end());
    std::int64_t open = -1, known = 1;
    for (std::size_t d = 0; d < out.size(); ++d) {
        if (out[d] == -1) {
            if (open >= 0) fail<ShapeError>("only one size may be -1: " + text(shape));
            open = static_cast<std::int64_t>(d);
        } else if (out[d] < 0) {
            fail<ShapeError>("sizes may not be negative: " + text(shape));
        } else if (__builtin_mul_overflow(known, out[d], &known)) {
            fail<ShapeError>("sizes overflow: " + text(shape));
        }
    }
    const auto mismatch = [&] {
        fail<ShapeError>(text(x) + " with " + text(numel) + " elements cannot become " +
                         text(shape));
    };
    if (open >= 0) {
        if (known == 0)
            fail<ShapeError>("-1 in " + text(shape) +
                             " is ambiguous: the other sizes have no elements");
        if (numel % known != 0) mismatch();
        out[at_axis(open)] = numel / known;
    } else if (known != numel) {
        mismatch();
    }
    return out;
}

UOp shrink_axis(const UOp& x, std::int64_t axis, std::int64_t begin, std::int64_t end) {
    ir::Shape from(x->rank(), 0), to = shape_of(x);
    from[at_axis(axis)] = begin;
    to[at_axis(axis)] = end;
    return ir::shrink(x, from, to);
}

UOp swap_axes(const UOp& x, std::int64_t a, std::int64_t b) {
    ir::Shape axes = identity_axes(x->rank());
    std::swap(axes[at_axis(a)], axes[at_axis(b)]);
    return ir::permute(x, axes);
}

// Pieces put side by side: each padded to the whole, and one chosen by position. Movement that the
// scheduler fuses.
UOp join(std::span<const UOp> parts, std::int64_t axis) {
    if (parts.size() == 1) return parts[0];
    ir::Shape whole = shape_of(parts[0]);
    std::int64_t total = 0;
    for (const UOp& p : parts) total += p->shape()[at_axis(axis)];
    whole[at_axis(axis)] = total;
    checked_numel(whole);
    const UOp position = ir::iota(i64, whole, axis);
    UOp out;
    std::int64_t begin = 0;
    for (const UOp& p : parts) {
        const std::int64_t size = p->shape()[at_axis(axis)];
        ir::Shape before(whole.size(), 0), after(whole.size(), 0);
        before[at_axis(axis)] = begin;
        after[at_axis(axis)] = total - begin - size;
        const UOp padded = ir::pad(p, before, after);
        out = out ? ir::where(ir::binary(ir::Op::Lt, position, ir::constant_int(i64, begin, whole)),
                              out, padded)
                  : padded;
        begin += size;
    }
    return out;
}

}  // namespace

Tensor reshape(const Arg& x, const Shape& shape) {
    Call call("reshape", x);
    const UOp value = call.node(x);
    return call.wrap(ir::reshape(value, inferred(shape, value->numel(), value)));
}

Tensor view(const Arg& x, const Shape& shape) {
    const Call call("view", x);
    return reshape(x, shape);
}

Tensor flatten(const Arg& x, std::int64_t first, std::int64_t last) {
    Call call("flatten", x);
    const UOp value = call.node(x);
    const ir::Shape in = shape_of(value);
    if (in.empty()) return call.wrap(ir::reshape(value, ir::Shape{1}));
    const std::int64_t from = checked_axis(first, value), to = checked_axis(last, value);
    if (from > to)
        fail<ShapeError>("the first axis " + text(first) + " comes after the last " + text(last));
    ir::Shape out(in.begin(), in.begin() + from);
    out.push_back(std::accumulate(in.begin() + from, in.begin() + to + 1, std::int64_t{1},
                                  std::multiplies<>()));
    out.insert(out.end(), in.begin() + to + 1, in.end());
    return call.wrap(ir::reshape(value, out));
}

Tensor unflatten(const Arg& x, std::int64_t axis, const Shape& sizes) {
    Call call("unflatten", x);
    const UOp value = call.node(x);
    const ir::Shape in = shape_of(value);
    const std::int64_t d = checked_axis(axis, value);
    const ir::Shape middle = inferred(sizes, in[at_axis(d)], value);
    ir::Shape out(in.begin(), in.begin() + d);
    out.insert(out.end(), middle.begin(), middle.end());
    out.insert(out.end(), in.begin() + d + 1, in.end());
    return call.wrap(ir::reshape(value, out));
}

Tensor squeeze(const Arg& x, const Axes& axes) {
    Call call("squeeze", x);
    const UOp value = call.node(x);
    const ir::Shape which = checked_axes(axes, value);
    ir::Shape out;
    for (std::size_t d = 0; d < value->rank(); ++d)
        if (value->shape()[d] != 1 ||
            !std::ranges::binary_search(which, static_cast<std::int64_t>(d)))
            out.push_back(value->shape()[d]);
    return call.wrap(ir::reshape(value, out));
}

Tensor unsqueeze(const Arg& x, std::int64_t axis) {
    Call call("unsqueeze", x);
    const UOp value = call.node(x);
    ir::Shape out = shape_of(value);
    const std::int64_t d = checked_axis(axis, out.size() + 1);
    out.insert(out.begin() + d, 1);
    return call.wrap(ir::reshape(value, out));
}

Tensor permute(const Arg& x, const Axes& axes) {
    Call call("permute", x);
    const UOp value = call.node(x);
    ir::Shape order = ordered_axes(axes, value);
    if (axes.all()) std::ranges::reverse(order);
    if (order.size() != value->rank())
        fail<ShapeError>("needs each of the " + std::to_string(value->rank()) + " axes of " +
                         text(value) + " once, got " + text(axes.list()));
    return call.wrap(ir::permute(value, order));
}

Tensor transpose(const Arg& x, std::int64_t a, std::int64_t b) {
    Call call("transpose", x);
    const UOp value = call.node(x);
    return call.wrap(swap_axes(value, checked_axis(a, value), checked_axis(b, value)));
}

Tensor mT(const Arg& x) {
    Call call("mT", x);
    const UOp value = call.node(x);
    if (value->rank() < 2) fail<ShapeError>("needs two axes or more, got " + text(value));
    const auto rank = static_cast<std::int64_t>(value->rank());
    return call.wrap(swap_axes(value, rank - 2, rank - 1));
}

Tensor movedim(const Arg& x, const Axes& source, const Axes& destination) {
    Call call("movedim", x);
    const UOp value = call.node(x);
    const ir::Shape from = ordered_axes(source, value);
    const ir::Shape to = ordered_axes(destination, value);
    if (from.size() != to.size())
        fail<ShapeError>("moves " + text(from) + " to " + text(to) + ": not equally many axes");
    ir::Shape order(value->rank(), -1), rest;
    for (std::size_t i = 0; i < from.size(); ++i) order[at_axis(to[i])] = from[i];
    for (const std::int64_t d : identity_axes(value->rank()))
        if (std::ranges::find(from, d) == from.end()) rest.push_back(d);
    auto next = rest.begin();
    for (std::int64_t& d : order)
        if (d < 0) d = *next++;
    return call.wrap(ir::permute(value, order));
}

Tensor expand(const Arg& x, const Shape& shape) {
    Call call("expand", x);
    const UOp value = call.node(x);
    const ir::Shape in = shape_of(value);
    ir::Shape out(shape.begin(), shape.end());
    const auto mismatch = [&](const std::string& why) {
        fail<ShapeError>(text(value) + " cannot expand to " + text(shape) + ": " + why);
    };
    if (out.size() < in.size()) mismatch("there are fewer sizes than axes");
    const std::size_t front = out.size() - in.size();
    for (std::size_t d = 0; d < out.size(); ++d) {
        if (out[d] == -1 && d >= front) out[d] = in[d - front];
        if (out[d] < 0) mismatch("sizes may not be negative");
        if (d >= front && in[d - front] != 1 && in[d - front] != out[d])
            mismatch("axis " + std::to_string(d - front) + " is " + text(in[d - front]) +
                     ", only axes of size 1 expand");
    }
    checked_numel(out);
    return call.wrap(expand_to(value, out));
}

Tensor broadcast_to(const Arg& x, const Shape& shape) {
    const Call call("broadcast_to", x);
    checked_numel(shape);
    return expand(x, shape);
}

Tensor flip(const Arg& x, const Axes& axes) {
    Call call("flip", x);
    const UOp value = call.node(x);
    return call.wrap(ir::flip(value, checked_axes(axes, value)));
}

Tensor roll(const Arg& x, const Axes& shifts, const Axes& axes) {
    Call call("roll", x);
    UOp value = call.node(x);
    const ir::Shape shape = shape_of(value);
    if (axes.all()) {
        if (shifts.list().size() != 1)
            fail<ShapeError>("takes one shift where no axis is named, got " + text(shifts.list()));
        value = ir::reshape(value, ir::Shape{value->numel()});
    }
    const ir::Shape which = ordered_axes(axes, value);
    if (which.size() != shifts.list().size())
        fail<ShapeError>("takes one shift an axis: shifts " + text(shifts.list()) + ", axes " +
                         text(which));
    for (std::size_t i = 0; i < which.size(); ++i) {
        const std::int64_t n = value->shape()[at_axis(which[i])];
        if (n == 0) continue;
        const std::int64_t by = ((shifts.list()[i] % n) + n) % n;
        if (by == 0) continue;
        const UOp parts[] = {shrink_axis(value, which[i], n - by, n),
                             shrink_axis(value, which[i], 0, n - by)};
        value = join(parts, which[i]);
    }
    return call.wrap(ir::reshape(value, shape));
}

Tensor rot90(const Arg& x, std::int64_t turns, std::int64_t a, std::int64_t b) {
    Call call("rot90", x);
    UOp value = call.node(x);
    const std::int64_t from = checked_axis(a, value), to = checked_axis(b, value);
    if (from == to) fail<ShapeError>("needs two different axes, got " + text(a) + " twice");
    const ir::Shape at_from{from}, at_to{to};
    switch (((turns % 4) + 4) % 4) {
        case 1:
            value = swap_axes(ir::flip(value, at_to), from, to);
            break;
        case 2:
            value = ir::flip(value, ir::Shape{std::min(from, to), std::max(from, to)});
            break;
        case 3:
            value = ir::flip(swap_axes(value, from, to), at_to);
            break;
        default:
            break;
    }
    return call.wrap(value);
}

namespace {

// [.., n, ..] to [.., count, n, ..] (inner false) or [.., n, count, ..], then joined.
UOp repeat_axis(const UOp& x, std::size_t d, std::int64_t count, bool inner) {
    ir::Shape one = shape_of(x), many = one, out = one;
    const auto where = static_cast<std::ptrdiff_t>(d) + (inner ? 1 : 0);
    one.insert(one.begin() + where, 1);
    many.insert(many.begin() + where, count);
    if (__builtin_mul_overflow(out[d], count, &out[d]))
        fail<ShapeError>("sizes overflow: " + text(x) + " repeated " + text(count) + " times");
    checked_numel(out);
    return ir::reshape(expand_to(ir::reshape(x, one), many), out);
}

Tensor repeated(Call& call, UOp value, const Shape& counts) {
    ir::Shape shape = shape_of(value);
    if (counts.size() < shape.size())
        fail<ShapeError>("needs a count for each axis of " + text(value) + ", got " + text(counts));
    shape.insert(shape.begin(), counts.size() - shape.size(), 1);
    value = ir::reshape(value, shape);
    for (std::size_t d = 0; d < shape.size(); ++d) {
        if (counts[d] < 0) fail<ShapeError>("counts may not be negative: " + text(counts));
        if (counts[d] != 1) value = repeat_axis(value, d, counts[d], false);
    }
    return call.wrap(value);
}

}  // namespace

Tensor repeat(const Arg& x, const Shape& counts) {
    Call call("repeat", x);
    return repeated(call, call.node(x), counts);
}

Tensor tile(const Arg& x, const Shape& counts) {
    Call call("tile", x);
    const UOp value = call.node(x);
    Shape all = counts;
    if (all.size() < value->rank()) all.insert(all.begin(), value->rank() - all.size(), 1);
    return repeated(call, value, all);
}

Tensor repeat_interleave(const Arg& x, std::int64_t count, std::optional<std::int64_t> axis) {
    Call call("repeat_interleave", x);
    UOp value = call.node(x);
    if (count < 0) fail<ShapeError>("the count may not be negative: " + text(count));
    if (!axis) value = ir::reshape(value, ir::Shape{value->numel()});
    const std::int64_t d = checked_axis(axis.value_or(0), value);
    return call.wrap(repeat_axis(value, at_axis(d), count, true));
}

Tensor narrow(const Arg& x, std::int64_t axis, std::int64_t start, std::int64_t length) {
    Call call("narrow", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value), n = value->shape()[at_axis(d)];
    const std::int64_t begin = start < 0 ? start + n : start;
    if (begin < 0 || length < 0 || begin > n || length > n - begin)
        fail<IndexError>("start " + text(start) + " and length " + text(length) +
                         " leave the axis of " + text(n) + " elements (axis " + text(axis) +
                         " of " + text(value) + ")");
    return call.wrap(shrink_axis(value, d, begin, begin + length));
}

namespace {

// All in one dtype; one axis may differ if it is named.
std::vector<UOp> same_kind(Call& call, std::span<const Tensor> tensors, std::int64_t free_axis) {
    std::vector<UOp> nodes;
    for (const Tensor& t : tensors) nodes.push_back(call.node(t));
    DType dt = nodes[0]->dtype();
    for (const UOp& n : nodes) dt = promote(dt, n->dtype());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        bool fits = nodes[i]->rank() == nodes[0]->rank();
        for (std::size_t d = 0; fits && d < nodes[i]->rank(); ++d)
            fits = static_cast<std::int64_t>(d) == free_axis ||
                   nodes[i]->shape()[d] == nodes[0]->shape()[d];
        if (!fits)
            fail<ShapeError>("tensor " + std::to_string(i) + " is " + text(nodes[i]) +
                             ", tensor 0 is " + text(nodes[0]) +
                             (free_axis >= 0
                                  ? ": sizes may differ along axis " + text(free_axis) + " only"
                                  : ": shapes must be equal"));
        nodes[i] = ir::cast(nodes[i], dt);
    }
    return nodes;
}

}  // namespace

Tensor cat(std::span<const Tensor> tensors, std::int64_t axis, Where where) {
    Call call("cat", where);
    if (tensors.empty()) fail<ValueError>("needs at least one tensor");
    const std::int64_t d = checked_axis(axis, call.node(tensors[0]));
    return call.wrap(join(same_kind(call, tensors, d), d));
}
Tensor cat(std::initializer_list<Tensor> tensors, std::int64_t axis, Where where) {
    return cat(std::span<const Tensor>(tensors.begin(), tensors.size()), axis, where);
}

Tensor stack(std::span<const Tensor> tensors, std::int64_t axis, Where where) {
    Call call("stack", where);
    if (tensors.empty()) fail<ValueError>("needs at least one tensor");
    const std::int64_t d = checked_axis(axis, call.node(tensors[0])->rank() + 1);
    std::vector<UOp> parts = same_kind(call, tensors, -1);
    ir::Shape shape = shape_of(parts[0]);
    shape.insert(shape.begin() + d, 1);
    for (UOp& p : parts) p = ir::reshape(p, shape);
    return call.wrap(join(parts, d));
}
Tensor stack(std::initializer_list<Tensor> tensors, std::int64_t axis, Where where) {
    return stack(std::span<const Tensor>(tensors.begin(), tensors.size()), axis, where);
}

namespace {

std::vector<Tensor> pieces(Call& call, const UOp& value, Ints sizes, std::int64_t axis) {
    std::vector<Tensor> out;
    std::int64_t begin = 0;
    for (const std::int64_t size : sizes) {
        out.push_back(call.wrap(shrink_axis(value, axis, begin, begin + size)));
        begin += size;
    }
    return out;
}

std::vector<Tensor> even_pieces(Call& call, const UOp& value, std::int64_t size,
                                std::int64_t axis) {
    const std::int64_t n = value->shape()[at_axis(axis)];
    ir::Shape sizes;
    for (std::int64_t begin = 0; begin < n; begin += size)
        sizes.push_back(std::min(size, n - begin));
    if (n == 0) sizes.push_back(0);
    return pieces(call, value, sizes, axis);
}

}  // namespace

std::vector<Tensor> split(const Arg& x, std::int64_t size, std::int64_t axis) {
    Call call("split", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value);
    if (size <= 0) fail<ValueError>("the size of a piece must be positive, got " + text(size));
    return even_pieces(call, value, size, d);
}

std::vector<Tensor> split(const Arg& x, const std::vector<std::int64_t>& sizes, std::int64_t axis) {
    Call call("split", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value), n = value->shape()[at_axis(d)];
    std::int64_t total = 0;
    for (const std::int64_t size : sizes) {
        if (size < 0 || size > n)
            fail<ShapeError>("piece of " + text(size) + " from an axis of " + text(n));
        total += size;
    }
    if (total != n)
        fail<ShapeError>("sizes " + text(sizes) + " add up to " + text(total) + ", axis " +
                         text(axis) + " of " + text(value) + " has " + text(n));
    return pieces(call, value, sizes, d);
}

std::vector<Tensor> chunk(const Arg& x, std::int64_t count, std::int64_t axis) {
    Call call("chunk", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value), n = value->shape()[at_axis(d)];
    if (count <= 0) fail<ValueError>("the number of chunks must be positive, got " + text(count));
    return even_pieces(call, value, std::max<std::int64_t>((n - 1) / count + 1, 1), d);
}

std::vector<Tensor> unbind(const Arg& x, std::int64_t axis) {
    Call call("unbind", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value);
    ir::Shape shape = shape_of(value);
    const std::int64_t n = shape[at_axis(d)];
    shape.erase(shape.begin() + d);
    std::vector<Tensor> out;
    out.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i)
        out.push_back(call.wrap(ir::reshape(shrink_axis(value, d, i, i + 1), shape)));
    return out;
}

Tensor diagonal(const Arg& x, std::int64_t offset, std::int64_t a, std::int64_t b) {
    Call call("diagonal", x);
    UOp value = call.node(x);
    const std::int64_t row = checked_axis(a, value), column = checked_axis(b, value);
    if (row == column) fail<ShapeError>("needs two different axes, got " + text(a) + " twice");
    ir::Shape order;
    for (const std::int64_t d : identity_axes(value->rank()))
        if (d != row && d != column) order.push_back(d);
    order.push_back(row);
    order.push_back(column);
    value = ir::permute(value, order);
    const std::size_t r = value->rank() - 2, c = r + 1;
    ir::Shape shape = shape_of(value);
    const std::int64_t from_row = std::max<std::int64_t>(-offset, 0);
    const std::int64_t from_column = std::max<std::int64_t>(offset, 0);
    const std::int64_t n =
        std::max<std::int64_t>(std::min(shape[r] - from_row, shape[c] - from_column), 0);
    ir::Shape out(shape.begin(), shape.end() - 2);
    out.push_back(n);
    if (n == 0) {
        // No element: any empty piece of x has the right value.
        out.back() = 0;
        ir::Shape empty = shape;
        empty[r] = 0;
        return call.wrap(ir::reshape(ir::shrink(value, ir::Shape(empty.size(), 0), empty), out));
    }
    ir::Shape begin(shape.size(), 0), end = shape;
    begin[r] = from_row;
    begin[c] = from_column;
    end[r] = from_row + n;
    end[c] = from_column + n;
    value = ir::shrink(value, begin, end);
    // An n × n square, padded to rows of n + 1 and read as n rows of n... the diagonal becomes the
    // first column: element (i, i) lies at i * n + i = i * (n + 1).
    ir::Shape flat(out.begin(), out.end() - 1), rows = flat;
    flat.push_back(n * n);
    rows.push_back(n);
    rows.push_back(n + 1);
    value = ir::reshape(value, flat);
    ir::Shape head(flat.size(), 0), tail(flat.size(), 0);
    tail.back() = n;
    value = ir::reshape(ir::pad(value, head, tail), rows);
    ir::Shape first = rows;
    first.back() = 1;
    return call.wrap(ir::reshape(ir::shrink(value, ir::Shape(rows.size(), 0), first), out));
}

std::vector<Tensor> meshgrid(std::span<const Tensor> axes, Where where) {
    Call call("meshgrid", where);
    std::vector<UOp> nodes;
    ir::Shape whole;
    for (const Tensor& t : axes) {
        nodes.push_back(call.node(t));
        if (nodes.back()->rank() > 1) fail<ShapeError>("takes vectors, got " + text(nodes.back()));
        whole.push_back(nodes.back()->numel());
    }
    checked_numel(whole);
    std::vector<Tensor> out;
    for (std::size_t d = 0; d < nodes.size(); ++d) {
        ir::Shape line(whole.size(), 1);
        line[d] = whole[d];
        out.push_back(call.wrap(expand_to(ir::reshape(nodes[d], line), whole)));
    }
    return out;
}
std::vector<Tensor> meshgrid(std::initializer_list<Tensor> axes, Where where) {
    return meshgrid(std::span<const Tensor>(axes.begin(), axes.size()), where);
}

Tensor unfold(const Arg& x, std::int64_t axis, std::int64_t size, std::int64_t step) {
    Call call("unfold", x);
    const UOp value = call.node(x);
    const std::int64_t d = checked_axis(axis, value), n = value->shape()[at_axis(d)];
    if (size < 1 || size > n)
        fail<ShapeError>("a window of " + text(size) + " does not fit axis " + text(axis) + " of " +
                         text(value));
    if (step < 1) fail<ValueError>("the step must be positive, got " + text(step));
    return call.wrap(ir::window(value, d, size, step, 1));
}

Tensor contiguous(const Arg& x) {
    Call call("contiguous", x);
    return call.wrap(ir::contiguous(call.node(x)));
}

Tensor detach(const Arg& x) {
    Call call("detach", x);
    return call.wrap(ir::detach(call.node(x)));
}

Tensor to(const Arg& x, Device device) {
    Call call("to", x);
    const UOp value = call.node(x);
    if (call.device() == device.id()) return call.wrap(value);
    return call.wrap_on(ir::copy_to(value, device.id()), device.id());
}

}  // namespace sinter
