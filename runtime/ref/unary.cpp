// Elementwise functions of one source.

#include <cmath>
#include <limits>

#include "ref/arithmetic.h"
#include "ref/elementwise.h"

namespace sinter::runtime::ref {
namespace fn {

struct Neg : TakesNumbers {
    template <class T>
    static T apply(T x) {
        return negate(x);
    }
};

struct Not : TakesBits {
    static bool apply(bool x) { return !x; }
    template <class T>
    static T apply(T x) {
        return static_cast<T>(~x);
    }
};

struct Abs : TakesNumbers {
    template <class T>
    static T apply(T x) {
        if constexpr (std::is_floating_point_v<T>)
            return std::fabs(x);
        else if constexpr (std::is_signed_v<T>)
            return x < 0 ? negate(x) : x;
        else
            return x;
    }
};

struct Sign : TakesNumbers {
    template <class T>
    static T apply(T x) {
        if constexpr (std::is_floating_point_v<T>)
            if (std::isnan(x)) return x;
        if constexpr (std::is_signed_v<T>)
            if (x < 0) return T{-1};
        return x > 0 ? T{1} : T{0};
    }
};

// A function of floats, computed by the C library in double.
#define SINTER_REF_MATH(name, Domain, expression)            \
    struct name : Domain {                                   \
        static double apply(double x) { return expression; } \
    }

SINTER_REF_MATH(Floor, TakesFloats, std::floor(x));
SINTER_REF_MATH(Ceil, TakesFloats, std::ceil(x));
SINTER_REF_MATH(Trunc, TakesFloats, std::trunc(x));
SINTER_REF_MATH(Round, TakesFloats, std::nearbyint(x));  // the default mode: half to even
SINTER_REF_MATH(Recip, TakesFloats, 1.0 / x);
SINTER_REF_MATH(Sqrt, TakesFloats, std::sqrt(x));
SINTER_REF_MATH(Exp, Approximate, std::exp(x));
SINTER_REF_MATH(Exp2, Approximate, std::exp2(x));
SINTER_REF_MATH(Expm1, Approximate, std::expm1(x));
SINTER_REF_MATH(Log, Approximate, std::log(x));
SINTER_REF_MATH(Log2, Approximate, std::log2(x));
SINTER_REF_MATH(Log1p, Approximate, std::log1p(x));
SINTER_REF_MATH(Sin, Approximate, std::sin(x));
SINTER_REF_MATH(Cos, Approximate, std::cos(x));
SINTER_REF_MATH(Tan, Approximate, std::tan(x));
SINTER_REF_MATH(Asin, Approximate, std::asin(x));
SINTER_REF_MATH(Acos, Approximate, std::acos(x));
SINTER_REF_MATH(Atan, Approximate, std::atan(x));
SINTER_REF_MATH(Sinh, Approximate, std::sinh(x));
SINTER_REF_MATH(Cosh, Approximate, std::cosh(x));
SINTER_REF_MATH(Tanh, Approximate, std::tanh(x));
SINTER_REF_MATH(Erf, Approximate, std::erf(x));

#undef SINTER_REF_MATH

}  // namespace fn

namespace eval {

// The rows of kind Unary that keep the dtype; casts stand in cast.cpp.
#define SINTER_REF_Unary_Same(name) \
    Value name(ir::Ref node, Sources src) { return map_unary<fn::name>(node, src); }
#define SINTER_REF_Unary_Given(name)
#define SINTER_REF_Unary(name, dtype) SINTER_REF_Unary_##dtype(name)
#define SINTER_REF_Binary(...)
#define SINTER_REF_Compare(...)
#define SINTER_REF_Ternary(...)
#define SINTER_REF_Leaf(...)
#define SINTER_REF_Movement(...)
#define SINTER_REF_Reduce(...)
#define SINTER_REF_Index(...)
#define SINTER_REF_Mark(...)
#define SINTER_TENSOR_OP(name, kind, arity, dtype, ...) SINTER_REF_##kind(name, dtype)
#include <sinter/ir/op_table.def>

}  // namespace eval
}  // namespace sinter::runtime::ref
