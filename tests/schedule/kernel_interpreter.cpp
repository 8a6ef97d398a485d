#include "kernel_interpreter.h"

#include <sinter/ir/error.h>
#include <sinter/ir/evaluate.h>
#include <sinter/ir/kernel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <unordered_map>

namespace sinter::test {

using ir::Op;
using ir::Ref;

namespace {

double number(DType dt, std::int64_t bits) {
    return is_float(dt) ? ir::const_double(bits) : static_cast<double>(bits);
}

std::int64_t load_bits(DType dt, const std::byte* at) {
    const auto read = [at]<class T>(T) {
        T v;
        std::memcpy(&v, at, sizeof(T));
        return v;
    };
    switch (dt) {
        case DType::Bool:
            return read(std::uint8_t{}) != 0;
        case DType::I8:
            return read(std::int8_t{});
        case DType::I16:
            return read(std::int16_t{});
        case DType::I32:
            return read(std::int32_t{});
        case DType::I64:
            return read(std::int64_t{});
        case DType::U8:
            return read(std::uint8_t{});
        case DType::U16:
            return read(std::uint16_t{});
        case DType::U32:
            return read(std::uint32_t{});
        case DType::U64:
            return static_cast<std::int64_t>(read(std::uint64_t{}));
        case DType::F16:
            return ir::const_bits(f16_to_f32(read(std::uint16_t{})));
        case DType::BF16:
            return ir::const_bits(bf16_to_f32(read(std::uint16_t{})));
        case DType::F32:
            return ir::const_bits(read(float{}));
        case DType::F64:
            return ir::const_bits(read(double{}));
        case DType::Index:
        case DType::None:
            break;
    }
    throw InternalError("no memory holds such elements");
}

void store_bits(DType dt, std::byte* at, std::int64_t bits) {
    const auto write = [at]<class T>(T v) { std::memcpy(at, &v, sizeof(T)); };
    const double value = is_float(dt) ? ir::const_double(bits) : 0;
    switch (dt) {
        case DType::F16:
            return write(f64_to_f16(value));
        case DType::BF16:
            return write(f64_to_bf16(value));
        case DType::F32:
            return write(static_cast<float>(value));
        case DType::F64:
            return write(value);
        default:
            std::memcpy(at, &bits, size_of(dt));  // little-endian
    }
}

double transcendental(Op op, double a, double b) {
    switch (op) {
        case Op::Exp:
            return std::exp(a);
        case Op::Exp2:
            return std::exp2(a);
        case Op::Expm1:
            return std::expm1(a);
        case Op::Log:
            return std::log(a);
        case Op::Log2:
            return std::log2(a);
        case Op::Log1p:
            return std::log1p(a);
        case Op::Sin:
            return std::sin(a);
        case Op::Cos:
            return std::cos(a);
        case Op::Tan:
            return std::tan(a);
        case Op::Asin:
            return std::asin(a);
        case Op::Acos:
            return std::acos(a);
        case Op::Atan:
            return std::atan(a);
        case Op::Sinh:
            return std::sinh(a);
        case Op::Cosh:
            return std::cosh(a);
        case Op::Tanh:
            return std::tanh(a);
        case Op::Erf:
            return std::erf(a);
        case Op::Pow:
            return std::pow(a, b);
        case Op::Atan2:
            return std::atan2(a, b);
        case Op::Max:
            return a > b || std::isnan(a) ? a : b;
        case Op::Min:
            return a < b || std::isnan(a) ? a : b;
        default:
            throw InternalError("the interpreter has no rule for " + std::string(name(op)));
    }
}

std::int64_t apply(Op op, DType dt, std::span<const ir::ConstValue> src) {
    if (const auto bits = ir::evaluate(op, dt, src)) return *bits;
    if (op == Op::Bitcast) {
        std::array<std::byte, 8> memory{};
        store_bits(src[0].dtype, memory.data(), src[0].bits);
        return load_bits(dt, memory.data());
    }
    const double a = number(src[0].dtype, src[0].bits),
                 b = src.size() > 1 ? number(src[1].dtype, src[1].bits) : 0;
    return ir::round_bits(dt, transcendental(op, a, b));
}

std::int64_t merge(std::int64_t kind, DType dt, std::int64_t a, std::int64_t b) {
    constexpr std::array kOps{Op::Add, Op::Mul, Op::Max, Op::Min};
    if (kind == static_cast<std::int64_t>(ir::ReduceKind::Set)) return b;
    const ir::ConstValue src[] = {{dt, a}, {dt, b}};
    return apply(kOps[static_cast<std::size_t>(kind)], dt, src);
}

class Interpreter {
public:
    Interpreter(std::span<const Operand> operands, std::span<const std::int64_t> scalars,
                std::vector<std::string>& failed)
        : operands_(operands), scalars_(scalars), failed_(failed) {}

    /// Stores over the same ranges run together: at each point all values are computed before one
    /// is written.
    void store(std::span<const Ref> stores) {
        std::vector<Ref> ranges;
        for (Ref n : ir::toposort(stores))
            if (n->is(Op::Range) && (stores[0]->ranges() >> n->arg(0) & 1) != 0)
                ranges.push_back(n);
        std::ranges::sort(ranges, {}, [](Ref r) { return r->arg(0); });
        std::vector<std::int64_t> bits(stores.size());
        loop(ranges, [&] {
            for (std::size_t i = 0; i < stores.size(); ++i)
                if (value(stores[i]->src(3)) != 0) bits[i] = value(stores[i]->src(2));
            for (std::size_t i = 0; i < stores.size(); ++i) {
                const Ref node = stores[i];
                const DType dt = node->src(2)->dtype();
                if (dt != node->src(0)->dtype())
                    throw InternalError("a store of another dtype than its memory's");
                if (value(node->src(3)) == 0) continue;
                std::byte* at = element(node->src(0), value(node->src(1)));
                const bool plain = node->arg(0) == ir::kPlainStore;
                store_bits(dt, at,
                           plain ? bits[i] : merge(node->arg(0), dt, load_bits(dt, at), bits[i]));
            }
            std::ranges::fill(changed_, ++tick_);  // memory has changed: nothing remembered holds
        });
    }

private:
    struct Memo {
        std::int64_t bits = 0;
        std::uint64_t tick = 0;
    };

    template <class F>
    void loop(std::span<const Ref> ranges, F&& body) {
        if (ranges.empty()) return body();
        const Ref range = ranges[0];
        const auto number = static_cast<std::size_t>(range->arg(0));
        const std::int64_t before = at_[number], size = value(range->src(0));
        for (std::int64_t i = 0; i < size; ++i) {
            set(number, i);
            loop(ranges.subspan(1), body);
        }
        set(number, before);
    }
    void set(std::size_t range, std::int64_t i) {
        at_[range] = i;
        changed_[range] = ++tick_;
    }

    std::byte* element(Ref memory, std::int64_t index) {
        const auto size = static_cast<std::int64_t>(size_of(memory->dtype()));
        if (ir::is_near(memory)) {
            std::vector<std::byte>& near = near_[memory->arg(0)];
            const auto end = static_cast<std::size_t>((index + 1) * size);
            if (near.size() < end) near.resize(end, std::byte{0xEE});
            return near.data() + index * size;
        }
        const Operand& operand = operands_[static_cast<std::size_t>(memory->arg(0))];
        if (index < 0 || (index + 1) * size > operand.bytes)
            throw InternalError("element " + std::to_string(index) + " of operand " +
                                std::to_string(memory->arg(0)) + ", which has " +
                                std::to_string(operand.bytes / size));
        return operand.data + index * size;
    }

    std::int64_t value(Ref node) {
        Memo& memo = memo_[node];
        std::uint64_t since = base_;
        for (std::uint64_t left = node->ranges(), r = 0; left != 0; left >>= 1, ++r)
            if ((left & 1) != 0) since = std::max(since, changed_[r]);
        since = std::max(since, changed_[63]);
        if (memo.tick != 0 && memo.tick >= since && !node->is(Op::Get)) return memo.bits;
        const std::int64_t bits = compute(node);
        memo_[node] = {bits, tick_ + 1};
        ++tick_;
        return bits;
    }

    std::int64_t compute(Ref node) {
        switch (node->op()) {
            case Op::Const:
                return node->arg(0);
            case Op::Range:
                return at_[static_cast<std::size_t>(node->arg(0))];
            case Op::Variable:
                return scalars_[static_cast<std::size_t>(node->arg(0))];
            case Op::Load:
                if (value(node->src(2)) == 0) return node->arg(0);
                return load_bits(node->dtype(), element(node->src(0), value(node->src(1))));
            case Op::Reduce:
                return reduce(node);
            case Op::Get:
                return extreme(node->src(0), static_cast<std::size_t>(node->arg(0)));
            case Op::Nth:
                return nth(node);
            case Op::Scan:
                return scan(node);
            case Op::Check: {
                const std::int64_t v = value(node->src(0));
                if (v >= 0 && v < node->arg(0)) return v;
                failed_.push_back("index " + std::to_string(v) + " of " +
                                  std::to_string(node->arg(0)));
                return 0;
            }
            default:
                break;
        }
        if (!ir::is_elementwise(node->op()))
            throw InternalError("not a value of the kernel form: " + ir::describe(node));
        std::vector<ir::ConstValue> src;
        if (node->is(Op::Where))
            return value(value(node->src(0)) != 0 ? node->src(1) : node->src(2));
        for (Ref s : node->src()) src.push_back({s->dtype(), value(s)});
        return apply(node->op(), node->dtype(), src);
    }

    std::int64_t reduce(Ref node) {
        const auto kind = static_cast<ir::ReduceKind>(node->arg(0));
        const DType dt = node->dtype();
        std::int64_t bits = ir::identity_bits(kind, dt);
        double wide = kind == ir::ReduceKind::Mul ? 1 : 0;
        const bool sum =
            is_float(dt) && (kind == ir::ReduceKind::Add || kind == ir::ReduceKind::Mul);
        loop(node->src().subspan(1), [&] {
            const std::int64_t v = value(node->src(0));
            if (sum)
                wide = kind == ir::ReduceKind::Add ? wide + number(dt, v) : wide * number(dt, v);
            else
                bits = merge(node->arg(0), dt, bits, v);
        });
        return sum ? ir::round_bits(dt, wide) : bits;
    }

    std::int64_t scan(Ref node) {
        const Ref range = node->src(1);
        const auto number_of = static_cast<std::size_t>(range->arg(0));
        const std::int64_t last = at_[number_of];
        const DType dt = node->dtype();
        std::int64_t bits = ir::identity_bits(static_cast<ir::ReduceKind>(node->arg(0)), dt);
        for (std::int64_t i = 0; i <= last; ++i) {
            set(number_of, i);
            bits = merge(node->arg(0), dt, bits, value(node->src(0)));
        }
        set(number_of, last);
        return bits;
    }

    std::int64_t nth(Ref node) {
        const Ref order = node->src(0);
        std::vector<std::pair<std::uint64_t, std::int64_t>> row;
        loop(ir::named_ranges(order), [&] {
            row.emplace_back(static_cast<std::uint64_t>(value(order->src(0))),
                             value(order->src(1)));
        });
        std::ranges::sort(row);
        const auto& [key, position] = row.at(static_cast<std::size_t>(value(node->src(1))));
        return node->arg(0) == 0 ? static_cast<std::int64_t>(key) : position;
    }

    std::int64_t extreme(Ref node, std::size_t component) {
        const bool max = static_cast<ir::Combine>(node->arg(0)) == ir::Combine::ArgMax;
        const DType dt = node->src(0)->dtype();
        std::array<std::int64_t, 2> best{};
        bool any = false;
        loop(node->src().subspan(2), [&] {
            const std::int64_t v = value(node->src(0)), p = value(node->src(1));
            const double a = number(dt, v), b = number(dt, best[0]);
            // A NaN is beyond every number; the first of equals stays.
            const bool beyond =
                !any || (std::isnan(a) && !std::isnan(b)) ||
                (!std::isnan(b) &&
                 (is_float(dt) ? (max ? a > b : a < b) : (max ? v > best[0] : v < best[0])));
            if (beyond) best = {v, p};
            any = true;
        });
        return best[component];
    }

    std::span<const Operand> operands_;
    std::span<const std::int64_t> scalars_;
    std::vector<std::string>& failed_;
    std::array<std::int64_t, 64> at_{};
    std::array<std::uint64_t, 64> changed_{};
    std::uint64_t tick_ = 1;
    std::uint64_t base_ = 0;
    std::unordered_map<Ref, Memo> memo_;
    std::unordered_map<std::int64_t, std::vector<std::byte>> near_;  // as if it held every row
};

}  // namespace

void interpret(Ref sink, std::span<const Operand> operands, std::span<const std::int64_t> scalars,
               std::vector<std::string>& failed_checks) {
    Interpreter interpreter(operands, scalars, failed_checks);
    std::vector<Ref> left(sink->src().begin(), sink->src().end());
    while (!left.empty()) {
        const std::uint64_t ranges = left[0]->ranges();
        const auto rest =
            std::ranges::stable_partition(left, [&](Ref s) { return s->ranges() == ranges; });
        const std::vector<Ref> others(rest.begin(), rest.end());
        left.erase(rest.begin(), rest.end());
        interpreter.store(left);
        left = others;
    }
}

Run run(const schedule::Schedule& s, std::vector<std::vector<std::byte>> inputs,
        std::span<const std::int64_t> binds) {
    Run out;
    std::vector<std::byte> arena(static_cast<std::size_t>(s.arena_bytes), std::byte{0xEE});
    std::vector<std::vector<std::byte>> outputs(s.blocks.size());
    std::vector<Operand> memory(s.blocks.size());
    for (std::size_t pass = 0; pass < 2; ++pass)  // inputs first: outputs may reuse them
        for (std::size_t b = 0; b < s.blocks.size(); ++b) {
            const schedule::Block& block = s.blocks[b];
            const std::int64_t bytes =
                block.numel * static_cast<std::int64_t>(size_of(block.dtype));
            if ((block.kind == schedule::Block::Kind::Input) != (pass == 0)) continue;
            switch (block.kind) {
                case schedule::Block::Kind::Input:
                    memory[b] = {inputs.at(static_cast<std::size_t>(block.node)).data(), bytes};
                    break;
                case schedule::Block::Kind::Temporary:
                    if (block.offset < 0 || block.offset + bytes > s.arena_bytes)
                        throw InternalError("a temporary outside of the arena");
                    memory[b] = {arena.data() + block.offset, bytes};
                    break;
                case schedule::Block::Kind::Kept:
                case schedule::Block::Kind::Output:
                    if (block.reuses >= 0) {
                        memory[b] = memory[static_cast<std::size_t>(block.reuses)];
                        break;
                    }
                    outputs[b].assign(static_cast<std::size_t>(bytes), std::byte{0xEE});
                    memory[b] = {outputs[b].data(), bytes};
                    break;
            }
        }
    const auto run_launch = [&](const schedule::Launch& launch) {
        for (const schedule::Segment& segment : launch.segments) {
            std::vector<Operand> operands;
            for (std::uint32_t b : segment.blocks) operands.push_back(memory[b]);
            std::vector<std::int64_t> scalars;
            for (const schedule::Scalar& v : segment.scalars)
                scalars.push_back(v.bind >= 0 ? binds[static_cast<std::size_t>(v.bind)] : v.bits);
            interpret(s.kernels[launch.kernel].sink, operands, scalars, out.failed_checks);
        }
    };
    // Steady launches are of another run: nothing but blocks that are kept remains of them.
    for (const schedule::Launch& launch : s.launches)
        if (launch.steady) run_launch(launch);
    std::ranges::fill(arena, std::byte{0xEE});
    for (const schedule::Launch& launch : s.launches)
        if (!launch.steady) run_launch(launch);
    for (std::uint32_t b : s.outputs) {
        const auto [data, bytes] = memory[b];
        out.roots.emplace_back(data, data + bytes);
    }
    return out;
}

}  // namespace sinter::test
