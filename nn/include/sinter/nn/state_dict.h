#pragma once
// The state of a network as files and networks exchange it.

#include <string>
#include <utility>
#include <vector>

#include <sinter/tensor.h>

namespace sinter::nn {

/// Names and values, in order; the names are PyTorch's ("fc1.weight").
using StateDict = std::vector<std::pair<std::string, Tensor>>;

}  // namespace sinter::nn
