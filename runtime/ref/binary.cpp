// Elementwise functions of two or three sources.

#include <algorithm>
#include <cmath>
#include <limits>

#include "ref/arithmetic.h"
#include "ref/elementwise.h"

namespace sinter::runtime::ref {
namespace fn {

// A function of two operands of type T, for the elements that `Domain` takes.
#define SINTER_REF_BINARY(name, Domain, expression) \
    struct name : Domain {                          \
        template <class T>                          \
        static T apply(T a, T b) {                  \
            return expression;                      \
        }                                           \
    }

SINTER_REF_BINARY(Add, TakesNumbers, add(a, b));
SINTER_REF_BINARY(Sub, TakesNumbers, subtract(a, b));
SINTER_REF_BINARY(Div, TakesFloats, a / b);
SINTER_REF_BINARY(IDiv, TakesIntegers, floor_divide(a, b));
SINTER_REF_BINARY(Mod, TakesIntegers, floor_modulo(a, b));
SINTER_REF_BINARY(Pow, Approximate, std::pow(a, b));
SINTER_REF_BINARY(Atan2, Approximate, std::atan2(a, b));
SINTER_REF_BINARY(And, TakesBits, static_cast<T>(a& b));
SINTER_REF_BINARY(Or, TakesBits, static_cast<T>(a | b));
SINTER_REF_BINARY(Xor, TakesBits, static_cast<T>(a ^ b));
SINTER_REF_BINARY(Shl, TakesIntegers, shift_left(a, b));
SINTER_REF_BINARY(Shr, TakesIntegers, shift_right(a, b));

#undef SINTER_REF_BINARY

// Functions whose result is open in some cases: `open` is what else they may give.

struct Mul : TakesNumbers {
    template <class T>
    static T apply(T a, T b) {
        return multiply(a, b);
    }
    /// A product that is added up unrounded is no farther from the rounded one than the number on
    /// its other side, and does not overflow.
    template <class E>
    static double open(double a, double b, bool summed_on) {
        const double product = a * b;
        if (!summed_on || !std::isfinite(a) || !std::isfinite(b)) return product;
        if constexpr (std::is_same_v<E, Machine<E>>) {
            const E rounded = store<E>(product);
            // The range of long double takes in what is left of a product below the normal numbers.
            const long double error = static_cast<long double>(a) * b - rounded;
            if (std::isfinite(rounded) && error != 0) {
                constexpr E kInfinity = std::numeric_limits<E>::infinity();
                return std::nextafter(rounded, error > 0 ? kInfinity : -kInfinity);
            }
        }
        constexpr auto kLargest = static_cast<double>(std::numeric_limits<Machine<E>>::max());
        return std::clamp(product, -kLargest, kLargest);
    }
};

/// Of -0 and 0 either may be the larger.
struct Max : TakesAll {
    template <class T>
    static T apply(T a, T b) {
        return maximum(a, b);
    }
    template <class E>
    static double open(double a, double b, bool /*summed_on*/) {
        return a == b ? minimum(a, b) : maximum(a, b);
    }
};

struct Min : TakesAll {
    template <class T>
    static T apply(T a, T b) {
        return minimum(a, b);
    }
    template <class E>
    static double open(double a, double b, bool /*summed_on*/) {
        return a == b ? maximum(a, b) : minimum(a, b);
    }
};

#define SINTER_REF_COMPARE(name, sign) \
    struct name {                      \
        template <class T>             \
        static bool apply(T a, T b) {  \
            return a sign b;           \
        }                              \
    }

SINTER_REF_COMPARE(Lt, <);
SINTER_REF_COMPARE(Le, <=);
SINTER_REF_COMPARE(Eq, ==);
SINTER_REF_COMPARE(Ne, !=);

#undef SINTER_REF_COMPARE

}  // namespace fn

namespace eval {

#define SINTER_REF_Binary(name) \
    Value name(ir::Ref node, Sources src) { return map_binary<fn::name>(node, src); }
#define SINTER_REF_Compare(name) \
    Value name(ir::Ref node, Sources src) { return map_compare<fn::name>(node, src); }
#define SINTER_REF_Unary(name)
#define SINTER_REF_Ternary(name)
#define SINTER_REF_Leaf(name)
#define SINTER_REF_Movement(name)
#define SINTER_REF_Reduce(name)
#define SINTER_REF_Index(name)
#define SINTER_REF_Mark(name)
#define SINTER_TENSOR_OP(name, kind, ...) SINTER_REF_##kind(name)
#include <sinter/ir/op_table.def>

Value Where(ir::Ref node, Sources src) {
    Value out = allocate_for(node);
    const Bool* condition = src[0]->as<Bool>();
    with_width(node->dtype(), [&]<class T>() {
        T* to = out.fill<T>();
        const T *yes = src[1]->as<T>(), *no = src[2]->as<T>();
        for (std::int64_t i = 0, n = node->numel(); i < n; ++i)
            to[i] = load(condition[i]) ? yes[i] : no[i];
    });
    return out;
}

}  // namespace eval
}  // namespace sinter::runtime::ref
