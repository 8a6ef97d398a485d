#pragma once
// Tensor-level graphs: UOp is an owning handle to an immutable node in the process-wide weak intern
// table.

#include <initializer_list>
#include <optional>
#include <span>
#include <utility>

#include <sinter/ir/node.h>

namespace sinter::ir {

/// Owns a tensor-level node by intrusive count. Equal expressions are the same node while one of
/// them lives. Copying, making and destroying are safe from any number of threads; destruction of
/// deep graphs does not recurse.
class UOp {
public:
    UOp() = default;
    UOp(const UOp& other) : node_(other.node_) { retain(); }
    UOp(UOp&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    UOp& operator=(UOp other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~UOp() { release(); }

    /// A new handle to a node of the intern table.
    static UOp share(Ref node) {
        UOp handle;
        handle.node_ = node;
        handle.retain();
        return handle;
    }
    /// The node with this key. Throws ShapeError or DTypeError where the op's rules do not hold.
    static UOp make(Op op, DType dtype, std::span<const UOp> src,
                    std::span<const std::int64_t> args = {});
    static UOp make(Op op, DType dtype, std::initializer_list<UOp> src,
                    std::span<const std::int64_t> args = {}) {
        return make(op, dtype, std::span<const UOp>(src.begin(), src.size()), args);
    }

    explicit operator bool() const { return node_ != nullptr; }
    Ref get() const { return node_; }
    const Node* operator->() const { return node_; }
    friend bool operator==(const UOp& a, const UOp& b) { return a.node_ == b.node_; }
    /// How many handles and nodes own this node.
    std::uint32_t use_count() const;

private:
    friend class InternTable;
    void retain();
    void release();
    Ref node_ = nullptr;
};

/// Nodes alive in the intern table, for tests of leaks.
std::size_t live_node_count();

// --- Makers, with the semantics of docs/ir.md. Operands must agree in shape and dtype; nothing is
// broadcast or promoted here (core does that). All throw ShapeError / DTypeError naming op, shapes
// and dtypes.

UOp constant(DType dtype, double value, std::span<const std::int64_t> shape = {});
UOp constant_int(DType dtype, std::int64_t value, std::span<const std::int64_t> shape = {});
/// A scalar known when the graph runs, not when it is compiled: graphs that differ in it share
/// their kernels. Those with an id of their own are told from others of the same value.
UOp bind(DType dtype, double value, std::span<const std::int64_t> shape = {}, std::int64_t id = 0);
UOp bind_int(DType dtype, std::int64_t value, std::span<const std::int64_t> shape = {},
             std::int64_t id = 0);
/// The index along `axis`, as an integer dtype.
UOp iota(DType dtype, std::span<const std::int64_t> shape, std::int64_t axis);
/// A fresh leaf with memory of its own kind; `device` is the runtime's device number.
UOp buffer(DType dtype, std::span<const std::int64_t> shape, std::int64_t device);

UOp unary(Op op, const UOp& x);
UOp binary(Op op, const UOp& a, const UOp& b);
UOp where(const UOp& condition, const UOp& a, const UOp& b);
UOp cast(const UOp& x, DType dtype);
UOp bitcast(const UOp& x, DType dtype);

UOp reshape(const UOp& x, std::span<const std::int64_t> shape);
UOp permute(const UOp& x, std::span<const std::int64_t> axes);
/// Axes of size 1 become any size.
UOp expand(const UOp& x, std::span<const std::int64_t> shape);
/// `before[d]` and `after[d]` elements of `fill` are put around axis d; none may be negative.
UOp pad(const UOp& x, std::span<const std::int64_t> before, std::span<const std::int64_t> after,
        double fill = 0);
/// Elements begin[d] <= i < end[d].
UOp shrink(const UOp& x, std::span<const std::int64_t> begin, std::span<const std::int64_t> end);
UOp flip(const UOp& x, std::span<const std::int64_t> axes);
/// Every step[d]-th element, from the first; steps are positive.
UOp stride(const UOp& x, std::span<const std::int64_t> step);
/// Sliding windows: axis of n becomes the (n - dilation*(size-1) - 1) / step + 1 window starts, and
/// a last axis of `size` is added: out[.., i, .., k] = x[.., i*step + k*dilation, ..].
UOp window(const UOp& x, std::int64_t axis, std::int64_t size, std::int64_t step,
           std::int64_t dilation);
/// The transpose of window: adds the windows up into an axis of n elements.
UOp fold(const UOp& x, std::int64_t axis, std::int64_t n, std::int64_t step, std::int64_t dilation);

/// Reduced axes stay, with size 1.
UOp reduce(ReduceKind kind, const UOp& x, std::span<const std::int64_t> axes);
/// First index of the largest (Max) or smallest (Min) value; NaN counts as beyond both. i64, the
/// axis stays as 1.
UOp arg_reduce(ReduceKind kind, const UOp& x, std::int64_t axis);
/// NaN counts as larger than all numbers; equal elements keep their order, and -0 equals 0.
enum class Sorting : std::uint8_t { Ascending, Descending };
/// The first `count` elements of x, sorted along `axis`.
UOp sort(const UOp& x, std::int64_t axis, std::int64_t count, Sorting order);
/// Their positions along the axis, i64.
UOp sort_positions(const UOp& x, std::int64_t axis, std::int64_t count, Sorting order);
/// Running reduction, inclusive.
UOp scan(ReduceKind kind, const UOp& x, std::int64_t axis);
/// out[.., j, ..] = x[.., index[.., j, ..], ..] along `axis`; index is i32 or i64 and has the
/// result's shape, which may differ from x's along `axis` only. An index outside [0, n) is an
/// IndexError when the graph runs.
UOp gather(const UOp& x, const UOp& index, std::int64_t axis);
/// A copy of `base` with src[.., j, ..] combined into [.., index[.., j, ..], ..], in the order of
/// j.
UOp scatter(ReduceKind kind, const UOp& base, const UOp& index, const UOp& src, std::int64_t axis);

UOp contiguous(const UOp& x);
UOp detach(const UOp& x);
/// The value of `value`, in the memory of `target` where nothing else needs what it holds.
UOp assign(const UOp& target, const UOp& value);
UOp copy_to(const UOp& x, std::int64_t device);
/// The device that `x` is computed on, by the first buffer or copy met below it; none if there are
/// only constants.
std::optional<std::int64_t> device_of(Ref x);

}  // namespace sinter::ir
