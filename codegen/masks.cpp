#include "masks.h"

namespace sinter::codegen {
namespace {

bool is_zero(Ref n) { return n->is(Op::Const) && n->arg(0) == 0; }

// The mask under which a value is something and outside which it is +0; null if there is none.
Ref mask_of(Ref n) {
    if (n->is(Op::Where) && is_zero(n->src(2))) return n->src(0);
    if (n->is(Op::Load) && n->arg(0) == 0 && n->src(2)->vmin() == 0) return n->src(2);
    return nullptr;
}

Ref without_choice(Ref n) { return n->is(Op::Where) ? n->src(1) : n; }

}  // namespace

Ref gather_masks(Arena& a, Ref sink) {
    return rebuild(sink, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (n->is(Op::Load) && ir::is_readable(n) && src[2]->vmin() == 0) {
            std::vector<Ref> plain(src.begin(), src.end());
            plain[2] = a.truth(true);
            const std::int64_t fill[] = {n->arg(0)};
            return a.where(src[2], a.make(Op::Load, n->dtype(), plain, fill),
                           a.constant_bits(n->dtype(), n->arg(0)));
        }
        if (n->is(Op::Mul) && is_float(n->dtype())) {
            const Ref mask = mask_of(src[0]);
            // +0 times +0 is +0, so both may be left to the one choice.
            if (mask != nullptr && mask == mask_of(src[1]))
                return a.where(mask, a.mul(without_choice(src[0]), without_choice(src[1])),
                               a.constant_bits(n->dtype(), 0));
        }
        return make_folded(a, n, src);
    });
}

}  // namespace sinter::codegen
