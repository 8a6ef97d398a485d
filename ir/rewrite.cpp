#include <sinter/ir/rewrite.h>

#include <algorithm>
#include <chrono>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/ref_map.h>

#include "rule_trace.h"

namespace sinter::ir {
namespace {

std::string short_name(const char* path) {
    const std::string_view all = path;
    const std::size_t slash = all.find_last_of('/');
    return std::string(slash == std::string_view::npos ? all : all.substr(slash + 1));
}

}  // namespace

RewriteRule::RewriteRule(Pat lhs, Pat rhs)
    : RewriteRule(std::move(lhs), std::move(rhs), Condition()) {}

RewriteRule::RewriteRule(Pat lhs, Pat rhs, Condition condition)
    : lhs_(std::move(lhs)),
      rhs_(std::make_shared<const Pat>(std::move(rhs))),
      condition_(std::move(condition)) {
    if (const std::string why = rhs_->why_not_buildable(); !why.empty())
        throw InternalError(text() + ": " + why);
    stats_ = rule_stats(text());
}

RewriteRule::RewriteRule(Pat lhs, Action action, int)
    : lhs_(std::move(lhs)), action_(std::move(action)) {
    stats_ = rule_stats(text());
}

std::string RewriteRule::text() const {
    return short_name(where().file_name()) + ":" + std::to_string(where().line()) + "  " +
           lhs_.text() + " -> " + (rhs_ != nullptr ? rhs_->text() : "f") +
           (condition_ ? " if" : "");
}

Ref RewriteRule::fire(Arena& arena, Ref root, const Bindings& bindings) const {
    if (condition_ && !condition_(bindings)) return nullptr;
    return rhs_ != nullptr ? rhs_->build(arena, bindings, root) : action_(arena, root, bindings);
}

RewriteRules::RewriteRules(std::initializer_list<RewriteRule> rules) : rules_(rules) { index(); }
RewriteRules::RewriteRules(std::vector<RewriteRule> rules) : rules_(std::move(rules)) { index(); }

RewriteRules operator+(const RewriteRules& a, const RewriteRules& b) {
    std::vector<RewriteRule> rules = a.rules_;
    rules.insert(rules.end(), b.rules_.begin(), b.rules_.end());
    return RewriteRules(std::move(rules));
}

// The ops that source `i` of the pattern's root may have; all of them where it does not say.
static OpSet source_ops(const Pat& pat, std::size_t i) {
    const PatNode& root = pat.root();
    if (i >= root.nsrc) return OpSet().set();
    const PatNode& source = pat.nodes()[root.src[i]];
    switch (source.kind) {
        case PatNode::Kind::Any:
            break;
        case PatNode::Kind::Constant:
        case PatNode::Kind::Literal:
            return op_set({Op::Const});
        case PatNode::Kind::Apply:
            return source.ops;
    }
    return OpSet().set();
}

void RewriteRules::index() {
    for (std::uint32_t i = 0; i < rules_.size(); ++i) {
        if (rules_[i].lhs().root().kind == PatNode::Kind::Any)
            throw InternalError(rules_[i].text() + ": the left side matches every node");
        for (Pat& order : rules_[i].lhs().orders()) candidates_.push_back({i, std::move(order)});
    }
    bucket_of_.fill(-1);
    for (std::size_t op = 0; op < kOpCount; ++op) {
        std::vector<std::uint32_t> mine;
        for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
            const PatNode& root = candidates_[i].lhs.root();
            const bool constant =
                root.kind != PatNode::Kind::Apply && op == static_cast<std::size_t>(Op::Const);
            if (constant || (root.kind == PatNode::Kind::Apply && root.ops.test(op)))
                mine.push_back(i);
        }
        if (mine.empty()) continue;
        Bucket bucket;
        // An op's class is the set of candidates that take it as source s. The last column stands
        // for "no source".
        std::array<std::vector<std::vector<bool>>, 2> members;
        for (std::size_t s = 0; s < 2; ++s) {
            for (std::size_t source = 0; source <= kOpCount; ++source) {
                std::vector<bool> takes(mine.size());
                for (std::size_t k = 0; k < mine.size(); ++k) {
                    const Pat& pat = candidates_[mine[k]].lhs;
                    takes[k] =
                        source == kOpCount ? pat.root().nsrc <= s : source_ops(pat, s).test(source);
                }
                auto found = std::find(members[s].begin(), members[s].end(), takes);
                if (found == members[s].end()) found = members[s].insert(found, takes);
                bucket.classes[s][source] = static_cast<std::uint8_t>(found - members[s].begin());
            }
        }
        bucket.columns = members[1].size();
        for (const auto& first : members[0]) {
            for (const auto& second : members[1]) {
                auto& list = bucket.lists.emplace_back();
                for (std::size_t k = 0; k < mine.size(); ++k)
                    if (first[k] && second[k]) list.push_back(mine[k]);
            }
        }
        bucket_of_[op] = static_cast<std::int16_t>(buckets_.size());
        buckets_.push_back(std::move(bucket));
    }
}

std::span<const std::uint32_t> RewriteRules::candidates(Ref node) const {
    const std::int16_t number = bucket_of_[static_cast<std::size_t>(node->op())];
    if (number < 0) return {};
    const Bucket& bucket = buckets_[static_cast<std::size_t>(number)];
    const auto source = [&](std::size_t i) {
        return i < node->src().size() ? static_cast<std::size_t>(node->src(i)->op()) : kOpCount;
    };
    return bucket
        .lists[bucket.classes[0][source(0)] * bucket.columns + bucket.classes[1][source(1)]];
}

namespace {

// One rewrite of some graphs.
class Engine {
public:
    Engine(Arena& arena, const RewriteRules& rules, Mode mode)
        : arena_(arena), rules_(rules), mode_(mode), tracing_(env::debug() >= 5) {
        if (tracing_) counts_.resize(rules.rules().size());
    }

    ~Engine() {
        if (tracing_) print_rule_trace_at_exit();
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            RuleStats* stats = rules_.rules()[i].stats();
            stats->tries += counts_[i].tries;
            stats->matches += counts_[i].matches;
            stats->nanoseconds += counts_[i].nanoseconds;
        }
    }

    Ref run(Ref root) {
        roots_.push_back(root);
        push(root);
        while (!stack_.empty()) step();
        return *memo_.find(root);
    }

private:
    // A node on its way: `original` is what was asked for, `current` what it has become.
    struct Frame {
        Ref original, current;
        std::uint32_t rewrites;  // in a row
        bool ready;              // the rules that come before the sources are done
    };
    struct Count {
        std::uint64_t tries = 0, matches = 0, nanoseconds = 0;
    };

    void push(Ref node) { stack_.push_back({node, node, 0, mode_ == Mode::BottomUp}); }

    void finish(const Frame& frame, Ref result) {
        memo_[frame.original] = result;
        if (frame.current != frame.original) memo_[frame.current] = result;
        memo_[result] = result;
        stack_.pop_back();
    }

    void step() {
        Frame& frame = stack_.back();
        if (const Ref* done = memo_.find(frame.current)) return finish(frame, *done);
        if (!frame.ready) {
            if (Ref next = apply(frame.current)) return advance(frame, next);
            frame.ready = true;
        }
        // Sources that are not final yet go first.
        const std::size_t height = stack_.size();
        const Ref node = frame.current;
        sources_.clear();
        for (Ref s : node->src()) {
            if (const Ref* done = memo_.find(s))
                sources_.push_back(*done);
            else
                push(s);
        }
        if (stack_.size() != height) {
            std::reverse(stack_.begin() + static_cast<std::ptrdiff_t>(height), stack_.end());
            return;
        }
        Frame& top = stack_.back();
        const Ref rebuilt = arena_.with_src(node, sources_);
        if (rebuilt != node) {
            if (const Ref* done = memo_.find(rebuilt)) return finish(top, *done);
            top.current = rebuilt;
            if (mode_ == Mode::TopDown) {
                top.ready = false;
                return;
            }
        } else if (mode_ == Mode::TopDown) {
            return finish(top, node);
        }
        if (Ref next = apply(rebuilt)) return advance(top, next);
        finish(top, rebuilt);
    }

    void advance(Frame& frame, Ref next) {
        frame.current = next;
        frame.ready = mode_ == Mode::BottomUp;
        if (++frame.rewrites >= kRewriteLimit) give_up(frame);
        if (++rewrites_ == limit_) {
            // A rule whose result contains what it was made from grows without end, a node at a
            // time. Graphs that take more rewrites than nodes are measured once.
            if (counted_) give_up(frame);
            counted_ = true;
            limit_ += 64 * toposort(roots_).size();
        }
    }

    // What the first rule that holds makes of the node; null if none does.
    Ref apply(Ref node) {
        for (std::uint32_t i : rules_.candidates(node)) {
            const RewriteRules::Candidate& candidate = rules_.candidate(i);
            const RewriteRule& rule = rules_.rules()[candidate.rule];
            const auto start = tracing_ ? Clock::now() : Clock::time_point();
            Bindings bindings;
            Ref result = nullptr;
            if (candidate.lhs.match(node, bindings)) result = rule.fire(arena_, node, bindings);
            if (result == node) result = nullptr;
            if (tracing_) {
                Count& count = counts_[candidate.rule];
                ++count.tries;
                count.matches += result != nullptr;
                count.nanoseconds += static_cast<std::uint64_t>((Clock::now() - start).count());
            }
            if (result != nullptr) {
                recent_[fired_++ % recent_.size()] = candidate.rule;
                return result;
            }
        }
        return nullptr;
    }

    [[noreturn]] void give_up(const Frame& frame) {
        std::string message = "rewrite: rules go in circles at " + describe(frame.current) +
                              " (from " + describe(frame.original) + "):";
        const auto last =
            recent_.begin() + static_cast<std::ptrdiff_t>(std::min(fired_, recent_.size()));
        std::sort(recent_.begin(), last);
        const auto end = std::unique(recent_.begin(), last);
        for (auto rule = recent_.begin(); rule != end; ++rule)
            message += "\n  " + rules_.rules()[*rule].text();
        throw InternalError(message);
    }

    using Clock = std::chrono::steady_clock;

    Arena& arena_;
    const RewriteRules& rules_;
    Mode mode_;
    bool tracing_;
    std::array<std::uint32_t, 32> recent_{};  // rules that fired last
    std::size_t fired_ = 0;
    std::size_t rewrites_ = 0, limit_ = 10'000;
    bool counted_ = false;
    std::vector<Ref> roots_;
    RefMap<Ref> memo_;
    std::vector<Frame> stack_;
    std::vector<Ref> sources_;
    std::vector<Count> counts_;
};

}  // namespace

std::vector<Ref> rewrite(Arena& arena, std::span<const Ref> roots, const RewriteRules& rules,
                         Mode mode) {
    Engine engine(arena, rules, mode);
    std::vector<Ref> results;
    results.reserve(roots.size());
    for (Ref root : roots) results.push_back(engine.run(root));
    return results;
}

Ref rewrite(Arena& arena, Ref root, const RewriteRules& rules, Mode mode) {
    return Engine(arena, rules, mode).run(root);
}

}  // namespace sinter::ir
