#include "rule_trace.h"

#include <algorithm>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/rewrite.h>

namespace sinter::ir {
namespace {

struct Registry {
    std::mutex mutex;
    std::map<std::string, std::unique_ptr<RuleStats>> rules;
};

// Never destroyed: tables of rules may outlive it otherwise.
Registry& registry() {
    static Registry& all = *new Registry;
    return all;
}

}  // namespace

RuleStats* rule_stats(const std::string& text) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    auto& entry = all.rules[text];
    if (entry == nullptr) {
        entry = std::make_unique<RuleStats>();
        entry->text = text;
    }
    return entry.get();
}

void print_rule_trace_at_exit() {
    static const bool registered = [] {
        std::atexit([] {
            if (env::debug() >= 5) print_rule_trace(std::cerr);
        });
        return true;
    }();
    (void)registered;
}

void print_rule_trace(std::ostream& os) {
    struct Row {
        std::uint64_t nanoseconds, matches, tries;
        const std::string* text;
    };
    std::vector<Row> rows;
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    for (const auto& [text, stats] : all.rules)
        if (stats->tries != 0)
            rows.push_back({stats->nanoseconds, stats->matches, stats->tries, &stats->text});
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row& a, const Row& b) { return a.nanoseconds > b.nanoseconds; });
    os << "   time us   matches     tries  rule\n";
    for (const Row& row : rows)
        os << std::setw(10) << row.nanoseconds / 1000 << std::setw(10) << row.matches
           << std::setw(10) << row.tries << "  " << *row.text << '\n';
}

}  // namespace sinter::ir
