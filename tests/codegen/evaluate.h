#pragma once
// An evaluator of scalar expressions over Variables, for machine ops alone: one strict operation of
// C++ a node. Anything else throws, so a graph that evaluates holds only what renderers take.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <sinter/codegen/codegen.h>
#include <sinter/ir/arena.h>

namespace sinter::test {

/// A machine of long ago, and one of today.
inline std::array<codegen::Target, 2> targets() {
    codegen::Target old, recent;
    old.triple = recent.triple = "x86_64-pc-linux-gnu";
    recent.fma = recent.native_f16 = recent.native_bf16 = true;
    recent.vector_bits = 512;
    return {old, recent};
}

/// A value of any dtype as its bits, zero-extended to 64.
using Bits = std::uint64_t;

inline Bits bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }
inline Bits bits_of(double x) { return std::bit_cast<std::uint64_t>(x); }
inline float as_f32(Bits b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b)); }
inline double as_f64(Bits b) { return std::bit_cast<double>(b); }

inline Bits mask_of(DType dt) {
    if (dt == DType::Bool) return 1;
    return size_of(dt) == 8 ? ~Bits{0} : (Bits{1} << (8 * size_of(dt))) - 1;
}
inline std::int64_t as_signed(DType dt, Bits b) {
    const int unused = 64 - 8 * static_cast<int>(size_of(dt));
    return static_cast<std::int64_t>(b << unused) >> unused;
}

class Expression {
public:
    explicit Expression(ir::Ref root, const codegen::Target& target) : target_(&target) {
        const ir::Ref roots[] = {root};
        std::unordered_map<ir::Ref, int> number;
        for (ir::Ref node : ir::toposort(roots)) {
            Step step{node, {0, 0, 0}, 0};
            for (std::size_t i = 0; i < node->src().size(); ++i)
                step.src[i] = number.at(node->src(i));
            if (node->is(ir::Op::Const)) step.constant = constant_bits(node);
            number[node] = static_cast<int>(steps_.size());
            steps_.push_back(step);
        }
        values_.resize(steps_.size());
    }

    std::size_t size() const { return steps_.size(); }

    Bits operator()(Bits x, Bits y = 0) {
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            const Step& step = steps_[i];
            if (step.node->is(ir::Op::Const)) {
                values_[i] = step.constant;
            } else if (step.node->is(ir::Op::Variable)) {
                values_[i] = step.node->arg(0) == 0 ? x : y;
            } else {
                values_[i] = evaluate(step) & mask_of(step.node->dtype());
            }
        }
        return values_.back();
    }

private:
    struct Step {
        ir::Ref node;
        int src[3];
        Bits constant;
    };

    static Bits constant_bits(ir::Ref node) {
        const std::int64_t bits = node->arg(0);
        switch (node->dtype()) {
            case DType::F64:
                return static_cast<Bits>(bits);
            case DType::F32:
                return bits_of(static_cast<float>(ir::const_double(bits)));
            case DType::F16:
                return f64_to_f16(ir::const_double(bits));
            case DType::BF16:
                return f64_to_bf16(ir::const_double(bits));
            default:
                return static_cast<Bits>(bits) & mask_of(node->dtype());
        }
    }

    [[noreturn]] static void refuse(ir::Ref node) {
        throw std::logic_error("no machine op: " + std::string(name(node->op())) + " " +
                               std::string(name(node->dtype())) + " on " +
                               std::string(name(node->src(0)->dtype())));
    }
    static bool marked(ir::Ref node) { return !node->args().empty() && node->arg(0) == 1; }

    Bits evaluate(const Step& step) const {
        const ir::Ref node = step.node;
        const Bits a = values_[step.src[0]], b = values_[step.src[1]], c = values_[step.src[2]];
        if (node->is(ir::Op::Where)) return a != 0 ? b : c;
        if (node->is(ir::Op::Bitcast)) return a;
        if (node->is(ir::Op::Cast)) return cast(node, a);
        switch (node->src(0)->dtype()) {
            case DType::F32:
                return floating<float>(node, as_f32(a), as_f32(b), as_f32(c));
            case DType::F64:
                return floating<double>(node, as_f64(a), as_f64(b), as_f64(c));
            case DType::F16:
            case DType::BF16:
                refuse(node);
            default:
                return integer(node, a, b);
        }
    }

    template <class T>
    Bits floating(ir::Ref node, T a, T b, T c) const {
        switch (node->op()) {
            case ir::Op::Add:
                return bits_of(a + b);
            case ir::Op::Sub:
                return bits_of(a - b);
            case ir::Op::Mul:
                return bits_of(a * b);
            case ir::Op::Div:
                return bits_of(a / b);
            case ir::Op::Neg:
                return bits_of(-a);
            case ir::Op::Sqrt:
                return bits_of(std::sqrt(a));
            case ir::Op::Lt:
                return a < b;
            case ir::Op::Le:
                return a <= b;
            case ir::Op::Eq:
                return a == b;
            case ir::Op::Ne:
                return a != b;
            case ir::Op::Shl:  // marked: times a power of two
                if (!marked(node) || target_->vector_bits < 512) refuse(node);
                return bits_of(b == b ? std::ldexp(a, static_cast<int>(b)) : a * b);
            case ir::Op::Fma:
                if (!target_->fma) refuse(node);
                return bits_of(std::fma(a, b, c));
            case ir::Op::Floor:
            case ir::Op::Ceil:
            case ir::Op::Trunc:
            case ir::Op::Round:
                if (target_->vector_bits < 256) refuse(node);  // stands for "no SSE4.1" here
                return bits_of(node->is(ir::Op::Floor)   ? std::floor(a)
                               : node->is(ir::Op::Ceil)  ? std::ceil(a)
                               : node->is(ir::Op::Trunc) ? std::trunc(a)
                                                         : std::nearbyint(a));
            default:
                refuse(node);
        }
    }

    static Bits integer(ir::Ref node, Bits a, Bits b) {
        const DType dt = node->src(0)->dtype();
        const bool is_signed = is_signed_int(dt);
        const std::int64_t sa = as_signed(dt, a), sb = as_signed(dt, b);
        const auto width = 8 * size_of(dt);
        switch (node->op()) {
            case ir::Op::And:
                return a & b;
            case ir::Op::Or:
                return a | b;
            case ir::Op::Xor:
                return a ^ b;
            case ir::Op::Not:
                return ~a;
            case ir::Op::Eq:
                return a == b;
            case ir::Op::Ne:
                return a != b;
            default:
                break;
        }
        if (dt == DType::Bool) refuse(node);
        switch (node->op()) {
            case ir::Op::Add:
                return a + b;
            case ir::Op::Sub:
                return a - b;
            case ir::Op::Mul:
                return a * b;
            case ir::Op::Neg:
                return -a;
            case ir::Op::Lt:
                return is_signed ? sa < sb : a < b;
            case ir::Op::Le:
                return is_signed ? sa <= sb : a <= b;
            case ir::Op::Shl:
            case ir::Op::Shr:
                if (!marked(node) || b >= width) refuse(node);
                if (node->is(ir::Op::Shl)) return a << b;
                return is_signed ? static_cast<Bits>(sa >> b) : a >> b;
            case ir::Op::IDiv:
            case ir::Op::Mod: {
                if (!marked(node) || b == 0) refuse(node);
                const bool divide = node->is(ir::Op::IDiv);
                if (!is_signed) return divide ? a / b : a % b;
                if (sb == -1 && a == Bits{1} << (width - 1)) refuse(node);
                return static_cast<Bits>(divide ? sa / sb : sa % sb);
            }
            default:
                refuse(node);
        }
    }

    template <class T>
    static Bits to_integer(ir::Ref node, T x) {
        if (!marked(node)) refuse(node);
        const DType dt = node->dtype();
        const int width = static_cast<int>(8 * size_of(dt));
        const T whole = std::trunc(x);
        const T low = is_signed_int(dt) ? -std::ldexp(T{1}, width - 1) : T{0};
        const T high = std::ldexp(T{1}, is_signed_int(dt) ? width - 1 : width);
        if (!(whole >= low && whole < high)) {
            throw std::logic_error("cast out of range: " + std::to_string(x) + " to " +
                                   std::string(name(dt)));
        }
        return is_signed_int(dt) ? static_cast<Bits>(static_cast<std::int64_t>(whole))
                                 : static_cast<Bits>(whole);
    }

    Bits cast(ir::Ref node, Bits a) const {
        const DType from = node->src(0)->dtype(), to = node->dtype();
        if (from == DType::F16 && to == DType::F32 && target_->native_f16)
            return bits_of(f16_to_f32(static_cast<std::uint16_t>(a)));
        if (from == DType::F32 && to == DType::F16 && target_->native_f16)
            return f32_to_f16(as_f32(a));
        if (from == DType::F16 || from == DType::BF16 || to == DType::F16 || to == DType::BF16)
            refuse(node);
        if (from == DType::F32 && to == DType::F64) return bits_of(static_cast<double>(as_f32(a)));
        if (from == DType::F64 && to == DType::F32) return bits_of(static_cast<float>(as_f64(a)));
        if (from == DType::F32) return to_integer(node, as_f32(a));
        if (from == DType::F64) return to_integer(node, as_f64(a));
        if (from == DType::Bool || to == DType::Bool) refuse(node);
        const std::int64_t s = as_signed(from, a);
        if (to == DType::F32)
            return bits_of(is_signed_int(from) ? static_cast<float>(s) : static_cast<float>(a));
        if (to == DType::F64)
            return bits_of(is_signed_int(from) ? static_cast<double>(s) : static_cast<double>(a));
        return is_signed_int(from) ? static_cast<Bits>(s) : a;
    }

    const codegen::Target* target_;
    std::vector<Step> steps_;
    std::vector<Bits> values_;
};

}  // namespace sinter::test
