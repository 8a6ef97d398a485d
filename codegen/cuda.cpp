#include "cuda.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include <sinter/ir/error.h>
#include <sinter/ir/node.h>

namespace sinter::codegen {
namespace {

using ir::Op;

// --- types and constants

// 16-bit floats are their bits: conversions are functions of the prelude, or integer arithmetic.
constexpr std::string_view kTypes[] = {"bool", "i8",  "i16", "i32", "i64", "u8",  "u16", "u32",
                                       "u64",  "u16", "u16", "f32", "f64", "i64", "void"};
std::string type(DType dt) { return std::string(kTypes[static_cast<int>(dt)]); }
// Elements of bool are bytes in memory.
DType stored(DType dt) { return dt == DType::Bool ? DType::U8 : dt; }
// Arithmetic that wraps is done without a sign, in a type that C does not promote.
std::string wrapping(DType dt) { return size_of(dt) == 8 ? "u64" : "u32"; }

std::string hex(std::uint64_t bits, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%0*llx", digits, static_cast<unsigned long long>(bits));
    return text;
}

std::string floating(double value, bool single) {
    if (!std::isfinite(value)) {
        const auto narrow = static_cast<float>(value);
        return single ? "bits<f32>(" + hex(std::bit_cast<std::uint32_t>(narrow), 8) + "u)"
                      : "bits<f64>(" + hex(std::bit_cast<std::uint64_t>(value), 16) + "ull)";
    }
    char text[64];
    // Numbers that have few digits are easier to read in decimal; others are exact in hexadecimal.
    const bool plain = value == std::trunc(value) && std::abs(value) < 1e6;
    std::snprintf(text, sizeof text, plain ? "%.1f" : "%a", value);
    return single ? std::string(text) + "f" : text;
}

std::string constant(DType dt, std::int64_t bits) {
    switch (dt) {
        case DType::Bool:
            return bits != 0 ? "true" : "false";
        case DType::F16:
            return "(u16)" + hex(f64_to_f16(ir::const_double(bits)), 4);
        case DType::BF16:
            return "(u16)" + hex(f64_to_bf16(ir::const_double(bits)), 4);
        case DType::F32:
            return floating(ir::const_double(bits), true);
        case DType::F64:
            return floating(ir::const_double(bits), false);
        case DType::U64:
            return std::to_string(static_cast<std::uint64_t>(bits)) + "ull";
        case DType::U32:
            return std::to_string(bits) + "u";
        case DType::I64:
        case DType::Index:
            // The least number has no literal of its own.
            return bits == info(i64).min ? "(i64)0x8000000000000000ull"
                                         : std::to_string(bits) + "ll";
        case DType::I32:
            return bits == info(i32).min ? "(i32)0x80000000u" : std::to_string(bits);
        default:
            return "(" + type(dt) + ")" + std::to_string(bits);
    }
}

// --- ops that C writes between their operands

struct Infix {
    Op op;
    std::string_view text;
    bool wraps;  // done without a sign
};
constexpr Infix kInfix[] = {
    {Op::Add, "+", true},   {Op::Sub, "-", true},  {Op::Mul, "*", true},   {Op::Div, "/", false},
    {Op::IDiv, "/", false}, {Op::Mod, "%", false}, {Op::And, "&", false},  {Op::Or, "|", false},
    {Op::Xor, "^", false},  {Op::Shl, "<<", true}, {Op::Shr, ">>", false}, {Op::Lt, "<", false},
    {Op::Le, "<=", false},  {Op::Eq, "==", false}, {Op::Ne, "!=", false},
};

struct Call {
    Op op;
    std::string_view name;  // of the prelude, for f32 and f64
};
constexpr Call kCalls[] = {
    {Op::Abs, "absolute"},           {Op::Floor, "round_down"}, {Op::Ceil, "round_up"},
    {Op::Trunc, "round_to_zero"},    {Op::Round, "round_even"}, {Op::Sqrt, "square_root"},
    {Op::Fma, "fused_multiply_add"},
};

class Writer {
public:
    void function(const Function& f, const Phase& phase, std::int64_t team_bytes) {
        f_ = &f;
        lanes_ = phase.lanes;
        std::int64_t blocks = 1, scalars = 1;
        scratch_ = false;
        stores_to_.clear();
        for (const Inst& i : f.insts) {
            if (i.code == Code::Block) blocks = std::max(blocks, i.imm + 1);
            if (i.code == Code::Scalar) scalars = std::max(scalars, i.imm + 1);
            if (i.code == Code::Argument && i.imm == static_cast<std::int64_t>(Arg::Thread))
                scratch_ = true;
            if (i.code == Code::Store) stores_to_.push_back(i.src[0]);
        }
        const std::string lanes = std::to_string(phase.lanes), teams = std::to_string(phase.teams);
        text_ += "SINTER_KERNEL(" + f.symbol + ", " + std::to_string(phase.lanes * phase.teams) +
                 ", " + std::to_string(blocks) + ", " + std::to_string(scalars) + ") {\n";
        indent_ = 1;
        if (lanes_ > 1) line("const i32 lane = team_lane<" + lanes + ">();");
        if (scratch_)
            line("char* const scratch = team_scratch<" + lanes + ">(" + std::to_string(team_bytes) +
                 ");");
        line("#pragma unroll 1");
        line("for (i64 begin = first_trip<" + lanes + ", " + teams +
             ">(); begin < trips; begin += trip_step<" + lanes + ", " + teams + ">()) {");
        ++indent_;
        line("const i64 end = begin + 1;");
        block(f.body);
        if (scratch_) line("team_barrier<" + lanes + ">();");
        --indent_;
        line("}");
        text_ += "}\n\n";
    }

    std::string take() { return std::move(text_); }

private:
    const Inst& inst(Value v) const { return f_->insts[static_cast<std::size_t>(v)]; }
    void line(const std::string& text) {
        text_.append(static_cast<std::size_t>(indent_) * 4, ' ');
        text_ += text + "\n";
    }
    std::string team() const { return "<" + std::to_string(lanes_) + ">"; }

    std::string ref(Value v) const {
        const Inst& i = inst(v);
        switch (i.code) {
            case Code::Const:
                return constant(i.dtype, i.imm);
            case Code::Lanes:
                return i.imm == 1 ? "(i64)lane" : "(i64)lane * " + std::to_string(i.imm);
            case Code::Alias:
            case Code::Splat:
                return ref(i.src[0]);
            case Code::Argument: {
                constexpr std::string_view kNames[] = {"begin", "end", "shared", "scratch"};
                return std::string(kNames[i.imm]);
            }
            default:
                return "v" + std::to_string(v);
        }
    }
    // As an operand beside others.
    std::string operand(Value v) const {
        const Inst& i = inst(v);
        if (i.code == Code::Splat || i.code == Code::Alias) return operand(i.src[0]);
        const std::string text = ref(v);
        const bool plain = text.find_first_of(" (-") == std::string::npos;
        return plain ? text : "(" + text + ")";
    }
    std::string declare(Value v) const {
        return "const " + type(inst(v).dtype) + " v" + std::to_string(v) + " = ";
    }

    // --- control

    void block(const Block& b) {
        for (std::size_t i = 0; i < b.items.size();) {
            if (const auto* l = std::get_if<std::unique_ptr<Loop>>(&b.items[i])) {
                loop(**l);
                ++i;
            } else if (const auto* branch = std::get_if<std::unique_ptr<If>>(&b.items[i])) {
                condition(**branch);
                ++i;
            } else {
                std::size_t end = i;
                const auto goes_on = [&](std::size_t at) {
                    const auto* v = std::get_if<Value>(&b.items[at]);
                    return v != nullptr && (at == i || inst(*v).code != Code::Barrier);
                };
                while (end < b.items.size() && goes_on(end)) ++end;
                straight(std::span(b.items).subspan(i, end - i));
                i = end;
            }
        }
    }

    // A team runs one trip at a time, so the loop over trips is a condition at most.
    void trip(const Loop& l) {
        line(l.may_be_empty ? "if (begin < " + ref(l.end) + ") {" : "{");
        ++indent_;
        line("const i64 " + ref(l.index) + " = begin;");
        block(l.body);
        --indent_;
        line("}");
    }

    void loop(const Loop& l) {
        const Inst& from = inst(l.begin);
        if (from.code == Code::Argument && from.imm == static_cast<std::int64_t>(Arg::Begin))
            return trip(l);
        for (std::size_t i = 0; i < l.carried.size(); ++i)
            line(type(inst(l.results[i]).dtype) + " " + ref(l.results[i]) + " = " +
                 ref(l.carried[i].init) + ";");
        const std::string index = ref(l.index);
        line("for (i64 " + index + " = " + ref(l.begin) + "; " + index + " < " + ref(l.end) +
             "; ++" + index + ") {");
        ++indent_;
        for (std::size_t i = 0; i < l.carried.size(); ++i)
            line(declare(l.carried[i].phi) + ref(l.results[i]) + ";");
        block(l.body);
        for (std::size_t i = 0; i < l.carried.size(); ++i)
            line(ref(l.results[i]) + " = " + ref(l.carried[i].next) + ";");
        --indent_;
        line("}");
    }

    void condition(const If& b) {
        line("if (" + ref(b.condition) + ") {");
        ++indent_;
        block(b.then);
        --indent_;
        if (!b.otherwise.items.empty()) {
            line("} else {");
            ++indent_;
            block(b.otherwise);
            --indent_;
        }
        line("}");
    }

    // --- instructions without loops, branches and barriers between them

    // Loads, or stores, of neighbours that lie on borders of their size together.
    struct Pack {
        std::vector<Value> values;  // by position; of stores the instructions
        std::size_t at = 0;         // where it is written: the first load, the last store
        Value index = kNone;        // that is known there; those of the others are equal
    };

    void straight(std::span<const Item> items) {
        std::map<Value, Pack> first;  // by the instruction whose place it takes
        std::map<Value, bool> packed;
        for (Pack& pack : find_packs(items)) {
            for (Value v : pack.values) packed[v] = true;
            pack.index = inst(std::get<Value>(items[pack.at])).src[1];
            first[std::get<Value>(items[pack.at])] = std::move(pack);
        }
        for (const Item& item : items) {
            const Value v = std::get<Value>(item);
            if (const auto found = first.find(v); found != first.end())
                inst(v).code == Code::Load ? load_pack(found->second) : store_pack(found->second);
            else if (!packed.contains(v))
                instruction(v);
        }
    }

    // An index as a value that all lanes share and what a lane adds: sums with the latter are made
    // for each access.
    std::pair<Value, std::int64_t> base_and_step(Value index) const {
        if (index == kNone) return {kNone, 0};
        const Inst& i = inst(index);
        if (i.code == Code::Lanes) return {kNone, i.imm};
        if (i.code != Code::Arith || i.op != Op::Add) return {index, 0};
        for (int k : {0, 1}) {
            const Inst& lanes = inst(i.src[k]);
            Value other = i.src[1 - k];
            if (lanes.code != Code::Lanes) continue;
            while (inst(other).code == Code::Splat) other = inst(other).src[0];
            return {other, lanes.imm};
        }
        return {index, 0};
    }

    // Whether both are the same operand; kNone is the team's scratch.
    bool same_memory(Value a, Value b) const {
        const auto argument = [&](Value v) {
            if (v == kNone) return static_cast<std::int64_t>(Arg::Thread);
            return inst(v).code == Code::Argument ? inst(v).imm : -1;
        };
        return a == b || (argument(a) >= 0 && argument(a) == argument(b));
    }

    std::vector<Pack> find_packs(std::span<const Item> items) const {
        using Key = std::array<std::int64_t, 7>;
        std::map<Key, std::map<std::int64_t, std::size_t>> runs;  // place -> position
        for (std::size_t at = 0; at < items.size(); ++at) {
            const Inst& i = inst(std::get<Value>(items[at]));
            if (i.code != Code::Load && i.code != Code::Store) continue;
            const bool load = i.code == Code::Load;
            // What this program writes too is read where it is said; a team's scratch on the other
            // side of a barrier.
            const bool written = std::ranges::any_of(
                stores_to_, [&](Value memory) { return same_memory(memory, i.src[0]); });
            const bool scratch = lanes_ > 1 && same_memory(i.src[0], kNone);
            if ((load && written && !scratch) || i.src[2] != kNone ||
                (i.access != Access::Scalar && i.access != Access::Indexed))
                continue;
            if (!load && lanes_ > 1 && i.lanes == 1) continue;
            const auto [base, step] = base_and_step(i.src[1]);
            runs[{load, i.src[0], base, step, static_cast<int>(i.dtype), i.align, i.lanes}].emplace(
                i.imm, at);
        }
        std::vector<Pack> packs;
        for (const auto& [key, places] : runs) {
            const auto bytes = static_cast<std::int64_t>(size_of(static_cast<DType>(key[4])));
            const std::int64_t align = key[5];
            std::int64_t most = 16 / bytes;
            while (most > 1 && align % most != 0) most /= 2;
            for (std::int64_t n = most; n > 1; n /= 2) {
                for (const auto& [place, at] : places) {
                    if (place % n != 0) continue;
                    if (auto pack = pack_at(items, places, packs, place, n, key[0] != 0))
                        packs.push_back(std::move(*pack));
                }
            }
        }
        return packs;
    }

    static std::optional<Pack> pack_at(std::span<const Item> items,
                                       const std::map<std::int64_t, std::size_t>& places,
                                       const std::vector<Pack>& packs, std::int64_t place,
                                       std::int64_t n, bool load) {
        Pack pack;
        pack.at = load ? items.size() : 0;
        for (std::int64_t k = 0; k < n; ++k) {
            const auto found = places.find(place + k);
            if (found == places.end()) return std::nullopt;
            const Value v = std::get<Value>(items[found->second]);
            for (const Pack& other : packs)
                if (std::ranges::find(other.values, v) != other.values.end()) return std::nullopt;
            pack.values.push_back(v);
            pack.at = load ? std::min(pack.at, found->second) : std::max(pack.at, found->second);
        }
        return pack;
    }

    static std::string pack_type(DType dt, std::size_t n) {
        return "Pack<" + type(dt) + ", " + std::to_string(n) + ">";
    }

    void load_pack(const Pack& pack) {
        Inst i = inst(pack.values[0]);
        i.src[1] = pack.index;
        const DType m = stored(i.dtype);
        const std::string name = "p" + std::to_string(pack.values[0]);
        line("const auto " + name + " = load_pack<" + type(m) + ", " +
             std::to_string(pack.values.size()) + ">(" + pointer(i, m) + ");");
        for (std::size_t k = 0; k < pack.values.size(); ++k)
            line(declare(pack.values[k]) + name + ".at[" + std::to_string(k) + "]" +
                 (m != i.dtype ? " != 0;" : ";"));
    }

    void store_pack(const Pack& pack) {
        const Inst& i = inst(pack.values[0]);
        const DType m = stored(i.dtype);
        std::string values;
        for (Value v : pack.values) values += (values.empty() ? "" : ", ") + ref(inst(v).src[3]);
        line("store_pack(" + pointer(i, m) + ", " + pack_type(m, pack.values.size()) + "{{" +
             values + "}});");
    }

    void instruction(Value v) {
        const Inst& i = inst(v);
        switch (i.code) {
            case Code::Const:
            case Code::Lanes:
            case Code::Alias:
            case Code::Splat:
            case Code::Argument:
            case Code::LoopIndex:
            case Code::Phi:
                return;
            case Code::Block:
                return line("char* const v" + std::to_string(v) + " = (char*)blocks.at[" +
                            std::to_string(i.imm) + "];");
            case Code::Scalar:
                return line(declare(v) + "scalar<" + type(i.dtype) + ">(scalars.at[" +
                            std::to_string(i.imm) + "]);");
            case Code::Rotate:
                return line(declare(v) + "rotated" + team() + "(" + ref(i.src[0]) + ", " +
                            std::to_string(i.imm) + ");");
            case Code::First:
                return line(declare(v) + "of_first" + team() + "(" + ref(i.src[0]) + ");");
            case Code::Prefetch:
                return;
            case Code::Barrier:
                return line("team_barrier" + team() + "();");
            case Code::Load:
                return load(v, i);
            case Code::Store:
                return store(i);
            case Code::Address:
                throw InternalError("codegen: addresses that loops carry are the CPU's");
            case Code::Lined:
            case Code::Mix:
                throw InternalError("codegen: stores past the caches are the CPU's");
            case Code::Check:
                return line(declare(v) + "checked(" + "(i64)" + operand(i.src[0]) + ", " +
                            std::to_string(i.imm) + "ll, " + std::to_string(i.fill) +
                            "ll, check);");
            case Code::Arith:
                return line(declare(v) + arith(i) + ";");
        }
    }

    // --- memory

    std::string pointer(const Inst& i, DType memory_type) const {
        std::string index = i.src[1] == kNone ? "" : ref(i.src[1]);
        const auto add = [&](const std::string& term) {
            index +=
                index.empty() ? term : (term[0] == '-' ? " - " + term.substr(1) : " + " + term);
        };
        if (i.imm != 0) add(std::to_string(i.imm));
        if (i.access == Access::Contiguous) add("lane");
        if (i.access == Access::Reverse) index += index.empty() ? "-lane" : " - lane";
        const std::string base = "(" + type(memory_type) + "*)" + ref(i.src[0]);
        return index.empty() ? base : base + " + (" + index + ")";
    }

    void load(Value v, const Inst& i) {
        const DType m = stored(i.dtype);
        std::string read = "*(" + pointer(i, m) + ")";
        if (m != i.dtype) read = "(" + read + " != 0)";
        if (i.src[2] != kNone) {
            const std::string fill = constant(i.dtype, i.fill);
            read = operand(i.src[2]) + " ? " + read + " : " + fill;
        }
        line(declare(v) + read + ";");
    }

    void store(const Inst& i) {
        const DType m = stored(i.dtype);
        std::string condition = i.src[2] == kNone ? "" : ref(i.src[2]);
        // What all threads of a team know alike, one of them writes.
        if (lanes_ > 1 && i.lanes == 1)
            condition = condition.empty() ? "lane == 0" : "lane == 0 && " + condition;
        line((condition.empty() ? "" : "if (" + condition + ") ") + "*(" + pointer(i, m) +
             ") = " + ref(i.src[3]) + ";");
    }

    // --- arithmetic

    std::string arith(const Inst& i) const {
        const DType from = inst(i.src[0]).dtype;
        const auto a = [&](int k) { return operand(i.src[k]); };
        const std::string t = type(i.dtype);
        switch (i.op) {
            case Op::Cast:
                return cast(i);
            case Op::Bitcast:
                return "bits<" + t + ">(" + ref(i.src[0]) + ")";
            case Op::Where:
                return a(0) + " ? " + a(1) + " : " + a(2);
            case Op::Neg:
                return is_float(from) ? "-" + a(0)
                                      : "(" + t + ")(0 - (" + wrapping(from) + ")" + a(0) + ")";
            case Op::Not:
                return from == DType::Bool ? "!" + a(0) : "(" + t + ")~" + a(0);
            case Op::Recip:
                return constant(from, ir::const_bits(1)) + " / " + a(0);
            case Op::Max:
            case Op::Min: {
                if (i.dtype == DType::Bool) return a(0) + (i.op == Op::Max ? " | " : " & ") + a(1);
                // The first operand where it is beyond the second or NaN.
                const std::string beyond = a(0) + (i.op == Op::Max ? " > " : " < ") + a(1);
                const std::string nan = is_float(i.dtype) ? " || " + a(0) + " != " + a(0) : "";
                return "(" + beyond + nan + ") ? " + a(0) + " : " + a(1);
            }
            case Op::IDiv:
            case Op::Mod:
                if (i.dtype == DType::Index) return index_division(i);
                break;
            default:
                break;
        }
        if (i.op == Op::Abs && (is_unsigned(from) || from == DType::Bool)) return a(0);
        if (i.op == Op::Abs && !is_float(from))
            return a(0) + " < 0 ? (" + t + ")(0 - (" + wrapping(from) + ")" + a(0) + ") : " + a(0);
        for (const Infix& f : kInfix) {
            if (f.op != i.op || (f.op == Op::Div && !is_float(from))) continue;
            const std::string middle = " " + std::string(f.text) + " ";
            if (is_float(from) || from == DType::Index ||
                ir::info(f.op).dtype == ir::DTypeRule::Bool)
                return a(0) + middle + a(1);
            if (!f.wraps) return "(" + t + ")(" + a(0) + middle + a(1) + ")";
            const std::string u = "(" + wrapping(from) + ")";
            return "(" + t + ")(" + u + a(0) + middle + u + a(1) + ")";
        }
        for (const Call& c : kCalls) {
            if (c.op != i.op || !(from == f32 || from == f64)) continue;
            std::string text = std::string(c.name) + "(" + ref(i.src[0]);
            for (int k = 1; k < 3 && i.src[k] != kNone; ++k) text += ", " + ref(i.src[k]);
            return text + ")";
        }
        throw InternalError("codegen: CUDA C has no instruction for " +
                            std::string(ir::name(i.op)) + " of " + std::string(name(from)));
    }

    std::string index_division(const Inst& i) const {
        const Inst& divisor = inst(i.src[1]);
        if (divisor.code == Code::Const &&
            std::has_single_bit(static_cast<std::uint64_t>(divisor.imm)))
            return i.op == Op::IDiv
                       ? operand(i.src[0]) + " >> " +
                             std::to_string(
                                 std::countr_zero(static_cast<std::uint64_t>(divisor.imm)))
                       : operand(i.src[0]) + " & " + constant(DType::Index, divisor.imm - 1);
        const std::string a = ref(i.src[0]), b = ref(i.src[1]);
        const std::string how = i.imm == kSignedDividend ? "floor_" : "index_";
        return how + (i.op == Op::IDiv ? "div(" : "mod(") + a + ", " + b + ")";
    }

    std::string cast(const Inst& i) const {
        const DType from = inst(i.src[0]).dtype, to = i.dtype;
        const std::string x = operand(i.src[0]);
        if (to == DType::Bool) return x + " != 0";
        if (from == f16 && to == f32) return "f16_to_f32(" + ref(i.src[0]) + ")";
        if (from == f32 && to == f16) return "f32_to_f16(" + ref(i.src[0]) + ")";
        // Other conversions of 16-bit floats, and those that saturate, are spelled out before.
        const bool half = from == f16 || to == f16 || from == bf16 || to == bf16;
        if (half || (is_float(from) && !is_float(to) && i.imm != 1))
            throw InternalError("codegen: CUDA C has no conversion from " +
                                std::string(name(from)) + " to " + std::string(name(to)));
        return "(" + type(to) + ")" + x;
    }

    const Function* f_ = nullptr;
    int lanes_ = 1;
    bool scratch_ = false;
    std::vector<Value> stores_to_;
    std::string text_;
    int indent_ = 0;
};

}  // namespace

std::string render_cuda(const std::vector<Function>& functions, const std::vector<Phase>& phases,
                        std::int64_t team_bytes) {
    Writer writer;
    for (std::size_t i = 0; i < functions.size(); ++i)
        writer.function(functions[i], phases[i], team_bytes);
    return writer.take();
}

}  // namespace sinter::codegen
