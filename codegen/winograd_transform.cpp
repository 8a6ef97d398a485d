#include "winograd_transform.h"

#include <cmath>

namespace sinter::codegen {
namespace {

using Row = WinogradTransform::Row;
using Square = WinogradTransform::Square;

double value_at(const std::vector<double>& polynomial, double square) {
    double value = 0;
    for (std::size_t k = polynomial.size(); k-- > 0;) value = value * square + polynomial[k];
    return value;
}

// Rows of a square, then columns.
template <class Turn>
Square both_ways(const Square& in, const Turn& turn) {
    Square half, out;
    for (const Row& row : in) half.push_back(turn(row));
    for (std::size_t k = 0; k < half[0].size(); ++k) {
        Row column;
        for (const Row& row : half) column.push_back(row[k]);
        const Row turned = turn(column);
        out.resize(turned.size());
        for (std::size_t i = 0; i < turned.size(); ++i) out[i].push_back(turned[i]);
    }
    return out;
}

}  // namespace

// The points of tiles of 4 lie as far below 1 as above, where errors are less than a third of those
// at 1 and 2.
WinogradTransform::WinogradTransform(Arena& arena, std::int64_t tile)
    : a_(arena), squares_(tile == 2 ? std::vector<double>{1} : std::vector<double>{0.5, 2}) {}

Square WinogradTransform::image(const Square& elements) const {
    return both_ways(elements, [&](const Row& row) { return image_row(row); });
}
Square WinogradTransform::filter(const Square& elements) const {
    return both_ways(elements, [&](const Row& row) { return filter_row(row); });
}
Square WinogradTransform::result(const Square& products) const {
    return both_ways(products, [&](const Row& row) { return result_row(row); });
}

// Coefficients of the product of (x² - p²) over the points but `without`, of x⁰, x², …
std::vector<double> WinogradTransform::polynomial(std::size_t without) const {
    std::vector<double> product{1};
    for (std::size_t i = 0; i < squares_.size(); ++i) {
        if (i == without) continue;
        std::vector<double> next(product.size() + 1, 0);
        for (std::size_t k = 0; k < product.size(); ++k) {
            next[k + 1] += product[k];
            next[k] -= squares_[i] * product[k];
        }
        product = std::move(next);
    }
    return product;
}

Row WinogradTransform::image_row(const Row& d) const {
    const std::vector<double> all = polynomial(squares_.size());
    Row out{every_second(all, d, 0)};
    for (std::size_t i = 0; i < squares_.size(); ++i) {
        const std::vector<double> others = polynomial(i);
        append_mirrored(out, every_second(others, d, 2),
                        scaled(std::sqrt(squares_[i]), every_second(others, d, 1)));
    }
    out.push_back(every_second(all, d, 1));
    return out;
}

Row WinogradTransform::filter_row(const Row& g) const {
    Row out{scaled(1 / value_at(polynomial(squares_.size()), 0), g[0])};
    for (std::size_t i = 0; i < squares_.size(); ++i) {
        const double square = squares_[i], p = std::sqrt(square);
        const double norm = 1 / (2 * square * value_at(polynomial(i), square));
        append_mirrored(out, sum(scaled(norm, g[0]), norm * square, g[2]), scaled(norm * p, g[1]));
    }
    out.push_back(g[2]);
    return out;
}

Row WinogradTransform::result_row(const Row& m) const {
    Row out;
    for (std::size_t k = 0; k < 2 * squares_.size(); ++k) {
        Ref total = k == 0 ? m[0] : nullptr;
        for (std::size_t i = 0; i < squares_.size(); ++i) {
            const Ref plus = m[1 + 2 * i], minus = m[2 + 2 * i];
            const Ref part = a_.binary(k % 2 == 0 ? Op::Add : Op::Sub, plus, minus);
            const double factor = std::pow(squares_[i], static_cast<double>(k) / 2);
            total = total == nullptr ? scaled(factor, part) : sum(total, factor, part);
        }
        out.push_back(k + 1 == 2 * squares_.size() ? a_.add(total, m.back()) : total);
    }
    return out;
}

Ref WinogradTransform::scaled(double factor, Ref x) const {
    return factor == 1 ? x : a_.mul(a_.constant(x->dtype(), factor), x);
}

Ref WinogradTransform::sum(Ref x, double factor, Ref y) const {
    return factor == -1 ? a_.binary(Op::Sub, x, y) : a_.add(x, scaled(factor, y));
}

// The factors times the values from `first` on, by twos.
Ref WinogradTransform::every_second(const std::vector<double>& factors, const Row& values,
                                    std::size_t first) const {
    Ref total = scaled(factors.back(), values[first + 2 * (factors.size() - 1)]);
    for (std::size_t k = factors.size() - 1; k-- > 0;)
        total = sum(total, factors[k], values[first + 2 * k]);
    return total;
}

void WinogradTransform::append_mirrored(Row& out, Ref even, Ref odd) const {
    out.push_back(a_.add(even, odd));
    out.push_back(a_.binary(Op::Sub, even, odd));
}

}  // namespace sinter::codegen
