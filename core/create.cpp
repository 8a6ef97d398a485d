#include <sinter/create.h>

#include <cmath>

#include <sinter/elementwise.h>
#include <sinter/movement.h>
#include <sinter/runtime/realize.h>

#include "call.h"
#include "capture.h"

namespace sinter {
namespace {

using ir::Op;

UOp index_along(DType dtype, Ints shape, std::int64_t axis) { return ir::iota(dtype, shape, axis); }

Tensor new_buffer(const Shape& shape, DType dtype, std::shared_ptr<runtime::Memory> memory) {
    UOp node = runtime::make_buffer(dtype, shape, std::move(memory));
    const std::int64_t device = node->arg(1);
    return Tensor(std::move(node), device);
}

std::shared_ptr<runtime::Memory> new_memory(const Shape& shape, DType dtype) {
    const auto bytes = static_cast<std::size_t>(checked_numel(shape)) * size_of(dtype);
    return runtime::Memory::allocate(runtime::default_device(), bytes);
}

Tensor filled(const Shape& shape, const Scalar& value, DType dtype) {
    checked_numel(shape);
    return Tensor(scalar_node(value, dtype, shape), -1);
}

}  // namespace

Tensor empty(const Shape& shape, DType dtype, Where where) {
    const Call call("empty", where);
    return new_buffer(shape, dtype, new_memory(shape, dtype));
}

Tensor zeros(const Shape& shape, DType dtype, Where where) {
    const Call call("zeros", where);
    return filled(shape, 0, dtype);
}

Tensor ones(const Shape& shape, DType dtype, Where where) {
    const Call call("ones", where);
    return filled(shape, 1, dtype);
}

Tensor full(const Shape& shape, const Scalar& value, std::optional<DType> dtype, Where where) {
    const Call call("full", where);
    return filled(shape, value, dtype.value_or(value.dtype()));
}

Tensor scalar(const Scalar& value, std::optional<DType> dtype, Where where) {
    const Call call("scalar", where);
    const DType type = dtype.value_or(value.dtype());
    const bool real = is_float(type) || value.kind == DTypeKind::Float;
    // A captured function's scalars are told from one another, and from those of the world, even
    // where they are equal this time.
    const std::int64_t id = Capture::current() != nullptr ? Capture::new_id() : 0;
    return Tensor(
        real ? ir::bind(type, value.real, {}, id) : ir::bind_int(type, value.integer, {}, id), -1);
}

Tensor host_scalar(std::function<double()> value, DType dtype, Where where) {
    const Call call("host_scalar", where);
    if (!value) fail<ValueError>("there is no function to ask");
    const double now = value();
    Capture* const capture = Capture::current();
    if (capture == nullptr) return scalar(now, dtype, where);
    const Capture::HostBind bind = capture->new_host_bind();
    capture->add_action([value = std::move(value), dtype, index = bind.index](std::int64_t* bits) {
        bits[index] = ir::round_bits(dtype, value());
    });
    return Tensor(ir::bind(dtype, now, {}, bind.id), -1);
}

Tensor empty_like(const Arg& x, std::optional<DType> dtype) {
    Call call("empty_like", x);
    const UOp node = call.node(x);
    const Shape shape(shape_of(node));
    return new_buffer(shape, dtype.value_or(node->dtype()),
                      new_memory(shape, dtype.value_or(node->dtype())));
}

Tensor full_like(const Arg& x, const Scalar& value, std::optional<DType> dtype) {
    Call call("full_like", x);
    const UOp node = call.node(x);
    return call.wrap(scalar_node(value, dtype.value_or(node->dtype()), node->shape()));
}

Tensor zeros_like(const Arg& x, std::optional<DType> dtype) { return full_like(x, 0, dtype); }
Tensor ones_like(const Arg& x, std::optional<DType> dtype) { return full_like(x, 1, dtype); }

Tensor from_data(const void* data, const Shape& shape, DType dtype, Where where) {
    const Call call("from_data", where);
    auto memory = new_memory(shape, dtype);
    const auto bytes = static_cast<std::size_t>(checked_numel(shape)) * size_of(dtype);
    runtime::write_memory(*memory, data, bytes);
    return new_buffer(shape, dtype, std::move(memory));
}

Tensor from_blob(void* data, const Shape& shape, DType dtype, Where where) {
    const Call call("from_blob", where);
    const auto bytes = static_cast<std::size_t>(checked_numel(shape)) * size_of(dtype);
    if (data == nullptr && bytes != 0)
        fail<ValueError>("no memory was given for " + text(shape) + " of " +
                         std::string(name(dtype)));
    if (reinterpret_cast<std::uintptr_t>(data) % std::max<std::size_t>(size_of(dtype), 1) != 0)
        fail<ValueError>("the memory is not aligned to its elements of " +
                         std::to_string(size_of(dtype)) + " bytes: use from_data, which copies");
    return new_buffer(shape, dtype, runtime::Memory::borrow(data, bytes));
}

Tensor arange(const Scalar& end, std::optional<DType> dtype, Where where) {
    return arange(Scalar(0), end, Scalar(1), dtype, where);
}

Tensor arange(const Scalar& begin, const Scalar& end, const Scalar& step,
              std::optional<DType> dtype, Where where) {
    const Call call("arange", where);
    const DType natural = promote(promote(begin.dtype(), end.dtype()), step.dtype());
    const DType out = dtype.value_or(natural == boolean ? i64 : natural);
    if (out == boolean) fail<DTypeError>("is not defined for bool");
    if (!std::isfinite(begin.real) || !std::isfinite(end.real) || !std::isfinite(step.real))
        fail<ValueError>("begin, end and step must be finite");
    if (step.real == 0) fail<ValueError>("the step may not be 0");
    if ((end.real - begin.real) / step.real < 0)
        fail<ValueError>("the step leads away from the end: from " + std::to_string(begin.real) +
                         " to " + std::to_string(end.real) + " by " + std::to_string(step.real));
    const double count = std::ceil((end.real - begin.real) / step.real);
    if (count >= 0x1p60) fail<ShapeError>("sizes overflow: too many numbers");
    const ir::Shape shape{static_cast<std::int64_t>(count)};
    if (is_float(out)) {
        // In f64, rounded once: begin + i * step.
        const UOp i = ir::cast(index_along(i64, shape, 0), f64);
        const UOp x =
            ir::binary(Op::Add, like(i, begin.real), ir::binary(Op::Mul, i, like(i, step.real)));
        return Tensor(ir::cast(x, out), -1);
    }
    const bool whole = begin.kind != DTypeKind::Float && step.kind != DTypeKind::Float;
    const std::int64_t first = whole ? begin.integer : static_cast<std::int64_t>(begin.real);
    const std::int64_t by = whole ? step.integer : static_cast<std::int64_t>(step.real);
    UOp x = index_along(out, shape, 0);
    if (by != 1) x = ir::binary(Op::Mul, x, ir::constant_int(out, by, shape));
    if (first != 0) x = ir::binary(Op::Add, x, ir::constant_int(out, first, shape));
    return Tensor(x, -1);
}

Tensor linspace(double first, double last, std::int64_t count, DType dtype, Where where) {
    const Call call("linspace", where);
    if (count < 0) fail<ValueError>("the count may not be negative: " + text(count));
    const ir::Shape shape{count};
    checked_numel(shape);
    if (count <= 1) return Tensor(ir::constant(dtype, first, shape), -1);
    // From the nearer end, so that both ends are exact.
    const double step = (last - first) / static_cast<double>(count - 1);
    const UOp i = ir::cast(index_along(i64, shape, 0), f64);
    const UOp back = ir::binary(Op::Sub, like(i, static_cast<double>(count - 1)), i);
    const UOp head = ir::binary(Op::Add, like(i, first), ir::binary(Op::Mul, i, like(i, step)));
    const UOp tail = ir::binary(Op::Sub, like(i, last), ir::binary(Op::Mul, back, like(i, step)));
    return Tensor(ir::cast(ir::where(ir::binary(Op::Lt, i, back), head, tail), dtype), -1);
}

Tensor logspace(double first, double last, std::int64_t count, double base, DType dtype,
                Where where) {
    const Call call("logspace", where);
    const Tensor power = linspace(first, last, count, f64, where);
    return cast(pow(full(power.shape(), base, f64), power), dtype);
}

Tensor eye(std::int64_t rows, std::optional<std::int64_t> columns, DType dtype, Where where) {
    const Call call("eye", where);
    const ir::Shape shape{rows, columns.value_or(rows)};
    checked_numel(shape);
    return Tensor(
        ir::cast(ir::binary(Op::Eq, ir::iota(i64, shape, 0), ir::iota(i64, shape, 1)), dtype), -1);
}

namespace {

Tensor triangle(std::string_view op, const Arg& x, std::int64_t diagonal, bool lower) {
    Call call(op, x);
    const UOp value = call.node(x);
    if (value->rank() < 2) fail<ShapeError>("needs two axes or more, got " + text(value));
    const auto rank = static_cast<std::int64_t>(value->rank());
    const UOp row = ir::iota(i64, value->shape(), rank - 2);
    const UOp column = ir::iota(i64, value->shape(), rank - 1);
    const UOp edge = ir::binary(Op::Add, row, ir::constant_int(i64, diagonal, value->shape()));
    const UOp keep = lower ? ir::binary(Op::Le, column, edge) : ir::binary(Op::Le, edge, column);
    return call.wrap(ir::where(keep, value, scalar_node(0, value->dtype(), value->shape())));
}

}  // namespace

Tensor tril(const Arg& x, std::int64_t diagonal) { return triangle("tril", x, diagonal, true); }
Tensor triu(const Arg& x, std::int64_t diagonal) { return triangle("triu", x, diagonal, false); }

Tensor diag(const Arg& x, std::int64_t offset) {
    Call call("diag", x);
    const UOp value = call.node(x);
    if (value->rank() == 2) return diagonal(x, offset);
    if (value->rank() != 1) fail<ShapeError>("takes a vector or a matrix, got " + text(value));
    const std::int64_t n = value->shape()[0], size = n + std::abs(offset);
    const ir::Shape square{size, size};
    checked_numel(square);
    // Each column holds one element of the vector, at the row that the offset names.
    const ir::Shape before{std::max<std::int64_t>(offset, 0)};
    const ir::Shape after{std::max<std::int64_t>(-offset, 0)};
    const UOp columns = expand_to(ir::pad(value, before, after), square);
    const UOp on = ir::binary(
        Op::Eq, ir::iota(i64, square, 1),
        ir::binary(Op::Add, ir::iota(i64, square, 0), ir::constant_int(i64, offset, square)));
    return call.wrap(ir::where(on, columns, scalar_node(0, value->dtype(), square)));
}

Tensor one_hot(const Arg& x, std::int64_t classes) {
    Call call("one_hot", x);
    const UOp value = call.node(x);
    if (!is_integer(value->dtype())) fail<DTypeError>("takes integers, got " + text(value));
    if (classes < 0)
        fail<ValueError>("the number of classes may not be negative: " + text(classes));
    ir::Shape shape = shape_of(value), column = shape;
    shape.push_back(classes);
    column.push_back(1);
    checked_numel(shape);
    const UOp wide = expand_to(ir::reshape(ir::cast(value, i64), column), shape);
    return call.wrap(ir::cast(
        ir::binary(Op::Eq, wide, ir::iota(i64, shape, static_cast<std::int64_t>(shape.size()) - 1)),
        i64));
}

}  // namespace sinter
