#include <sinter/ir/node.h>

#include <sinter/ir/mix.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace sinter::ir {

// Built from the sources' hashes, not their addresses, so that it is the same on every run.
std::uint64_t hash_of(const NodeKey& key) {
    std::uint64_t h = mix((static_cast<std::uint64_t>(key.op) << 32) |
                          (static_cast<std::uint64_t>(key.dtype) << 16) | key.lanes);
    for (Ref s : key.src) h = mix(h * kMixStep + s->hash());
    for (std::int64_t a : key.args)
        h = mix(h + static_cast<std::uint64_t>(a) * 0xD1B54A32D192ED03u + 1);
    return h;
}

bool Node::same_key(const NodeKey& key) const {
    return op_ == key.op && dtype_ == key.dtype && lanes_ == key.lanes && nsrc_ == key.src.size() &&
           nargs_ == key.args.size() && std::equal(key.src.begin(), key.src.end(), sources()) &&
           std::equal(key.args.begin(), key.args.end(), ints());
}

Attachment* Node::attach(std::unique_ptr<Attachment> attachment) const {
    Attachment* expected = nullptr;
    if (attachment_.compare_exchange_strong(expected, attachment.get(), std::memory_order_acq_rel))
        return attachment.release();
    return expected;
}

std::size_t Node::bytes_for(const NodeKey& key, std::size_t rank) {
    return sizeof(Node) + 8 * (key.src.size() + key.args.size() + rank);
}

Node* Node::place(void* memory, const NodeKey& key, std::uint64_t hash,
                  std::span<const std::int64_t> shape) {
    Node* node = new (memory) Node;
    node->hash_ = hash;
    node->op_ = key.op;
    node->dtype_ = key.dtype;
    node->lanes_ = key.lanes;
    node->nsrc_ = static_cast<std::uint32_t>(key.src.size());
    node->nargs_ = static_cast<std::uint32_t>(key.args.size());
    node->rank_ = static_cast<std::uint8_t>(shape.size());
    auto* sources = reinterpret_cast<Ref*>(node + 1);
    std::copy(key.src.begin(), key.src.end(), sources);
    auto* ints = reinterpret_cast<std::int64_t*>(sources + key.src.size());
    std::copy(key.args.begin(), key.args.end(), ints);
    std::copy(shape.begin(), shape.end(), ints + key.args.size());
    return node;
}

std::int64_t const_bits(double value) { return std::bit_cast<std::int64_t>(value); }
double const_double(std::int64_t bits) { return std::bit_cast<double>(bits); }

double as_double(Ref constant) {
    if (is_float(constant->dtype())) return const_double(constant->arg(0));
    if (constant->dtype() == u64)
        return static_cast<double>(static_cast<std::uint64_t>(constant->arg(0)));
    return static_cast<double>(constant->arg(0));
}

std::int64_t wrap_int(DType dt, std::int64_t value) {
    switch (dt) {
        case DType::Bool:
            return value != 0;
        case DType::I8:
            return static_cast<std::int8_t>(value);
        case DType::I16:
            return static_cast<std::int16_t>(value);
        case DType::I32:
            return static_cast<std::int32_t>(value);
        case DType::U8:
            return static_cast<std::uint8_t>(value);
        case DType::U16:
            return static_cast<std::uint16_t>(value);
        case DType::U32:
            return static_cast<std::uint32_t>(value);
        case DType::I64:
        case DType::U64:
        case DType::Index:
            return value;
        case DType::F16:
        case DType::BF16:
        case DType::F32:
        case DType::F64:
        case DType::None:
            break;
    }
    return value;
}

std::int64_t round_bits(DType dt, double value) {
    switch (dt) {
        case DType::F16:
            return const_bits(f16_to_f32(f64_to_f16(value)));
        case DType::BF16:
            return const_bits(bf16_to_f32(f64_to_bf16(value)));
        case DType::F32:
            return const_bits(static_cast<float>(value));
        case DType::F64:
            return const_bits(value);
        case DType::Bool:
            return value != 0;
        case DType::U64:
            if (!(value > 0)) return 0;
            if (value >= 0x1p64) return -1;
            return static_cast<std::int64_t>(static_cast<std::uint64_t>(value));
        default:
            break;
    }
    if (std::isnan(value)) return 0;
    const DTypeInfo& row = info(dt);
    if (value <= static_cast<double>(row.min)) return row.min;
    if (value >= static_cast<double>(row.max)) return row.max;
    return static_cast<std::int64_t>(value);
}

std::int64_t identity_bits(ReduceKind kind, DType dt) {
    const double inf = std::numeric_limits<double>::infinity();
    switch (kind) {
        case ReduceKind::Add:
        case ReduceKind::Set:
            return is_float(dt) ? const_bits(0) : 0;
        case ReduceKind::Mul:
            return is_float(dt) ? const_bits(1) : 1;
        case ReduceKind::Max:
            return is_float(dt) ? const_bits(-inf) : info(dt).min;
        case ReduceKind::Min:
            if (is_float(dt)) return const_bits(inf);
            return dt == u64 ? -1 : info(dt).max;
    }
    return 0;
}

std::string_view name(ReduceKind kind) {
    switch (kind) {
        case ReduceKind::Add:
            return "add";
        case ReduceKind::Mul:
            return "mul";
        case ReduceKind::Max:
            return "max";
        case ReduceKind::Min:
            return "min";
        case ReduceKind::Set:
            return "set";
    }
    return "?";
}

}  // namespace sinter::ir
