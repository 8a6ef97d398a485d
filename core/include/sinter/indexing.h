#pragma once
// Indexing by tensors. Indices are of any integer dtype and may be negative. One that is out of
// range is an IndexError, with the bound, when the graph runs. Cost is proportional to what is read
// or written.

#include <cstdint>
#include <string_view>

#include <sinter/tensor.h>

namespace sinter {

/// out[.., j, ..] = x[.., index[.., j, ..], ..] along `axis`. `index` has as many axes as x and is
/// no larger along the others (as in PyTorch, x is cut to it there).
Tensor gather(const Arg& x, std::int64_t axis, const Tensor& index);
/// gather with x and index broadcast along the other axes; without an axis, of the flattened
/// tensors.
Tensor take_along_dim(const Arg& x, const Tensor& index,
                      std::optional<std::int64_t> axis = std::nullopt);
/// The slices of x along `axis` that a vector of indices names.
Tensor index_select(const Arg& x, std::int64_t axis, const Tensor& index);
/// Elements of the flattened tensor, in the index's shape.
Tensor take(const Arg& x, const Tensor& index);
/// Rows of a [n, d] table: shape of the indices, then d.
Tensor embedding(const Arg& indices, const Tensor& table);

/// A copy of x with source[.., j, ..] written to [.., index[.., j, ..], ..] along `axis`, j
/// ascending: of several sources for one place the last counts. index and source have as many axes
/// as x; source may be larger than index.
Tensor scatter(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source);
/// As scatter, added up.
Tensor scatter_add(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source);
enum class ScatterReduce : std::uint8_t { Sum, Prod, Max, Min };
/// As scatter, combined with what is there.
Tensor scatter_reduce(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source,
                      ScatterReduce reduce);
/// x with the slices that a vector of indices names added to (replaced).
Tensor index_add(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source);
Tensor index_copy(const Arg& x, std::int64_t axis, const Tensor& index, const Arg& source);

}  // namespace sinter
