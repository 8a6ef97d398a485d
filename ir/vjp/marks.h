#pragma once
// Gradients of leaves (none: the walk ends there) and of marks (the gradient passes, where it may).

#include <unordered_set>

#include "elementwise.h"

namespace sinter::ir::vjp {

inline void Const(Vjp& v) { no_gradient(v); }
inline void Buffer(Vjp& v) { no_gradient(v); }
inline void Bind(Vjp& v) { no_gradient(v); }
inline void Iota(Vjp& v) { no_gradient(v); }

inline void Contiguous(Vjp& v) { v.give(v.g); }
inline void Detach(Vjp& v) { no_gradient(v); }
inline void Assign(Vjp& v) { v.give(1, v.g); }

/// The device that `x` is computed on, by the first buffer or copy below it; none if there are only
/// constants.
inline std::optional<std::int64_t> device_of(Ref x) {
    std::vector<Ref> stack{x};
    std::unordered_set<Ref> seen{x};
    while (!stack.empty()) {
        const Ref node = stack.back();
        stack.pop_back();
        if (node->is(Op::Buffer)) return node->arg(1);
        if (node->is(Op::Copy)) return node->arg(0);
        for (const Ref s : node->src()) {
            if (seen.insert(s).second) stack.push_back(s);
        }
    }
    return std::nullopt;
}
inline void Copy(Vjp& v) {
    const std::optional<std::int64_t> home = device_of(v.y->src(0));
    v.give(home && *home != v.y->arg(0) ? copy_to(v.g, *home) : v.g);
}

}  // namespace sinter::ir::vjp
