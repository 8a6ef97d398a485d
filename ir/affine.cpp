#include <sinter/ir/affine.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "index_build.h"

namespace sinter::ir {
namespace {

__extension__ typedef __int128 Wide;

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

int rank_of(Ref term) {
    if (term->is(Op::Variable)) return 0;
    if (term->is(Op::Range)) return 1;
    return 2;
}

// Sorts, adds up like terms and drops those that vanish.
void normalise(Affine& sum) {
    auto& terms = sum.terms;
    std::stable_sort(terms.begin(), terms.end(),
                     [](const auto& a, const auto& b) { return term_before(a.first, b.first); });
    std::size_t out = 0;
    for (std::size_t i = 0; i < terms.size();) {
        auto term = terms[i];
        for (++i; i < terms.size() && terms[i].first == term.first; ++i)
            __builtin_add_overflow(term.second, terms[i].second, &term.second);
        if (term.second != 0) terms[out++] = term;
    }
    terms.resize(out);
}

std::int64_t saturate(Wide v) {
    if (v < kMin) return kMin;
    if (v > kMax) return kMax;
    return static_cast<std::int64_t>(v);
}

std::int64_t magnitude_gcd(std::int64_t a, std::int64_t b) {
    const auto x = static_cast<std::uint64_t>(a < 0 ? -static_cast<std::uint64_t>(a) : a);
    const auto y = static_cast<std::uint64_t>(b < 0 ? -static_cast<std::uint64_t>(b) : b);
    return static_cast<std::int64_t>(std::gcd(x, y));
}

}  // namespace

bool term_before(Ref a, Ref b) {
    if (a == b) return false;
    if (const int x = rank_of(a), y = rank_of(b); x != y) return x < y;
    if (rank_of(a) < 2 && a->arg(0) != b->arg(0)) return a->arg(0) < b->arg(0);
    return a->hash() < b->hash();
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    if (b == 0) return 0;
    if (b == -1) return static_cast<std::int64_t>(-static_cast<std::uint64_t>(a));
    const std::int64_t q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
    if (b == 0) return a;
    if (b == -1) return 0;
    const std::int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

std::int64_t Affine::coefficient(Ref term) const {
    for (const auto& [t, k] : terms)
        if (t == term) return k;
    return 0;
}

Affine affine(Ref expr) {
    Affine sum;
    std::vector<std::pair<Ref, std::int64_t>> todo = {{expr, 1}};
    // A graph that shares its sums may be exponentially many terms when written out: past this
    // many, sums are terms.
    int steps = 1024;
    while (!todo.empty()) {
        const auto [node, k] = todo.back();
        todo.pop_back();
        std::int64_t scaled = 0;
        if (--steps > 0) switch (node->op()) {
                case Op::Const:
                    if (__builtin_mul_overflow(node->arg(0), k, &scaled)) break;
                    if (__builtin_add_overflow(sum.constant, scaled, &scaled)) break;
                    sum.constant = scaled;
                    continue;
                case Op::Add:
                    todo.emplace_back(node->src(1), k);
                    todo.emplace_back(node->src(0), k);
                    continue;
                case Op::Sub:
                    todo.emplace_back(node->src(1), -k);
                    todo.emplace_back(node->src(0), k);
                    continue;
                case Op::Neg:
                    todo.emplace_back(node->src(0), -k);
                    continue;
                case Op::Mul: {
                    const bool left = node->src(0)->is(Op::Const);
                    if (!left && !node->src(1)->is(Op::Const)) break;
                    if (__builtin_mul_overflow(node->src(left ? 0 : 1)->arg(0), k, &scaled)) break;
                    if (scaled == 0 && index::has_check(node)) break;  // a Check is not lost
                    if (scaled != 0) todo.emplace_back(node->src(left ? 1 : 0), scaled);
                    continue;
                }
                default:
                    break;
            }
        sum.terms.emplace_back(node, k);
    }
    normalise(sum);
    return sum;
}

Ref from_affine(Arena& arena, const Affine& sum) {
    Ref result = nullptr;
    for (const auto& [term, k] : sum.terms) {
        const Ref scaled = k == 1 ? term : arena.mul(term, arena.index(k));
        result = result == nullptr ? scaled : arena.add(result, scaled);
    }
    if (result == nullptr) return arena.index(sum.constant);
    return sum.constant == 0 ? result : arena.add(result, arena.index(sum.constant));
}

Affine operator+(const Affine& a, const Affine& b) {
    Affine sum = a;
    sum.terms.insert(sum.terms.end(), b.terms.begin(), b.terms.end());
    __builtin_add_overflow(a.constant, b.constant, &sum.constant);
    normalise(sum);
    return sum;
}

Affine operator*(const Affine& a, std::int64_t factor) {
    Affine sum;
    if (factor == 0) return sum;
    sum = a;
    for (auto& term : sum.terms) __builtin_mul_overflow(term.second, factor, &term.second);
    __builtin_mul_overflow(sum.constant, factor, &sum.constant);
    return sum;
}

Affine operator-(const Affine& a, const Affine& b) { return a + b * -1; }

Bounds bounds(const Affine& sum) {
    Wide low = sum.constant, high = sum.constant;
    for (const auto& [term, k] : sum.terms) {
        const Wide a = static_cast<Wide>(term->vmin()) * k, b = static_cast<Wide>(term->vmax()) * k;
        low += std::min(a, b);
        high += std::max(a, b);
    }
    return {saturate(low), saturate(high)};
}

std::int64_t const_factor(Ref expr) {
    const Affine sum = affine(expr);
    std::int64_t factor = magnitude_gcd(sum.constant, 0);
    for (const auto& [term, k] : sum.terms) factor = magnitude_gcd(factor, k);
    return factor;
}

}  // namespace sinter::ir
