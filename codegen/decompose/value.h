#pragma once
// A handle to a node that reads like arithmetic, for expansions of math functions: `fma(r, q, 1.0)
// * scale`. Operators make exactly the node they name; nothing is folded or reordered, since
// expansions rely on the rounding of each step.

#include <bit>
#include <cstdint>
#include <limits>
#include <span>

#include <sinter/codegen/codegen.h>

namespace sinter::codegen::math {

using ir::Op;
using ir::Ref;

struct Context {
    ir::Arena& arena;
    const Target& target;
};

/// Whether the machine multiplies by a power of two that is given by its exponent (AVX-512).
inline bool scales_by_powers(const Target& target) {
    return target.kind == Target::Kind::Cpu && target.vector_bits >= 512 &&
           target.triple.starts_with("x86_64");
}

/// First argument of Cast, IDiv, Mod, Shl and Shr nodes whose operands are known to be in the range
/// where the machine's instruction has the documented result.
inline constexpr std::int64_t kInRange = 1;

class Value {
public:
    Value(const Context& context, Ref node) : context_(&context), node_(node) {}

    Ref node() const { return node_; }
    DType dtype() const { return node_->dtype(); }
    const Context& context() const { return *context_; }

    /// A constant of this value's dtype.
    Value like(double value) const { return wrap(arena().constant(dtype(), value)); }
    /// An integer constant of this value's (integer) dtype, given by its bits.
    Value like_bits(std::int64_t bits) const {
        return wrap(arena().constant_bits(dtype(), ir::wrap_int(dtype(), bits)));
    }

    Value make(Op op) const { return wrap(arena().unary(op, node_)); }
    Value make(Op op, Value other) const { return wrap(arena().binary(op, node_, other.node_)); }
    /// With an argument; see kInRange.
    Value make(Op op, Value other, std::int64_t arg) const {
        return wrap(arena().make(op, dtype(), {node_, other.node_}, {arg}));
    }

    /// The bits as an integer (floats), or as another type of the same size.
    Value bitcast(DType to) const {
        return dtype() == to ? *this : wrap(arena().make(Op::Bitcast, to, {node_}));
    }
    Value cast_to(DType to) const { return wrap(arena().cast(node_, to)); }
    /// A cast whose value is in the range of `to`, and NaN never.
    Value cast_in_range(DType to) const {
        return wrap(arena().make(Op::Cast, to, {node_}, {kInRange}));
    }
    /// Of a float, x 2^n for an integral n of its dtype, rounded once: where scales_by_powers.
    Value times_power_of_two(Value n) const { return make(Op::Shl, n, kInRange); }
    /// Shifts by a constant number of bits, 0 <= n < width.
    Value shl(int n) const { return make(Op::Shl, like_bits(n), kInRange); }
    Value shr(int n) const { return make(Op::Shr, like_bits(n), kInRange); }

private:
    friend Value where(Value condition, Value a, Value b);
    friend Value fma(Value a, Value b, Value c);
    ir::Arena& arena() const { return context_->arena; }
    Value wrap(Ref node) const { return {*context_, node}; }

    const Context* context_;
    Ref node_;
};

inline Value operator+(Value a, Value b) { return a.make(Op::Add, b); }
inline Value operator-(Value a, Value b) { return a.make(Op::Sub, b); }
inline Value operator*(Value a, Value b) { return a.make(Op::Mul, b); }
inline Value operator/(Value a, Value b) { return a.make(Op::Div, b); }
inline Value operator-(Value a) { return a.make(Op::Neg); }
inline Value operator&(Value a, Value b) { return a.make(Op::And, b); }
inline Value operator|(Value a, Value b) { return a.make(Op::Or, b); }
inline Value operator^(Value a, Value b) { return a.make(Op::Xor, b); }
inline Value operator~(Value a) { return a.make(Op::Not); }
inline Value operator<(Value a, Value b) { return a.make(Op::Lt, b); }
inline Value operator<=(Value a, Value b) { return a.make(Op::Le, b); }
inline Value operator>(Value a, Value b) { return b.make(Op::Lt, a); }
inline Value operator>=(Value a, Value b) { return b.make(Op::Le, a); }
inline Value operator==(Value a, Value b) { return a.make(Op::Eq, b); }
inline Value operator!=(Value a, Value b) { return a.make(Op::Ne, b); }

inline Value operator+(Value a, double b) { return a + a.like(b); }
inline Value operator+(double a, Value b) { return b.like(a) + b; }
inline Value operator-(Value a, double b) { return a - a.like(b); }
inline Value operator-(double a, Value b) { return b.like(a) - b; }
inline Value operator*(Value a, double b) { return a * a.like(b); }
inline Value operator*(double a, Value b) { return b.like(a) * b; }
inline Value operator/(double a, Value b) { return b.like(a) / b; }
inline Value operator<(Value a, double b) { return a < a.like(b); }
inline Value operator<=(Value a, double b) { return a <= a.like(b); }
inline Value operator>(Value a, double b) { return a > a.like(b); }
inline Value operator>=(Value a, double b) { return a >= a.like(b); }
inline Value operator==(Value a, double b) { return a == a.like(b); }
inline Value operator!=(Value a, double b) { return a != a.like(b); }

inline Value where(Value condition, Value a, Value b) {
    return a.wrap(a.arena().where(condition.node(), a.node(), b.node()));
}
inline Value where(Value condition, double a, Value b) { return where(condition, b.like(a), b); }
inline Value where(Value condition, Value a, double b) { return where(condition, a, a.like(b)); }

/// a * b + c, rounded once where the target can, else twice: for steps where either will do.
inline Value fma(Value a, Value b, Value c) {
    if (!a.context().target.fma) return a * b + c;
    return a.wrap(a.arena().make(Op::Fma, a.dtype(), {a.node(), b.node(), c.node()}));
}
inline Value fma(Value a, double b, Value c) { return fma(a, a.like(b), c); }
inline Value fma(Value a, Value b, double c) { return fma(a, b, a.like(c)); }
inline Value fma(Value a, double b, double c) { return fma(a, a.like(b), a.like(c)); }

inline Value is_nan(Value x) { return x != x; }

/// The integer type as wide as a float type.
inline DType bits_type(DType dt) {
    return size_of(dt) == 8 ? DType::I64 : size_of(dt) == 4 ? DType::I32 : DType::I16;
}
inline Value to_bits(Value x) { return x.bitcast(bits_type(x.dtype())); }
inline std::int64_t sign_bit(DType dt) {
    return static_cast<std::int64_t>(std::uint64_t{1} << (8 * size_of(dt) - 1));
}

/// |x|, by clearing the sign bit.
inline Value abs(Value x) {
    const Value bits = to_bits(x);
    return (bits & bits.like_bits(~sign_bit(x.dtype()))).bitcast(x.dtype());
}
/// The sign bit of x alone, as an integer.
inline Value sign_of(Value x) {
    const Value bits = to_bits(x);
    return bits & bits.like_bits(sign_bit(x.dtype()));
}
/// x with its sign flipped where `sign` (from sign_of) is set.
inline Value flip_sign(Value x, Value sign) { return (to_bits(x) ^ sign).bitcast(x.dtype()); }

/// One instruction on x86 each; a NaN in x stays.
inline Value at_most(Value x, double bound) { return where(x.like(bound) < x, bound, x); }
inline Value at_least(Value x, double bound) { return where(x < x.like(bound), bound, x); }

/// c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule.
inline Value polynomial(Value x, std::span<const double> c) {
    Value sum = x.like(c.back());
    for (std::size_t i = c.size() - 1; i-- > 0;) sum = fma(sum, x, c[i]);
    return sum;
}

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace sinter::codegen::math
