#pragma once

#include <span>
#include <string_view>

#include <sinter/tensor.h>

namespace sinter {

/// Einstein's sum: einsum("bij,bjk->bik", {a, b}). A letter for each axis; letters that the output
/// lacks are summed over, one that stands twice in an operand takes its diagonal, `...` are the
/// axes left over, which broadcast. Without "->" the output has the letters that stand once, in
/// alphabetical order. Operands are contracted in pairs, in the order that costs the fewest
/// multiplications.
Tensor einsum(std::string_view formula, std::span<const Tensor> operands,
              Where where = Where::current());
Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands,
              Where where = Where::current());

}  // namespace sinter
