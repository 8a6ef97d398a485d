// Arithmetic, comparisons and casts as text of LLVM IR.

#include <sinter/ir/error.h>
#include <sinter/ir/node.h>

#include "llvm_writer.h"

namespace sinter::codegen {
namespace {

using ir::Op;

// --- instructions that are one line: by op and by the kind of their first operand

struct Mnemonics {
    Op op;
    std::string_view floats, signed_ints, unsigned_ints;
};
constexpr Mnemonics kBinary[] = {
    {Op::Add, "fadd", "add", "add"},
    {Op::Sub, "fsub", "sub", "sub"},
    {Op::Mul, "fmul", "mul", "mul"},
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

}  // namespace

void LlvmWriter::arith(Value v, const Inst& i) {
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
        return define(v,
                      "fdiv " + t + " " + constant(from, ir::const_bits(1), i.lanes) + ", " + a(0));
    if (i.op == Op::Div && is_float(from)) return divide(v, i);
    if (i.op == Op::Max || i.op == Op::Min) return extreme(v, i);
    if ((i.op == Op::IDiv || i.op == Op::Mod) && i.dtype == DType::Index)
        return index_division(v, i);
    if (i.op == Op::Abs && !is_float(from)) {
        if (is_unsigned(from) || from == DType::Bool)
            return define(v, "add " + t + " " + a(0) + ", " + constant(from, 0, i.lanes));
        return define(v,
                      call(t, "llvm.abs." + mangled(from, i.lanes), {{t, a(0)}, {"i1", "false"}}));
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
        return define(v,
                      call(t, "llvm." + std::string(n.name) + "." + mangled(from, i.lanes), args));
    }
    throw InternalError("codegen: LLVM has no instruction for " + std::string(ir::name(i.op)) +
                        " of " + std::string(name(from)));
}

// Lanes in which both operands are known to be 0, as those outside a constant mask are, LLVM 19
// takes to be 0 in the quotient as well, and leaves out the selection that would make them so: they
// are NaN. So it may not look through a quotient of vectors, but where one of them has the same
// number in all lanes.
void LlvmWriter::divide(Value v, const Inst& i) {
    const std::string t = type_of(v),
                      quotient = "fdiv " + t + " " + ref(i.src[0]) + ", " + ref(i.src[1]);
    const auto is_splat = [&](Value x) { return inst(x).code == Code::Splat; };
    if (i.lanes == 1 || inst(i.src[1]).code == Code::Const || is_splat(i.src[0]) ||
        is_splat(i.src[1]))
        return define(v, quotient);
    const std::string whole = fresh("t");
    line(whole + " = " + quotient);
    const bool wide = (i.dtype == f32 || i.dtype == f64) && fills_register(i.dtype, i.lanes);
    define(v, wide ? "call " + t + " asm \"\", \"=v,0\"(" + t + " " + whole + ")"
                   : "freeze " + t + " " + whole);
}

void LlvmWriter::extreme(Value v, const Inst& i) {
    const std::string t = type_of(v), take = fresh("t");
    const bool max = i.op == Op::Max;
    if (i.dtype == DType::Bool)
        return define(v,
                      std::string(max ? "or " : "and ") + typed(i.src[0]) + ", " + ref(i.src[1]));
    if (is_float(i.dtype)) {
        // The first operand where it is beyond the second or NaN.
        const std::string beyond = fresh("t"), nan = fresh("t");
        line(beyond + " = fcmp " + (max ? "ogt " : "olt ") + t + " " + ref(i.src[0]) + ", " +
             ref(i.src[1]));
        line(nan + " = fcmp uno " + t + " " + ref(i.src[0]) + ", " + ref(i.src[0]));
        const std::string further = fresh("t");
        line(further + " = select " + vector_of("i1", i.lanes) + " " + beyond + ", " +
             typed(i.src[0]) + ", " + typed(i.src[1]));
        return define(v, "select " + vector_of("i1", i.lanes) + " " + nan + ", " + typed(i.src[0]) +
                             ", " + t + " " + further);
    } else {
        line(take + " = icmp " + (is_unsigned(i.dtype) ? "u" : "s") + (max ? "gt " : "lt ") + t +
             " " + ref(i.src[0]) + ", " + ref(i.src[1]));
    }
    define(v, "select " + vector_of("i1", i.lanes) + " " + take + ", " + typed(i.src[0]) + ", " +
                  typed(i.src[1]));
}

void LlvmWriter::index_division(Value v, const Inst& i) {
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
        return define(v, "select " + vector_of("i1", i.lanes) + " " + below + ", " + t + " " + up +
                             ", " + t + " " + rest);
    }
    const std::string quotient = fresh("t"), one = fresh("t");
    line(quotient + " = sdiv " + t + " " + a + ", " + b);
    line(one + " = zext " + vector_of("i1", i.lanes) + " " + below + " to " + t);
    define(v, "sub " + t + " " + quotient + ", " + one);
}

void LlvmWriter::cast(Value v, const Inst& i) {
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
                              std::string("llvm.fpto") + (is_unsigned(to) ? "ui" : "si") + ".sat." +
                                  mangled(to, i.lanes) + "." + mangled(from, i.lanes),
                              {{type(from, i.lanes), x}}));
    const bool is_signed = is_signed_int(from) || from == DType::Index;
    if (is_float(to)) return convert(is_signed ? "sitofp" : "uitofp");
    const std::size_t bits_from = from == DType::Bool ? 0 : size_of(from), bits_to = size_of(to);
    if (bits_to > bits_from) return convert(is_signed ? "sext" : "zext");
    if (bits_to < bits_from) return convert("trunc");
    define(v, "add " + t + " " + x + ", " + constant(to, 0, i.lanes));
}

}  // namespace sinter::codegen
