#include <sinter/tensor.h>

#include <new>

#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/ir/arena.h>
#include <sinter/runtime/realize.h>

#include "call.h"
#include "capture.h"
#include "convert.h"
#include "leaf.h"

namespace sinter {

static_assert(sizeof(UOp) == sizeof(void*) && alignof(UOp) <= alignof(void*));

// --- the handle

UOp& Tensor::handle() { return *std::launder(reinterpret_cast<UOp*>(storage_)); }
const UOp& Tensor::handle() const { return *std::launder(reinterpret_cast<const UOp*>(storage_)); }

// A capture on this thread is told of every Tensor that is made, read, written or ends.

Tensor::Tensor() {
    new (storage_) UOp();
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->constructed(this);
}
Tensor::Tensor(const Tensor& other) : device_(other.device_), leaf_(other.leaf_) {
    if (Capture* capture = Capture::current()) [[unlikely]] {
        capture->reads(other);
        capture->constructed(this);
    }
    new (storage_) UOp(other.handle());
}
Tensor::Tensor(Tensor&& other) noexcept : device_(other.device_), leaf_(std::move(other.leaf_)) {
    if (Capture* capture = Capture::current()) [[unlikely]] {
        capture->reads(other);
        capture->writes(other);
        capture->constructed(this);
    }
    new (storage_) UOp(std::move(other.handle()));
}
Tensor& Tensor::operator=(const Tensor& other) {
    if (this == &other) return *this;
    if (Capture* capture = Capture::current()) [[unlikely]] {
        capture->reads(other);
        capture->writes(*this);
    }
    handle() = other.handle();
    device_ = other.device_;
    leaf_ = other.leaf_;
    return *this;
}
Tensor& Tensor::operator=(Tensor&& other) noexcept {
    if (Capture* capture = Capture::current()) [[unlikely]] {
        capture->reads(other);
        capture->writes(other);
        capture->writes(*this);
    }
    handle() = std::move(other.handle());
    device_ = other.device_;
    leaf_ = std::move(other.leaf_);
    return *this;
}
Tensor::~Tensor() {
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->destroyed(this);
    if (watched_) [[unlikely]]
        end_watch();
    handle().~UOp();
}

Tensor::Tensor(UOp node) : Tensor(std::move(node), -2) {}
Tensor::Tensor(UOp node, std::int64_t device) : device_(static_cast<std::int32_t>(device)) {
    new (storage_) UOp(std::move(node));
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->constructed(this);
}

bool Tensor::defined() const {
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->reads(*this);
    return static_cast<bool>(handle());
}

void Tensor::require_defined(const Where& where) const {
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->reads(*this);
    if (handle()) return;
    const Call call("Tensor", where);
    fail<ValueError>("this Tensor has no value yet: assign one first");
}

UOp Tensor::node(Where where) const {
    require_defined(where);
    const UOp& value = handle();
    if (value->is(ir::Op::Assign))
        if (UOp buffer = runtime::realized(value)) return buffer;
    return value;
}

Shape Tensor::shape(Where where) const {
    require_defined(where);
    return Shape(handle()->shape().begin(), handle()->shape().end());
}

std::int64_t Tensor::size(std::int64_t axis, Where where) const {
    const Call call("size", where);
    const UOp value = node(where);
    return value->shape()[static_cast<std::size_t>(checked_axis(axis, value))];
}

std::int64_t Tensor::ndim(Where where) const {
    require_defined(where);
    return static_cast<std::int64_t>(handle()->rank());
}
std::int64_t Tensor::numel(Where where) const {
    require_defined(where);
    return handle()->numel();
}
DType Tensor::dtype(Where where) const {
    require_defined(where);
    return handle()->dtype();
}

Device Tensor::device(Where where) const {
    if (device_ >= 0) return Device::from_id(device_);
    if (device_ == -1) return default_device();
    const std::optional<std::int64_t> found = ir::device_of(node(where).get());
    return found ? Device::from_id(*found) : default_device();
}

// --- from C++ data

Tensor Tensor::scalar(const Scalar& value, DType dtype) {
    return Tensor(scalar_node(value, dtype), -1);
}

Tensor Tensor::from_host(const void* data, DType dtype, const Shape& shape, Where where) {
    const Call call("Tensor", where);
    return from_data(data, shape, dtype, where);
}

Tensor Tensor::from_span(const void* data, std::size_t n, DType dtype, const Shape& shape,
                         Where where) {
    const Call call("Tensor", where);
    const std::int64_t want = checked_numel(shape);
    if (want != static_cast<std::int64_t>(n))
        fail<ShapeError>(std::to_string(n) + " values do not fill " + text(shape) + ", which has " +
                         text(want) + " elements");
    return from_data(data, shape, dtype, where);
}

void Tensor::throw_uneven(Where where) {
    const Call call("Tensor", where);
    fail<ShapeError>("rows of a nested list must be equally long");
}

// --- running and reading

namespace {

// What the runtime says of a graph, said of the user's call.
std::vector<UOp> run(std::span<const UOp> roots, std::span<const std::uint32_t> replaced = {}) {
    try {
        return runtime::realize(roots, replaced);
    } catch (const IndexError& error) {
        fail<IndexError>(error.what());
    } catch (const DeviceError& error) {
        fail<DeviceError>(error.what());
    } catch (const OutOfMemoryError& error) {
        fail<OutOfMemoryError>(error.what());
    } catch (const std::bad_alloc&) {
        fail<OutOfMemoryError>("out of memory while the graph was compiled");
    }
}

}  // namespace

Tensor& Tensor::realize(Where where) {
    Tensor* const self[] = {this};
    realize(std::span<Tensor* const>(self), where);
    return *this;
}

void Tensor::realize(std::span<Tensor> tensors, Where where) {
    std::vector<Tensor*> all;
    for (Tensor& t : tensors) all.push_back(&t);
    realize(std::span<Tensor* const>(all), where);
}

void Tensor::realize(std::span<Tensor* const> tensors, Where where) {
    const Call call("realize", where);
    std::vector<UOp> roots;
    std::vector<std::uint32_t> replaced;  // by root: the handles that move to the result below
    roots.reserve(tensors.size());
    for (const Tensor* t : tensors) {
        roots.push_back(t->node(where));
        replaced.push_back(t->leaf_ ? 2 : 1);
    }
    std::vector<UOp> buffers = run(roots, replaced);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        if (Capture* capture = Capture::current()) [[unlikely]]
            capture->writes(*tensors[i]);
        TensorAccess::move_to(*tensors[i], std::move(buffers[i]));
    }
}

namespace {

// The node's memory, computed if need be.
UOp in_memory(const UOp& node) {
    if (UOp buffer = runtime::realized(node)) return buffer;
    return run(std::span<const UOp>(&node, 1)).front();
}

}  // namespace

void Tensor::compute(Where where) const {
    const Call call("to_vector", where);
    require_no_capture("values are read");
    (void)in_memory(node(where));
}

void Tensor::throw_no_room(std::size_t bytes, Where where) const {
    const Call call("to_vector", where);
    fail<OutOfMemoryError>("no memory for " + std::to_string(bytes) + " bytes of " +
                           text(node(where)));
}

void Tensor::read(void* out, DType as, Where where) const {
    const Call call("to_vector", where);
    require_no_capture("values are read");
    const UOp buffer = in_memory(node(where));
    const runtime::Memory& memory = runtime::memory_of(buffer);
    const auto count = static_cast<std::size_t>(buffer->numel());
    if (memory.device() != runtime::DeviceId::CUDA)
        return convert_elements(out, as, memory.data(), buffer->dtype(), count);
    std::vector<std::byte> elements(count * size_of(buffer->dtype()));
    runtime::read_memory(elements.data(), memory, elements.size());
    convert_elements(out, as, elements.data(), buffer->dtype(), count);
}

void Tensor::read_bytes(std::span<std::byte> out, Where where) const {
    const Call call("read_bytes", where);
    require_no_capture("values are read");
    const UOp buffer = in_memory(node(where));
    const std::size_t bytes = static_cast<std::size_t>(buffer->numel()) * size_of(buffer->dtype());
    if (out.size() != bytes)
        fail<ShapeError>(text(buffer) + " has " + std::to_string(bytes) + " bytes, the span " +
                         std::to_string(out.size()));
    runtime::read_memory(out.data(), runtime::memory_of(buffer), bytes);
}

void Tensor::read_one(void* out, DType as, Where where) const {
    const Call call("item", where);
    const UOp value = node(where);
    if (value->numel() != 1)
        fail<ShapeError>("needs exactly one element, the tensor is " + text(value));
    read(out, as, where);
}

// --- in place

Tensor& Tensor::assign(const Arg& value) {
    Call call("assign", value);
    const UOp target = call.node(*this);
    UOp source = value.tensor() == nullptr ? scalar_node(value.scalar(), target->dtype())
                                           : ir::cast(call.node(*value.tensor()), target->dtype());
    if (broadcast_shapes(target->shape(), source->shape()) != shape_of(target))
        fail<ShapeError>("a value of shape " + text(source->shape()) + " does not fit into " +
                         text(target));
    if (Capture* capture = Capture::current()) [[unlikely]]
        capture->writes(*this);
    handle() = ir::assign(target, expand_to(source, target->shape()));
    device_ = static_cast<std::int32_t>(call.device());
    if (leaf_) leaf_->move_to(handle());
    return *this;
}

namespace {

// a op= b keeps a's dtype: a result of a higher kind is refused, as in PyTorch.
void require_kept(const Tensor& before, const Tensor& after) {
    const DType from = after.dtype(), to = before.dtype();
    const bool narrows = (is_float(from) && !is_float(to)) || (is_integer(from) && to == boolean);
    if (narrows)
        fail<DTypeError>("the result is " + std::string(name(from)) + ", which a tensor of dtype " +
                         std::string(name(to)) + " cannot keep");
}

}  // namespace

Tensor& Tensor::operator+=(const Arg& b) {
    const Call call("operator+=", b);
    const Tensor value = add(*this, b);
    require_kept(*this, value);
    return assign(value);
}
Tensor& Tensor::operator-=(const Arg& b) {
    const Call call("operator-=", b);
    const Tensor value = sub(*this, b);
    require_kept(*this, value);
    return assign(value);
}
Tensor& Tensor::operator*=(const Arg& b) {
    const Call call("operator*=", b);
    const Tensor value = mul(*this, b);
    require_kept(*this, value);
    return assign(value);
}
Tensor& Tensor::operator/=(const Arg& b) {
    const Call call("operator/=", b);
    const Tensor value = div(*this, b);
    require_kept(*this, value);
    return assign(value);
}

}  // namespace sinter
