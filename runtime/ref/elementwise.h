#pragma once
// Elementwise functions: what an op does to values, as a struct with the elements it takes, and the
// loops over arrays.
//
// Floats are computed in double and rounded once to the element. For + - * / and sqrt of f16, bf16
// and f32 that is the correctly rounded result: a double has more than twice their digits
// (Figueroa, "When is double rounding innocuous?", 1995).

#include "ref/element.h"
#include "ref/functions.h"
#include "ref/spread.h"

namespace sinter::runtime::ref {

/// Rounded right on every device, unless the function says otherwise.
struct Exact {
    static constexpr bool exact = true;
};

struct TakesAll : Exact {
    template <class E>
    static constexpr bool takes = true;
};
struct TakesNumbers : Exact {
    template <class E>
    static constexpr bool takes = !is_bool_element<E>;
};
struct TakesIntegers : Exact {
    template <class E>
    static constexpr bool takes = is_int_element<E>;
};
struct TakesFloats : Exact {
    template <class E>
    static constexpr bool takes = is_float_element<E>;
};
struct TakesBits : Exact {
    template <class E>
    static constexpr bool takes = !is_float_element<E>;
};

/// Functions of floats that no device rounds right in every last place.
struct Approximate : TakesFloats {
    static constexpr bool exact = false;
};

/// out[i] = apply(i), rounded once; blurred while there is noise.
template <class F, class E, class Apply>
void fill_each(ir::Ref node, E* out, Apply&& apply) {
    const std::int64_t n = node->numel();
    if constexpr (!F::exact) {
        if (const Noise* noise = Noise::active()) {
            for (std::int64_t i = 0; i < n; ++i)
                out[i] = store<E>(blur_function<E>(*noise, apply(i), i));
            return;
        }
    }
    for (std::int64_t i = 0; i < n; ++i) out[i] = store<E>(apply(i));
}

/// node[i] = F(x[i])
template <class F>
Value map_unary(ir::Ref node, Sources src) {
    return with_element(node->dtype(), [&]<class E>() -> Value {
        if constexpr (F::template takes<E>) {
            Value out = allocate_for(node);
            const E* x = src[0]->as<E>();
            fill_each<F>(node, out.fill<E>(), [&](std::int64_t i) { return F::apply(load(x[i])); });
            return out;
        } else {
            refuse(node, "the op does not take this dtype");
        }
    });
}

/// node[i] = F(a[i], b[i])
template <class F, class E>
concept HasOpen = requires { F::template open<E>(0.0, 0.0, false); };

// Clang looks `open` up in F at once, even in a branch that is discarded.
template <class F, class E>
double open_value(double x, double y, bool summed_on) {
    return F::template open<E>(x, y, summed_on);
}

template <class F>
Value map_binary(ir::Ref node, Sources src) {
    return with_element(node->dtype(), [&]<class E>() -> Value {
        if constexpr (F::template takes<E>) {
            Value out = allocate_for(node);
            const E *a = src[0]->as<E>(), *b = src[1]->as<E>();
            if constexpr (is_float_element<E> && HasOpen<F, E>) {
                if (const Noise* noise = Noise::active()) {
                    E* to = out.fill<E>();
                    for (std::int64_t i = 0, n = node->numel(); i < n; ++i) {
                        const bool other = noise->draw(static_cast<std::uint64_t>(i)) < 0;
                        const double x = load(a[i]), y = load(b[i]);
                        to[i] = store<E>(other ? open_value<F, E>(x, y, noise->summed_on())
                                               : F::apply(x, y));
                    }
                    return out;
                }
            }
            fill_each<F>(node, out.fill<E>(),
                         [&](std::int64_t i) { return F::apply(load(a[i]), load(b[i])); });
            return out;
        } else {
            refuse(node, "the op does not take this dtype");
        }
    });
}

/// The bool node[i] = F(a[i], b[i])
template <class F>
Value map_compare(ir::Ref node, Sources src) {
    return with_element(node->src(0)->dtype(), [&]<class E>() -> Value {
        Value out = allocate_for(node);
        Bool* to = out.fill<Bool>();
        const E *a = src[0]->as<E>(), *b = src[1]->as<E>();
        for (std::int64_t i = 0, n = node->numel(); i < n; ++i)
            to[i] = store<Bool>(F::apply(load(a[i]), load(b[i])));
        return out;
    });
}

}  // namespace sinter::runtime::ref
