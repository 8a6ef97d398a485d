#include "llvm.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <set>

#include <sinter/ir/error.h>
#include <sinter/ir/node.h>

#include "dots.h"
#include "emitter.h"
#include "llvm_tiles.h"

namespace sinter::codegen {
namespace {

using ir::Op;

// --- types and constants

// 16-bit floats are kept as their bits: LLVM may widen what moves one, and narrows it again by a
// call of its library (half), or by an instruction that flushes subnormal numbers (bfloat).

constexpr std::string_view kTypes[] = {"i1",  "i8",  "i16", "i32",   "i64",    "i8",  "i16", "i32",
                                       "i64", "i16", "i16", "float", "double", "i64", "void"};
constexpr std::string_view kMangled[] = {"i1",  "i8",  "i16", "i32", "i64", "i8",  "i16", "i32",
                                         "i64", "i16", "i16", "f32", "f64", "i64", ""};

std::string vector_of(std::string_view element, int lanes) {
    if (lanes == 1) return std::string(element);
    return "<" + std::to_string(lanes) + " x " + std::string(element) + ">";
}
std::string type(DType dt, int lanes) { return vector_of(kTypes[static_cast<int>(dt)], lanes); }
// Elements of bool are bytes in memory.
DType stored(DType dt) { return dt == DType::Bool ? DType::U8 : dt; }
std::string mangled(DType dt, int lanes) {
    return (lanes == 1 ? "" : "v" + std::to_string(lanes)) +
           std::string(kMangled[static_cast<int>(dt)]);
}

std::string element(DType dt, std::int64_t bits) {
    char text[32];
    switch (dt) {
        case DType::Bool:
            return bits != 0 ? "true" : "false";
        case DType::F16:
            return std::to_string(static_cast<std::int16_t>(f64_to_f16(ir::const_double(bits))));
        case DType::BF16:
            return std::to_string(static_cast<std::int16_t>(f64_to_bf16(ir::const_double(bits))));
        case DType::F32:
        case DType::F64:
            std::snprintf(text, sizeof text, "0x%016llX", static_cast<unsigned long long>(bits));
            return text;
        default:
            return std::to_string(bits);
    }
}

// `f(lane)` for every lane, as a vector constant of `element_type`.
template <class F>
std::string vector_constant(std::string_view element_type, int lanes, F f) {
    std::string text = "<";
    for (int i = 0; i < lanes; ++i)
        text += (i != 0 ? ", " : "") + std::string(element_type) + " " + f(i);
    return text + ">";
}

std::string constant(DType dt, std::int64_t bits, int lanes) {
    const std::string one = element(dt, bits);
    if (lanes == 1) return one;
    return vector_constant(kTypes[static_cast<int>(dt)], lanes, [&](int) { return one; });
}

// --- instructions that are one line: by op and by the kind of their first operand

struct Mnemonics {
    Op op;
    std::string_view floats, signed_ints, unsigned_ints;
};
constexpr Mnemonics kBinary[] = {
    {Op::Add, "fadd", "add", "add"},
    {Op::Sub, "fsub", "sub", "sub"},
    {Op::Mul, "fmul", "mul", "mul"},
    {Op::Div, "fdiv", "", ""},
    {Op::IDiv, "", "sdiv", "udiv"},
    {Op::Mod, "", "srem", "urem"},
    {Op::And, "", "and", "and"},
    {Op::Or, "", "or", "or"},
    {Op::Xor, "", "xor", "xor"},
    {Op::Shl, "", "shl", "shl"},
    {Op::Shr, "", "ashr", "lshr"},
    {Op::Lt, "fcmp olt", "icmp slt", "icmp ult"},
    {Op::Le, "fcmp ole", "icmp sle", "icmp ule"},
    {Op::Eq, "fcmp oeq", "icmp eq", "icmp eq"},
    {Op::Ne, "fcmp une", "icmp ne", "icmp ne"},
};

struct Intrinsic {
    Op op;
    std::string_view name;
    int operands;
};
constexpr Intrinsic kIntrinsics[] = {
    {Op::Abs, "fabs", 1},    {Op::Floor, "floor", 1},     {Op::Ceil, "ceil", 1},
    {Op::Trunc, "trunc", 1}, {Op::Round, "roundeven", 1}, {Op::Sqrt, "sqrt", 1},
    {Op::Fma, "fma", 3},
};

class Writer {
public:
    explicit Writer(const Target& target) : target_(target) {}

    void function(const Function& f) {
        f_ = &f;
        const std::string params =
            "ptr noalias nocapture readonly %blocks, ptr noalias nocapture readonly %scalars, ptr "
            "noalias nocapture %shared, "
            "ptr noalias nocapture %thread, ptr noalias nocapture %check, i64 %begin, i64 %end";
        body_ += "define void @" + f.symbol + "(" + params + ") #0 {\nentry:\n";
        if (!f.each_trip.empty()) {
            next_ = 0;
            for_each_trip(f.each_trip);
            return;
        }
        label_ = "entry";
        next_ = 0;
        if (f.product) {
            const TileText product = render_tiles(*f.product, f.symbol);
            body_ += product.body;
            globals_ += product.globals;
            declarations_.insert(product.declarations.begin(), product.declarations.end());
            return;
        }
        streams_ = false;
        block(f.body);
        // Stores past the caches are not ordered with what tells other threads of them.
        if (streams_ && is_x86()) line(call("void", "llvm.x86.sse.sfence", {}));
        body_ += "  ret void\n}\n\n";
    }

    void for_each_trip(const std::vector<Function::Step>& steps) {
        line("%some = icmp slt i64 %begin, %end");
        line("br i1 %some, label %trip, label %done");
        body_ += "trip:\n";
        line("%t = phi i64 [ %begin, %entry ], [ %next, %trip ]");
        line("%next = add nsw i64 %t, 1");
        for (const Function::Step& step : steps) {
            std::string begin = "%t", end = "%next";
            if (step.repeats != 1) {
                const std::string times = ", " + std::to_string(step.repeats);
                begin = fresh("begin");
                line(begin + " = mul nsw i64 %t" + times);
                end = fresh("end");
                line(end + " = mul nsw i64 %next" + times);
            }
            line("call void @" + step.symbol +
                 "(ptr %blocks, ptr %scalars, ptr %shared, ptr %thread, ptr %check, i64 " + begin +
                 ", i64 " + end + ")");
        }
        line("%again = icmp slt i64 %next, %end");
        line("br i1 %again, label %trip, label %done");
        body_ += "done:\n  ret void\n}\n\n";
    }

    std::string text() {
        std::string result;
        if (!target_.triple.empty()) result += "target triple = \"" + target_.triple + "\"\n\n";
        result += globals_ + body_;
        for (const std::string& d : declarations_) result += d + "\n";
        result += "\nattributes #0 = { nounwind \"prefer-vector-width\"=\"" +
                  std::to_string(target_.vector_bits) + "\" }\n";
        result += "!0 = distinct !{!0, !1}\n!1 = !{!\"llvm.loop.unroll.disable\"}\n";
        result += "!2 = !{}\n!3 = !{i32 1}\n";
        return result;
    }

private:
    const Inst& inst(Value v) const { return f_->insts[static_cast<std::size_t>(v)]; }
    std::string type_of(Value v) const {
        if (is_memory(inst(v))) return "ptr";
        return type(inst(v).dtype, inst(v).lanes);
    }
    static bool is_memory(const Inst& i) {
        return i.code == Code::Address || (i.code == Code::Phi && i.dtype == DType::None);
    }
    std::string fresh(const char* stem) {
        return std::string("%") + stem + std::to_string(next_++);
    }
    void line(const std::string& text) { body_ += "  " + text + "\n"; }
    void open(const std::string& label) {
        body_ += label + ":\n";
        label_ = label;
    }
    // "i64 %v3"
    std::string typed(Value v) { return type_of(v) + " " + ref(v); }

    std::string ref(Value v) {
        const Inst& i = inst(v);
        switch (i.code) {
            case Code::Const:
                return constant(i.dtype, i.imm, i.lanes);
            case Code::Lanes:
                return vector_constant("i64", i.lanes,
                                       [&](int lane) { return std::to_string(lane * i.imm); });
            case Code::Alias:
                return ref(i.src[0]);
            case Code::Argument: {
                constexpr std::string_view kNames[] = {"%begin", "%end", "%shared", "%thread"};
                return std::string(kNames[i.imm]);
            }
            default:
                return "%v" + std::to_string(v);
        }
    }

    std::string call(const std::string& result_type, const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& args) {
        std::string types, values;
        for (const auto& [t, a] : args) {
            types += (types.empty() ? "" : ", ") + t;
            values += (values.empty() ? "" : ", ") + t + " " + a;
        }
        declarations_.insert("declare " + result_type + " @" + name + "(" + types + ")");
        return "call " + result_type + " @" + name + "(" + values + ")";
    }

    bool is_x86() const { return target_.triple.starts_with("x86_64"); }

    // A store past the caches from `at` on, with those that follow before memory is read: under one
    // branch. Gives the position behind.
    std::size_t streaming_stores(const std::vector<Item>& items, std::size_t at) {
        std::vector<Value> stores;
        const Value lined = inst(std::get<Value>(items[at])).src[2];
        for (; at < items.size(); ++at) {
            const auto* v = std::get_if<Value>(&items[at]);
            if (v == nullptr) break;
            const Inst& i = inst(*v);
            if (i.code == Code::Store && i.streaming && i.src[2] == lined)
                stores.push_back(*v);
            else if (i.code == Code::Store || i.code == Code::Load || i.code == Code::Check)
                break;
            else
                instruction(*v);
        }
        streams_ = true;
        const std::string id = std::to_string(next_++);
        line("br i1 " + ref(lined) + ", label %past" + id + ", label %plain" + id);
        for (const bool past : {true, false}) {
            open((past ? "past" : "plain") + id);
            for (Value v : stores) store(inst(v), past);
            line("br label %stored" + id);
        }
        open("stored" + id);
        return at;
    }

    void block(const Block& b) {
        for (std::size_t at = 0; at < b.items.size(); ++at) {
            const Item& item = b.items[at];
            const auto* value = std::get_if<Value>(&item);
            if (value != nullptr && inst(*value).code == Code::Store && inst(*value).streaming) {
                at = streaming_stores(b.items, at) - 1;
                continue;
            }
            if (const auto* v = std::get_if<Value>(&item))
                instruction(*v);
            else if (const auto* loop_item = std::get_if<std::unique_ptr<Loop>>(&item))
                loop(**loop_item);
            else
                branch(*std::get<std::unique_ptr<If>>(item));
        }
    }

    // --- control

    void loop(const Loop& l) {
        const std::string id = std::to_string(next_++), head = "loop" + id, exit = "exit" + id;
        const std::string before = label_;
        if (l.may_be_empty) {
            const std::string some = fresh("t");
            line(some + " = icmp slt " + typed(l.begin) + ", " + ref(l.end));
            line("br i1 " + some + ", label %" + head + ", label %" + exit);
        } else {
            line("br label %" + head);
        }
        // The phis name the last block of the body, which is known when the body is written.
        open(head);
        const std::size_t phis = body_.size();
        block(l.body);
        const std::string latch = label_, again = fresh("t");
        const bool counts = l.until == kNone;
        const std::string next = counts ? fresh("n") : ref(l.carried.back().next);
        if (counts) line(next + " = add nsw i64 " + ref(l.index) + ", 1");
        const bool by_memory = !counts && is_memory(inst(l.until));
        line(again + (by_memory ? " = icmp ult ptr " : " = icmp slt i64 ") + next + ", " +
             ref(counts ? l.end : l.until));
        line("br i1 " + again + ", label %" + head + ", label %" + exit + ", !llvm.loop !0");
        std::string head_phis, hidden;
        if (counts) {
            head_phis = "  " + ref(l.index) + ".n = phi i64 [ " + ref(l.begin) + ", %" + before +
                        " ], [ " + next + ", %" + latch + " ]\n";
            hide(hidden, "i64", ref(l.index));
        }
        for (std::size_t i = 0; i < l.carried.size(); ++i) {
            const Loop::Carried& c = l.carried[i];
            const bool is_index = l.results[i] == kNone;
            head_phis += "  " + ref(c.phi) + (is_index ? ".n" : "") + " = phi " + type_of(c.phi) +
                         " [ " + ref(c.init) + ", %" + before + " ], [ " + ref(c.next) + ", %" +
                         latch + " ]\n";
            if (is_index) hide(hidden, type_of(c.phi), ref(c.phi));
        }
        head_phis += hidden;
        body_.insert(phis, head_phis);
        open(exit);
        for (std::size_t i = 0; i < l.carried.size(); ++i) {
            const Loop::Carried& c = l.carried[i];
            if (l.results[i] == kNone) continue;
            std::string text = ref(l.results[i]) + " = phi " + type_of(c.phi) + " [ " +
                               ref(c.next) + ", %" + latch + " ]";
            if (l.may_be_empty) text += ", [ " + ref(c.init) + ", %" + before + " ]";
            line(text);
        }
    }

    // LLVM would spend a fifth of its time on how the addresses of a loop follow from its indices
    // (loop strength reduction); they are as they should be.
    static void hide(std::string& text, const std::string& type, const std::string& value) {
        text += "  " + value + " = call " + type + " asm \"\", \"=r,0\"(" + type + " " + value +
                ".n)\n";
    }

    void branch(const If& b) {
        const std::string id = std::to_string(next_++), then = "then" + id, other = "else" + id,
                          after = "after" + id;
        const bool both = !b.otherwise.items.empty();
        line("br i1 " + ref(b.condition) + ", label %" + then + ", label %" +
             (both ? other : after));
        open(then);
        block(b.then);
        line("br label %" + after);
        if (both) {
            open(other);
            block(b.otherwise);
            line("br label %" + after);
        }
        open(after);
    }

    // --- instructions

    void define(Value v, const std::string& text) { line("%v" + std::to_string(v) + " = " + text); }

    void instruction(Value v) {
        const Inst& i = inst(v);
        switch (i.code) {
            case Code::Const:
            case Code::Lanes:
            case Code::Alias:
            case Code::Argument:
            case Code::LoopIndex:
            case Code::Phi:
            case Code::Barrier:
                return;
            case Code::Block: {
                const std::string at = fresh("t");
                line(at + " = getelementptr ptr, ptr %blocks, i64 " + std::to_string(i.imm));
                return define(v, "load ptr, ptr " + at + ", align 8, !invariant.load !2");
            }
            case Code::Address:
                return define(v, "getelementptr " + type(stored(i.dtype), 1) + ", ptr " +
                                     ref(i.src[0]) + ", i64 " +
                                     (i.src[1] == kNone ? std::to_string(i.imm) : ref(i.src[1])));
            case Code::Scalar:
                return scalar(v, i);
            case Code::Splat: {
                const std::string t = type_of(v), one = fresh("t");
                line(one + " = insertelement " + t + " poison, " + typed(i.src[0]) + ", i64 0");
                return define(v, "shufflevector " + t + " " + one + ", " + t + " poison, " +
                                     vector_of("i32", i.lanes) + " zeroinitializer");
            }
            case Code::Rotate: {
                const std::string t = type_of(v);
                return define(v, "shufflevector " + t + " " + ref(i.src[0]) + ", " + t +
                                     " poison, " + vector_of("i32", i.lanes) + " " +
                                     vector_constant("i32", i.lanes, [&](int lane) {
                                         return std::to_string((lane + i.imm) % i.lanes);
                                     }));
            }
            case Code::Mix: {
                const std::string t = type_of(v);
                const bool hides = hides_mixes(i);
                const std::string mixed = hides ? fresh("t") : ref(v);
                line(mixed + " = shufflevector " + t + " " + ref(i.src[0]) + ", " + t + " " +
                     ref(i.src[1]) + ", " + vector_of("i32", i.lanes) + " " +
                     vector_constant("i32", i.lanes, [&](int lane) {
                         const auto bit = static_cast<int>(i.imm);
                         return std::to_string(static_cast<int>(i.fill) +
                                               ((lane & bit) == 0 ? lane : i.lanes + lane - bit));
                     }));
                if (hides) define(v, "call " + t + " asm \"\", \"=v,0\"(" + t + " " + mixed + ")");
                return;
            }
            case Code::First:
                return define(v, "extractelement " + typed(i.src[0]) + ", i64 0");
            case Code::Load:
                return load(v, i);
            case Code::Prefetch: {
                const std::string at = pointer(i, stored(i.dtype));
                return line(call("void", "llvm.prefetch.p0",
                                 {{"ptr", at}, {"i32", "0"}, {"i32", "3"}, {"i32", "1"}}));
            }
            case Code::Store:
                return store(i, false);
            case Code::Lined:
                return lined(v, i);
            case Code::Check:
                return check(v, i);
            case Code::Arith:
                return arith(v, i);
        }
    }

    // Scalars are slots of 64 bits: integers as they are, floats as doubles.
    void scalar(Value v, const Inst& i) {
        const std::string at = fresh("t"), bits = fresh("t");
        line(at + " = getelementptr i64, ptr %scalars, i64 " + std::to_string(i.imm));
        line(bits + " = load i64, ptr " + at + ", align 8, !invariant.load !2");
        if (is_float(i.dtype)) {
            const std::string wide = fresh("t");
            line(wide + " = bitcast i64 " + bits + " to double");
            // The value is exact in the narrower type, so truncation through float is exact too.
            if (i.dtype == f64) return define(v, "bitcast i64 " + bits + " to double");
            if (i.dtype == f32) return define(v, "fptrunc double " + wide + " to float");
            throw InternalError("codegen: a scalar of 16 bits");
        }
        if (size_of(i.dtype) == 8) return define(v, "add i64 " + bits + ", 0");
        define(v, "trunc i64 " + bits + " to " + type(i.dtype, 1));
    }

    // --- memory

    // Pointer (or vector of pointers) to the element(s) that a Load or Store means. Steps between
    // lanes are constants beside one pointer, which a gather needs no vector arithmetic for.
    std::string pointer(const Inst& i, DType memory_type) {
        const std::string t = type(memory_type, 1);
        std::string at = ref(i.src[0]);
        if (i.src[1] != kNone) {
            const std::string moved = fresh("p");
            const bool indexed = i.access == Access::Indexed;
            line(moved + " = getelementptr " + t + ", ptr " + at + ", " + typed(i.src[1]));
            if (indexed && i.imm != 0) {
                const std::string shifted = fresh("p");
                line(shifted + " = getelementptr " + t + ", " + vector_of("ptr", i.lanes) + " " +
                     moved + ", i64 " + std::to_string(i.imm));
                return shifted;
            }
            at = moved;
            if (indexed) return at;
        }
        const std::int64_t offset = i.imm - (i.access == Access::Reverse ? i.lanes - 1 : 0);
        if (offset != 0) {
            const std::string moved = fresh("p");
            line(moved + " = getelementptr " + t + ", ptr " + at + ", i64 " +
                 std::to_string(offset));
            at = moved;
        }
        if (!is_scattered(i)) return at;
        const std::string all = fresh("p");
        line(all + " = getelementptr " + t + ", ptr " + at + ", " + vector_of("i64", i.lanes) +
             " " + vector_constant("i64", i.lanes, [&](int lane) {
                 return std::to_string(lane * i.step);
             }));
        return all;
    }

    std::string reversed(const std::string& t, const std::string& x, int lanes) {
        const std::string r = fresh("t");
        line(r + " = shufflevector " + t + " " + x + ", " + t + " poison, " +
             vector_of("i32", lanes) + " " + vector_constant("i32", lanes, [&](int lane) {
                 return std::to_string(lanes - 1 - lane);
             }));
        return r;
    }

    void load(Value v, const Inst& i) {
        const DType m = stored(i.dtype);
        const std::string at = pointer(i, m), t = type(m, i.lanes),
                          align = std::to_string(size_of(m));
        const std::string fill = constant(m, m == i.dtype ? i.fill : i.fill != 0, i.lanes);
        std::string raw = m == i.dtype ? "%v" + std::to_string(v) : fresh("t");
        const std::string target = raw;
        if (i.access == Access::Reverse) raw = fresh("t");
        std::string mask = i.src[2] == kNone ? "" : ref(i.src[2]);
        const std::string masks = vector_of("i1", i.lanes);
        if (i.access == Access::Reverse && !mask.empty()) mask = reversed(masks, mask, i.lanes);
        if (i.access == Access::Indexed || is_scattered(i)) {
            if (mask.empty()) mask = constant(DType::Bool, 1, i.lanes);
            line(raw + " = " +
                 call(t,
                      "llvm.masked.gather." + mangled(m, i.lanes) + ".v" + std::to_string(i.lanes) +
                          "p0",
                      {{vector_of("ptr", i.lanes), at}, {"i32", align}, {masks, mask}, {t, fill}}));
        } else if (i.access == Access::Strided) {
            strided(raw, i, at, mask);
        } else if (mask.empty()) {
            line(raw + " = load " + t + ", ptr " + at + ", align " + align);
        } else if (i.lanes > 1) {
            line(raw + " = " +
                 call(t, "llvm.masked.load." + mangled(m, i.lanes) + ".p0",
                      {{"ptr", at}, {"i32", align}, {masks, mask}, {t, fill}}));
        } else {
            const std::string id = std::to_string(next_++), before = label_, read = fresh("t");
            line("br i1 " + mask + ", label %read" + id + ", label %join" + id);
            open("read" + id);
            line(read + " = load " + t + ", ptr " + at + ", align " + align);
            line("br label %join" + id);
            open("join" + id);
            line(raw + " = phi " + t + " [ " + read + ", %read" + id + " ], [ " + fill + ", %" +
                 before + " ]");
        }
        if (i.access == Access::Reverse) {
            const std::string turned = reversed(t, raw, i.lanes);
            if (target[1] == 'v') define(v, "bitcast " + t + " " + turned + " to " + t);
            raw = turned;
        }
        if (m != i.dtype) define(v, "icmp ne " + t + " " + raw + ", " + constant(m, 0, i.lanes));
    }

    void lined(Value v, const Inst& i) {
        const std::string bits = fresh("t"), low = fresh("t");
        line(bits + " = ptrtoint ptr " + ref(i.src[0]) + " to i64");
        line(low + " = and i64 " + bits + ", " + std::to_string(kLineBytes - 1));
        if (i.src[1] == kNone) return define(v, "icmp eq i64 " + low + ", 0");
        const std::string begins = fresh("t"), large = fresh("t");
        line(begins + " = icmp eq i64 " + low + ", 0");
        line(large + " = icmp sge " + typed(i.src[1]) + ", " + std::to_string(i.imm));
        define(v, "and i1 " + begins + ", " + large);
    }

    // Every second element: two pieces, the later one so that it ends where the last lane lies.
    void every_second(const std::string& result, const Inst& i, const std::string& at) {
        const DType m = stored(i.dtype);
        const int lanes = i.lanes;
        const std::string t = type(m, lanes), first = fresh("t"), second = fresh("t"),
                          behind = fresh("p"), align = std::to_string(size_of(m));
        line(first + " = load " + t + ", ptr " + at + ", align " + align);
        line(behind + " = getelementptr " + type(m, 1) + ", ptr " + at + ", i64 " +
             std::to_string(lanes - 1));
        line(second + " = load " + t + ", ptr " + behind + ", align " + align);
        line(result + " = shufflevector " + t + " " + first + ", " + t + " " + second + ", " +
             vector_of("i32", lanes) + " " + vector_constant("i32", lanes, [&](int lane) {
                 return std::to_string(2 * lane < lanes ? 2 * lane : 2 * lane + 1);
             }));
    }

    // What the lanes span is read in one piece, without touching what lies between or behind.
    void strided(const std::string& result, const Inst& i, const std::string& at,
                 const std::string& mask) {
        if (mask.empty() && i.step == 2) return every_second(result, i, at);
        const DType m = stored(i.dtype);
        const int step = static_cast<int>(i.step), span = i.lanes * step;
        const std::string t = type(m, i.lanes), wide = type(m, span),
                          masks = vector_of("i1", i.lanes), wide_masks = vector_of("i1", span);
        std::string lanes;
        if (mask.empty()) {
            lanes = vector_constant(
                "i1", span, [&](int k) { return std::string(k % step == 0 ? "true" : "false"); });
        } else {
            lanes = fresh("t");
            line(lanes + " = shufflevector " + masks + " " + mask + ", " + masks +
                 " zeroinitializer, " + vector_of("i32", span) + " " +
                 vector_constant("i32", span, [&](int k) {
                     return std::to_string(k % step == 0 ? k / step : i.lanes);
                 }));
        }
        const std::string whole = fresh("t");
        const std::string fill = constant(m, m == i.dtype ? i.fill : i.fill != 0, span);
        line(whole + " = " +
             call(wide, "llvm.masked.load." + mangled(m, span) + ".p0",
                  {{"ptr", at},
                   {"i32", std::to_string(size_of(m))},
                   {wide_masks, lanes},
                   {wide, fill}}));
        line(result + " = shufflevector " + wide + " " + whole + ", " + wide + " poison, " +
             vector_of("i32", i.lanes) + " " + vector_constant("i32", i.lanes, [&](int lane) {
                 return std::to_string(lane * step);
             }));
    }

    // Whether to hide what a step of a transposition has made, by assembly of no instructions:
    // LLVM looks through all steps before each one for what they might be combined to, which takes
    // a third of the time of such a function, and finds nothing. The second step is hidden, which
    // leaves it two at a time.
    bool hides_mixes(const Inst& i) const {
        const auto bits = static_cast<int>(8 * size_of(i.dtype)) * i.lanes;
        return is_x86() && i.dtype != DType::Bool && i.lanes >= 8 && i.imm * 4 == i.lanes &&
               (bits == 128 || bits == 256 || bits == 512) && bits <= target_.vector_bits;
    }

    // Whether the lanes of the value are known before the function runs.
    bool is_known(Value v) const {
        const Inst& i = inst(v);
        switch (i.code) {
            case Code::Const:
            case Code::Lanes:
                return true;
            case Code::Arith:
            case Code::Splat:
                return std::ranges::all_of(i.src,
                                           [&](Value s) { return s == kNone || is_known(s); });
            default:
                return false;
        }
    }

    // A mask as one that LLVM knows nothing of. Of a store whose mask it knows to be one lane it
    // makes a scalar one, too late for some of the comparisons behind the value: "Cannot select"
    // ends the process (LLVM 19, x86 with AVX-512).
    std::string hidden(const std::string& mask, int lanes) {
        const std::string masks = vector_of("i1", lanes), always = fresh("t"), one = fresh("t"),
                          all = fresh("t"), result = fresh("t");
        line(always + " = icmp sge i64 %begin, 0");
        line(one + " = insertelement " + masks + " poison, i1 " + always + ", i64 0");
        line(all + " = shufflevector " + masks + " " + one + ", " + masks + " poison, " +
             vector_of("i32", lanes) + " zeroinitializer");
        line(result + " = and " + masks + " " + mask + ", " + all);
        return result;
    }

    void store(const Inst& i, bool past_caches) {
        const DType m = stored(i.dtype);
        const std::string at = pointer(i, m), t = type(m, i.lanes),
                          align = std::to_string(size_of(m));
        std::string value = ref(i.src[3]);
        if (m != i.dtype) {
            const std::string wide = fresh("t");
            line(wide + " = zext " + typed(i.src[3]) + " to " + t);
            value = wide;
        }
        if (past_caches)
            return line("store " + t + " " + value + ", ptr " + at + ", align " +
                        std::to_string(i.lanes * static_cast<int>(size_of(m))) +
                        ", !nontemporal !3");
        std::string mask = i.src[2] == kNone || i.streaming ? "" : ref(i.src[2]);
        const std::string masks = vector_of("i1", i.lanes);
        if (i.access == Access::Reverse) {
            value = reversed(t, value, i.lanes);
            if (!mask.empty()) mask = reversed(masks, mask, i.lanes);
        }
        if (i.access == Access::Indexed || is_scattered(i)) {
            if (mask.empty()) mask = constant(DType::Bool, 1, i.lanes);
            line(
                call("void",
                     "llvm.masked.scatter." + mangled(m, i.lanes) + ".v" + std::to_string(i.lanes) +
                         "p0",
                     {{t, value}, {vector_of("ptr", i.lanes), at}, {"i32", align}, {masks, mask}}));
        } else if (mask.empty()) {
            line("store " + t + " " + value + ", ptr " + at + ", align " + align);
        } else if (i.lanes > 1) {
            if (is_known(i.src[2])) mask = hidden(mask, i.lanes);
            line(call("void", "llvm.masked.store." + mangled(m, i.lanes) + ".p0",
                      {{t, value}, {"ptr", at}, {"i32", align}, {masks, mask}}));
        } else {
            const std::string id = std::to_string(next_++);
            line("br i1 " + mask + ", label %write" + id + ", label %skip" + id);
            open("write" + id);
            line("store " + t + " " + value + ", ptr " + at + ", align " + align);
            line("br label %skip" + id);
            open("skip" + id);
        }
    }

    // The index if it is in bounds, else 0, after the first such index of the thread was recorded.
    void check(Value v, const Inst& i) {
        const std::string wide = type(DType::Index, i.lanes), masks = vector_of("i1", i.lanes);
        std::string index = ref(i.src[0]);
        const DType from = inst(i.src[0]).dtype;
        if (size_of(from) < 8) {
            const std::string extended = fresh("t");
            line(extended + " = " + (is_unsigned(from) ? "zext " : "sext ") + typed(i.src[0]) +
                 " to " + wide);
            index = extended;
        }
        const std::string bad = fresh("t"), id = std::to_string(next_++);
        line(bad + " = icmp uge " + wide + " " + index + ", " +
             constant(DType::Index, i.imm, i.lanes));
        std::string any = bad, which = index;
        if (i.lanes > 1) {
            any = fresh("t");
            line(any + " = " +
                 call("i1", "llvm.vector.reduce.or." + mangled(DType::Bool, i.lanes),
                      {{masks, bad}}));
        }
        line("br i1 " + any + ", label %bad" + id + ", label %good" + id);
        open("bad" + id);
        if (i.lanes > 1) {
            // Any of the bad lanes: the largest, taking good lanes as the least.
            const std::string only = fresh("t");
            which = fresh("t");
            line(only + " = select " + masks + " " + bad + ", " + wide + " " + index + ", " + wide +
                 " " + constant(DType::Index, info(i64).min, i.lanes));
            line(which + " = " +
                 call("i64", "llvm.vector.reduce.smax." + mangled(DType::Index, i.lanes),
                      {{wide, only}}));
        }
        const std::string seen = fresh("t"), none = fresh("t"), slot = fresh("t");
        line(seen + " = load i64, ptr %check, align 8");
        line(none + " = icmp eq i64 " + seen + ", 0");
        line("br i1 " + none + ", label %record" + id + ", label %good" + id);
        open("record" + id);
        line("store i64 " + std::to_string(i.fill + 1) + ", ptr %check, align 8");
        line(slot + " = getelementptr i64, ptr %check, i64 1");
        line("store i64 " + which + ", ptr " + slot + ", align 8");
        line("br label %good" + id);
        open("good" + id);
        define(v, "select " + masks + " " + bad + ", " + wide + " " +
                      constant(DType::Index, 0, i.lanes) + ", " + wide + " " + index);
    }

    // --- arithmetic

    void arith(Value v, const Inst& i) {
        const DType from = inst(i.src[0]).dtype;
        const std::string t = type_of(v), operand = type(from, i.lanes);
        const auto a = [&](int k) { return ref(i.src[k]); };
        if (i.op == Op::Cast) return cast(v, i);
        if (i.op == Op::Bitcast) return define(v, "bitcast " + typed(i.src[0]) + " to " + t);
        if (i.op == Op::Where)
            return define(
                v, "select " + typed(i.src[0]) + ", " + typed(i.src[1]) + ", " + typed(i.src[2]));
        if (i.op == Op::Shl && is_float(from))
            return define(v, "bitcast " + t + " " + scaled(from, i.lanes, a(0), a(1)) + " to " + t);
        if (i.op == Op::Neg)
            return define(v, is_float(from)
                                 ? "fneg " + typed(i.src[0])
                                 : "sub " + t + " " + constant(from, 0, i.lanes) + ", " + a(0));
        if (i.op == Op::Not)
            return define(v, "xor " + typed(i.src[0]) + ", " +
                                 constant(from, from == DType::Bool ? 1 : -1, i.lanes));
        if (i.op == Op::Recip)
            return define(
                v, "fdiv " + t + " " + constant(from, ir::const_bits(1), i.lanes) + ", " + a(0));
        if (i.op == Op::Max || i.op == Op::Min) return extreme(v, i);
        if ((i.op == Op::IDiv || i.op == Op::Mod) && i.dtype == DType::Index)
            return index_division(v, i);
        if (i.op == Op::Abs && !is_float(from)) {
            if (is_unsigned(from) || from == DType::Bool)
                return define(v, "add " + t + " " + a(0) + ", " + constant(from, 0, i.lanes));
            return define(
                v, call(t, "llvm.abs." + mangled(from, i.lanes), {{t, a(0)}, {"i1", "false"}}));
        }
        if (i.op == Op::Dot)
            return define(v, "bitcast " + t + " " + dot(i, i.lanes, a(0), a(1), a(2)) + " to " + t);
        for (const Mnemonics& m : kBinary) {
            if (m.op != i.op) continue;
            const bool is_signed = is_signed_int(from) || from == DType::Index;
            const std::string_view text =
                is_float(from) ? m.floats : (is_signed ? m.signed_ints : m.unsigned_ints);
            if (text.empty()) break;
            return define(v, std::string(text) + " " + operand + " " + a(0) + ", " + a(1));
        }
        for (const Intrinsic& n : kIntrinsics) {
            if (n.op != i.op || !is_float(from)) continue;
            std::vector<std::pair<std::string, std::string>> args;
            for (int k = 0; k < n.operands; ++k) args.emplace_back(t, a(k));
            return define(
                v, call(t, "llvm." + std::string(n.name) + "." + mangled(from, i.lanes), args));
        }
        throw InternalError("codegen: LLVM has no instruction for " + std::string(ir::name(i.op)) +
                            " of " + std::string(name(from)));
    }

    std::string shuffled(DType dt, int lanes, const std::string& x, const std::string& y, int to,
                         int first) {
        const std::string t = type(dt, lanes), r = fresh("t");
        line(r + " = shufflevector " + t + " " + x + ", " + t + " " + y + ", " +
             vector_of("i32", to) + " " + vector_constant("i32", to, [&](int lane) {
                 return std::to_string(std::min(first + lane, 2 * lanes - 1));
             }));
        return r;
    }

    // x 2^n, in registers of 16 to 64 bytes. Gives the value's name.
    std::string scaled(DType dt, int lanes, const std::string& x, const std::string& n) {
        const std::string t = type(dt, lanes);
        const int bytes = lanes * static_cast<int>(size_of(dt));
        if (lanes == 1) {
            std::string wide[2];
            for (const int k : {0, 1}) {
                wide[k] = fresh("t");
                line(wide[k] + " = insertelement " + type(dt, 2) + " poison, " + t + " " +
                     (k == 0 ? x : n) + ", i64 0");
            }
            const std::string both = scaled(dt, 2, wide[0], wide[1]), r = fresh("t");
            line(r + " = extractelement " + type(dt, 2) + " " + both + ", i64 0");
            return r;
        }
        if (bytes < 16) {
            const std::string wide = scaled(dt, 2 * lanes, shuffled(dt, lanes, x, x, 2 * lanes, 0),
                                            shuffled(dt, lanes, n, n, 2 * lanes, 0));
            return shuffled(dt, 2 * lanes, wide, wide, lanes, 0);
        }
        if (bytes > 64) {
            const int half = lanes / 2;
            std::string parts[2];
            for (const int k : {0, 1})
                parts[k] = scaled(dt, half, shuffled(dt, lanes, x, x, half, k * half),
                                  shuffled(dt, lanes, n, n, half, k * half));
            return shuffled(dt, half, parts[0], parts[1], lanes, 0);
        }
        std::vector<std::pair<std::string, std::string>> args{
            {t, x}, {t, n}, {t, "zeroinitializer"}, {lanes == 16 ? "i16" : "i8", "-1"}};
        if (bytes == 64) args.emplace_back("i32", "4");  // rounding as it is set
        const std::string r = fresh("t");
        line(r + " = " +
             call(t,
                  "llvm.x86.avx512.mask.scalef." + std::string(dt == f32 ? "ps" : "pd") + "." +
                      std::to_string(8 * bytes),
                  args));
        return r;
    }

    // In registers of 16 to 64 bytes. Gives the value's name.
    std::string dot(const Inst& i, int lanes, const std::string& x, const std::string& y,
                    const std::string& sum) {
        const std::string t = type(i.dtype, lanes), words = type(DType::U32, lanes);
        const std::string r = fresh("t");
        if (lanes == 1) {
            std::string wide[3];
            for (const int k : {0, 1, 2}) {
                const DType dt = k < 2 ? DType::U32 : i.dtype;
                wide[k] = fresh("t");
                line(wide[k] + " = insertelement " + type(dt, 4) + " zeroinitializer, " +
                     type(dt, 1) + " " +
                     (k == 0   ? x
                      : k == 1 ? y
                               : sum) +
                     ", i64 0");
            }
            const std::string four = dot(i, 4, wide[0], wide[1], wide[2]);
            line(r + " = extractelement " + type(i.dtype, 4) + " " + four + ", i64 0");
            return r;
        }
        const int most = target_.vector_bits / 32;
        if (lanes < 4 || lanes > most) {
            // Too few: twice as many; too many: by halves.
            const bool few = lanes < 4;
            const int to = few ? 2 * lanes : lanes / 2;
            std::string parts[2];
            for (int k = 0; k < (few ? 1 : 2); ++k)
                parts[k] = dot(i, to, shuffled(DType::U32, lanes, x, x, to, k * to),
                               shuffled(DType::U32, lanes, y, y, to, k * to),
                               shuffled(i.dtype, lanes, sum, sum, to, k * to));
            return few ? shuffled(i.dtype, to, parts[0], parts[0], lanes, 0)
                       : shuffled(i.dtype, to, parts[0], parts[1], lanes, 0);
        }
        const std::string bits = std::to_string(32 * lanes);
        if (i.imm == static_cast<std::int64_t>(DotKind::QuadsOfBytes)) {
            line(r + " = " +
                 call(t, "llvm.x86.avx512.vpdpbusd." + bits, {{t, sum}, {words, x}, {words, y}}));
            return r;
        }
        const std::string pairs = vector_of("bfloat", 2 * lanes);
        std::string operands[2];
        for (const int k : {0, 1}) {
            operands[k] = fresh("t");
            line(operands[k] + " = bitcast " + words + " " + (k == 0 ? x : y) + " to " + pairs);
        }
        line(r + " = " +
             call(t, "llvm.x86.avx512bf16.dpbf16ps." + bits,
                  {{t, sum}, {pairs, operands[0]}, {pairs, operands[1]}}));
        return r;
    }

    void extreme(Value v, const Inst& i) {
        const std::string t = type_of(v), take = fresh("t");
        const bool max = i.op == Op::Max;
        if (i.dtype == DType::Bool)
            return define(
                v, std::string(max ? "or " : "and ") + typed(i.src[0]) + ", " + ref(i.src[1]));
        if (is_float(i.dtype)) {
            // The first operand where it is beyond the second or NaN.
            const std::string beyond = fresh("t"), nan = fresh("t");
            line(beyond + " = fcmp " + (max ? "ogt " : "olt ") + t + " " + ref(i.src[0]) + ", " +
                 ref(i.src[1]));
            line(nan + " = fcmp uno " + t + " " + ref(i.src[0]) + ", " + ref(i.src[0]));
            const std::string further = fresh("t");
            line(further + " = select " + vector_of("i1", i.lanes) + " " + beyond + ", " +
                 typed(i.src[0]) + ", " + typed(i.src[1]));
            return define(v, "select " + vector_of("i1", i.lanes) + " " + nan + ", " +
                                 typed(i.src[0]) + ", " + t + " " + further);
        } else {
            line(take + " = icmp " + (is_unsigned(i.dtype) ? "u" : "s") + (max ? "gt " : "lt ") +
                 t + " " + ref(i.src[0]) + ", " + ref(i.src[1]));
        }
        define(v, "select " + vector_of("i1", i.lanes) + " " + take + ", " + typed(i.src[0]) +
                      ", " + typed(i.src[1]));
    }

    void index_division(Value v, const Inst& i) {
        const std::string t = type_of(v), a = ref(i.src[0]), b = ref(i.src[1]);
        if (i.imm != kSignedDividend)
            return define(v, (i.op == Op::IDiv ? "udiv " : "urem ") + t + " " + a + ", " + b);
        // Truncated division rounded down: divisors of indices are positive.
        const std::string rest = fresh("t"), below = fresh("t");
        line(rest + " = srem " + t + " " + a + ", " + b);
        line(below + " = icmp slt " + t + " " + rest + ", " + constant(DType::Index, 0, i.lanes));
        if (i.op == Op::Mod) {
            const std::string up = fresh("t");
            line(up + " = add " + t + " " + rest + ", " + b);
            return define(v, "select " + vector_of("i1", i.lanes) + " " + below + ", " + t + " " +
                                 up + ", " + t + " " + rest);
        }
        const std::string quotient = fresh("t"), one = fresh("t");
        line(quotient + " = sdiv " + t + " " + a + ", " + b);
        line(one + " = zext " + vector_of("i1", i.lanes) + " " + below + " to " + t);
        define(v, "sub " + t + " " + quotient + ", " + one);
    }

    void cast(Value v, const Inst& i) {
        DType from = inst(i.src[0]).dtype;
        const DType to = i.dtype;
        const std::string t = type_of(v), half = vector_of("half", i.lanes);
        std::string x = ref(i.src[0]);
        if (from == f16) {
            // As f32, which holds each of its values.
            const std::string bits = fresh("h"), wide = fresh("h");
            line(bits + " = bitcast " + typed(i.src[0]) + " to " + half);
            line(wide + " = fpext " + half + " " + bits + " to " + type(f32, i.lanes));
            from = f32;
            x = wide;
        }
        const std::string operand = type(from, i.lanes) + " " + x;
        const auto convert = [&](const char* how) {
            if (to != f16) return define(v, std::string(how) + " " + operand + " to " + t);
            const std::string narrow = fresh("h");
            line(narrow + " = " + how + " " + operand + " to " + half);
            define(v, "bitcast " + half + " " + narrow + " to " + t);
        };
        if (to == DType::Bool) {
            if (is_float(from))
                return define(v, "fcmp une " + operand + ", " + constant(from, 0, i.lanes));
            return define(v, "icmp ne " + operand + ", " + constant(from, 0, i.lanes));
        }
        if (is_float(from) && is_float(to)) {
            if (size_of(to) > size_of(from)) return convert("fpext");
            if (size_of(to) < size_of(from)) return convert("fptrunc");
            return define(v, "bitcast " + operand + " to " + t);
        }
        // A machine cast (docs of decompose) is known to be in range.
        if (is_float(from) && i.imm == 1) return convert(is_unsigned(to) ? "fptoui" : "fptosi");
        if (is_float(from))
            return define(v, call(t,
                                  std::string("llvm.fpto") + (is_unsigned(to) ? "ui" : "si") +
                                      ".sat." + mangled(to, i.lanes) + "." + mangled(from, i.lanes),
                                  {{type(from, i.lanes), x}}));
        const bool is_signed = is_signed_int(from) || from == DType::Index;
        if (is_float(to)) return convert(is_signed ? "sitofp" : "uitofp");
        const std::size_t bits_from = from == DType::Bool ? 0 : size_of(from),
                          bits_to = size_of(to);
        if (bits_to > bits_from) return convert(is_signed ? "sext" : "zext");
        if (bits_to < bits_from) return convert("trunc");
        define(v, "add " + t + " " + x + ", " + constant(to, 0, i.lanes));
    }

    const Target& target_;
    const Function* f_ = nullptr;
    std::string body_, label_, globals_;
    std::set<std::string> declarations_;
    int next_ = 0;
    bool streams_ = false;  // the function has stores past the caches
};

}  // namespace

std::string render_llvm(const std::vector<Function>& functions, const Target& target) {
    Writer writer(target);
    for (const Function& f : functions) writer.function(f);
    return writer.text();
}

}  // namespace sinter::codegen
