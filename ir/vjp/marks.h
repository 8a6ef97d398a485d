#pragma once
// Gradients of leaves (none: the walk ends there) and of marks (the gradient passes, where it may).

#include "elementwise.h"

namespace sinter::ir::vjp {

inline void Const(Vjp& v) { no_gradient(v); }
inline void Buffer(Vjp& v) { no_gradient(v); }
inline void Bind(Vjp& v) { no_gradient(v); }
inline void Iota(Vjp& v) { no_gradient(v); }

inline void Contiguous(Vjp& v) { v.give(v.g); }
inline void Detach(Vjp& v) { no_gradient(v); }
inline void Assign(Vjp& v) { v.give(1, v.g); }

inline void Copy(Vjp& v) {
    const std::optional<std::int64_t> home = device_of(v.y->src(0));
    v.give(home && *home != v.y->arg(0) ? copy_to(v.g, *home) : v.g);
}

}  // namespace sinter::ir::vjp
