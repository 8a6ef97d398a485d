#pragma once
// Ops that move elements and compute nothing. Negative axes count from the last.

#include <span>
#include <vector>

#include <sinter/tensor.h>

namespace sinter {

/// Row-major order is kept; one size may be -1 and is inferred.
Tensor reshape(const Arg& x, const Shape& shape);
Tensor view(const Arg& x, const Shape& shape);  ///< reshape
/// Axes first..last become one.
Tensor flatten(const Arg& x, std::int64_t first = 0, std::int64_t last = -1);
/// Axis becomes several; one size may be -1.
Tensor unflatten(const Arg& x, std::int64_t axis, const Shape& sizes);
/// Drops axes of size 1: those named that are 1, by default all.
Tensor squeeze(const Arg& x, const Axes& axes = {});
/// A new axis of size 1 that has this number in the result.
Tensor unsqueeze(const Arg& x, std::int64_t axis);
/// Axis d of the result is axis axes[d] of x; by default reversed.
Tensor permute(const Arg& x, const Axes& axes = {});
Tensor transpose(const Arg& x, std::int64_t a = -2, std::int64_t b = -1);
Tensor mT(const Arg& x);  ///< the last two axes exchanged
Tensor movedim(const Arg& x, const Axes& source, const Axes& destination);
/// Axes of size 1 repeat to the sizes given, new axes may come in front; -1 keeps a size.
Tensor expand(const Arg& x, const Shape& shape);
Tensor broadcast_to(const Arg& x, const Shape& shape);  ///< expand without -1
/// By default all axes.
Tensor flip(const Arg& x, const Axes& axes = {});
/// Elements pushed over the end come back at the front. With no axis named, of the flattened
/// tensor.
Tensor roll(const Arg& x, const Axes& shifts, const Axes& axes = {});
/// Quarter turns in the plane from axis `a` towards axis `b`.
Tensor rot90(const Arg& x, std::int64_t turns = 1, std::int64_t a = 0, std::int64_t b = 1);
/// The whole tensor, counts[d] times along axis d; there may be more counts than axes.
Tensor repeat(const Arg& x, const Shape& counts);
Tensor tile(const Arg& x, const Shape& counts);  ///< repeat, with fewer counts than axes allowed
/// Each element `count` times; of the flattened tensor where no axis is named.
Tensor repeat_interleave(const Arg& x, std::int64_t count,
                         std::optional<std::int64_t> axis = std::nullopt);

enum class PadMode : std::uint8_t { Constant, Reflect, Replicate, Circular };
/// `widths` as in PyTorch: before and after of the last axis, then of the one before it, ….
/// Negative widths crop.
Tensor pad(const Arg& x, const std::vector<std::int64_t>& widths, PadMode mode = PadMode::Constant,
           double value = 0);

/// Elements start <= i < start + length.
Tensor narrow(const Arg& x, std::int64_t axis, std::int64_t start, std::int64_t length);
Tensor cat(std::span<const Tensor> tensors, std::int64_t axis = 0, Where where = Where::current());
Tensor cat(std::initializer_list<Tensor> tensors, std::int64_t axis = 0,
           Where where = Where::current());
/// Along a new axis.
Tensor stack(std::span<const Tensor> tensors, std::int64_t axis = 0,
             Where where = Where::current());
Tensor stack(std::initializer_list<Tensor> tensors, std::int64_t axis = 0,
             Where where = Where::current());
/// Pieces of `size` (the last may be smaller), or of the sizes given.
std::vector<Tensor> split(const Arg& x, std::int64_t size, std::int64_t axis = 0);
std::vector<Tensor> split(const Arg& x, const std::vector<std::int64_t>& sizes,
                          std::int64_t axis = 0);
/// At most `count` equal pieces (the last may be smaller), as in PyTorch.
std::vector<Tensor> chunk(const Arg& x, std::int64_t count, std::int64_t axis = 0);
/// One tensor an index; the axis goes.
std::vector<Tensor> unbind(const Arg& x, std::int64_t axis = 0);
/// x[.., i, .., i + offset, ..] as a last axis.
Tensor diagonal(const Arg& x, std::int64_t offset = 0, std::int64_t a = 0, std::int64_t b = 1);
/// Coordinates of a grid, one tensor an axis; indexing "ij".
std::vector<Tensor> meshgrid(std::span<const Tensor> axes, Where where = Where::current());
std::vector<Tensor> meshgrid(std::initializer_list<Tensor> axes, Where where = Where::current());
/// Sliding windows of `size` every `step`, as a new last axis.
Tensor unfold(const Arg& x, std::int64_t axis, std::int64_t size, std::int64_t step);

// --- marks
/// x in memory of its own.
Tensor contiguous(const Arg& x);
/// No gradient flows through the result.
Tensor detach(const Arg& x);
Tensor to(const Arg& x, Device device);

}  // namespace sinter
