#pragma once
// What the binaries share: how they fail and how they tell what ran.

#include <functional>
#include <iosfwd>
#include <string_view>

#include <sinter/stats.h>

namespace sinter::tool {

/// Runs `body` and returns its exit status; an exception ends in one line on standard error and
/// status 1.
int guarded(std::string_view name, const std::function<int()>& body);

/// Prints how many kernels ran and were compiled, and which, in the order of their first launch.
void print_kernels(std::ostream& out, const Stats& stats);

}  // namespace sinter::tool
