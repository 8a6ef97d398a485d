#pragma once
// Operands of calls: tensors or C++ numbers, with the line of the caller.

#include <concepts>
#include <cstdint>
#include <source_location>
#include <type_traits>

#include <sinter/ir/dtype.h>

namespace sinter {

class Tensor;

/// The caller's line, for messages of errors.
using Where = std::source_location;

template <class T>
concept Number = std::is_arithmetic_v<T>;

/// A C++ number with the kind of its type. As an operand it is weakly typed: beside a tensor it
/// takes the tensor's dtype unless its kind is higher (a float beside integers makes f32, an
/// integer beside bool makes i64).
struct Scalar {
    DTypeKind kind = DTypeKind::Float;
    std::int64_t integer = 0;
    double real = 0;

    Scalar() = default;
    template <Number T>
    Scalar(T value) {
        if constexpr (std::same_as<T, bool>) {
            kind = DTypeKind::Bool;
        } else if constexpr (std::integral<T>) {
            kind = std::is_signed_v<T> ? DTypeKind::Signed : DTypeKind::Unsigned;
        }
        if constexpr (std::integral<T>) integer = static_cast<std::int64_t>(value);
        real = static_cast<double>(value);
    }
    /// The dtype of this number alone: bool, i64 or f32, as in PyTorch.
    DType dtype() const;
};

/// An operand: a tensor or a number. Made implicitly in the caller's line, which it remembers;
/// lives for one call.
class Arg {
public:
    Arg(const Tensor& tensor, Where where = Where::current()) : tensor_(&tensor), where_(where) {}
    template <Number T>
    Arg(T value, Where where = Where::current()) : scalar_(value), where_(where) {}
    Arg(const Arg& other, Where where) : Arg(other) { where_ = where; }
    Arg(const Arg&) = default;

    /// Null for a number.
    const Tensor* tensor() const { return tensor_; }
    const Scalar& scalar() const { return scalar_; }
    const Where& where() const { return where_; }

private:
    const Tensor* tensor_ = nullptr;
    Scalar scalar_;
    Where where_;
};

}  // namespace sinter
