#include "operands.h"

#include <algorithm>

#include <sinter/ir/kernel.h>

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

Operands operands_of(Ref sink) {
    Operands found;
    for (Ref n : ir::toposort(std::span<const Ref>(&sink, 1))) {
        if ((!n->is(Op::Load) && !n->is(Op::Store)) || ir::is_near(n->src(0))) continue;
        std::vector<Ref>& list = n->is(Op::Load) ? found.read : found.written;
        if (std::ranges::find(list, n->src(0)) == list.end()) list.push_back(n->src(0));
    }
    return found;
}

}  // namespace sinter::schedule
