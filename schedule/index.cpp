#include "index.h"

#include <algorithm>
#include <numeric>

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

using Term = std::pair<Ref, std::int64_t>;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    const std::int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

bool before(Ref a, Ref b) {
    if (a->is(Op::Range) != b->is(Op::Range)) return a->is(Op::Range);
    return a->is(Op::Range) && a->arg(0) < b->arg(0);
}

void insert(Sum& sum, Ref term, std::int64_t factor) {
    for (Term& t : sum.terms)
        if (t.first == term) {
            t.second += factor;
            return;
        }
    sum.terms.emplace_back(term, factor);
}

// The depth of sums in sums is small: `build` makes them left-deep over few terms.
void accumulate(Sum& sum, Ref expr, std::int64_t factor) {
    while (true) {
        switch (expr->op()) {
            case Op::Const:
                sum.constant += factor * expr->arg(0);
                return;
            case Op::Add:
                accumulate(sum, expr->src(1), factor);
                expr = expr->src(0);
                continue;
            case Op::Sub:
                accumulate(sum, expr->src(1), -factor);
                expr = expr->src(0);
                continue;
            case Op::Mul:
                if (expr->src(1)->is(Op::Const)) {
                    factor *= expr->src(1)->arg(0);
                    expr = expr->src(0);
                    continue;
                }
                [[fallthrough]];
            default:
                insert(sum, expr, factor);
                return;
        }
    }
}

// Divisor of a Div or Mod by a constant; 0 for other nodes.
std::int64_t divisor_of(Ref node, Op op) {
    return node->is(op) && node->src(1)->is(Op::Const) ? node->src(1)->arg(0) : 0;
}

// (x mod c)·k + (x div c)·(c·k) = x·k, and one level inside: (x mod c)·k + ((x div c) mod d)·(c·k)
// = (x mod (c·d))·k.
bool join_digits(const Index& index, Sum& sum) {
    for (std::size_t i = 0; i < sum.terms.size(); ++i) {
        const auto [low, k] = sum.terms[i];
        const std::int64_t c = divisor_of(low, Op::Mod);
        if (c == 0) continue;
        const Ref x = low->src(0), high = index.div(x, c);
        for (std::size_t j = 0; j < sum.terms.size(); ++j) {
            if (j == i || sum.terms[j].second != k * c) continue;
            const Ref other = sum.terms[j].first;
            Ref whole = nullptr;
            if (other == high)
                whole = x;
            else if (const std::int64_t d = divisor_of(other, Op::Mod);
                     d != 0 && other->src(0) == high)
                whole = index.mod(x, c * d);
            if (whole == nullptr) continue;
            sum.terms.erase(sum.terms.begin() + static_cast<std::ptrdiff_t>(std::max(i, j)));
            sum.terms.erase(sum.terms.begin() + static_cast<std::ptrdiff_t>(std::min(i, j)));
            accumulate(sum, whole, k);
            return true;
        }
    }
    return false;
}

struct Extent {
    std::int64_t min, max;
};

Extent extent(const Sum& sum) {
    Extent e{sum.constant, sum.constant};
    for (const auto& [term, k] : sum.terms) {
        const std::int64_t a = term->vmin() * k, b = term->vmax() * k;
        e.min += std::min(a, b);
        e.max += std::max(a, b);
    }
    return e;
}

// sum = divisor·whole + rest, where rest keeps the terms and the part of the constant that do not
// divide.
void split(const Sum& sum, std::int64_t divisor, Sum& whole, Sum& rest) {
    for (const auto& [term, k] : sum.terms) {
        if (k % divisor == 0)
            whole.terms.emplace_back(term, k / divisor);
        else
            rest.terms.emplace_back(term, k);
    }
    whole.constant = floor_div(sum.constant, divisor);
    rest.constant = sum.constant - whole.constant * divisor;
}

std::int64_t common_factor(const Sum& sum) {
    std::int64_t g = 0;
    for (const auto& [term, k] : sum.terms) g = std::gcd(g, k);
    return g;
}

}  // namespace

Sum sum_of(Ref expr) {
    Sum sum;
    accumulate(sum, expr, 1);
    return sum;
}

bool is_constant(Ref expr, std::int64_t value) {
    return expr->is(Op::Const) && expr->arg(0) == value;
}

Ref Index::build(Sum sum) const {
    std::erase_if(sum.terms, [](const Term& t) { return t.second == 0; });
    while (sum.terms.size() > 1 && join_digits(*this, sum)) {
        std::erase_if(sum.terms, [](const Term& t) { return t.second == 0; });
    }
    std::ranges::stable_sort(sum.terms,
                             [](const Term& a, const Term& b) { return before(a.first, b.first); });
    Ref out = nullptr;
    for (const auto& [term, k] : sum.terms) {
        const Ref product = k == 1 ? term : arena_.mul(term, constant(k));
        out = out == nullptr ? product : arena_.add(out, product);
    }
    if (out == nullptr) return constant(sum.constant);
    return sum.constant == 0 ? out : arena_.add(out, constant(sum.constant));
}

Ref Index::add(Ref a, Ref b) const {
    if (is_constant(a, 0)) return b;
    if (is_constant(b, 0)) return a;
    Sum sum = sum_of(a);
    accumulate(sum, b, 1);
    return build(std::move(sum));
}

Ref Index::add(Ref a, std::int64_t b) const { return b == 0 ? a : add(a, constant(b)); }

Ref Index::sub(Ref a, Ref b) const {
    Sum sum = sum_of(a);
    accumulate(sum, b, -1);
    return build(std::move(sum));
}

Ref Index::mul(Ref a, std::int64_t factor) const {
    if (factor == 1) return a;
    Sum sum;
    accumulate(sum, a, factor);
    return build(std::move(sum));
}

Ref Index::div(Ref a, std::int64_t divisor) const {
    if (divisor == 1) return a;
    return quotient(sum_of(a), divisor);
}

Ref Index::quotient(const Sum& sum, std::int64_t divisor) const {
    Sum whole, rest;
    split(sum, divisor, whole, rest);
    const Extent e = extent(rest);
    if (e.min >= 0 && e.max < divisor) return build(std::move(whole));
    // A common factor of terms and divisor goes: floor((g·r + c) / (g·d)) = floor((r + floor(c /
    // g)) / d).
    if (const std::int64_t g = std::gcd(common_factor(rest), divisor); g > 1) {
        Sum smaller;
        for (const auto& [term, k] : rest.terms) smaller.terms.emplace_back(term, k / g);
        smaller.constant = floor_div(rest.constant, g);
        const Ref inner = quotient(smaller, divisor / g);
        accumulate(whole, inner, 1);
        return build(std::move(whole));
    }
    if (rest.terms.size() == 1 && rest.constant == 0 && rest.terms[0].second == 1) {
        const Ref x = rest.terms[0].first;
        if (const std::int64_t c = divisor_of(x, Op::IDiv); c > 0) {  // (x div c) div d
            accumulate(whole, div(x->src(0), c * divisor), 1);
            return build(std::move(whole));
        }
        if (const std::int64_t c = divisor_of(x, Op::Mod);
            c > 0 && c % divisor == 0) {  // (x mod cd) div d
            accumulate(whole, mod(div(x->src(0), divisor), c / divisor), 1);
            return build(std::move(whole));
        }
    }
    accumulate(whole, arena_.idiv(build(std::move(rest)), constant(divisor)), 1);
    return build(std::move(whole));
}

Ref Index::mod(Ref a, std::int64_t divisor) const {
    if (divisor == 1) return constant(0);
    Sum whole, rest;
    split(sum_of(a), divisor, whole, rest);
    const Extent e = extent(rest);
    if (e.min >= 0 && e.max < divisor) return build(std::move(rest));
    if (const std::int64_t g = std::gcd(common_factor(rest), divisor); g > 1) {
        // (g·r + c) mod (g·d) = g·((r + c div g) mod d) + c mod g
        Sum smaller;
        for (const auto& [term, k] : rest.terms) smaller.terms.emplace_back(term, k / g);
        smaller.constant = floor_div(rest.constant, g);
        const std::int64_t left = rest.constant - smaller.constant * g;
        return add(mul(mod(build(std::move(smaller)), divisor / g), g), left);
    }
    if (rest.terms.size() == 1 && rest.constant == 0 && rest.terms[0].second == 1) {
        const Ref x = rest.terms[0].first;
        if (const std::int64_t c = divisor_of(x, Op::Mod); c > 0 && c % divisor == 0)
            return mod(x->src(0), divisor);
    }
    return arena_.mod(build(std::move(rest)), constant(divisor));
}

Ref Index::both(Ref a, Ref b) const {
    if (a == b || b->vmin() == 1) return a;
    if (a->vmin() == 1) return b;
    if (a->vmax() == 0) return a;
    if (b->vmax() == 0) return b;
    return arena_.land(a, b);
}

Ref Index::within(Ref a, std::int64_t low, std::int64_t high) const {
    Ref valid = truth();
    if (a->vmin() < low) valid = both(valid, arena_.le(constant(low), a));
    if (a->vmax() >= high) valid = both(valid, arena_.lt(a, constant(high)));
    if (a->vmax() < low || a->vmin() >= high) return arena_.truth(false);
    return valid;
}

Ref Index::is_zero(Ref a) const {
    if (a->is(Op::Const)) return arena_.truth(a->arg(0) == 0);
    return arena_.binary(Op::Eq, a, constant(0));
}

Ref Index::flatten(std::span<const Ref> index, std::span<const std::int64_t> shape) const {
    Sum sum;
    std::int64_t stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
        if (shape[d] != 1) accumulate(sum, index[d], stride);
        stride *= shape[d];
    }
    return build(std::move(sum));
}

void Index::unflatten(Ref flat, std::span<const std::int64_t> shape, std::vector<Ref>& out) const {
    const std::size_t first = out.size();
    out.resize(first + shape.size());
    std::size_t top = 0;  // the first axis that is no 1 takes what is left, no mod
    while (top < shape.size() && shape[top] == 1) ++top;
    Ref left = flat;
    for (std::size_t d = shape.size(); d-- > 0;) {
        if (shape[d] == 1) {
            out[first + d] = constant(0);
        } else if (d == top) {
            out[first + d] = left;
        } else {
            out[first + d] = mod(left, shape[d]);
            left = div(left, shape[d]);
        }
    }
}

}  // namespace sinter::schedule
