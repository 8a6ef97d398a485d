#include "movement.h"

#include <array>

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

using Sizes = std::span<const std::int64_t>;

/// What the rule of one op gets: the node's arguments and the sizes of its source and of itself.
struct Moved {
    Sizes args, from, to;
    const Index& ix;
};

// Axes are taken in the smallest groups of equal product, so that most reshapes need neither div
// nor mod.
void reshape(const Moved& m, std::span<const Ref> index, Place& out) {
    std::size_t i = 0, j = 0;
    while (i < m.to.size() || j < m.from.size()) {
        if (j < m.from.size() && m.from[j] == 1) {
            out.index.push_back(m.ix.constant(0));
            ++j;
            continue;
        }
        if (i < m.to.size() && m.to[i] == 1) {
            ++i;
            continue;
        }
        const std::size_t first_to = i, first_from = j;
        std::int64_t to = m.to[i++], from = m.from[j++];
        while (to != from) {
            if (to < from)
                to *= m.to[i++];
            else
                from *= m.from[j++];
        }
        if (i == first_to + 1 && j == first_from + 1) {
            out.index.push_back(index[first_to]);
            continue;
        }
        const Ref flat = m.ix.flatten(index.subspan(first_to, i - first_to),
                                      m.to.subspan(first_to, i - first_to));
        m.ix.unflatten(flat, m.from.subspan(first_from, j - first_from), out.index);
    }
}

void permute(const Moved& m, std::span<const Ref> index, Place& out) {
    out.index.resize(m.from.size());
    for (std::size_t d = 0; d < index.size(); ++d)
        out.index[static_cast<std::size_t>(m.args[d])] = index[d];
}

void expand(const Moved& m, std::span<const Ref> index, Place& out) {
    for (std::size_t d = 0; d < index.size(); ++d)
        out.index.push_back(m.from[d] == 1 && m.to[d] != 1 ? m.ix.constant(0) : index[d]);
}

void pad(const Moved& m, std::span<const Ref> index, Place& out) {
    for (std::size_t d = 0; d < index.size(); ++d) {
        const std::int64_t before = m.args[1 + 2 * d];
        if (m.from[d] == m.to[d]) {
            out.index.push_back(index[d]);
            continue;
        }
        const Ref at = m.ix.add(index[d], -before);
        out.index.push_back(at);
        out.valid = m.ix.both(out.valid, m.ix.within(index[d], before, before + m.from[d]));
    }
}

void shrink(const Moved& m, std::span<const Ref> index, Place& out) {
    for (std::size_t d = 0; d < index.size(); ++d)
        out.index.push_back(m.ix.add(index[d], m.args[2 * d]));
}

void flip(const Moved& m, std::span<const Ref> index, Place& out) {
    out.index.assign(index.begin(), index.end());
    for (std::int64_t axis : m.args) {
        const auto d = static_cast<std::size_t>(axis);
        out.index[d] = m.ix.sub(m.ix.constant(m.from[d] - 1), index[d]);
    }
}

void stride(const Moved& m, std::span<const Ref> index, Place& out) {
    for (std::size_t d = 0; d < index.size(); ++d)
        out.index.push_back(m.ix.mul(index[d], m.args[d]));
}

void window(const Moved& m, std::span<const Ref> index, Place& out) {
    const auto axis = static_cast<std::size_t>(m.args[0]);
    const std::int64_t step = m.args[2], dilation = m.args[3];
    out.index.assign(index.begin(), index.end() - 1);
    out.index[axis] = m.ix.add(m.ix.mul(index[axis], step), m.ix.mul(index.back(), dilation));
}

void same(const Moved&, std::span<const Ref> index, Place& out) {
    out.index.assign(index.begin(), index.end());
}

using Rule = void (*)(const Moved&, std::span<const Ref>, Place&);

constexpr std::array<Rule, ir::kOpCount> kRules = [] {
    std::array<Rule, ir::kOpCount> rules{};
    rules.fill(same);
    const auto row = [&rules](Op op, Rule rule) { rules[static_cast<std::size_t>(op)] = rule; };
    row(Op::Reshape, reshape);
    row(Op::Permute, permute);
    row(Op::Expand, expand);
    row(Op::Pad, pad);
    row(Op::Shrink, shrink);
    row(Op::Flip, flip);
    row(Op::Stride, stride);
    row(Op::Window, window);
    return rules;
}();

}  // namespace

Place place_of_source(const Graph& graph, Id n, std::span<const Ref> index, Ref valid,
                      const Index& ix) {
    Place out{{}, valid};
    kRules[static_cast<std::size_t>(graph.op(n))](
        {graph.args(n), graph.shape(graph.src(n, 0)), graph.shape(n), ix}, index, out);
    return out;
}

}  // namespace sinter::schedule
