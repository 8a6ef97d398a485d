#pragma once
// Timing of calls.

#include <functional>

namespace sinter::tool {

/// Seconds a call, as the median of samples of at least 2 ms each, over about `seconds` after two
/// calls to warm up.
double seconds_a_call(const std::function<void()>& call, double seconds);

}  // namespace sinter::tool
