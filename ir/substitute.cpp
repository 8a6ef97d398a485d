#include <sinter/ir/ref_map.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {

std::vector<Ref> substitute(Arena& arena, std::span<const Ref> roots, Substitution map) {
    RefMap<Ref> memo;
    for (const auto& [from, to] : map) memo[from] = to;
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
            sources.clear();
            for (Ref s : node->src()) {
                if (const Ref* done = memo.find(s))
                    sources.push_back(*done);
                else
                    stack.push_back(s);
            }
            if (stack.size() != height) continue;
            memo[node] = arena.with_src(node, sources);
            stack.pop_back();
        }
        results.push_back(*memo.find(root));
    }
    return results;
}

Ref substitute(Arena& arena, Ref root, Substitution map) {
    return substitute(arena, std::span<const Ref>(&root, 1), map)[0];
}

}  // namespace sinter::ir
