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

}  // namespace sinter::ir
