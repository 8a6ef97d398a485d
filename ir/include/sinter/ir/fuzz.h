#pragma once
// Checks of rules: rules whose right side is a pattern at random values, index expressions at every
// point.

#include <cstdint>
#include <string>

#include <sinter/ir/rewrite.h>

namespace sinter::ir {

/// Evaluates both sides of a rule with a pattern on the right at `rounds` random bindings of its
/// captures, for every dtype its left side takes: values near the ends of the type, small ones, and
/// for floats zeros of both signs, infinities and NaN. The sides must agree in every bit (a NaN
/// equals a NaN). Returns "" or the counterexample. `tried` counts the bindings that were compared.
/// Throws InternalError for a rule whose right side is a function.
std::string fuzz_rule(const RewriteRule& rule, std::uint64_t seed, int rounds,
                      std::uint64_t* tried = nullptr);

/// Evaluates two Index or bool expressions at every point of the Ranges (of constant or Variable
/// size) and Variables they mention; only points that satisfy `given` (if any) count. Returns "" or
/// the first point where they differ. Other leaves than these and Consts throw InternalError.
std::string differ_at(Ref before, Ref after, Ref given = nullptr);

}  // namespace sinter::ir
