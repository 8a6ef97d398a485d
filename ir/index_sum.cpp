// Sums, products, floor division and modulo of indices. Each step is an identity of integers with
// floor division, for any sign, given where it is used; c, g > 0 throughout.

#include <algorithm>
#include <numeric>
#include <set>

#include <sinter/ir/ref_map.h>

#include "index_build.h"

namespace sinter::ir::index {
namespace {

// Longer sums are not searched for parts that belong together.
constexpr std::size_t kLongSum = 32;

bool is_const(Ref node) { return node->is(Op::Const); }
std::int64_t value(Ref constant) { return constant->arg(0); }

// Terms of a product of non-constants, in order.
std::vector<Ref> factors(Ref node) {
    std::vector<Ref> out, todo = {node};
    while (!todo.empty()) {
        const Ref n = todo.back();
        todo.pop_back();
        if (n->is(Op::Mul) && !is_const(n->src(0)) && !is_const(n->src(1))) {
            todo.push_back(n->src(0));
            todo.push_back(n->src(1));
        } else {
            out.push_back(n);
        }
    }
    std::stable_sort(out.begin(), out.end(), term_before);
    return out;
}

Ref multiply(Arena& arena, const std::vector<Ref>& sorted) {
    Ref result = sorted[0];
    for (std::size_t i = 1; i < sorted.size(); ++i) result = arena.mul(result, sorted[i]);
    return result;
}

Affine only(Ref term, std::int64_t k) { return Affine{{{term, k}}, 0}; }

// `dividend` / `divisor`, both products of terms; null if it does not divide.
std::optional<std::vector<Ref>> without_factors(Ref dividend, const std::vector<Ref>& divisor) {
    std::vector<Ref> rest = factors(dividend);
    for (Ref f : divisor) {
        const auto at = std::find(rest.begin(), rest.end(), f);
        if (at == rest.end()) return std::nullopt;
        rest.erase(at);
    }
    return rest;
}

// Folds terms of one value.
void fold_fixed(Affine& a) {
    Affine kept;
    kept.constant = a.constant;
    for (const auto& [term, k] : a.terms) {
        if (is_fixed(term))
            kept.constant += k * term->vmin();
        else
            kept.terms.emplace_back(term, k);
    }
    a = std::move(kept);
}

std::size_t cost(const Affine& a) {
    std::vector<Ref> terms;
    for (const auto& [term, k] : a.terms) terms.push_back(term);
    return terms.size() + index::cost(terms);
}

// One recombination, if one makes the sum cheaper:
//   k*(y % m)                 =  k*y - k*m*floor(y / m), e.g. y%m + m*(y/m) = y
//   k*m*(z % b) + k*(y % m)   =  k*((m*z + y%m) % (m*b)), which helps where z and y%m are parts of
//   one index
std::optional<Affine> recombine(Arena& arena, const Affine& a) {
    std::size_t now = 0;
    for (const auto& [term, k] : a.terms) {
        if (!term->is(Op::Mod) || !is_const(term->src(1)) || value(term->src(1)) <= 0) continue;
        if (now == 0) now = cost(a);
        const Ref y = term->src(0);
        const std::int64_t m = value(term->src(1));
        Affine expanded =
            a - only(term, k) + affine(y) * k - affine(div(arena, y, term->src(1))) * (k * m);
        if (expanded.terms.size() <= a.terms.size() && cost(expanded) < now) return expanded;
        for (const auto& [other, km] : a.terms) {
            if (!other->is(Op::Mod) || !is_const(other->src(1)) || km != k * m) continue;
            const Ref joined = sum(arena, affine(other->src(0)) * m + only(term, 1));
            const Ref whole = mod(arena, joined, arena.index(m * value(other->src(1))));
            Affine better = a - only(term, k) - only(other, km) + affine(whole) * k;
            if (cost(better) < now) return better;
        }
    }
    return std::nullopt;
}

// a = c*q + r: the terms that c divides, and the rest; the constant of r is in [0, c).
std::pair<Affine, Affine> split(const Affine& a, std::int64_t c) {
    Affine q, r;
    q.constant = floor_div(a.constant, c);
    r.constant = floor_mod(a.constant, c);
    for (const auto& [term, k] : a.terms) {
        if (k % c == 0)
            q.terms.emplace_back(term, k / c);
        else
            r.terms.emplace_back(term, k);
    }
    return {q, r};
}

// The same, but with every coefficient of r in [0, c).
std::pair<Affine, Affine> split_all(const Affine& a, std::int64_t c) {
    Affine q, r;
    q.constant = floor_div(a.constant, c);
    r.constant = floor_mod(a.constant, c);
    for (const auto& [term, k] : a.terms) {
        if (const std::int64_t whole = floor_div(k, c); whole != 0)
            q.terms.emplace_back(term, whole);
        if (const std::int64_t part = floor_mod(k, c); part != 0) r.terms.emplace_back(term, part);
    }
    return {q, r};
}

// Proper divisors of c that divide some coefficient, the largest first.
std::vector<std::int64_t> common_divisors(const Affine& a, std::int64_t c) {
    std::set<std::int64_t, std::greater<>> found;
    for (const auto& [term, k] : a.terms) {
        const std::int64_t g = std::gcd(k, c);
        if (g > 1 && g < c) found.insert(g);
    }
    return {found.begin(), found.end()};
}

// floor(x / n) and x - n*floor(x / n) for a divisor that is no constant: x = n*q + r with r between
// 0 and n-1.
struct Parts {
    Affine q, r;
    bool r_below;  // 0 <= r < n is proved
};
std::optional<Parts> split_symbolic(Arena& arena, Ref x, Ref n) {
    const Affine divisor = affine(n);
    if (n->vmin() <= 0 || divisor.terms.size() != 1 || divisor.constant != 0) return std::nullopt;
    const auto [base, scale] = divisor.terms[0];
    const std::vector<Ref> wanted = factors(base);
    Parts parts{};
    const Affine a = affine(x);
    parts.r.constant = a.constant;
    for (const auto& [term, k] : a.terms) {
        const auto rest = k % scale == 0 ? without_factors(term, wanted) : std::nullopt;
        if (!rest)
            parts.r.terms.emplace_back(term, k);
        else if (rest->empty())
            parts.q.constant += k / scale;
        else
            parts.q = parts.q + only(multiply(arena, *rest), k / scale);
    }
    parts.r_below = bounds(parts.r).min >= 0 && always_negative(arena, parts.r - divisor);
    return parts;
}

}  // namespace

std::size_t cost(std::vector<Ref> todo) {
    std::size_t total = 0;
    RefMap<char> seen;
    while (!todo.empty()) {
        const Ref node = todo.back();
        todo.pop_back();
        if (seen.contains(node)) continue;
        seen[node] = 1;
        if (!node->is(Op::Const)) total += node->is(Op::IDiv) || node->is(Op::Mod) ? 8 : 1;
        if (is_elementwise(node->op()))
            todo.insert(todo.end(), node->src().begin(), node->src().end());
    }
    return total;
}

bool has_check(Ref expr) {
    std::vector<Ref> todo = {expr};
    RefMap<char> seen;
    while (!todo.empty()) {
        const Ref node = todo.back();
        todo.pop_back();
        if (node->is(Op::Check)) return true;
        if (!is_elementwise(node->op()) || seen.contains(node)) continue;
        seen[node] = 1;
        todo.insert(todo.end(), node->src().begin(), node->src().end());
    }
    return false;
}

bool is_fixed(Ref node) { return node->vmin() == node->vmax() && !has_check(node); }

std::optional<Affine> exact_div(const Affine& a, std::int64_t g) {
    for (const auto& [q, r] : {split(a, g), split_all(a, g)}) {
        const Bounds b = bounds(r);
        const std::int64_t low = floor_div(b.min, g);
        if (low != floor_div(b.max, g)) continue;
        const auto checks = [](const auto& term) { return has_check(term.first); };
        if (std::any_of(r.terms.begin(), r.terms.end(), checks)) continue;  // it would be gone
        Affine result = q;
        result.constant += low;
        return result;
    }
    return std::nullopt;
}

// An upper bound of `a` that knows that a Range is below its size even where the size is a symbol.
bool always_negative(Arena& arena, const Affine& a) {
    if (bounds(a).max < 0) return true;
    Affine above;
    above.constant = a.constant;
    bool changed = false;
    for (const auto& [term, k] : a.terms) {
        Ref range = nullptr;
        std::vector<Ref> parts = factors(term);
        for (Ref f : parts) {
            if (f->is(Op::Range) && !is_const(f->src(0))) range = f;
            if (f->vmin() < 0) {
                range = nullptr;
                break;
            }
        }
        if (k < 0 || range == nullptr) {
            above = above + only(term, k);
            continue;
        }
        // k * r * rest  <=  k * (n - 1) * rest, for rest >= 0.
        parts.erase(std::find(parts.begin(), parts.end(), range));
        Affine most = affine(range->src(0));
        most.constant -= 1;
        for (Ref f : parts) most = affine(product(arena, from_affine(arena, most), f));
        above = above + most * k;
        changed = true;
    }
    return changed && bounds(above).max < 0;
}

Ref sum(Arena& arena, Affine terms) {
    fold_fixed(terms);
    if (terms.terms.size() <= kLongSum)
        while (auto better = recombine(arena, terms)) terms = std::move(*better);
    return from_affine(arena, terms);
}

Ref product(Arena& arena, Ref a, Ref b) {
    if ((a->is(Op::Const) && value(a) == 0 && has_check(b)) ||
        (b->is(Op::Const) && value(b) == 0 && has_check(a)))
        return arena.mul(a, b);
    const Affine x = affine(a), y = affine(b);
    // Sums times sums are multiplied out while that stays small.
    if (x.terms.size() * y.terms.size() > 8) {
        Ref left = a, right = b;
        if (term_before(right, left)) std::swap(left, right);
        return arena.mul(left, right);
    }
    Affine result = x * y.constant + y * x.constant;
    result.constant = x.constant * y.constant;
    for (const auto& [s, j] : x.terms) {
        for (const auto& [t, k] : y.terms) {
            std::vector<Ref> all = factors(s);
            const std::vector<Ref> more = factors(t);
            all.insert(all.end(), more.begin(), more.end());
            std::stable_sort(all.begin(), all.end(), term_before);
            result = result + only(multiply(arena, all), j * k);
        }
    }
    return sum(arena, std::move(result));
}

Ref div(Arena& arena, Ref x, Ref d) {
    if (!is_const(d)) {
        const auto parts = split_symbolic(arena, x, d);
        if (!parts) return arena.idiv(x, d);
        if (parts->r_below) return sum(arena, parts->q);
        if (parts->q == Affine{}) return arena.idiv(x, d);
        // floor((n*q + r) / n) = q + floor(r / n)
        return sum(arena, parts->q + only(div(arena, from_affine(arena, parts->r), d), 1));
    }
    const std::int64_t c = value(d);
    if (c == 0) return arena.index(0);
    if (c < 0)
        return div(arena, sum(arena, affine(x) * -1),
                   arena.index(-c));  // floor(x/-c) = floor(-x/c)
    if (c == 1) return x;
    const Affine a = affine(x);
    const auto fixed = [&](Bounds b) { return floor_div(b.min, c) == floor_div(b.max, c); };
    if (fixed({x->vmin(), x->vmax()}) && !has_check(x)) return arena.index(floor_div(x->vmin(), c));
    // floor((c*q + r) / c) = q where r stays within [0, c)
    if (const auto q = exact_div(a, c)) return sum(arena, *q);
    // floor(a / c) = floor(floor(a / g) / (c / g)) where g divides c
    for (std::int64_t g : common_divisors(a, c))
        if (const auto smaller = exact_div(a, g))
            return div(arena, sum(arena, *smaller), arena.index(c / g));
    // floor((c*q + r) / c) = q + floor(r / c)
    const auto [q, r] = split(a, c);
    if (!(q == Affine{})) {
        const Ref rest = div(arena, sum(arena, r), d);
        return sum(arena, q + affine(rest));
    }
    if (a.terms.size() == 1 && a.terms[0].second == 1) {
        const Ref term = a.terms[0].first;
        const bool by_const =
            term->src().size() == 2 && is_const(term->src(1)) && value(term->src(1)) > 0;
        std::int64_t scaled = 0;
        // floor((floor(y / m) + k) / c) = floor((y + k*m) / (m*c))
        if (by_const && term->is(Op::IDiv) &&
            !__builtin_mul_overflow(value(term->src(1)), c, &scaled)) {
            Affine y = affine(term->src(0));
            y.constant += a.constant * value(term->src(1));
            return div(arena, sum(arena, y), arena.index(scaled));
        }
        // floor((y mod (c*n)) / c) = floor(y / c) mod n
        if (by_const && term->is(Op::Mod) && a.constant == 0 && value(term->src(1)) % c == 0)
            return mod(arena, div(arena, term->src(0), d), arena.index(value(term->src(1)) / c));
    }
    return arena.idiv(x, d);
}

Ref mod(Arena& arena, Ref x, Ref d) {
    if (!is_const(d)) {
        const auto parts = split_symbolic(arena, x, d);
        if (!parts) return arena.mod(x, d);
        if (parts->r_below) return sum(arena, parts->r);
        if (parts->q == Affine{}) return arena.mod(x, d);
        return mod(arena, sum(arena, parts->r), d);  // (n*q + r) mod n = r mod n
    }
    const std::int64_t c = value(d);
    if (c == 0) return x;
    if (c < 0) return arena.mod(x, d);
    if (c == 1 && !has_check(x)) return arena.index(0);
    // x mod c = x - c*floor(x / c), known where the quotient is
    if (const std::int64_t q = floor_div(x->vmin(), c); q == floor_div(x->vmax(), c)) {
        Affine a = affine(x);
        a.constant -= q * c;
        return sum(arena, a);
    }
    const Affine a = affine(x);
    Affine r;
    r.constant = floor_mod(a.constant, c);
    for (const auto& [term, k] : a.terms) {
        // (k*(y mod m) + z) mod c = (k*y + z) mod c where c divides k*m
        std::int64_t km = 0;
        if (term->is(Op::Mod) && is_const(term->src(1)) && value(term->src(1)) > 0 &&
            !__builtin_mul_overflow(k, value(term->src(1)), &km) && km % c == 0) {
            r = r + affine(term->src(0)) * k;
        } else if (k % c != 0 || has_check(term)) {
            r = r + only(term, k % c != 0 ? k % c : k);
        }
    }
    if (!(r == a)) return mod(arena, sum(arena, r), d);
    if (const Affine all = split_all(a, c).second; !(all == a)) {
        const Bounds b = bounds(all);
        if (const std::int64_t q = floor_div(b.min, c); q == floor_div(b.max, c)) {
            Affine rest = all;
            rest.constant -= q * c;
            return sum(arena, rest);
        }
    }
    // (g*s + t) mod (g*n) = g*(s mod n) + t where 0 <= t < g
    for (std::int64_t g : common_divisors(a, c)) {
        const auto [s, t] = split(a, g);
        const Bounds b = bounds(t);
        if (b.min < 0 || b.max >= g) continue;
        // Not `sum`, which might try to join the parts again; `recombine` compares the two forms.
        return from_affine(arena, affine(mod(arena, sum(arena, s), arena.index(c / g))) * g + t);
    }
    return arena.mod(x, d);
}

}  // namespace sinter::ir::index
