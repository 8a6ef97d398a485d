#pragma once
// Counters of rules, a process-wide registry: one entry a place in the source.

#include <atomic>
#include <cstdint>
#include <string>

namespace sinter::ir {

struct RuleStats {
    std::string text;
    std::atomic<std::uint64_t> tries{0}, matches{0}, nanoseconds{0};
};

/// The entry of the rule with this text ("file:line  rule"); lives as long as the process.
/// Thread-safe.
RuleStats* rule_stats(const std::string& text);

/// Sees to it that the trace is printed to stderr when the process ends, if DEBUG is 5 or more
/// then.
void print_rule_trace_at_exit();

}  // namespace sinter::ir
