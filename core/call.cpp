#include "call.h"

#include <algorithm>

#include <sinter/runtime/realize.h>

namespace sinter {

UOp Call::node(const Tensor& x) {
    UOp node = x.node(where());
    std::int64_t device = x.device_hint();
    if (device >= 0) {
        if (device_ >= 0 && device != device_)
            fail<DeviceError>("operands are on different devices, " +
                              std::string(Device::from_id(device_).name()) + " and " +
                              std::string(Device::from_id(device).name()) + " (" + text(node) +
                              "); move one with to(Device(...))");
        device_ = device;
    } else if (device == -2 && device_ < 0) {
        device_ = -2;
    }
    return node;
}

UOp Call::node(const Arg& x) {
    if (x.tensor() != nullptr) return node(*x.tensor());
    return scalar_node(x.scalar(), x.scalar().dtype());
}

UOp Call::float_node(const Arg& x) {
    UOp value = node(x);
    return ir::cast(value, float_type(value->dtype()));
}

std::string text(Ints sizes) {
    std::string out = "[";
    for (std::size_t i = 0; i < sizes.size(); ++i)
        out += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
    return out + "]";
}

std::string text(const UOp& x) { return std::string(name(x->dtype())) + text(x->shape()); }

ir::Shape shape_of(const UOp& x) { return {x->shape().begin(), x->shape().end()}; }

std::int64_t checked_numel(Ints shape) {
    std::int64_t n = 1;
    bool overflow = false, empty = false;
    for (const std::int64_t size : shape) {
        if (size < 0) fail<ShapeError>("sizes may not be negative: " + text(shape));
        if (size == 0) empty = true;
        overflow = overflow || __builtin_mul_overflow(n, std::max<std::int64_t>(size, 1), &n);
    }
    // Bytes must fit too, whatever the dtype.
    if (overflow || n > INT64_MAX / 8)
        fail<ShapeError>("sizes overflow: " + text(shape) +
                         " has more elements than 64 bits count");
    return empty ? 0 : n;
}

std::int64_t checked_axis(std::int64_t axis, std::size_t rank, const UOp& x) {
    const auto n = static_cast<std::int64_t>(rank);
    if (axis < -n || axis >= n)
        fail<ShapeError>("axis " + text(axis) + " is outside the " + text(n) + " axes " +
                         (x ? "of " + text(x) : std::string("there are")) +
                         (n == 0 ? std::string(" (a scalar has none)")
                                 : " (" + text(-n) + " to " + text(n - 1) + ")"));
    return axis < 0 ? axis + n : axis;
}

ir::Shape ordered_axes(const Axes& axes, const UOp& x) {
    const std::size_t rank = x->rank();
    ir::Shape out;
    if (axes.all()) {
        for (std::size_t d = 0; d < rank; ++d) out.push_back(static_cast<std::int64_t>(d));
        return out;
    }
    for (const std::int64_t axis : axes.list()) {
        const std::int64_t d = checked_axis(axis, x);
        if (std::ranges::find(out, d) != out.end())
            fail<ShapeError>("axis " + text(axis) + " is named twice in " + text(axes.list()) +
                             " of " + text(x));
        out.push_back(d);
    }
    return out;
}

ir::Shape checked_axes(const Axes& axes, const UOp& x) {
    ir::Shape out = ordered_axes(axes, x);
    std::ranges::sort(out);
    return out;
}

ir::Shape broadcast_shapes(Ints a, Ints b) {
    ir::Shape out(std::max(a.size(), b.size()));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
        const std::int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
        if (x != y && x != 1 && y != 1)
            fail<ShapeError>("shapes " + text(a) + " and " + text(b) + " do not broadcast: axis -" +
                             text(static_cast<std::int64_t>(i) + 1) + " is " + text(x) + " and " +
                             text(y));
        out[out.size() - 1 - i] = x == 1 ? y : x;
    }
    checked_numel(out);
    return out;
}

UOp expand_to(const UOp& x, Ints shape) {
    if (std::ranges::equal(x->shape(), shape)) return x;
    if (x->is(ir::Op::Const)) {
        ir::Shape args{x->arg(0)};
        args.insert(args.end(), shape.begin(), shape.end());
        return UOp::make(ir::Op::Const, x->dtype(), {}, args);
    }
    ir::Shape ones(shape.size() - x->rank(), 1);
    ones.insert(ones.end(), x->shape().begin(), x->shape().end());
    return ir::expand(ir::reshape(x, ones), shape);
}

UOp scalar_node(const Scalar& value, DType dtype, Ints shape) {
    if (is_float(dtype) || value.kind == DTypeKind::Float)
        return ir::constant(dtype, value.real, shape);
    return ir::constant_int(dtype, dtype == boolean ? value.integer != 0 : value.integer, shape);
}

UOp like(const UOp& x, double value) { return ir::constant(x->dtype(), value, x->shape()); }

DType float_type(DType dt) { return is_float(dt) ? dt : f32; }

DType Scalar::dtype() const {
    switch (kind) {
        case DTypeKind::Bool:
            return boolean;
        case DTypeKind::Signed:
        case DTypeKind::Unsigned:
            return i64;
        case DTypeKind::Float:
        case DTypeKind::None:
            return f32;
    }
    return f32;
}

namespace {

DType weak_type(DType tensor, const Scalar& number) {
    switch (number.kind) {
        case DTypeKind::Bool:
            return tensor;
        case DTypeKind::Signed:
        case DTypeKind::Unsigned:
            return tensor == boolean ? i64 : tensor;
        case DTypeKind::Float:
        case DTypeKind::None:
            return float_type(tensor);
    }
    return tensor;
}

}  // namespace

DType result_type(const Arg& a, const Arg& b) {
    if (a.tensor() != nullptr && b.tensor() != nullptr)
        return promote(a.tensor()->dtype(), b.tensor()->dtype());
    if (a.tensor() != nullptr) return weak_type(a.tensor()->dtype(), b.scalar());
    if (b.tensor() != nullptr) return weak_type(b.tensor()->dtype(), a.scalar());
    return promote(a.scalar().dtype(), b.scalar().dtype());
}

Two match_as(Call& call, const Arg& a, const Arg& b, DType dtype) {
    const auto operand = [&](const Arg& x) {
        UOp node;
        if (x.tensor() == nullptr) return node;
        node = call.node(*x.tensor());
        if (node->dtype() != dtype) node = ir::cast(node, dtype);
        return node;
    };
    // Handles are counted atomically and nodes are looked up: the usual cases make no more of them
    // than they need.
    Two two{operand(a), operand(b)};
    if (!two.a) two.a = scalar_node(a.scalar(), dtype, two.b ? two.b->shape() : Ints());
    if (!two.b) two.b = scalar_node(b.scalar(), dtype, two.a->shape());
    if (!std::ranges::equal(two.a->shape(), two.b->shape())) {
        const ir::Shape shape = broadcast_shapes(two.a->shape(), two.b->shape());
        two = {expand_to(two.a, shape), expand_to(two.b, shape)};
    }
    return two;
}

Two match(Call& call, const Arg& a, const Arg& b, bool as_float) {
    const DType dtype = result_type(a, b);
    return match_as(call, a, b, as_float ? float_type(dtype) : dtype);
}

}  // namespace sinter
