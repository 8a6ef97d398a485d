#pragma once
// The rewrite engine: tables of rules, applied to whole graphs until nothing changes.

#include <concepts>
#include <functional>
#include <iosfwd>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sinter/ir/pattern.h>

namespace sinter::ir {

struct RuleStats;

/// One rewrite: nodes that match the left side become the right side, which has the same value.
/// Knows where it is written. The right side is a pattern (such rules are fuzzed, see fuzz.h) or a
/// function: given the bindings, or the captures 0, 1, … as single arguments; null says that the
/// rule does not hold here after all.
class RewriteRule {
public:
    using Action = std::function<Ref(Arena&, Ref root, const Bindings&)>;
    using Condition = std::function<bool(const Bindings&)>;

    RewriteRule(Pat lhs, Pat rhs);
    RewriteRule(Pat lhs, Pat rhs, Condition condition);
    template <class F>
        requires(!std::convertible_to<F, Pat>)
    RewriteRule(Pat lhs, F action) : RewriteRule(std::move(lhs), to_action(std::move(action)), 0) {}

    const Pat& lhs() const { return lhs_; }
    /// The right side, or null where it is a function.
    const Pat* rhs() const { return rhs_.get(); }
    const Condition& condition() const { return condition_; }
    const std::source_location& where() const { return lhs_.where(); }
    /// "algebra.cpp:31  (x0 + 0) -> x0"
    std::string text() const;
    RuleStats* stats() const { return stats_; }

    /// The result at `root`, whose bindings are given; null where the rule does not hold.
    Ref fire(Arena& arena, Ref root, const Bindings& bindings) const;

private:
    RewriteRule(Pat lhs, Action action, int);

    template <class F>
    static Action to_action(F f) {
        if constexpr (std::is_invocable_r_v<Ref, F, Arena&, Ref, const Bindings&>) {
            return Action(std::move(f));
        } else if constexpr (std::is_invocable_r_v<Ref, F, Arena&, const Bindings&>) {
            return [f = std::move(f)](Arena& a, Ref, const Bindings& m) { return f(a, m); };
        } else if constexpr (std::is_invocable_r_v<Ref, F, Arena&, Ref>) {
            return [f = std::move(f)](Arena& a, Ref, const Bindings& m) { return f(a, m[0]); };
        } else if constexpr (std::is_invocable_r_v<Ref, F, Arena&, Ref, Ref>) {
            return
                [f = std::move(f)](Arena& a, Ref, const Bindings& m) { return f(a, m[0], m[1]); };
        } else if constexpr (std::is_invocable_r_v<Ref, F, Arena&, Ref, Ref, Ref>) {
            return [f = std::move(f)](Arena& a, Ref, const Bindings& m) {
                return f(a, m[0], m[1], m[2]);
            };
        } else {
            static_assert(std::is_invocable_r_v<Ref, F, Arena&, Ref, Ref, Ref, Ref>,
                          "a rule's function takes Arena& and Bindings or up to four captures");
            return [f = std::move(f)](Arena& a, Ref, const Bindings& m) {
                return f(a, m[0], m[1], m[2], m[3]);
            };
        }
    }

    Pat lhs_;
    std::shared_ptr<const Pat> rhs_;  // shared by the tables that hold the rule
    Action action_;
    Condition condition_;
    RuleStats* stats_;
};

/// A table of rules, in order of preference, indexed by the ops of a node and of its first two
/// sources: what a node costs does not grow with the rules that cannot match it.
class RewriteRules {
public:
    RewriteRules(std::initializer_list<RewriteRule> rules);
    explicit RewriteRules(std::vector<RewriteRule> rules);
    /// The rules of both; those of `a` are tried first.
    friend RewriteRules operator+(const RewriteRules& a, const RewriteRules& b);

    std::span<const RewriteRule> rules() const { return rules_; }

    /// A rule's left side in one order of its operands.
    struct Candidate {
        std::uint32_t rule;
        Pat lhs;
    };
    /// Candidates for a node with these ops, in order.
    std::span<const std::uint32_t> candidates(Ref node) const;
    const Candidate& candidate(std::uint32_t i) const { return candidates_[i]; }

private:
    // Candidates of one root op: class_[i][op] numbers the sets of candidates that agree on source
    // i's op.
    struct Bucket {
        std::array<std::array<std::uint8_t, kOpCount + 1>, 2> classes{};
        std::size_t columns = 0;
        std::vector<std::vector<std::uint32_t>> lists;  // [class of source 0][class of source 1]
    };
    void index();

    std::vector<RewriteRule> rules_;
    std::vector<Candidate> candidates_;
    std::array<std::int16_t, kOpCount> bucket_of_{};
    std::vector<Bucket> buckets_;
};

enum class Mode {
    BottomUp,  ///< sources first: a rule sees sources that are final
    TopDown,   ///< the node first: a rule sees the graph as written
};

/// The graphs of `roots` with the rules applied until none matches, in either mode; memoised on
/// node identity, so equal nodes are rewritten once. Iterative: depth is no limit. Throws
/// InternalError, naming the rules, if they go in circles: a node was rewritten `kRewriteLimit`
/// times in a row, or far more rewrites were made than there are nodes.
std::vector<Ref> rewrite(Arena& arena, std::span<const Ref> roots, const RewriteRules& rules,
                         Mode mode = Mode::BottomUp);
Ref rewrite(Arena& arena, Ref root, const RewriteRules& rules, Mode mode = Mode::BottomUp);

inline constexpr std::uint32_t kRewriteLimit = 2000;

/// Every rule that was tried while DEBUG >= 5, with its place, matches and time; slowest first. The
/// counters are a process-wide registry, written at the end of each rewrite by any thread. At
/// DEBUG=5 it is printed to stderr when the process ends.
void print_rule_trace(std::ostream& os);

}  // namespace sinter::ir
