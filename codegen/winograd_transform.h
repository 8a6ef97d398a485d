#pragma once
// Transforms that make products of small windows out of fewer products of numbers.

#include <cstdint>
#include <vector>

#include "rebuild.h"

namespace sinter::codegen {

/// The rows of Toom and Cook's way to multiply polynomials, for `tile` results of `window` products
/// each (Winograd, "Arithmetic complexity of computations"): values with constant factors, of which
/// equal parts are one node. A square is turned by rows, then by columns.
class WinogradTransform {
public:
    using Row = std::vector<Ref>;

    /// Whether there are points for such tiles: both are 2 or more, and together 5, 7 or 9.
    static bool supports(std::int64_t tile, std::int64_t window);
    /// For sizes that are supported; a row has tile + window - 1 points.
    WinogradTransform(Arena& arena, std::int64_t tile, std::int64_t window);

    /// Of as many elements as there are points, as many.
    Row image(const Row& elements) const;
    /// Of `window` elements one for each point.
    Row filter(const Row& elements) const;
    /// Of a product for each point `tile` results.
    Row result(const Row& products) const;

private:
    std::vector<double> polynomial(std::size_t without) const;
    Ref scaled(double factor, Ref x) const;
    Ref sum(Ref x, double factor, Ref y) const;
    Ref every_second(const std::vector<double>& factors, const Row& values,
                     std::size_t first) const;
    void append_mirrored(Row& out, Ref even, Ref odd) const;

    Arena& a_;
    const std::int64_t tile_;
    // Points that a polynomial and its mirror image are evaluated at, besides 0 and infinity: their
    // squares, which are exact.
    std::vector<double> squares_;
};

}  // namespace sinter::codegen
