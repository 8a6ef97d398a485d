#pragma once
// What stands between the brackets of x[{...}], in the parameters of a step.

#include "maker.h"

namespace fuzz {

/// Adds entries for `x` to the step, and index tensors to its operands; false if there are none.
bool choose_brackets(Maker& m, const sn::Tensor& x);
/// The entries; index tensors are the operands from `first_tensor` on.
std::vector<sn::Index> brackets_of(const Call& c, std::size_t first_tensor);
/// "{0, sn::slice(1, sn::none, 2), v3}"
std::string brackets_text(const std::vector<std::string>& in, const Step& step,
                          std::size_t first_tensor);

}  // namespace fuzz
