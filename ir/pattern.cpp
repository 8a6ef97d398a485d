#include <sinter/ir/pattern.h>

#include <algorithm>
#include <sstream>

#include <sinter/ir/error.h>

namespace sinter::ir {
namespace {

using Kind = PatNode::Kind;

bool literal_is(double literal, Ref constant) {
    const DType dt = constant->dtype();
    if (is_float(dt)) return constant->arg(0) == const_bits(literal);
    if (dt == u64)
        return literal >= 0 &&
               static_cast<std::uint64_t>(literal) == static_cast<std::uint64_t>(constant->arg(0));
    return static_cast<std::int64_t>(literal) == constant->arg(0);
}

bool match_at(const std::vector<PatNode>& nodes, std::size_t at, Ref node, Bindings& bindings) {
    const PatNode& pat = nodes[at];
    if (!pat.dtypes.contains(node->dtype())) return false;
    switch (pat.kind) {
        case Kind::Any:
            break;
        case Kind::Constant:
            if (!node->is(Op::Const)) return false;
            break;
        case Kind::Literal:
            return node->is(Op::Const) && literal_is(pat.literal, node);
        case Kind::Apply:
            if (!pat.ops.test(static_cast<std::size_t>(node->op()))) return false;
            if (pat.nsrc != 0 && node->src().size() != pat.nsrc) return false;
            for (std::size_t i = 0; i < pat.nsrc; ++i)
                if (!match_at(nodes, pat.src[i], node->src(i), bindings)) return false;
            break;
    }
    if (pat.capture < 0) return true;
    Ref& slot = bindings.at(pat.capture);
    if (slot != nullptr) return slot == node;
    slot = node;
    return true;
}

Op only_op(const PatNode& pat) {
    for (std::size_t i = 0; i < kOpCount; ++i)
        if (pat.ops.test(i)) return static_cast<Op>(i);
    return Op::Const;
}

// The dtype a node of a right side must have, or None where only literals say.
DType known_dtype(const std::vector<PatNode>& nodes, std::size_t at, const Bindings& bindings) {
    const PatNode& pat = nodes[at];
    if (pat.capture >= 0 && bindings[pat.capture] != nullptr) return bindings[pat.capture]->dtype();
    if (pat.kind != Kind::Apply) return DType::None;
    const Op op = only_op(pat);
    if (info(op).dtype == DTypeRule::Bool) return boolean;
    if (op == Op::Cast) {
        for (int i = 0; i < kDTypeCount; ++i)
            if (pat.dtypes == DTypeSet(static_cast<DType>(i))) return static_cast<DType>(i);
        return DType::None;
    }
    for (std::size_t i = op == Op::Where ? 1 : 0; i < pat.nsrc; ++i)
        if (const DType dt = known_dtype(nodes, pat.src[i], bindings); dt != DType::None) return dt;
    return DType::None;
}

Ref build_at(Arena& arena, const std::vector<PatNode>& nodes, std::size_t at,
             const Bindings& bindings, Ref like, DType expected) {
    const PatNode& pat = nodes[at];
    if (pat.capture >= 0 && bindings[pat.capture] != nullptr) return bindings[pat.capture];
    if (pat.kind == Kind::Literal) {
        const std::int64_t bits = is_float(expected)
                                      ? round_bits(expected, pat.literal)
                                      : wrap_int(expected, static_cast<std::int64_t>(pat.literal));
        return constant_like(arena, like, expected, bits);
    }
    const Op op = only_op(pat);
    const DType own = known_dtype(nodes, at, bindings);
    const DType dtype = own == DType::None ? expected : own;
    DType operands = dtype;  // of the sources that are literals
    if (info(op).dtype == DTypeRule::Bool || op == Op::Cast)
        for (std::size_t i = pat.nsrc; i-- > 0;)
            if (const DType dt = known_dtype(nodes, pat.src[i], bindings); dt != DType::None)
                operands = dt;
    std::array<Ref, 3> src{};
    for (std::size_t i = 0; i < pat.nsrc; ++i) {
        const bool condition = op == Op::Where && i == 0;
        src[i] = build_at(arena, nodes, pat.src[i], bindings, like, condition ? boolean : operands);
    }
    return arena.make(op, dtype, std::span<const Ref>(src.data(), pat.nsrc), {}, like->lanes());
}

void text_at(std::ostream& os, const std::vector<PatNode>& nodes, std::size_t at) {
    const PatNode& pat = nodes[at];
    switch (pat.kind) {
        case Kind::Any:
            os << 'x' << int{pat.capture};
            return;
        case Kind::Constant:
            os << 'c' << int{pat.capture};
            return;
        case Kind::Literal:
            os << pat.literal;
            return;
        case Kind::Apply:
            break;
    }
    if (pat.ops.count() == 1)
        os << name(only_op(pat));
    else
        os << "any of " << pat.ops.count() << " ops";
    os << '(';
    for (std::size_t i = 0; i < pat.nsrc; ++i) {
        if (i != 0) os << ", ";
        text_at(os, nodes, pat.src[i]);
    }
    os << ')';
    if (pat.capture >= 0) os << "=x" << int{pat.capture};
}

}  // namespace

OpSet op_set(std::initializer_list<Op> ops) {
    OpSet set;
    for (Op op : ops) set.set(static_cast<std::size_t>(op));
    return set;
}

OpSet op_set(OpKind kind) {
    OpSet set;
    for (std::size_t i = 0; i < kOpCount; ++i)
        if (kOps[i].kind == kind) set.set(i);
    return set;
}

Pat Pat::any(int index) {
    Pat pat;
    PatNode node;
    node.capture = static_cast<std::int8_t>(index);
    pat.nodes_.push_back(node);
    return pat;
}

Pat Pat::constant(int index) {
    Pat pat = any(index);
    pat.nodes_.back().kind = Kind::Constant;
    return pat;
}

Pat Pat::apply(const OpSet& ops, std::initializer_list<Pat> src, std::source_location where) {
    if (src.size() > 3) throw InternalError("a pattern takes up to three sources");
    Pat pat;
    pat.where_ = where;
    PatNode node;
    node.kind = Kind::Apply;
    node.ops = ops;
    for (const Pat& s : src) {
        const auto base = static_cast<std::uint8_t>(pat.nodes_.size());
        for (PatNode copy : s.nodes_) {
            for (std::size_t i = 0; i < copy.nsrc; ++i)
                copy.src[i] = static_cast<std::uint8_t>(copy.src[i] + base);
            pat.nodes_.push_back(copy);
        }
        node.src[node.nsrc++] = static_cast<std::uint8_t>(pat.nodes_.size() - 1);
    }
    if (pat.nodes_.size() > 200) throw InternalError("a pattern of more than 200 nodes");
    pat.nodes_.push_back(node);
    return pat;
}

Pat Pat::of(DTypeSet dtypes) const {
    Pat pat = *this;
    pat.nodes_.back().dtypes = dtypes;
    return pat;
}

Pat Pat::as(int index) const {
    Pat pat = *this;
    pat.nodes_.back().capture = static_cast<std::int8_t>(index);
    return pat;
}

std::string Pat::text() const {
    std::ostringstream os;
    text_at(os, nodes_, nodes_.size() - 1);
    return os.str();
}

bool Pat::match(Ref node, Bindings& bindings) const {
    return match_at(nodes_, nodes_.size() - 1, node, bindings);
}

std::vector<Pat> Pat::orders() const {
    std::vector<std::size_t> commutative;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const PatNode& node = nodes_[i];
        if (node.kind != Kind::Apply || node.nsrc != 2) continue;
        bool all = true;
        for (std::size_t op = 0; op < kOpCount; ++op)
            if (node.ops.test(op) && !is_commutative(static_cast<Op>(op))) all = false;
        if (all) commutative.push_back(i);
    }
    if (commutative.size() > 6)
        throw InternalError("a pattern with more than 6 commutative ops: " + text());
    std::vector<Pat> orders;
    std::vector<std::string> seen;  // two orders of one text match the same
    for (unsigned mask = 0; mask < 1u << commutative.size(); ++mask) {
        Pat order = *this;
        for (std::size_t k = 0; k < commutative.size(); ++k) {
            PatNode& node = order.nodes_[commutative[k]];
            if ((mask >> k) & 1u) std::swap(node.src[0], node.src[1]);
        }
        std::string words = order.text();
        if (std::find(seen.begin(), seen.end(), words) != seen.end()) continue;
        seen.push_back(std::move(words));
        orders.push_back(std::move(order));
    }
    return orders;
}

Ref Pat::build(Arena& arena, const Bindings& bindings, Ref like) const {
    return build_at(arena, nodes_, nodes_.size() - 1, bindings, like, like->dtype());
}

std::string Pat::why_not_buildable() const {
    for (const PatNode& node : nodes_) {
        if (node.kind != Kind::Apply || node.capture >= 0) continue;
        if (node.ops.count() != 1) return "an op of the right side is not one op";
        const OpInfo& row = info(only_op(node));
        if (row.arity != node.nsrc || !is_elementwise(only_op(node)))
            return std::string(row.name) + " cannot be made on a right side";
    }
    return "";
}

Ref constant_like(Arena& arena, Ref like, DType dtype, std::int64_t bits) {
    return arena.make(Op::Const, dtype, {}, std::span<const std::int64_t>(&bits, 1), like->lanes());
}

}  // namespace sinter::ir
