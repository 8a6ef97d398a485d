#include "order_key.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

std::int64_t sign_bit(DType key) {
    return static_cast<std::int64_t>(std::uint64_t{1} << (8 * size_of(key) - 1));
}
// In the form that constants of a dtype have.
Ref bits(ir::Arena& a, DType key, std::int64_t value) {
    return a.constant_bits(key, ir::wrap_int(key, value));
}

}  // namespace

DType key_type(DType dtype) {
    switch (size_of(dtype)) {
        case 1:
            return u8;
        case 2:
            return u16;
        case 4:
            return u32;
        default:
            return u64;
    }
}

Ref key_of(ir::Arena& a, Ref value, bool descending, bool zeros_equal) {
    const DType dt = value->dtype(), key = key_type(dt);
    Ref k = value;
    if (dt == boolean) {
        k = a.cast(value, key);
    } else if (is_float(dt)) {
        // -0 + 0 is 0.
        const Ref x = zeros_equal ? a.add(value, a.constant(dt, 0)) : value;
        const Ref raw = a.make(Op::Bitcast, key, {x});
        const Ref sign = bits(a, key, sign_bit(key));
        const Ref negative = a.le(sign, raw);
        k = a.where(negative, a.unary(Op::Not, raw), a.binary(Op::Or, raw, sign));
        k = a.where(a.binary(Op::Ne, value, value), bits(a, key, -1), k);
    } else if (is_signed_int(dt)) {
        k = a.binary(Op::Xor, a.make(Op::Bitcast, key, {value}), bits(a, key, sign_bit(key)));
    }
    return descending ? a.unary(Op::Not, k) : k;
}

Ref value_of_key(ir::Arena& a, Ref k, DType dt, bool descending) {
    const DType key = k->dtype();
    if (descending) k = a.unary(Op::Not, k);
    if (dt == boolean) return a.cast(k, dt);
    if (is_float(dt)) {
        const Ref sign = bits(a, key, sign_bit(key));
        const Ref raw = a.where(a.le(sign, k), a.binary(Op::Xor, k, sign), a.unary(Op::Not, k));
        return a.make(Op::Bitcast, dt, {raw});
    }
    if (is_signed_int(dt))
        return a.make(Op::Bitcast, dt, {a.binary(Op::Xor, k, bits(a, key, sign_bit(key)))});
    return k;
}

}  // namespace sinter::schedule
