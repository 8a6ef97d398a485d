#pragma once
// Sums of products of narrow numbers, several steps at a time: the machine has instructions that
// multiply pairs of bf16, or quads of 8-bit integers, and add all of a word's products to a 32-bit
// sum. Operands become words of neighbouring steps, which further steps split, stage and read as
// any others.

#include <optional>

#include <sinter/codegen/codegen.h>

#include "transform.h"

namespace sinter::codegen {

/// The argument of a Dot of words (u32) x and y and a sum s.
enum class DotKind : std::int64_t {
    PairsOfBF16,   ///< f32: s + x0 y0 + x1 y1; subnormal numbers count as zeros
    QuadsOfBytes,  ///< i32: s + x0 y0 + … + x3 y3, x unsigned, y signed
};

struct DotSum {
    std::int64_t range;  ///< of the sum
    std::int64_t steps;  ///< in a word
};

/// The sum of a kernel that should be made of words; nothing where the target has no instruction
/// for it, or none that is faster. With `always`, wherever the instruction is there.
std::optional<DotSum> choose_dots(const Form& form, const Target& target, bool always);

/// Makes words of as many steps of a sum, which runs over the range `number` (-1: any) of words
/// then; numbers past its end are zeros. Throws ValueError where that is not possible.
void make_dots(Form& form, const DotSum& sum, const Target& target, std::int64_t number = -1);

}  // namespace sinter::codegen
