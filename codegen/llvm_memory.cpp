// Accesses to memory as text of LLVM IR.

#include <algorithm>

#include "emitter.h"
#include "llvm_writer.h"

namespace sinter::codegen {

// Pointer (or vector of pointers) to the element(s) that a Load or Store means. Steps between
// lanes are constants beside one pointer, which a gather needs no vector arithmetic for.
std::string LlvmWriter::pointer(const Inst& i, DType memory_type) {
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
        line(moved + " = getelementptr " + t + ", ptr " + at + ", i64 " + std::to_string(offset));
        at = moved;
    }
    if (!is_scattered(i)) return at;
    const std::string all = fresh("p");
    line(all + " = getelementptr " + t + ", ptr " + at + ", " + vector_of("i64", i.lanes) + " " +
         vector_constant("i64", i.lanes, [&](int lane) { return std::to_string(lane * i.step); }));
    return all;
}

std::string LlvmWriter::reversed(const std::string& t, const std::string& x, int lanes) {
    const std::string r = fresh("t");
    line(r + " = shufflevector " + t + " " + x + ", " + t + " poison, " + vector_of("i32", lanes) +
         " " +
         vector_constant("i32", lanes, [&](int lane) { return std::to_string(lanes - 1 - lane); }));
    return r;
}

void LlvmWriter::load(Value v, const Inst& i) {
    const DType m = stored(i.dtype);
    const std::string at = pointer(i, m), t = type(m, i.lanes), align = std::to_string(size_of(m));
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

void LlvmWriter::lined(Value v, const Inst& i) {
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
void LlvmWriter::every_second(const std::string& result, const Inst& i, const std::string& at) {
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
void LlvmWriter::strided(const std::string& result, const Inst& i, const std::string& at,
                         const std::string& mask) {
    if (mask.empty() && i.step == 2) return every_second(result, i, at);
    const DType m = stored(i.dtype);
    const int step = static_cast<int>(i.step), span = i.lanes * step;
    const std::string wide = type(m, span), masks = vector_of("i1", i.lanes),
                      wide_masks = vector_of("i1", span);
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
    line(
        whole + " = " +
        call(
            wide, "llvm.masked.load." + mangled(m, span) + ".p0",
            {{"ptr", at}, {"i32", std::to_string(size_of(m))}, {wide_masks, lanes}, {wide, fill}}));
    line(result + " = shufflevector " + wide + " " + whole + ", " + wide + " poison, " +
         vector_of("i32", i.lanes) + " " +
         vector_constant("i32", i.lanes, [&](int lane) { return std::to_string(lane * step); }));
}

// Whether the lanes of the value are known before the function runs.
bool LlvmWriter::is_known(Value v) const {
    const Inst& i = inst(v);
    switch (i.code) {
        case Code::Const:
        case Code::Lanes:
            return true;
        case Code::Arith:
        case Code::Splat:
            return std::ranges::all_of(i.src, [&](Value s) { return s == kNone || is_known(s); });
        default:
            return false;
    }
}

// A mask as one that LLVM knows nothing of. Of a store whose mask it knows to be one lane it
// makes a scalar one, too late for some of the comparisons behind the value: "Cannot select"
// ends the process (LLVM 19, x86 with AVX-512).
std::string LlvmWriter::hidden(const std::string& mask, int lanes) {
    const std::string masks = vector_of("i1", lanes), always = fresh("t"), one = fresh("t"),
                      all = fresh("t"), result = fresh("t");
    line(always + " = icmp sge i64 %begin, 0");
    line(one + " = insertelement " + masks + " poison, i1 " + always + ", i64 0");
    line(all + " = shufflevector " + masks + " " + one + ", " + masks + " poison, " +
         vector_of("i32", lanes) + " zeroinitializer");
    line(result + " = and " + masks + " " + mask + ", " + all);
    return result;
}

void LlvmWriter::store(const Inst& i, bool past_caches) {
    const DType m = stored(i.dtype);
    const std::string at = pointer(i, m), t = type(m, i.lanes), align = std::to_string(size_of(m));
    std::string value = ref(i.src[3]);
    if (m != i.dtype) {
        const std::string wide = fresh("t");
        line(wide + " = zext " + typed(i.src[3]) + " to " + t);
        value = wide;
    }
    if (past_caches)
        return line("store " + t + " " + value + ", ptr " + at + ", align " +
                    std::to_string(i.lanes * static_cast<int>(size_of(m))) + ", !nontemporal !3");
    std::string mask = i.src[2] == kNone || i.streaming ? "" : ref(i.src[2]);
    const std::string masks = vector_of("i1", i.lanes);
    if (i.access == Access::Reverse) {
        value = reversed(t, value, i.lanes);
        if (!mask.empty()) mask = reversed(masks, mask, i.lanes);
    }
    if (i.access == Access::Indexed || is_scattered(i)) {
        if (mask.empty()) mask = constant(DType::Bool, 1, i.lanes);
        line(call(
            "void",
            "llvm.masked.scatter." + mangled(m, i.lanes) + ".v" + std::to_string(i.lanes) + "p0",
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
void LlvmWriter::check(Value v, const Inst& i) {
    const std::string wide = type(DType::Index, i.lanes), masks = vector_of("i1", i.lanes);
    std::string index = ref(i.src[0]);
    const DType from = inst(i.src[0]).dtype;
    if (size_of(from) < 8) {
        const std::string extended = fresh("t");
        line(extended + " = " + (is_unsigned(from) ? "zext " : "sext ") + typed(i.src[0]) + " to " +
             wide);
        index = extended;
    }
    const std::string bad = fresh("t"), id = std::to_string(next_++);
    line(bad + " = icmp uge " + wide + " " + index + ", " + constant(DType::Index, i.imm, i.lanes));
    std::string any = bad, which = index;
    if (i.lanes > 1) {
        any = fresh("t");
        line(any + " = " +
             call("i1", "llvm.vector.reduce.or." + mangled(DType::Bool, i.lanes), {{masks, bad}}));
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

}  // namespace sinter::codegen
