#pragma once
// One pass over kernels that makes every node anew, sources first.

#include <span>
#include <unordered_map>
#include <vector>

#include <sinter/ir/arena.h>

namespace sinter::schedule {

/// `change(node, sources)` gives the node that takes the place of `node`, whose sources have
/// changed to `sources`.
template <class F>
std::vector<ir::Ref> rebuild(std::span<const ir::Ref> roots, F&& change) {
    std::unordered_map<ir::Ref, ir::Ref> made;
    std::vector<ir::Ref> src;
    for (ir::Ref node : ir::toposort(roots)) {
        src.clear();
        for (ir::Ref s : node->src()) src.push_back(made.at(s));
        made.emplace(node, change(node, std::span<const ir::Ref>(src)));
    }
    std::vector<ir::Ref> out;
    for (ir::Ref root : roots) out.push_back(made.at(root));
    return out;
}

}  // namespace sinter::schedule
