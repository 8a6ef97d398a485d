#include "llvm.h"

#include <sinter/ir/error.h>

#include "llvm_tiles.h"
#include "llvm_writer.h"

namespace sinter::codegen {

// --- functions

void LlvmWriter::function(const Function& f) {
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

void LlvmWriter::for_each_trip(const std::vector<Function::Step>& steps) {
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

std::string LlvmWriter::text() {
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

// --- values

std::string LlvmWriter::ref(Value v) {
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

std::string LlvmWriter::call(const std::string& result_type, const std::string& name,
                             const std::vector<std::pair<std::string, std::string>>& args) {
    std::string types, values;
    for (const auto& [t, a] : args) {
        types += (types.empty() ? "" : ", ") + t;
        values += (values.empty() ? "" : ", ") + t + " " + a;
    }
    declarations_.insert("declare " + result_type + " @" + name + "(" + types + ")");
    return "call " + result_type + " @" + name + "(" + values + ")";
}

// --- instructions

void LlvmWriter::instruction(Value v) {
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
            return define(v, "shufflevector " + t + " " + ref(i.src[0]) + ", " + t + " poison, " +
                                 vector_of("i32", i.lanes) + " " +
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
void LlvmWriter::scalar(Value v, const Inst& i) {
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

// Whether to hide what a step of a transposition has made, by assembly of no instructions:
// LLVM looks through all steps before each one for what they might be combined to, which takes
// a third of the time of such a function, and finds nothing. The second step is hidden, which
// leaves it two at a time.
bool LlvmWriter::hides_mixes(const Inst& i) const {
    return i.dtype != DType::Bool && i.lanes >= 8 && i.imm * 4 == i.lanes &&
           fills_register(i.dtype, i.lanes);
}

bool LlvmWriter::fills_register(DType dt, int lanes) const {
    const auto bits = static_cast<int>(8 * size_of(dt)) * lanes;
    return is_x86() && (bits == 128 || bits == 256 || bits == 512) && bits <= target_.vector_bits;
}

std::string render_llvm(const std::vector<Function>& functions, const Target& target) {
    LlvmWriter writer(target);
    for (const Function& f : functions) writer.function(f);
    return writer.text();
}

}  // namespace sinter::codegen
