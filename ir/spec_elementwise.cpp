// Dtypes of elementwise ops, for every level.

#include "spec_rows.h"

namespace sinter::ir::spec_words {

bool takes(Op op, DType dt) {
    const bool integer = is_integer(dt), floating = is_float(dt), truth = dt == DType::Bool;
    switch (op) {
        case Op::Neg:
        case Op::Abs:
        case Op::Sign:
        case Op::Add:
        case Op::Sub:
        case Op::Mul:
            return integer || floating;
        case Op::Not:
        case Op::And:
        case Op::Or:
        case Op::Xor:
            return integer || truth;
        case Op::IDiv:
        case Op::Mod:
        case Op::Shl:
        case Op::Shr:
            return integer;
        case Op::Max:
        case Op::Min:
        case Op::Lt:
        case Op::Le:
        case Op::Eq:
        case Op::Ne:
        case Op::Where:
        case Op::Cast:
        case Op::Bitcast:
            return dt != DType::None;
        default:
            return floating;  // the functions of real numbers
    }
}

bool elementwise_types(Ref n) {
    const Op op = n->op();
    if (!sources(n, static_cast<std::size_t>(info(op).arity))) return false;
    if (op == Op::Where)
        return n->src(0)->dtype() == DType::Bool && same_dtypes(n->src().subspan(1), n->dtype()) &&
               n->dtype() != DType::None;
    const DType operand = n->src(0)->dtype();
    if (!takes(op, operand) || !same_dtypes(n->src(), operand)) return false;
    if (op == Op::Cast) return n->dtype() != DType::None;
    if (op == Op::Bitcast) return is_element(n->dtype()) && size_of(n->dtype()) == size_of(operand);
    return n->dtype() == (info(op).dtype == DTypeRule::Bool ? DType::Bool : operand);
}

OpSet elementwise_ops() {
    return op_set(OpKind::Unary) | op_set(OpKind::Binary) | op_set(OpKind::Compare) |
           op_set(OpKind::Ternary);
}

}  // namespace sinter::ir::spec_words
