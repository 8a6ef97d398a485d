// Comparisons, min, max and masks of indices: a comparison is the sign of a difference of sums.

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>

#include "index_build.h"

namespace sinter::ir::index {
namespace {

bool has_check(const Affine& a) {
    return std::any_of(a.terms.begin(), a.terms.end(),
                       [](const auto& t) { return index::has_check(t.first); });
}

// Positive magnitudes of the coefficients, the largest first.
std::vector<std::int64_t> magnitudes(const Affine& a) {
    std::set<std::int64_t, std::greater<>> found;
    for (const auto& [term, k] : a.terms)
        if (std::abs(k) > 1) found.insert(std::abs(k));
    return {found.begin(), found.end()};
}

Affine negated(const Affine& a) { return a * -1; }

// a < 0, written with positive coefficients on both sides.
Ref negative(Arena& arena, Affine a) {
    // a < 0 is the same as floor(a / g) < 0, for any g > 0.
    for (bool again = true; again;) {
        again = false;
        for (std::int64_t g : magnitudes(a)) {
            if (auto smaller = exact_div(a, g)) {
                a = std::move(*smaller);
                again = true;
                break;
            }
        }
        if (again || a.terms.size() != 1) continue;
        const auto [term, k] = a.terms[0];
        if (!term->is(Op::IDiv) || !term->src(1)->is(Op::Const) || std::abs(k) != 1) continue;
        const std::int64_t c = term->src(1)->arg(0);
        if (c <= 0) continue;
        // floor(y / c) + b < 0  =  y + b*c < 0;   b - floor(y / c) < 0  =  (b+1)*c - 1 - y < 0
        Affine y = affine(term->src(0)) * k;
        y.constant += k > 0 ? a.constant * c : (a.constant + 1) * c - 1;
        a = std::move(y);
        again = true;
    }
    const Bounds b = bounds(a);
    if (!has_check(a)) {
        if (b.min >= 0) return arena.truth(false);
        if (always_negative(arena, a)) return arena.truth(true);
    }
    Affine left, right;
    for (const auto& [term, k] : a.terms) {
        if (k > 0)
            left.terms.emplace_back(term, k);
        else
            right.terms.emplace_back(term, -k);
    }
    if (right.terms.empty() || (!left.terms.empty() && a.constant < 0))
        right.constant = -a.constant;
    else
        left.constant = a.constant;
    return arena.lt(from_affine(arena, left), from_affine(arena, right));
}

bool is_index_less(Ref p) { return p->is(Op::Lt) && p->src(0)->dtype() == DType::Index; }
Affine difference(Ref less_node) { return affine(less_node->src(0)) - affine(less_node->src(1)); }

// What `p` and `q` are together, if that is one of them or a constant; else null.
Ref merge(Arena& arena, Op op, Ref p, Ref q) {
    const bool is_and = op == Op::And;
    if (p == q) return p;
    for (const auto& [x, y] : {std::pair(p, q), std::pair(q, p)})
        if (x->is(Op::Const)) return (x->arg(0) != 0) == is_and ? y : x;
    if (!is_index_less(p) || !is_index_less(q)) return nullptr;
    const Affine a = difference(p), b = difference(q);
    // a + i < 0 and a + j < 0: the one with the larger constant; for "or", the other.
    if (a.terms == b.terms) return (a.constant > b.constant) == is_and ? p : q;
    // a + i < 0 and -a + j < 0 say j < a < -i: impossible where j + i >= -1; one of them holds
    // where j + i < 0.
    if (a.terms == negated(b).terms && !has_check(a)) {
        const std::int64_t ends = a.constant + b.constant;
        if (is_and && ends >= -1) return arena.truth(false);
        if (!is_and && ends < 0) return arena.truth(true);
    }
    return nullptr;
}

// Operands of a chain of `op`, in order; long chains are cut.
void operands(Op op, Ref node, std::vector<Ref>& out) {
    std::vector<Ref> todo = {node};
    while (!todo.empty()) {
        const Ref n = todo.back();
        todo.pop_back();
        if (n->is(op) && n->dtype() == DType::Bool && out.size() + todo.size() < 16) {
            todo.push_back(n->src(1));
            todo.push_back(n->src(0));
        } else {
            out.push_back(n);
        }
    }
}

Ref combine(Arena& arena, Op op, Ref p, Ref q) {
    std::vector<Ref> all, kept;
    operands(op, p, all);
    operands(op, q, all);
    for (Ref next : all) {
        // What merges with an earlier one takes part as the merged one.
        for (std::size_t i = 0; i < kept.size() && next != nullptr;) {
            const Ref merged = merge(arena, op, kept[i], next);
            if (merged == nullptr) {
                ++i;
            } else if (merged == kept[i]) {
                next = nullptr;
            } else {
                kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(i));
                next = merged;
                i = 0;
            }
        }
        if (next != nullptr) kept.push_back(next);
    }
    Ref result = kept[0];
    for (std::size_t i = 1; i < kept.size(); ++i) result = arena.binary(op, result, kept[i]);
    return result;
}

}  // namespace

Ref less(Arena& arena, Ref x, Ref y) { return negative(arena, affine(x) - affine(y)); }

Ref equal(Arena& arena, Ref x, Ref y) {
    Affine a = affine(x) - affine(y);
    const Bounds b = bounds(a);
    if (!has_check(a)) {
        if (b.min > 0 || b.max < 0) return arena.truth(false);
        if (b.min == 0 && b.max == 0) return arena.truth(true);
    }
    std::int64_t g = 0;
    for (const auto& [term, k] : a.terms) g = std::gcd(g, k);
    if (g > 1) {
        if (a.constant % g != 0 && !has_check(a)) return arena.truth(false);
        if (a.constant % g == 0) {
            for (auto& term : a.terms) term.second /= g;
            a.constant /= g;
        }
    }
    if (!a.terms.empty() && a.terms[0].second < 0) a = negated(a);
    Affine left, right;
    for (const auto& [term, k] : a.terms) {
        if (k > 0)
            left.terms.emplace_back(term, k);
        else
            right.terms.emplace_back(term, -k);
    }
    right.constant = -a.constant;
    return arena.binary(Op::Eq, from_affine(arena, left), from_affine(arena, right));
}

namespace {

// The lesser or the greater of two, where bounds tell which it is.
Ref extreme(Arena& arena, Op op, Ref x, Ref y) {
    const Affine a = affine(x) - affine(y);
    if (!has_check(a)) {
        const Bounds b = bounds(a);
        if (b.max <= 0) return op == Op::Min ? x : y;
        if (b.min >= 0) return op == Op::Min ? y : x;
    }
    return term_before(y, x) ? arena.binary(op, y, x) : arena.binary(op, x, y);
}

}  // namespace

Ref minimum(Arena& arena, Ref x, Ref y) { return extreme(arena, Op::Min, x, y); }
Ref maximum(Arena& arena, Ref x, Ref y) { return extreme(arena, Op::Max, x, y); }

Ref both(Arena& arena, Ref p, Ref q) { return combine(arena, Op::And, p, q); }
Ref either(Arena& arena, Ref p, Ref q) { return combine(arena, Op::Or, p, q); }

Ref negation(Arena& arena, Ref p) {
    if (p->is(Op::Not)) return p->src(0);
    if (p->is(Op::Const)) return arena.truth(p->arg(0) == 0);
    if (!is_index_less(p)) return arena.unary(Op::Not, p);
    // not (x < y)  =  y < x + 1
    Affine a = affine(p->src(1)) - affine(p->src(0));
    a.constant -= 1;
    return negative(arena, a);
}

}  // namespace sinter::ir::index
