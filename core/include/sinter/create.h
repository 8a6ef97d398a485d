#pragma once
// New tensors. The default dtype is f32; they live on default_device().

#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include <sinter/tensor.h>

namespace sinter {

/// Memory whose contents are not set.
Tensor empty(const Shape& shape, DType dtype = f32, Where where = Where::current());
Tensor zeros(const Shape& shape, DType dtype = f32, Where where = Where::current());
Tensor ones(const Shape& shape, DType dtype = f32, Where where = Where::current());
/// The dtype is the number's (bool, i64 or f32) where none is named.
Tensor full(const Shape& shape, const Scalar& value, std::optional<DType> dtype = std::nullopt,
            Where where = Where::current());
/// A scalar that is known when the graph runs, not when it is compiled: graphs that differ in it
/// alone share schedule and kernels (a learning rate, a step count). Integers keep 64 bits.
Tensor scalar(const Scalar& value, std::optional<DType> dtype = std::nullopt,
              Where where = Where::current());
/// scalar(value()), which a function captured by jit asks for again at every call.
Tensor host_scalar(std::function<double()> value, DType dtype = f32,
                   Where where = Where::current());
Tensor empty_like(const Arg& x, std::optional<DType> dtype = std::nullopt);
Tensor zeros_like(const Arg& x, std::optional<DType> dtype = std::nullopt);
Tensor ones_like(const Arg& x, std::optional<DType> dtype = std::nullopt);
Tensor full_like(const Arg& x, const Scalar& value, std::optional<DType> dtype = std::nullopt);

/// Elements at `data`, row-major, copied.
Tensor from_data(const void* data, const Shape& shape, DType dtype, Where where = Where::current());
/// Memory of the caller's, not copied: it must outlive every tensor that depends on it.
Tensor from_blob(void* data, const Shape& shape, DType dtype, Where where = Where::current());

/// begin, begin + step, … before end: i64, or f32 if any number is a float. A step of 0 or away
/// from end: ValueError.
Tensor arange(const Scalar& end, std::optional<DType> dtype = std::nullopt,
              Where where = Where::current());
Tensor arange(const Scalar& begin, const Scalar& end, const Scalar& step = 1,
              std::optional<DType> dtype = std::nullopt, Where where = Where::current());
/// `count` numbers from first to last, both included.
Tensor linspace(double first, double last, std::int64_t count, DType dtype = f32,
                Where where = Where::current());
/// base to the powers of linspace.
Tensor logspace(double first, double last, std::int64_t count, double base = 10, DType dtype = f32,
                Where where = Where::current());
Tensor eye(std::int64_t rows, std::optional<std::int64_t> columns = std::nullopt, DType dtype = f32,
           Where where = Where::current());
/// Of the last two axes: on and below (above) the diagonal; elsewhere 0.
Tensor tril(const Arg& x, std::int64_t diagonal = 0);
Tensor triu(const Arg& x, std::int64_t diagonal = 0);
/// A vector to a matrix with it as a diagonal, a matrix to its diagonal.
Tensor diag(const Arg& x, std::int64_t offset = 0);
/// Integers to a new last axis: 1 at the class, else 0 (i64). All zero where the class is outside
/// [0, classes).
Tensor one_hot(const Arg& x, std::int64_t classes);

}  // namespace sinter
