#pragma once
// One row or more an op: sources drawn from a domain in which the op is smooth, and how the op is
// applied. Shared by the check of gradients against finite differences and by that of the devices
// against each other.

#include <string>
#include <vector>

#include <sinter/ir/uop.h>

namespace sinter::gradient_cases {

using Dims = std::vector<std::int64_t>;

/// A differentiable source: values drawn evenly from [low, high], or those given.
struct Source {
    Dims shape;
    double low = -2, high = 2;
    std::vector<double> values = {};
};

struct Case {
    std::string name;
    ir::Op op;
    std::vector<Source> sources;
    ir::UOp (*apply)(const std::vector<ir::UOp>& x);
};

std::vector<Case> all_cases();

}  // namespace sinter::gradient_cases
