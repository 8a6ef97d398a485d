#pragma once
// Expansion of ops that no machine has into ops that every target has.

#include <sinter/codegen/codegen.h>

namespace sinter::codegen {

/// The graph of `root` with every value op expanded into *machine ops*, each of which a renderer
/// maps to one LLVM instruction or intrinsic that becomes no library call on `target`. `Index`
/// arithmetic, memory, ranges, reduces and whatever else is no elementwise op on values stays as it
/// is. Machine ops:
///
/// | op | on | meaning |
/// | --- | --- | --- |
/// | Add Sub Mul | f32, f64, integers | IEEE, wrapping |
/// | Div, Sqrt | f32, f64 | IEEE |
/// | Fma a b c | f32, f64 | a b + c rounded once; only made where `target.fma` |
/// | Neg | f32, f64, integers | flips the sign (fneg), wraps |
/// | Floor Ceil Trunc Round | f32, f64 | llvm.floor, ceil, trunc, roundeven; only where the target
/// has them | | Lt Le Eq Ne | f32, f64, integers, bool | fcmp olt, ole, oeq, **une**; icmp by
/// signedness | | Where | any dtype | select; f16 and bf16 as bits | | And Or Xor Not | integers,
/// bool | bitwise | | Shl Shr | integers, `args = {1}` | the amount is in [0, width) | | IDiv Mod |
/// integers, `args = {1}` | sdiv, udiv, srem, urem: truncating; the divisor is not 0, and no
/// INT_MIN / -1 | | Cast | integer -> integer, float | trunc, sext, zext, sitofp, uitofp | | Cast |
/// f32 <-> f64 | fpext, fptrunc | | Cast | f32, f64 -> integer, `args = {1}` | fptosi, fptoui: the
/// value is in range and no NaN | | Cast | f16 <-> f32 | only where `target.native_f16` | | Bitcast
/// | same size | f16 and bf16 are their 16 bits |
///
/// Arithmetic on f16 and bf16 is done in f32 and rounded once an op. Conversions to and from bf16
/// are integer arithmetic everywhere: the instruction of AVX512-BF16 flushes subnormals, which the
/// documented result does not. Expanding an expanded graph changes nothing. Accuracy of the math
/// functions: docs/math.md. Throws InternalError for an op on a dtype it does not take.
ir::Ref decompose(ir::Arena& arena, ir::Ref root, const Target& target);

}  // namespace sinter::codegen
