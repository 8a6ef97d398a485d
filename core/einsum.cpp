#include <sinter/einsum.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <optional>

#include <sinter/movement.h>

#include "call.h"

namespace sinter {
namespace {

using ir::Op;

// Axes are named by small numbers: letters as they are, the axes of an ellipsis from kEllipsis on,
// counted from the last.
using Label = int;
constexpr Label kEllipsis = 256;

struct Term {
    UOp x;
    std::vector<Label> labels;  // one an axis, each once
};

struct Formula {
    std::vector<std::vector<Label>> inputs;
    std::vector<Label> output;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string spelled(Label label) {
    return label < kEllipsis ? std::string(1, static_cast<char>(label)) : std::string("...");
}

// The letters of one operand; `rest` is how many axes its ellipsis stands for.
std::vector<Label> parse_term(std::string_view term, std::int64_t rest, std::string_view formula) {
    std::vector<Label> out;
    for (std::size_t i = 0; i < term.size(); ++i) {
        if (is_letter(term[i])) {
            out.push_back(term[i]);
        } else if (term.substr(i, 3) == "...") {
            for (std::int64_t k = rest; k-- > 0;) out.push_back(kEllipsis + static_cast<Label>(k));
            i += 2;
        } else {
            fail<ValueError>("\"" + std::string(formula) + "\": unexpected '" + term[i] +
                             "'; a term is letters and at most one ...");
        }
    }
    return out;
}

Formula parse(std::string_view written, std::span<const UOp> operands) {
    std::string formula;
    for (const char c : written)
        if (c != ' ') formula += c;
    const std::size_t arrow = formula.find("->");
    const std::string left = formula.substr(0, arrow);
    if (const std::size_t stray = left.find_first_of("<>-="); stray != std::string::npos)
        fail<ValueError>("\"" + formula + "\": unexpected '" + left[stray] +
                         "'; operands and result are separated by ->");
    std::vector<std::string> terms(1);
    for (const char c : left) {
        if (c == ',')
            terms.emplace_back();
        else
            terms.back() += c;
    }
    if (terms.size() != operands.size())
        fail<ValueError>("\"" + formula + "\" has " + std::to_string(terms.size()) +
                         " operands, got " + std::to_string(operands.size()));
    Formula out;
    std::int64_t most = 0;
    for (std::size_t i = 0; i < terms.size(); ++i) {
        const auto letters = static_cast<std::int64_t>(std::ranges::count_if(terms[i], is_letter));
        const bool dots = terms[i].find("...") != std::string::npos;
        const std::int64_t rest = static_cast<std::int64_t>(operands[i]->rank()) - letters;
        if (rest < 0 || (rest > 0 && !dots))
            fail<ShapeError>("operand " + std::to_string(i) + " is " + text(operands[i]) +
                             ", but \"" + terms[i] + "\" names " + text(letters) + " axes");
        most = std::max(most, rest);
        out.inputs.push_back(parse_term(terms[i], rest, formula));
    }
    std::map<Label, int> uses;
    for (const auto& labels : out.inputs)
        for (const Label label : labels) ++uses[label];
    if (arrow != std::string::npos) {
        out.output = parse_term(formula.substr(arrow + 2), most, formula);
        for (const Label label : out.output) {
            if (!uses.contains(label))
                fail<ValueError>("\"" + formula + "\": the output's '" + spelled(label) +
                                 "' is in no operand");
            if (std::ranges::count(out.output, label) > 1)
                fail<ValueError>("\"" + formula + "\": the output names '" + spelled(label) +
                                 "' twice");
        }
    } else {
        out.output = parse_term("...", most, formula);
        for (const auto& [label, count] : uses)
            if (label < kEllipsis && count == 1) out.output.push_back(label);
    }
    return out;
}

// Size of every label; axes of size 1 broadcast.
std::map<Label, std::int64_t> label_sizes(const Formula& formula, std::span<const UOp> operands) {
    std::map<Label, std::int64_t> sizes;
    for (std::size_t i = 0; i < operands.size(); ++i)
        for (std::size_t d = 0; d < formula.inputs[i].size(); ++d) {
            const Label label = formula.inputs[i][d];
            const std::int64_t n = operands[i]->shape()[d];
            const auto [at, fresh] = sizes.try_emplace(label, n);
            if (fresh || at->second == n || n == 1) continue;
            if (at->second != 1)
                fail<ShapeError>("'" + spelled(label) + "' is " + text(at->second) + " and " +
                                 text(n) + " (operand " + std::to_string(i) + " is " +
                                 text(operands[i]) + ")");
            at->second = n;
        }
    return sizes;
}

// Diagonals of letters that stand more than once in an operand.
Term without_repeats(UOp x, std::vector<Label> labels, const std::map<Label, std::int64_t>& sizes) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const auto again =
            std::find(labels.begin() + static_cast<std::ptrdiff_t>(i) + 1, labels.end(), labels[i]);
        if (again == labels.end()) continue;
        const auto second = static_cast<std::size_t>(again - labels.begin());
        ir::Shape whole = shape_of(x);
        whole[i] = whole[second] = sizes.at(labels[i]);
        const Tensor diagonal_last =
            diagonal(Tensor(expand_to(x, whole), -2), 0, static_cast<std::int64_t>(i),
                     static_cast<std::int64_t>(second));
        x = diagonal_last.node();
        const Label label = labels[i];
        labels.erase(again);
        labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(i));
        labels.push_back(label);
        i = static_cast<std::size_t>(-1);
    }
    return {std::move(x), std::move(labels)};
}

bool has(const std::vector<Label>& labels, Label label) {
    return std::ranges::find(labels, label) != labels.end();
}

// x with its axes in the order of `labels` (those it lacks have size 1), summed or not by the
// caller.
UOp arranged(const Term& t, const std::vector<Label>& labels) {
    ir::Shape order, shape;
    for (const Label label : labels) {
        const auto at = std::ranges::find(t.labels, label);
        if (at == t.labels.end()) {
            shape.push_back(1);
            continue;
        }
        const auto axis = at - t.labels.begin();
        order.push_back(axis);
        shape.push_back(t.x->shape()[static_cast<std::size_t>(axis)]);
    }
    return ir::reshape(ir::permute(t.x, order), shape);
}

UOp sum_last(const UOp& x, std::size_t count) {
    ir::Shape axes;
    for (std::size_t d = x->rank() - count; d < x->rank(); ++d)
        axes.push_back(static_cast<std::int64_t>(d));
    return ir::reshape(ir::reduce(ir::ReduceKind::Add, x, axes),
                       x->shape().first(x->rank() - count));
}

// Labels that nobody else wants are summed over at once.
Term summed(const Term& t, const std::vector<Label>& wanted) {
    std::vector<Label> kept, gone;
    for (const Label label : t.labels) (has(wanted, label) ? kept : gone).push_back(label);
    if (gone.empty()) return t;
    std::vector<Label> order = kept;
    order.insert(order.end(), gone.begin(), gone.end());
    return {sum_last(arranged(t, order), gone.size()), kept};
}

// The product of two terms with the labels summed over that nobody wants: batch, a's own, b's own,
// contracted.
Term contracted(const Term& a, const Term& b, const std::vector<Label>& wanted,
                const std::map<Label, std::int64_t>& sizes) {
    std::vector<Label> batch, own_a, own_b, gone;
    for (const Label label : a.labels) {
        if (!has(wanted, label))
            gone.push_back(label);
        else
            (has(b.labels, label) ? batch : own_a).push_back(label);
    }
    for (const Label label : b.labels)
        if (!has(a.labels, label)) (has(wanted, label) ? own_b : gone).push_back(label);
    std::vector<Label> order = batch;
    order.insert(order.end(), own_a.begin(), own_a.end());
    order.insert(order.end(), own_b.begin(), own_b.end());
    const std::vector<Label> kept = order;
    order.insert(order.end(), gone.begin(), gone.end());
    ir::Shape full;
    for (const Label label : order) {
        const bool both = has(a.labels, label) || has(b.labels, label);
        full.push_back(both ? sizes.at(label) : 1);
    }
    const UOp product = ir::binary(Op::Mul, expand_to(arranged(a, order), full),
                                   expand_to(arranged(b, order), full));
    return {gone.empty() ? product : sum_last(product, gone.size()), kept};
}

// Labels of the output or of terms other than a and b.
std::vector<Label> wanted_beside(std::span<const Term> terms, std::size_t a, std::size_t b,
                                 const std::vector<Label>& output) {
    std::vector<Label> out = output;
    for (std::size_t i = 0; i < terms.size(); ++i)
        if (i != a && i != b) out.insert(out.end(), terms[i].labels.begin(), terms[i].labels.end());
    return out;
}

double volume(const std::vector<Label>& labels, const std::map<Label, std::int64_t>& sizes) {
    double n = 1;
    for (const Label label : labels) n *= static_cast<double>(sizes.at(label));
    return n;
}

// The order of contraction with the fewest multiplications, by dynamic programming over sets of
// operands (at most kExact of them); more operands are paired greedily.
constexpr std::size_t kExact = 10;

class Path {
public:
    Path(std::span<const Term> terms, const std::vector<Label>& output,
         const std::map<Label, std::int64_t>& sizes)
        : terms_(terms), output_(output), sizes_(sizes) {}

    // The pair to contract first, a < b.
    std::pair<std::size_t, std::size_t> first_pair() {
        return terms_.size() <= kExact ? exact() : greedy();
    }

private:
    using Set = std::uint32_t;

    // Labels that the product of a set of terms still has.
    std::vector<Label> labels_of(Set set) const {
        std::vector<Label> inside, out;
        for (std::size_t i = 0; i < terms_.size(); ++i)
            if ((set >> i & 1U) != 0)
                for (const Label label : terms_[i].labels)
                    if (!has(inside, label)) inside.push_back(label);
        for (const Label label : inside) {
            bool wanted = has(output_, label);
            for (std::size_t i = 0; i < terms_.size() && !wanted; ++i)
                wanted = (set >> i & 1U) == 0 && has(terms_[i].labels, label);
            if (wanted) out.push_back(label);
        }
        return out;
    }

    double cost_of(const std::vector<Label>& a, const std::vector<Label>& b) const {
        std::vector<Label> all = a;
        for (const Label label : b)
            if (!has(a, label)) all.push_back(label);
        return volume(all, sizes_);
    }

    std::pair<std::size_t, std::size_t> exact() const {
        const Set full = (Set{1} << terms_.size()) - 1;
        std::vector<double> cost(full + 1, std::numeric_limits<double>::infinity());
        std::vector<Set> part(full + 1, 0);
        std::vector<std::vector<Label>> labels(full + 1);
        for (Set set = 1; set <= full; ++set) {
            labels[set] = labels_of(set);
            if ((set & (set - 1)) == 0) {
                cost[set] = 0;
                continue;
            }
            // Each split once: the part that holds the lowest member.
            for (Set sub = (set - 1) & set; sub != 0; sub = (sub - 1) & set) {
                if ((sub & (set & (0U - set))) == 0) continue;
                const Set rest = set ^ sub;
                const double total = cost[sub] + cost[rest] + cost_of(labels[sub], labels[rest]);
                if (total < cost[set] || part[set] == 0) {
                    cost[set] = total;
                    part[set] = sub;
                }
            }
        }
        // Down to a pair of single terms.
        Set set = full;
        while (true) {
            const Set sub = part[set], rest = set ^ sub;
            if ((sub & (sub - 1)) != 0)
                set = sub;
            else if ((rest & (rest - 1)) != 0)
                set = rest;
            else
                return std::minmax(index_of(sub), index_of(rest));
        }
    }

    static std::size_t index_of(Set single) {
        std::size_t i = 0;
        while ((single >> i & 1U) == 0) ++i;
        return i;
    }

    std::pair<std::size_t, std::size_t> greedy() const {
        std::pair<std::size_t, std::size_t> best{0, 1};
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t a = 0; a < terms_.size(); ++a)
            for (std::size_t b = a + 1; b < terms_.size(); ++b) {
                const double cost = cost_of(terms_[a].labels, terms_[b].labels);
                if (cost < least) {
                    least = cost;
                    best = {a, b};
                }
            }
        return best;
    }

    std::span<const Term> terms_;
    const std::vector<Label>& output_;
    const std::map<Label, std::int64_t>& sizes_;
};

}  // namespace

Tensor einsum(std::string_view formula, std::span<const Tensor> operands, Where where) {
    Call call("einsum", where);
    if (operands.empty()) fail<ValueError>("needs at least one operand");
    std::vector<UOp> nodes;
    for (const Tensor& t : operands) nodes.push_back(call.node(t));
    DType dt = nodes[0]->dtype();
    for (const UOp& x : nodes) dt = promote(dt, x->dtype());
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    const Formula parsed = parse(formula, nodes);
    const auto sizes = label_sizes(parsed, nodes);

    std::vector<Term> terms;
    terms.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i)
        terms.push_back(
            without_repeats(ir::cast(nodes[i], accumulator_type(dt)), parsed.inputs[i], sizes));
    // An axis of size 1 whose label is larger elsewhere is no axis of this term: it broadcasts.
    for (Term& t : terms) {
        std::vector<Label> kept;
        ir::Shape shape;
        for (std::size_t d = 0; d < t.labels.size(); ++d) {
            const std::int64_t n = t.x->shape()[d];
            if (n == 1 && sizes.at(t.labels[d]) != 1) continue;
            kept.push_back(t.labels[d]);
            shape.push_back(n);
        }
        t = {ir::reshape(t.x, shape), kept};
    }
    for (std::size_t i = 0; i < terms.size(); ++i)
        terms[i] = summed(terms[i], wanted_beside(terms, i, i, parsed.output));
    while (terms.size() > 1) {
        const auto [a, b] = Path(terms, parsed.output, sizes).first_pair();
        terms[a] = contracted(terms[a], terms[b], wanted_beside(terms, a, b, parsed.output), sizes);
        terms.erase(terms.begin() + static_cast<std::ptrdiff_t>(b));
    }
    ir::Shape full;
    for (const Label label : parsed.output) full.push_back(sizes.at(label));
    return call.wrap(ir::cast(expand_to(arranged(terms[0], parsed.output), full), dt));
}

Tensor einsum(std::string_view formula, std::initializer_list<Tensor> operands, Where where) {
    return einsum(formula, std::span<const Tensor>(operands.begin(), operands.size()), where);
}

}  // namespace sinter
