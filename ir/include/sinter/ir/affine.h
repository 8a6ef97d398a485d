#pragma once
// Index expressions as sums: constant + Σ coefficient * term.

#include <cstdint>
#include <utility>
#include <vector>

#include <sinter/ir/arena.h>

namespace sinter::ir {

/// A sum. Terms are Ranges, Variables, products of those, or nodes that are not sums (div, mod, …);
/// distinct, with coefficients other than 0, in an order that depends on the terms alone:
/// Variables, Ranges by number, the rest.
struct Affine {
    std::vector<std::pair<Ref, std::int64_t>> terms;
    std::int64_t constant = 0;
    bool operator==(const Affine&) const = default;

    /// The coefficient of `term`, 0 where it does not occur.
    std::int64_t coefficient(Ref term) const;
};

/// The closed interval of values; saturates at the ends of int64.
struct Bounds {
    std::int64_t min, max;
    bool operator==(const Bounds&) const = default;
};

/// The order of terms: by what they are, never by address.
bool term_before(Ref a, Ref b);

/// `expr` (of DType::Index) as a sum. Sums inside sums and products with constants are taken apart,
/// whatever their order; nothing else is rewritten.
Affine affine(Ref expr);
/// The sum as a node, constant last. Equal sums are equal nodes.
Ref from_affine(Arena& arena, const Affine& sum);

Affine operator+(const Affine& a, const Affine& b);
Affine operator-(const Affine& a, const Affine& b);
Affine operator*(const Affine& a, std::int64_t factor);

/// Bounds of the sum from those of its terms.
Bounds bounds(const Affine& sum);

/// The largest positive integer known to divide `expr` (0 for the constant 0).
std::int64_t const_factor(Ref expr);

// Floor division and modulo as docs/ir.md says: floor_div(x, 0) = 0, floor_mod(x, 0) = x.
std::int64_t floor_div(std::int64_t a, std::int64_t b);
std::int64_t floor_mod(std::int64_t a, std::int64_t b);

}  // namespace sinter::ir
