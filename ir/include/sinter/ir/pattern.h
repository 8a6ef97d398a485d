#pragma once
// Patterns over nodes that read like the algebra they state:  (x + c0) + c1,  where(c, x, x), lt(x,
// y).

#include <array>
#include <bitset>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <string>
#include <vector>

#include <sinter/ir/arena.h>

namespace sinter::ir {

/// A set of dtypes, one bit each.
class DTypeSet {
public:
    constexpr DTypeSet() = default;
    constexpr DTypeSet(DType dt)
        : bits_(static_cast<std::uint16_t>(1u << static_cast<unsigned>(dt))) {}
    constexpr bool contains(DType dt) const { return (bits_ >> static_cast<unsigned>(dt)) & 1u; }
    constexpr DTypeSet operator|(DTypeSet other) const { return DTypeSet(bits_ | other.bits_, 0); }
    constexpr DTypeSet operator&(DTypeSet other) const { return DTypeSet(bits_ & other.bits_, 0); }
    constexpr bool operator==(const DTypeSet&) const = default;
    static constexpr DTypeSet all() { return DTypeSet((1 << kDTypeCount) - 1, 0); }

private:
    constexpr DTypeSet(int bits, int) : bits_(static_cast<std::uint16_t>(bits)) {}
    std::uint16_t bits_ = 0;
};

inline constexpr DTypeSet kSignedInts = DTypeSet(i8) | i16 | i32 | i64;
inline constexpr DTypeSet kUnsignedInts = DTypeSet(u8) | u16 | u32 | u64;
/// Integers of tensors; they wrap. DType::Index is not among them.
inline constexpr DTypeSet kInts = kSignedInts | kUnsignedInts;
inline constexpr DTypeSet kFloats = DTypeSet(f16) | bf16 | f32 | f64;
inline constexpr DTypeSet kIndex = DTypeSet(DType::Index);
inline constexpr DTypeSet kBool = DTypeSet(boolean);
inline constexpr DTypeSet kAllInts = kInts | kIndex;

using OpSet = std::bitset<kOpCount>;
OpSet op_set(std::initializer_list<Op> ops);
/// The ops of one class, e.g. OpKind::Compare.
OpSet op_set(OpKind kind);

inline constexpr int kMaxCaptures = 8;

/// A node of a pattern; patterns are flat, sources before users, the root last.
struct PatNode {
    enum class Kind : std::uint8_t {
        Any,       ///< any node
        Constant,  ///< any Const
        Literal,   ///< the Const of one value (on the right side: makes it, in the dtype that fits)
        Apply,     ///< a node with an op of `ops`, and sources as given (`nsrc` 0: any sources)
    };
    Kind kind = Kind::Any;
    std::int8_t capture = -1;
    std::uint8_t nsrc = 0;
    DTypeSet dtypes = DTypeSet::all();
    std::array<std::uint8_t, 3> src{};
    OpSet ops;
    double literal = 0;
    bool operator==(const PatNode&) const = default;
};

class Pat;

/// What the captures of a pattern stand for, by declared index.
class Bindings {
public:
    Ref operator[](int capture) const { return refs_[static_cast<std::size_t>(capture)]; }
    Ref operator[](const Pat& capture) const;
    Ref& at(int capture) { return refs_[static_cast<std::size_t>(capture)]; }

private:
    std::array<Ref, kMaxCaptures> refs_{};
};

/// A pattern, by value. Numbers become literals: a float literal matches that value bit by bit (0
/// is not -0).
class Pat {
public:
    template <class T>
        requires std::is_arithmetic_v<T>
    Pat(T literal) {
        PatNode node;
        node.kind = PatNode::Kind::Literal;
        node.literal = static_cast<double>(literal);
        nodes_.push_back(node);
    }

    /// Any node, bound to capture `index` (0 <= index < kMaxCaptures). A capture that stands twice
    /// in a pattern must be the same node.
    static Pat any(int index);
    /// Any Const, bound to capture `index`.
    static Pat constant(int index);
    /// An op of the set applied to sources; without sources, any sources.
    static Pat apply(const OpSet& ops, std::initializer_list<Pat> src = {},
                     std::source_location where = std::source_location::current());
    static Pat apply(Op op, std::initializer_list<Pat> src = {},
                     std::source_location where = std::source_location::current()) {
        return apply(op_set({op}), src, where);
    }

    /// The same, of these dtypes only.
    Pat of(DTypeSet dtypes) const;
    /// The same, with the node bound to capture `index`.
    Pat as(int index) const;

    struct Operand;
    friend Pat operator+(const Operand& a, const Operand& b);
    friend Pat operator-(const Operand& a, const Operand& b);
    friend Pat operator*(const Operand& a, const Operand& b);
    friend Pat operator&(const Operand& a, const Operand& b);
    friend Pat operator|(const Operand& a, const Operand& b);
    friend Pat operator^(const Operand& a, const Operand& b);
    friend Pat operator-(const Operand& a);

    const std::vector<PatNode>& nodes() const { return nodes_; }
    const PatNode& root() const { return nodes_.back(); }
    std::string text() const;
    /// Where the outermost op of the pattern is written.
    const std::source_location& where() const { return where_; }

    /// Whether `node` is an instance of this pattern, in this order of operands; fills `bindings`.
    bool match(Ref node, Bindings& bindings) const;
    /// The pattern in every order of the operands of its commutative ops, itself first.
    std::vector<Pat> orders() const;
    /// The pattern's node with the captures replaced, in the dtype (where only literals say) and
    /// lanes of `like`.
    Ref build(Arena& arena, const Bindings& bindings, Ref like) const;
    /// Why the pattern cannot be a right side; empty if it can.
    std::string why_not_buildable() const;

private:
    Pat() = default;
    std::vector<PatNode> nodes_;
    std::source_location where_;
};

/// An operand of an operator: a pattern or a number, and the line it stands in. (The rows of a
/// braced table would all be given the line where the table ends.)
struct Pat::Operand {
    Pat pat;
    std::source_location where;
    // NOLINTBEGIN(google-explicit-constructor)
    Operand(const Pat& p, std::source_location here = std::source_location::current())
        : pat(p), where(here) {}
    template <class T>
        requires std::is_arithmetic_v<T>
    Operand(T literal, std::source_location here = std::source_location::current())
        : pat(literal), where(here) {}
    // NOLINTEND(google-explicit-constructor)
};

inline Pat operator+(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::Add, {a.pat, b.pat}, a.where);
}
inline Pat operator-(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::Sub, {a.pat, b.pat}, a.where);
}
inline Pat operator*(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::Mul, {a.pat, b.pat}, a.where);
}
inline Pat operator&(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::And, {a.pat, b.pat}, a.where);
}
inline Pat operator|(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::Or, {a.pat, b.pat}, a.where);
}
inline Pat operator^(const Pat::Operand& a, const Pat::Operand& b) {
    return Pat::apply(Op::Xor, {a.pat, b.pat}, a.where);
}
inline Pat operator-(const Pat::Operand& a) { return Pat::apply(Op::Neg, {a.pat}, a.where); }

inline Ref Bindings::operator[](const Pat& capture) const {
    return (*this)[capture.root().capture];
}

// Builders by name, for what C++ has no operator for.
namespace pat {
inline Pat any(int index) { return Pat::any(index); }
inline Pat constant(int index) { return Pat::constant(index); }
using Here = std::source_location;
inline Pat idiv(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::IDiv, {a, b}, here);
}
inline Pat mod(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Mod, {a, b}, here);
}
inline Pat div(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Div, {a, b}, here);
}
inline Pat max(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Max, {a, b}, here);
}
inline Pat min(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Min, {a, b}, here);
}
inline Pat lt(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Lt, {a, b}, here);
}
inline Pat le(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Le, {a, b}, here);
}
inline Pat eq(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Eq, {a, b}, here);
}
inline Pat ne(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Ne, {a, b}, here);
}
inline Pat shl(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Shl, {a, b}, here);
}
inline Pat shr(const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Shr, {a, b}, here);
}
inline Pat where(const Pat& c, const Pat& a, const Pat& b, Here here = Here::current()) {
    return Pat::apply(Op::Where, {c, a, b}, here);
}
inline Pat logical_not(const Pat& a, Here here = Here::current()) {
    return Pat::apply(Op::Not, {a}, here);
}
inline Pat abs(const Pat& a, Here here = Here::current()) { return Pat::apply(Op::Abs, {a}, here); }
inline Pat sqrt(const Pat& a, Here here = Here::current()) {
    return Pat::apply(Op::Sqrt, {a}, here);
}
inline Pat cast(const Pat& a, Here here = Here::current()) {
    return Pat::apply(Op::Cast, {a}, here);
}
inline Pat bitcast(const Pat& a, Here here = Here::current()) {
    return Pat::apply(Op::Bitcast, {a}, here);
}
/// On the right side: a cast to `dt`.
inline Pat cast(DType dt, const Pat& a, Here here = Here::current()) {
    return Pat::apply(Op::Cast, {a}, here).of(dt);
}
}  // namespace pat

/// A Const with as many lanes as `like`.
Ref constant_like(Arena& arena, Ref like, DType dtype, std::int64_t bits);

}  // namespace sinter::ir
