#include "substitute.h"

#include <sinter/ir/simplify.h>

namespace sinter::ir {

std::vector<Ref> substitute(Arena& arena, std::span<const Ref> roots, Substitution map) {
    return substitute_in(arena, roots, map, [](Ref) { return true; });
}

Ref substitute(Arena& arena, Ref root, Substitution map) {
    return substitute(arena, std::span<const Ref>(&root, 1), map)[0];
}

}  // namespace sinter::ir
