#include <sinter/ir/simplify.h>

#include "index_build.h"

namespace sinter::ir {
namespace {

const RewriteRules& everything() {
    static const RewriteRules rules = index_algebra() + algebra();
    return rules;
}

}  // namespace

Ref simplify(Arena& arena, Ref root) { return rewrite(arena, root, everything()); }
std::vector<Ref> simplify(Arena& arena, std::span<const Ref> roots) {
    return rewrite(arena, roots, everything());
}

}  // namespace sinter::ir
