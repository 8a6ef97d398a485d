#include "winograd_transform.h"

#include <cmath>

namespace sinter::codegen {
namespace {

using Row = WinogradTransform::Row;

double value_at(const std::vector<double>& polynomial, double square) {
    double value = 0;
    for (std::size_t k = polynomial.size(); k-- > 0;) value = value * square + polynomial[k];
    return value;
}

// Points lie as far below 1 as above: of six, errors are less than a third of those at 1 and 2.
const std::vector<double>* squares_for(std::int64_t tile, std::int64_t window) {
    static const std::vector<double> kFour{1}, kSix{0.5, 2}, kEight{0.25, 1, 4};
    switch (tile + window) {
        case 5:
            return &kFour;
        case 7:
            return &kSix;
        case 9:
            return &kEight;
        default:
            return nullptr;
    }
}

}  // namespace

bool WinogradTransform::supports(std::int64_t tile, std::int64_t window) {
    return tile >= 2 && window >= 2 && squares_for(tile, window) != nullptr;
}

WinogradTransform::WinogradTransform(Arena& arena, std::int64_t tile, std::int64_t window)
    : a_(arena), tile_(tile), squares_(*squares_for(tile, window)) {}

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

Row WinogradTransform::image(const Row& d) const {
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

Row WinogradTransform::filter(const Row& g) const {
    Row out{scaled(1 / value_at(polynomial(squares_.size()), 0), g[0])};
    for (std::size_t i = 0; i < squares_.size(); ++i) {
        const double square = squares_[i], p = std::sqrt(square);
        const double norm = 1 / (2 * square * value_at(polynomial(i), square));
        const auto powers = [&](std::size_t first, double factor) {
            Ref total = scaled(factor, g[first]);
            for (std::size_t k = first + 2; k < g.size(); k += 2)
                total = sum(total, factor *= square, g[k]);
            return total;
        };
        append_mirrored(out, powers(0, norm), powers(1, norm * p));
    }
    out.push_back(g.back());
    return out;
}

Row WinogradTransform::result(const Row& m) const {
    Row out;
    for (std::int64_t k = 0; k < tile_; ++k) {
        Ref total = k == 0 ? m[0] : nullptr;
        for (std::size_t i = 0; i < squares_.size(); ++i) {
            const Ref plus = m[1 + 2 * i], minus = m[2 + 2 * i];
            const Ref part = a_.binary(k % 2 == 0 ? Op::Add : Op::Sub, plus, minus);
            const double factor = std::pow(squares_[i], static_cast<double>(k) / 2);
            total = total == nullptr ? scaled(factor, part) : sum(total, factor, part);
        }
        out.push_back(k + 1 == tile_ ? a_.add(total, m.back()) : total);
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
