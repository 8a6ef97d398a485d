#include "dots.h"

#include <algorithm>
#include <vector>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>
#include <sinter/ir/simplify.h>

#include "analysis.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kInRange = 1;  // the mark of a shift by less than the word has bits
constexpr DType kWord = DType::U32;

// A product of a sum: its factors as the narrow numbers that they are made of. Those of bf16 are
// their bits (u16).
struct Product {
    Ref factors[2] = {nullptr, nullptr};
    bool bf16 = false;
    std::vector<Ref> masks;  // outside which the product is 0

    std::int64_t steps() const { return bf16 ? 2 : 4; }
};

bool is_constant(Ref n, std::int64_t bits) { return n->is(Op::Const) && n->arg(0) == bits; }

// The bits of the bf16 that an f32 was made of (decompose/cast.cpp says how); null if it was not.
Ref bits_of_bf16(Ref wide) {
    if (!wide->is(Op::Bitcast) || wide->dtype() != f32) return nullptr;
    const Ref shifted = wide->src(0);
    if (!shifted->is(Op::Shl) || shifted->dtype() != kWord || !is_constant(shifted->src(1), 16))
        return nullptr;
    const Ref bits = shifted->src(0);
    return bits->is(Op::Cast) && bits->src(0)->dtype() == DType::U16 ? bits->src(0) : nullptr;
}

Ref byte_of(Ref wide) {
    if (!wide->is(Op::Cast) || wide->dtype() != i32) return nullptr;
    const DType narrow = wide->src(0)->dtype();
    return narrow == DType::I8 || narrow == DType::U8 ? wide->src(0) : nullptr;
}

std::optional<Product> product_of(Ref reduce, const Target& target) {
    if (!reduce->is(Op::Reduce) || reduce->args().size() != 1 ||
        reduce->arg(0) != static_cast<std::int64_t>(ir::ReduceKind::Add))
        return std::nullopt;
    Product p;
    p.bf16 = reduce->dtype() == f32;
    if (p.bf16 ? !target.dots_of_bf16 : (reduce->dtype() != i32 || !target.dots_of_bytes))
        return std::nullopt;
    Ref value = reduce->src(0);
    for (; value != without_masks(value); value = value->src(1)) p.masks.push_back(value->src(0));
    if (!value->is(Op::Mul)) return std::nullopt;
    for (const std::size_t i : {0u, 1u}) {
        const Ref wide = value->src(i);
        p.factors[i] = p.bf16 ? bits_of_bf16(wide) : byte_of(wide);
        if (p.factors[i] == nullptr) return std::nullopt;
    }
    return p;
}

// The load that a factor is, with nothing done to it; null if it is none.
Ref load_of(Ref factor) {
    const Ref n =
        factor->is(Op::Bitcast) && factor->src(0)->dtype() == DType::BF16 ? factor->src(0) : factor;
    return n->is(Op::Load) ? n : nullptr;
}

// Whether words of a factor lie in memory as they are: steps side by side, the first of each word a
// whole number of words from the memory's begin.
bool lies_in_words(Ref factor, Ref range, std::int64_t steps) {
    const Ref load = load_of(factor);
    if (load == nullptr || load->src().size() != 3 || load->arg(0) != 0 ||
        ir::is_near(load->src(0)) || load->src(0)->arg(0) < 0 ||
        (load->src(2)->ranges() & range_bit(range)) != 0 || range->src(0)->arg(0) % steps != 0)
        return false;
    const ir::Affine index = ir::affine(load->src(1));
    return index.constant % steps == 0 &&
           std::ranges::all_of(index.terms,
                               [&](const auto& t) {
                                   if (t.first == range) return t.second == 1;
                                   return t.second % steps == 0 &&
                                          (t.first->ranges() & range_bit(range)) == 0;
                               }) &&
           index.coefficient(range) == 1;
}

// Whether the sum may be made of words of steps along the range.
bool is_possible(const Product& p, Ref range) {
    if (!range->src(0)->is(Op::Const) || range->src(0)->arg(0) < 2 * p.steps()) return false;
    for (Ref m : p.masks)
        if ((m->ranges() & range_bit(range)) != 0) return false;
    for (Ref factor : p.factors)
        for (Ref n : ir::toposort(std::span(&factor, 1))) {
            if (n->is(Op::Load) && n->src().size() > 3) return false;
            if (n->is(Op::Scan) || n->is(Op::Order) || n->is(Op::Accumulate)) return false;
            if (std::ranges::count(named_ranges(n), range) != 0) return false;
        }
    return true;
}

// The reductions that close a range.
std::vector<Ref> reductions_over(const Analysis& a, Ref range) {
    std::vector<Ref> found;
    for (const Reducing& r : a.reductions)
        if (has(r.closed, range->arg(0))) found.push_back(r.node);
    return found;
}

class Words {
public:
    Words(Form& form, Ref range, std::int64_t steps, std::int64_t number)
        : a_(form.arena()), range_(range), steps_(steps) {
        const std::int64_t size = range->src(0)->arg(0);
        ragged_ = size % steps != 0;
        const std::int64_t args[] = {form.take(number), range->arg(1), 1};
        const Ref words = a_.index((size + steps - 1) / steps);
        words_ = a_.make(Op::Range, DType::Index, std::span<const Ref>(&words, 1),
                         std::span(args, ragged_ ? 3 : 2));
    }

    Ref range() const { return words_; }

    // The word of a factor's steps.
    Ref of(Ref factor) {
        if (lies_in_words(factor, range_, steps_)) return read(load_of(factor));
        Ref word = nullptr;
        const auto bits = static_cast<std::int64_t>(32 / steps_);
        for (std::int64_t i = 0; i < steps_; ++i) {
            Ref number = step(factor, i);
            if (number->dtype() == DType::I8) number = a_.make(Op::Bitcast, DType::U8, {number});
            Ref part = a_.cast(number, kWord);
            const Ref shift[] = {part, a_.constant_bits(kWord, bits * i)};
            const std::int64_t mark[] = {kInRange};
            if (i > 0) part = a_.make(Op::Shl, kWord, shift, mark);
            word = word == nullptr ? part : a_.binary(Op::Or, word, part);
        }
        return word;
    }

private:
    Ref read(Ref load) {
        ir::Affine index = ir::affine(load->src(1));
        index.constant /= steps_;
        for (auto& [term, coefficient] : index.terms)
            if (term == range_)
                term = words_;
            else
                coefficient /= steps_;
        std::ranges::sort(index.terms, [](const auto& x, const auto& y) {
            return ir::term_before(x.first, y.first);
        });
        return ir::load(a_, ir::param(a_, kWord, load->src(0)->arg(0)), ir::from_affine(a_, index),
                        load->src(2), 0);
    }

    // The i-th number of each word; 0 past the end.
    Ref step(Ref factor, std::int64_t i) {
        const Ref at = fold(a_, Op::Add, fold(a_, Op::Mul, words_, a_.index(steps_)), a_.index(i));
        const Ref inside = fold(a_, Op::Lt, at, range_->src(0));
        const std::uint64_t mask = range_bit(range_);
        const bool whole = inside->vmin() == 1;
        const Ref number = rebuild(factor, [&](Ref n, std::span<const Ref> src) -> Ref {
            if (n == range_) return at;
            std::vector<Ref> changed(src.begin(), src.end());
            if (!whole && n->is(Op::Load) && (n->ranges() & mask) != 0)
                changed[2] = fold(a_, Op::And, src[2], inside);
            if (!whole && n->is(Op::Check) && (n->ranges() & mask) != 0) {
                const Ref choice[] = {inside, src[0], a_.constant_bits(src[0]->dtype(), 0)};
                changed[0] = make_folded(a_, Op::Where, src[0]->dtype(), choice);
            }
            return make_folded(a_, n, changed);
        });
        const Ref load = load_of(factor);
        if (whole || (load != nullptr && load->arg(0) == 0)) return number;
        return a_.where(inside, number, a_.constant_bits(number->dtype(), 0));
    }

    Arena& a_;
    const Ref range_;
    const std::int64_t steps_;
    bool ragged_ = false;
    Ref words_ = nullptr;
};

// The place of the factor whose words depend on the range along which results lie side by side, or
// are more.
std::size_t column_factor(const Analysis& a, const Product& p) {
    std::uint64_t along = 0;
    for (const MemoryAccess& m : a.accesses)
        for (std::int64_t n : a.numbers)
            if (m.is_store && m.stride[n] == 1) along |= std::uint64_t{1} << n;
    const bool first = (p.factors[0]->ranges() & along) != 0,
               second = (p.factors[1]->ranges() & along) != 0;
    if (first != second) return first ? 0 : 1;
    return a.volume(p.factors[0]->ranges()) > a.volume(p.factors[1]->ranges()) ? 0 : 1;
}

}  // namespace

std::optional<DotSum> choose_dots(const Form& form, const Target& target, bool always) {
    if (!target.dots_of_bf16 && !target.dots_of_bytes) return std::nullopt;
    const Analysis a = analyse(form.sink());
    if (a.ordered != 0) return std::nullopt;
    std::optional<DotSum> best;
    double most = 0;
    for (const Reducing& r : a.reductions) {
        const std::optional<Product> p = product_of(r.node, target);
        if (!p || (p->bf16 && !target.fast_dots_of_bf16 && !always)) continue;
        for (std::int64_t n : a.numbers) {
            if (!has(r.closed, n) || !is_possible(*p, a.range[n]) ||
                reductions_over(a, a.range[n]).size() != 1)
                continue;
            // Words that lie in memory; what is not even so is put together for every use, unless
            // it is copied.
            int there = 0;
            for (Ref factor : p->factors)
                there += lies_in_words(factor, a.range[n], p->steps()) ? 1 : 0;
            if (there == 0 && !always) continue;
            const double score = there * 1e12 + static_cast<double>(a.size(n));
            if (score <= most) continue;
            most = score;
            best = DotSum{n, p->steps()};
        }
    }
    return best;
}

void make_dots(Form& form, const DotSum& sum, const Target& target, std::int64_t number) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const auto fail = [&] {
        throw ValueError("schedule: the sum over r" + std::to_string(sum.range) +
                         " is none of products that this target adds " + std::to_string(sum.steps) +
                         " at a time");
    };
    if (!has(before.closed & ~before.ordered, sum.range)) fail();
    const Ref range = before.range[sum.range];
    const std::vector<Ref> reductions = reductions_over(before, range);
    if (reductions.size() != 1) fail();
    const Ref reduce = reductions[0];
    const std::optional<Product> p = product_of(reduce, target);
    if (!p || p->steps() != sum.steps || !is_possible(*p, range)) fail();

    Words words(form, range, sum.steps, number);
    form.record(StepKind::Dots, {sum.range, sum.steps, words.range()->arg(0)});
    std::vector<Ref> closed(named_ranges(reduce).begin(), named_ranges(reduce).end());
    std::ranges::replace(closed, range, words.range());
    const auto sum_of = [&](DotKind kind, Ref x, Ref y) {
        const std::int64_t args[] = {static_cast<std::int64_t>(kind)};
        const Ref src[] = {x, y, a.constant_bits(reduce->dtype(), 0)};
        Ref value = a.make(Op::Dot, reduce->dtype(), src, args);
        for (std::size_t i = p->masks.size(); i-- > 0;)
            value = a.where(p->masks[i], value, a.constant_bits(reduce->dtype(), 0));
        std::vector<Ref> all{value};
        all.insert(all.end(), closed.begin(), closed.end());
        return a.make(Op::Reduce, reduce->dtype(), all, reduce->args());
    };
    Ref result = nullptr;
    if (p->bf16) {
        result = sum_of(DotKind::PairsOfBF16, words.of(p->factors[0]), words.of(p->factors[1]));
    } else {
        // One factor must be unsigned, the other signed. Where they are not, 128 is added to those
        // of one (taken from them), and taken from the sum again with the sum of the others.
        const std::size_t column = column_factor(before, *p);
        const Ref of_column = words.of(p->factors[column]),
                  of_row = words.of(p->factors[1 - column]);
        const bool column_signed = p->factors[column]->dtype() == DType::I8,
                   row_signed = p->factors[1 - column]->dtype() == DType::I8;
        const Ref high = a.constant_bits(kWord, 0x80808080);
        const auto dot = [&](Ref x, Ref y) { return sum_of(DotKind::QuadsOfBytes, x, y); };
        if (column_signed != row_signed)
            result = column_signed ? dot(of_row, of_column) : dot(of_column, of_row);
        else if (column_signed)
            result = a.sub(dot(a.binary(Op::Xor, of_row, high), of_column), dot(high, of_column));
        else
            result = a.sub(dot(of_column, a.binary(Op::Xor, of_row, high)), dot(of_column, high));
    }
    form.set_sink(rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) {
        return n == reduce ? result : make_folded(a, n, src);
    }));
}

}  // namespace sinter::codegen
