// Simplification under a mask: terms get the bounds that the mask gives them, as Variables that
// stand in for them while the expression is simplified.

#include <algorithm>
#include <limits>

#include <sinter/ir/kernel.h>
#include <sinter/ir/simplify.h>

#include "index_build.h"
#include "substitute.h"

namespace sinter::ir {
namespace {

__extension__ typedef __int128 Wide;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

using Pairs = std::vector<std::pair<Ref, Ref>>;

// `expr` with replacements, in elementwise nodes only: a range inside a Reduce may be another pass
// over it.
Ref replace(Arena& arena, Ref expr, const Pairs& pairs) {
    return substitute_in(arena, std::span<const Ref>(&expr, 1), pairs,
                         [](Ref node) { return is_elementwise(node->op()); })[0];
}

// The conjuncts of a mask, and what they say: sums that are below 0, and masks that are known.
struct Facts {
    std::vector<Affine> negative;
    Pairs known;
    bool impossible = false;
};

Facts facts_of(Arena& arena, Ref condition) {
    Facts facts;
    std::vector<Ref> todo = {condition};
    while (!todo.empty()) {
        const Ref p = todo.back();
        todo.pop_back();
        if (p->is(Op::Const)) {
            if (p->arg(0) == 0) facts.impossible = true;
            continue;
        }
        if (p->is(Op::And) && p->dtype() == DType::Bool) {
            todo.insert(todo.end(), p->src().begin(), p->src().end());
            continue;
        }
        facts.known.emplace_back(p, arena.truth(true));
        if (p->is(Op::Not)) facts.known.emplace_back(p->src(0), arena.truth(false));
        if (p->src().size() != 2 || p->src(0)->dtype() != DType::Index) continue;
        Affine d = affine(p->src(0)) - affine(p->src(1));
        if (p->is(Op::Lt)) facts.negative.push_back(d);
        if (p->is(Op::Le) || p->is(Op::Eq)) {
            d.constant -= 1;
            facts.negative.push_back(d);
        }
        if (p->is(Op::Eq)) {
            Affine back = affine(p->src(1)) - affine(p->src(0));
            back.constant -= 1;
            facts.negative.push_back(back);
        }
    }
    return facts;
}

// Bounds of terms, tighter than their own.
class Tightened {
public:
    explicit Tightened(const std::vector<Affine>& negative) {
        for (int round = 0; round < 3; ++round)
            for (const Affine& d : negative) learn(d);
    }

    const std::vector<Ref>& terms() const { return terms_; }
    Bounds of(Ref term) const {
        const auto at = std::find(terms_.begin(), terms_.end(), term);
        if (at == terms_.end()) return {term->vmin(), term->vmax()};
        return bounds_[static_cast<std::size_t>(at - terms_.begin())];
    }
    bool empty() const { return empty_; }

private:
    // d < 0: for each term, k * t <= -1 - (least value of the rest).
    void learn(const Affine& d) {
        for (const auto& [term, k] : d.terms) {
            Wide room = -1 - static_cast<Wide>(d.constant);
            for (const auto& [other, ko] : d.terms) {
                if (other == term) continue;
                const Bounds b = of(other);
                room -= std::min(static_cast<Wide>(ko) * b.min, static_cast<Wide>(ko) * b.max);
            }
            if (room > kMax || room < -kMax) continue;
            Bounds b = of(term);
            const auto limit = static_cast<std::int64_t>(room);
            if (k > 0)
                b.max = std::min(b.max, floor_div(limit, k));
            else
                b.min = std::max(b.min, -floor_div(limit, -k));
            if (b.min > b.max) empty_ = true;
            if (b == of(term) || empty_) continue;
            const auto at = std::find(terms_.begin(), terms_.end(), term);
            if (at == terms_.end()) {
                terms_.push_back(term);
                bounds_.push_back(b);
            } else {
                bounds_[static_cast<std::size_t>(at - terms_.begin())] = b;
            }
        }
    }

    std::vector<Ref> terms_;
    std::vector<Bounds> bounds_;
    bool empty_ = false;
};

// A stand-in; its slot is negative, as no kernel's is.
Ref stand_in(Arena& arena, std::size_t number, Bounds b) {
    if (b.min == b.max) return arena.index(b.min);
    return variable(arena, DType::Index, -1 - static_cast<std::int64_t>(number), b.min, b.max);
}

}  // namespace

Ref simplify_given(Arena& arena, Ref expr, Ref condition) {
    expr = simplify(arena, expr);
    const Facts facts = facts_of(arena, simplify(arena, condition));
    if (facts.impossible) return expr;
    Pairs there = facts.known, back;
    const Tightened tightened(facts.negative);
    if (tightened.empty()) return expr;
    for (Ref term : tightened.terms()) {
        if (index::has_check(term)) continue;
        const Ref mine = stand_in(arena, back.size(), tightened.of(term));
        there.emplace_back(term, mine);
        if (!mine->is(Op::Const)) back.emplace_back(mine, term);
    }
    Ref best = simplify(arena, replace(arena, simplify(arena, replace(arena, expr, there)), back));

    // A sum below 0 as a whole: write one of its terms as the sum less the others, try whether that
    // helps.
    for (const Affine& d : facts.negative) {
        if (d.terms.size() < 2) continue;
        for (const auto& [term, k] : d.terms) {
            if ((k != 1 && k != -1) || index::has_check(term)) continue;
            Affine s = d * k;  // term + rest
            s.constant = 0;
            Bounds b = bounds(s);
            for (const Affine& e : facts.negative) {
                if (e.terms == s.terms) b.max = std::min(b.max, -1 - e.constant);
                if (e.terms == (s * -1).terms) b.min = std::max(b.min, e.constant + 1);
            }
            if (b.min > b.max) return expr;
            const Ref whole = stand_in(arena, back.size(), b);
            const Affine only_term{{{term, 1}}, 0};
            const Pairs out = {{term, from_affine(arena, affine(whole) - (s - only_term))}};
            const Pairs in = {{whole, from_affine(arena, s)}};
            const Ref inside = simplify(arena, replace(arena, best, out));
            const Ref candidate =
                simplify(arena, whole->is(Op::Const) ? inside : replace(arena, inside, in));
            if (index::cost({candidate}) < index::cost({best})) best = candidate;
        }
    }
    return best;
}

Bounds bounds_given(Arena& arena, Ref term, Ref condition) {
    const Facts facts = facts_of(arena, condition);
    const Tightened tightened(facts.negative);
    if (facts.impossible || tightened.empty()) return {0, -1};
    return tightened.of(term);
}

}  // namespace sinter::ir
