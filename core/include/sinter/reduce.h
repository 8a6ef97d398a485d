#pragma once
// Reductions and scans. `axes`: one, several, or (by default) all; `keepdim` leaves reduced axes
// with size 1.

#include <optional>

#include <sinter/tensor.h>

namespace sinter {

/// bool and integers narrower than 64 bits are summed as i64 (unsigned: as u64 for u64 alone);
/// 16-bit floats are carried in f32 and rounded once. Of nothing: 0.
Tensor sum(const Arg& x, const Axes& axes = {}, bool keepdim = false);
Tensor prod(const Arg& x, const Axes& axes = {}, bool keepdim = false);  ///< of nothing: 1
/// NaN if any element is. Of nothing: ValueError.
Tensor max(const Arg& x, const Axes& axes = {}, bool keepdim = false);
Tensor min(const Arg& x, const Axes& axes = {}, bool keepdim = false);
/// Integers: f32. Of nothing: NaN.
Tensor mean(const Arg& x, const Axes& axes = {}, bool keepdim = false);
/// Divided by n - correction.
Tensor var(const Arg& x, const Axes& axes = {}, bool keepdim = false, std::int64_t correction = 1);
Tensor std(const Arg& x, const Axes& axes = {}, bool keepdim = false, std::int64_t correction = 1);
Tensor any(const Arg& x, const Axes& axes = {}, bool keepdim = false);  ///< bool; of nothing: false
Tensor all(const Arg& x, const Axes& axes = {}, bool keepdim = false);  ///< bool; of nothing: true
Tensor count_nonzero(const Arg& x, const Axes& axes = {}, bool keepdim = false);
/// i64 position of the first largest element (NaN counts as largest); without an axis, of the
/// flattened tensor. Of nothing: ValueError.
Tensor argmax(const Arg& x, std::optional<std::int64_t> axis = std::nullopt, bool keepdim = false);
Tensor argmin(const Arg& x, std::optional<std::int64_t> axis = std::nullopt, bool keepdim = false);
/// log(sum(exp(x))) without overflow; of infinities alone as the limit.
Tensor logsumexp(const Arg& x, const Axes& axes = {}, bool keepdim = false);
Tensor softmax(const Arg& x, std::int64_t axis);
Tensor log_softmax(const Arg& x, std::int64_t axis);
/// Norm of order p over the axes (p = 0 counts, ±infinity takes the largest or smallest magnitude).
Tensor norm(const Arg& x, double p = 2, const Axes& axes = {}, bool keepdim = false);

// Running reductions, inclusive; dtypes as sum and prod.
Tensor cumsum(const Arg& x, std::int64_t axis);
Tensor cumprod(const Arg& x, std::int64_t axis);
Tensor cummax(const Arg& x, std::int64_t axis);  ///< the values
Tensor cummin(const Arg& x, std::int64_t axis);  ///< the values

}  // namespace sinter
