#pragma once
// The walk of substitute().

#include <span>
#include <utility>
#include <vector>

#include <sinter/ir/arena.h>
#include <sinter/ir/ref_map.h>

namespace sinter::ir {

/// The roots with each `first` of a pair replaced by its `second`. What is neither replaced nor
/// `enters(node)` stays as it is.
template <class Enters>
std::vector<Ref> substitute_in(Arena& arena, std::span<const Ref> roots,
                               std::span<const std::pair<Ref, Ref>> pairs, const Enters& enters) {
    RefMap<Ref> memo;
    for (const auto& [from, to] : pairs) memo[from] = to;
    std::vector<Ref> stack, sources, results;
    for (Ref root : roots) {
        stack.push_back(root);
        while (!stack.empty()) {
            const Ref node = stack.back();
            if (memo.contains(node)) {
                stack.pop_back();
                continue;
            }
            const std::size_t height = stack.size();
            const bool entered = enters(node);
            sources.clear();
            if (entered) {
                for (Ref s : node->src()) {
                    if (const Ref* done = memo.find(s))
                        sources.push_back(*done);
                    else
                        stack.push_back(s);
                }
            }
            if (stack.size() != height) continue;
            memo[node] = entered ? arena.with_src(node, sources) : node;
            stack.pop_back();
        }
        results.push_back(*memo.find(root));
    }
    return results;
}

}  // namespace sinter::ir
