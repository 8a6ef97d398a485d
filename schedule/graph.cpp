#include "graph.h"

#include <algorithm>
#include <string>

#include <sinter/ir/error.h>

#include "key.h"

namespace sinter::schedule {

using ir::Op;
using ir::ReduceKind;

namespace {

// Movement that leaves every element where it lies in memory.
bool moves_nothing(Op op, std::span<const std::int64_t> args, std::span<const std::int64_t> from,
                   std::span<const std::int64_t> to, std::int64_t from_numel,
                   std::int64_t to_numel) {
    switch (op) {
        case Op::Detach:
        case Op::Reshape:
            return true;
        case Op::Permute: {
            std::int64_t last = -1;
            for (std::size_t d = 0; d < to.size(); ++d) {
                if (to[d] == 1) continue;
                if (args[d] < last) return false;
                last = args[d];
            }
            return true;
        }
        case Op::Flip:
            return std::ranges::all_of(
                args, [&](std::int64_t d) { return from[static_cast<std::size_t>(d)] == 1; });
        case Op::Window:
            return args[1] == 1 && from_numel == to_numel;
        default:
            return ir::is_movement(op) && from_numel == to_numel;
    }
}

bool is_16bit_float(DType dt) { return is_float(dt) && size_of(dt) == 2; }

}  // namespace

Graph::Graph(const Normalised& normalised)
    : key_(std::make_shared<const std::vector<std::int64_t>>(normalised.key)),
      lists_(std::make_shared<std::deque<std::vector<std::int64_t>>>()) {
    find_sorted_positions();
    std::vector<Id> renamed;  // by number in the key
    std::int32_t inputs = 0, binds = 0;
    std::vector<Id> sources;
    for (std::size_t at = 0; at < key_->size();) {
        const KeyHeader h = unpack_header((*key_)[at]);
        const std::int64_t* words = &(*key_)[at] + 1;
        at += 1 + h.nsrc + h.nargs + h.rank;
        sources.clear();
        for (std::uint32_t i = 0; i < h.nsrc; ++i)
            sources.push_back(renamed[static_cast<std::size_t>(words[i])]);
        if (h.op == Op::Sink) {
            roots_ = sources;
            break;
        }
        Entry entry{};
        entry.op = h.op;
        entry.dtype = h.dtype;
        entry.rank = h.rank;
        entry.nargs = h.nargs;
        entry.args = words + h.nsrc;
        entry.shape = entry.args + h.nargs;
        entry.numel = 1;
        for (std::uint8_t d = 0; d < h.rank; ++d) entry.numel *= entry.shape[d];
        entry.leaf = h.op == Op::Buffer ? inputs++ : h.op == Op::Bind ? binds++ : -1;
        renamed.push_back(add(entry, sources));
    }
    place_constants();
}

void Graph::place_constants() {
    for (Entry& entry : nodes_)
        if (entry.nargs == 1 && entry.args == nullptr) entry.args = &entry.bits;
}

Graph Graph::rewritten(const Rewrite& rewrite) const {
    Graph made;
    made.key_ = key_;
    made.lists_ = lists_;
    std::vector<Id> now, sources;
    for (Id n = 0; n < size(); ++n) {
        sources.clear();
        for (Id s : src(n)) sources.push_back(now[s]);
        rewrite(n, sources, made, now);
        Entry entry = nodes_[n];
        if (entry.args == &nodes_[n].bits) entry.args = nullptr;
        now.push_back(made.append(entry, sources));
    }
    for (Id root : roots_) made.roots_.push_back(now[root]);
    made.place_constants();
    return made;
}

Id Graph::make(Op op, DType dtype, std::vector<std::int64_t> shape, std::vector<std::int64_t> args,
               std::span<const Id> sources) {
    Entry entry{};
    entry.op = op;
    entry.dtype = dtype;
    entry.rank = static_cast<std::uint8_t>(shape.size());
    entry.nargs = static_cast<std::uint32_t>(args.size());
    entry.numel = 1;
    for (std::int64_t size : shape) entry.numel *= size;
    entry.leaf = -1;
    entry.args = lists_->emplace_back(std::move(args)).data();
    entry.shape = lists_->emplace_back(std::move(shape)).data();
    return append(entry, sources);
}

void Graph::find_sorted_positions() {
    for (std::size_t at = 0; at < key_->size();) {
        const KeyHeader h = unpack_header((*key_)[at]);
        const std::int64_t* args = &(*key_)[at] + 1 + h.nsrc;
        if (h.op == Op::Sort && args[3] != 0) sorted_positions_.push_back(args);
        if (h.op == Op::Sink) return;
        at += 1 + h.nsrc + h.nargs + h.rank;
    }
}

// One sort gives positions and values.
Id Graph::add_sort(Entry entry, Id source) {
    const std::span<const std::int64_t> args(entry.args, 3);
    const auto same = [&](const std::int64_t* other) {
        return std::ranges::equal(args, std::span(other, 3));
    };
    const auto positions = std::ranges::find_if(sorted_positions_, same);
    if (positions == sorted_positions_.end() || entry.numel == 0)
        return append(entry, std::span<const Id>(&source, 1));
    Entry sort = entry;
    sort.args = *positions;
    sort.dtype = i64;
    const auto made = std::ranges::find_if(
        position_sorts_, [&](Id n) { return src(n, 0) == source && same(nodes_[n].args); });
    Id by = made != position_sorts_.end() ? *made : kNone;
    if (by == kNone) {
        by = append(sort, std::span<const Id>(&source, 1));
        position_sorts_.push_back(by);
    }
    if (entry.args[3] != 0) return by;
    Entry gather = entry;
    gather.op = Op::Gather;
    gather.nargs = 1;  // the axis
    const Id sources[] = {source, by};
    return append(gather, sources);
}

// Padding along the axes that the permutation takes these from, then the permutation.
Id Graph::add_turned_pad(const Entry& entry, Id permute) {
    const std::span<const std::int64_t> axes = args(permute);
    std::vector<std::int64_t> pads(entry.nargs), shape(entry.rank);
    pads[0] = entry.args[0];
    for (std::size_t d = 0; d < axes.size(); ++d) {
        const auto from = static_cast<std::size_t>(axes[d]);
        pads[1 + 2 * from] = entry.args[1 + 2 * d];
        pads[2 + 2 * from] = entry.args[2 + 2 * d];
        shape[from] = entry.shape[d];
    }
    const Id source = src(permute, 0);
    const Id padded = make(Op::Pad, entry.dtype, std::move(shape), std::move(pads),
                           std::span<const Id>(&source, 1));
    return make(Op::Permute, entry.dtype, {entry.shape, entry.shape + entry.rank},
                {axes.begin(), axes.end()}, std::span<const Id>(&padded, 1));
}

Id Graph::add(Entry entry, std::span<const Id> sources) {
    if (entry.op == Op::Pad && entry.numel > 0 && nodes_[sources[0]].op == Op::Permute)
        return add_turned_pad(entry, sources[0]);
    if (entry.op == Op::Sort) return add_sort(entry, sources[0]);
    if (entry.op == Op::Scatter && is_16bit_float(entry.dtype) &&
        static_cast<ReduceKind>(entry.args[0]) != ReduceKind::Set) {
        const auto convert = [&](Id from, DType dt) {
            Entry cast = nodes_[from];
            cast.op = Op::Cast;
            cast.dtype = dt;
            cast.args = nullptr;
            cast.nargs = 0;
            cast.leaf = -1;
            return append(cast, std::span<const Id>(&from, 1));
        };
        const DType narrow = entry.dtype;
        entry.dtype = f32;
        const Id wide[] = {convert(sources[0], f32), sources[1], convert(sources[2], f32)};
        return convert(append(entry, wide), narrow);
    }
    return append(entry, sources);
}

// A value of at least one element that no element of its (empty) source can reach.
void Graph::make_constant(Entry& entry) {
    entry.bits = entry.op == Op::Pad ? entry.args[0]
                 : entry.op == Op::Reduce
                     ? ir::identity_bits(static_cast<ReduceKind>(entry.args[0]), entry.dtype)
                     : ir::identity_bits(ReduceKind::Add, entry.dtype);
    entry.op = Op::Const;
    entry.args = nullptr;  // set to &bits once the entry stays where it is
    entry.nargs = 1;
}

Id Graph::append(Entry entry, std::span<const Id> sources) {
    const Id id = size();
    if (!sources.empty() && entry.numel > 0 && nodes_[sources[0]].numel == 0) {
        if (entry.op == Op::Gather)
            throw IndexError("gather along axis " + std::to_string(entry.args[0]) +
                             ": the axis has no elements, so every index is out of range");
        if (entry.op == Op::ArgReduce)
            throw ValueError("argmax and argmin need at least one element along the axis");
        if (entry.op != Op::Scatter) {
            make_constant(entry);
            sources = {};
        }
    }
    if (entry.op == Op::Scatter && nodes_[sources[1]].numel > 0 && entry.shape[entry.args[1]] == 0)
        throw IndexError("scatter along axis " + std::to_string(entry.args[1]) +
                         ": the axis has no elements, so every index is out of range");
    entry.base = id;
    // A copy in memory of its own is the value itself where that is computed here anyway.
    if (entry.op == Op::Contiguous && entry.numel > 0) {
        const Id from = nodes_[sources[0]].base;
        if (!nodes_[from].leaf_op && !ir::is_movement(nodes_[from].op)) entry.base = from;
    }
    if (!sources.empty() && entry.numel > 0) {
        const Entry& from = nodes_[sources[0]];
        if (moves_nothing(entry.op, {entry.args, entry.nargs}, {from.shape, from.rank},
                          {entry.shape, entry.rank}, from.numel, entry.numel))
            entry.base = from.base;
    }
    entry.leaf_op = entry.op == Op::Const || entry.op == Op::Buffer || entry.op == Op::Bind ||
                    entry.op == Op::Iota;
    entry.src = static_cast<Id>(sources_.size());
    entry.nsrc = static_cast<std::uint32_t>(sources.size());
    sources_.insert(sources_.end(), sources.begin(), sources.end());
    nodes_.push_back(entry);
    return id;
}

std::int64_t fold_length(const Graph& graph, Id n) {
    const std::int64_t elements = graph.shape(graph.src(n, 0)).back(), step = graph.arg(n, 2),
                       dilation = graph.arg(n, 3);
    return dilation == 1 ? (elements + step - 1) / step : elements;
}

std::int64_t reduction_length(const Graph& graph, Id n) {
    switch (graph.op(n)) {
        case Op::Reduce:
        case Op::ArgReduce:
            return graph.numel(graph.src(n, 0)) / std::max<std::int64_t>(1, graph.numel(n));
        case Op::Fold:
            return fold_length(graph, n);
        default:
            return 1;
    }
}

}  // namespace sinter::schedule
