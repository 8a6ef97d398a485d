#pragma once
// Tensor: a value in a lazy graph. Ops build the graph; nothing runs until a result is asked for.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <sinter/arg.h>
#include <sinter/device.h>
#include <sinter/index.h>
#include <sinter/ir/dtype.h>
#include <sinter/ir/error.h>
#include <sinter/shape.h>

namespace sinter {

namespace ir {
class UOp;
}
class Leaf;

/// An immutable expression held by value: copies are cheap and share it, `+=` and `assign` make
/// this Tensor another expression. Any number of threads may build and realize tensors; one Tensor
/// object is written by one thread at a time.
///
/// Every op throws ShapeError, DTypeError, DeviceError or IndexError with the line of the call, the
/// op's name and the operands' shapes.
class Tensor {
public:
    /// No value yet: every use but assignment and `defined()` throws ValueError.
    Tensor();
    Tensor(const Tensor& other);
    Tensor(Tensor&& other) noexcept;
    Tensor& operator=(const Tensor& other);
    Tensor& operator=(Tensor&& other) noexcept;
    ~Tensor();

    /// A scalar of the number's own type: Tensor(1.5f) is f32, Tensor(3) is i32.
    template <Number T>
    Tensor(T value) : Tensor(scalar(Scalar(value), dtype_of<std::remove_cv_t<T>>)) {}
    /// Copies of C++ data, of the elements' type: Tensor({{1.f, 2.f}, {3.f, 4.f}}). Rows of nested
    /// lists must be equally long (ShapeError).
    template <Number T>
    Tensor(std::initializer_list<T> values, Where where = Where::current())
        : Tensor(from_host(values.begin(), dtype_of<T>, {count(values)}, where)) {}
    template <Number T>
    Tensor(std::initializer_list<std::initializer_list<T>> values, Where where = Where::current())
        : Tensor(nested<T>(values, where)) {}
    template <Number T>
    Tensor(std::initializer_list<std::initializer_list<std::initializer_list<T>>> values,
           Where where = Where::current())
        : Tensor(nested<T>(values, where)) {}
    template <Number T>
    Tensor(std::initializer_list<
               std::initializer_list<std::initializer_list<std::initializer_list<T>>>>
               values,
           Where where = Where::current())
        : Tensor(nested<T>(values, where)) {}
    template <Number T>
    explicit Tensor(const std::vector<T>& values, Where where = Where::current()) : Tensor() {
        if constexpr (std::same_as<T, bool>) {
            const std::vector<std::uint8_t> bytes(values.begin(), values.end());
            *this = from_host(bytes.data(), boolean, {count(values)}, where);
        } else {
            *this = from_host(values.data(), dtype_of<T>, {count(values)}, where);
        }
    }
    /// `shape` must have as many elements as there are values (ShapeError).
    template <Number T>
    Tensor(const std::vector<T>& values, const Shape& shape, Where where = Where::current())
        : Tensor(std::span<const T>(values), shape, where) {}
    template <Number T>
    Tensor(std::span<const T> values, const Shape& shape, Where where = Where::current())
        : Tensor(from_span(values.data(), values.size(), dtype_of<T>, shape, where)) {}

    bool defined() const;
    Shape shape(Where where = Where::current()) const;
    /// Size of an axis; negative axes count from the last.
    std::int64_t size(std::int64_t axis, Where where = Where::current()) const;
    std::int64_t ndim(Where where = Where::current()) const;
    std::int64_t numel(Where where = Where::current()) const;
    DType dtype(Where where = Where::current()) const;
    /// The device of the memory this depends on; default_device() for expressions of constants
    /// alone.
    Device device(Where where = Where::current()) const;

    // --- running and reading

    /// Computes the value now and forgets how: the Tensor is memory from here on, gradients through
    /// it end here. Reading (to_vector, item, printing) computes too, but forgets nothing.
    Tensor& realize(Where where = Where::current());
    /// All of them in one schedule.
    static void realize(std::span<Tensor* const> tensors, Where where = Where::current());
    static void realize(std::span<Tensor> tensors, Where where = Where::current());
    /// The elements in row-major order, converted to T as a C++ cast does (saturating, NaN to 0,
    /// for integers). Throws OutOfMemoryError where they do not fit.
    template <Number T>
    std::vector<T> to_vector(Where where = Where::current()) const {
        compute(where);  // what cannot be computed is known before there is room for it
        const auto n = static_cast<std::size_t>(numel(where));
        try {
            if constexpr (std::same_as<T, bool>) {
                std::vector<std::uint8_t> bytes(n);
                read(bytes.data(), boolean, where);
                return {bytes.begin(), bytes.end()};
            } else {
                std::vector<T> values(n);
                read(values.data(), dtype_of<T>, where);
                return values;
            }
        } catch (const std::bad_alloc&) {
            throw_no_room(n * sizeof(T), where);
        }
    }
    /// The only element. Throws ShapeError when there is not exactly one.
    template <Number T>
    T item(Where where = Where::current()) const {
        T value{};
        read_one(&value, dtype_of<T>, where);
        return value;
    }
    /// The elements' bytes as they lie in memory, row-major.
    void read_bytes(std::span<std::byte> out, Where where = Where::current()) const;

    // --- in place: this Tensor becomes the new value, in its old memory where nothing else needs
    // what it holds. The shape and dtype stay: a value that does not broadcast or convert to them
    // is a ShapeError or DTypeError.

    Tensor& assign(const Arg& value);
    Tensor& operator+=(const Arg& b);
    Tensor& operator-=(const Arg& b);
    Tensor& operator*=(const Arg& b);
    Tensor& operator/=(const Arg& b);
    /// Sets the elements that x[{...}] names.
    Tensor& set(std::initializer_list<Index> index, const Arg& value);
    Tensor& set(std::span<const Index> index, const Arg& value);

    // --- gradients (autograd.h). The mark belongs to this Tensor through assign and realize, and
    // to its copies until they become another expression; results of ops are not marked.

    /// Whether backward() collects a gradient here. Marking computes the value, into memory that no
    /// other tensor shares: mark before use. DTypeError if it is no float.
    Tensor& requires_grad(bool on, Where where = Where::current());
    bool requires_grad() const { return leaf_ != nullptr; }
    /// The sum of the gradients that backward() brought since zero_grad(); undefined if none did.
    Tensor grad() const;
    void zero_grad();
    /// Adds the gradient of this Tensor, which has one element, to the grad() of every marked
    /// Tensor that it was computed from.
    void backward(Where where = Where::current()) const;

    // --- indexing, with NumPy's meaning
    Tensor operator[](const Index& index) const;
    Tensor operator[](std::initializer_list<Index> index) const;
    Tensor at(std::span<const Index> index) const;

    // --- ops as methods; each is the free function of its name (ops.h)
    Tensor to(DType dtype, Where where = Where::current()) const;
    Tensor to(Device device, Where where = Where::current()) const;
    Tensor astype(DType dtype, Where where = Where::current()) const;
    Tensor detach(Where where = Where::current()) const;
    Tensor contiguous(Where where = Where::current()) const;

    Tensor abs(Where where = Where::current()) const;
    Tensor neg(Where where = Where::current()) const;
    Tensor sign(Where where = Where::current()) const;
    Tensor square(Where where = Where::current()) const;
    Tensor sqrt(Where where = Where::current()) const;
    Tensor rsqrt(Where where = Where::current()) const;
    Tensor reciprocal(Where where = Where::current()) const;
    Tensor exp(Where where = Where::current()) const;
    Tensor exp2(Where where = Where::current()) const;
    Tensor expm1(Where where = Where::current()) const;
    Tensor log(Where where = Where::current()) const;
    Tensor log2(Where where = Where::current()) const;
    Tensor log10(Where where = Where::current()) const;
    Tensor log1p(Where where = Where::current()) const;
    Tensor sin(Where where = Where::current()) const;
    Tensor cos(Where where = Where::current()) const;
    Tensor tan(Where where = Where::current()) const;
    Tensor tanh(Where where = Where::current()) const;
    Tensor erf(Where where = Where::current()) const;
    Tensor floor(Where where = Where::current()) const;
    Tensor ceil(Where where = Where::current()) const;
    Tensor round(Where where = Where::current()) const;
    Tensor trunc(Where where = Where::current()) const;
    Tensor sigmoid(Where where = Where::current()) const;
    Tensor relu(Where where = Where::current()) const;
    Tensor silu(Where where = Where::current()) const;
    Tensor isnan(Where where = Where::current()) const;
    Tensor isinf(Where where = Where::current()) const;
    Tensor isfinite(Where where = Where::current()) const;
    Tensor logical_not(Where where = Where::current()) const;
    Tensor sum(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor prod(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor max(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor min(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor mean(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor any(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor all(const Axes& axes = {}, bool keepdim = false, Where where = Where::current()) const;
    Tensor logsumexp(const Axes& axes = {}, bool keepdim = false,
                     Where where = Where::current()) const;
    Tensor var(const Axes& axes = {}, bool keepdim = false, std::int64_t correction = 1,
               Where where = Where::current()) const;
    Tensor std(const Axes& axes = {}, bool keepdim = false, std::int64_t correction = 1,
               Where where = Where::current()) const;
    Tensor argmax(std::optional<std::int64_t> axis = none, bool keepdim = false,
                  Where where = Where::current()) const;
    Tensor argmin(std::optional<std::int64_t> axis = none, bool keepdim = false,
                  Where where = Where::current()) const;
    Tensor softmax(std::int64_t axis, Where where = Where::current()) const;
    Tensor log_softmax(std::int64_t axis, Where where = Where::current()) const;
    Tensor cumsum(std::int64_t axis, Where where = Where::current()) const;
    Tensor cumprod(std::int64_t axis, Where where = Where::current()) const;
    Tensor reshape(const Shape& shape, Where where = Where::current()) const;
    Tensor view(const Shape& shape, Where where = Where::current()) const;
    Tensor flatten(std::int64_t first = 0, std::int64_t last = -1,
                   Where where = Where::current()) const;
    Tensor squeeze(const Axes& axes = {}, Where where = Where::current()) const;
    Tensor unsqueeze(std::int64_t axis, Where where = Where::current()) const;
    Tensor permute(const Axes& axes, Where where = Where::current()) const;
    Tensor transpose(std::int64_t a = -2, std::int64_t b = -1,
                     Where where = Where::current()) const;
    Tensor mT(Where where = Where::current()) const;
    Tensor movedim(const Axes& source, const Axes& destination,
                   Where where = Where::current()) const;
    Tensor expand(const Shape& shape, Where where = Where::current()) const;
    Tensor broadcast_to(const Shape& shape, Where where = Where::current()) const;
    Tensor flip(const Axes& axes, Where where = Where::current()) const;
    Tensor narrow(std::int64_t axis, std::int64_t start, std::int64_t length,
                  Where where = Where::current()) const;
    Tensor clamp(const std::optional<Arg>& low, const std::optional<Arg>& high,
                 Where where = Where::current()) const;
    Tensor pow(const Arg& b) const;
    Tensor maximum(const Arg& b) const;
    Tensor minimum(const Arg& b) const;
    Tensor matmul(const Arg& b) const;
    Tensor dot(const Arg& b) const;
    // --- for the layers above and below
    explicit Tensor(ir::UOp node);
    Tensor(ir::UOp node, std::int64_t device);
    /// The expression; an assignment that has run is the memory it wrote. Throws ValueError for an
    /// undefined Tensor.
    ir::UOp node(Where where = Where::current()) const;
    /// Device number, or -1 when any device will do (constants), -2 when it must be looked up.
    std::int64_t device_hint() const { return device_; }

private:
    template <class T>
    static std::int64_t count(const T& list) {
        return static_cast<std::int64_t>(list.size());
    }
    // The shape along the first elements, and all leaves in order.
    template <class T, class L>
    static void flatten_list(const std::initializer_list<L>& list, std::size_t depth, Shape& shape,
                             std::vector<T>& out, bool& even) {
        if (shape.size() <= depth)
            shape.push_back(count(list));
        else if (shape[depth] != count(list))
            even = false;
        if constexpr (std::is_arithmetic_v<L>)
            out.insert(out.end(), list.begin(), list.end());
        else
            for (const L& inner : list) flatten_list<T>(inner, depth + 1, shape, out, even);
    }
    template <class T, class L>
    static Tensor nested(const std::initializer_list<L>& list, Where where) {
        Shape shape;
        std::vector<std::conditional_t<std::same_as<T, bool>, std::uint8_t, T>> flat;
        bool even = true;
        flatten_list(list, 0, shape, flat, even);
        if (!even) throw_uneven(where);
        return from_host(flat.data(), dtype_of<T>, shape, where);
    }
    static Tensor scalar(const Scalar& value, DType dtype);
    static Tensor from_host(const void* data, DType dtype, const Shape& shape, Where where);
    static Tensor from_span(const void* data, std::size_t n, DType dtype, const Shape& shape,
                            Where where);
    [[noreturn]] static void throw_uneven(Where where);
    void compute(Where where) const;
    void read(void* out, DType as, Where where) const;
    [[noreturn]] void throw_no_room(std::size_t bytes, Where where) const;
    void read_one(void* out, DType as, Where where) const;
    void require_defined(const Where& where) const;
    void end_watch() noexcept;
    friend struct TensorAccess;
    ir::UOp& handle();
    const ir::UOp& handle() const;

    alignas(
        void*) std::byte storage_[sizeof(void*)];  // an ir::UOp, of which this header knows no more
    std::int32_t device_ = -1;
    bool watched_ = false;        // by a captured function, which wants to know when it ends
    std::shared_ptr<Leaf> leaf_;  // of a Tensor marked by requires_grad
};

/// A tensor to be printed, with the line of the caller; lives for one call.
class Printed {
public:
    Printed(const Tensor& tensor, Where where = Where::current())
        : tensor_(&tensor), where_(where) {}
    const Tensor& tensor() const { return *tensor_; }
    const Where& where() const { return where_; }

private:
    const Tensor* tensor_;
    Where where_;
};

/// Prints like NumPy: big arrays are summarised, columns are aligned.
std::ostream& operator<<(std::ostream& os, const Printed& tensor);
std::string to_string(const Tensor& tensor, Where where = Where::current());

/// A tensor to be changed by a call, with the line of the caller; lives for one call.
class TensorRef {
public:
    TensorRef(Tensor& tensor, Where where = Where::current()) : tensor_(&tensor), where_(where) {}
    Tensor* tensor() const { return tensor_; }
    const Where& where() const { return where_; }

private:
    Tensor* tensor_;
    Where where_;
};

/// Computes several tensors in one schedule: realize(a, b, c).
template <class... Ts>
    requires(std::same_as<Ts, Tensor> && ...)
void realize(TensorRef first, Ts&... others) {
    Tensor* const all[] = {first.tensor(), &others...};
    Tensor::realize(std::span<Tensor* const>(all), first.where());
}

}  // namespace sinter
