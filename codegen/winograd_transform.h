#pragma once
// Transforms that make products of windows of 3 x 3 out of fewer products of numbers.

#include <cstdint>
#include <vector>

#include "rebuild.h"

namespace sinter::codegen {

/// The rows of Toom and Cook's way to multiply polynomials, for `tile` results of three products
/// each (Winograd, "Arithmetic complexity of computations"): values with constant factors, of which
/// equal parts are one node. A square is transformed by rows, then by columns.
class WinogradTransform {
public:
    using Row = std::vector<Ref>;
    using Square = std::vector<Row>;

    /// For tiles of 2 or 4.
    WinogradTransform(Arena& arena, std::int64_t tile);

    /// tile + 2 elements a row, of which as many are made.
    Square image(const Square& elements) const;
    /// 3 elements a row, of which tile + 2 are made.
    Square filter(const Square& elements) const;
    /// tile + 2 products a row, of which `tile` results are made.
    Square result(const Square& products) const;

private:
    Row image_row(const Row& d) const;
    Row filter_row(const Row& g) const;
    Row result_row(const Row& m) const;
    std::vector<double> polynomial(std::size_t without) const;
    Ref scaled(double factor, Ref x) const;
    Ref sum(Ref x, double factor, Ref y) const;
    Ref every_second(const std::vector<double>& factors, const Row& values,
                     std::size_t first) const;
    void append_mirrored(Row& out, Ref even, Ref odd) const;

    Arena& a_;
    // Points that a polynomial and its mirror image are evaluated at, besides 0 and infinity: their
    // squares, which are exact.
    std::vector<double> squares_;
};

}  // namespace sinter::codegen
