#include "convolution.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "blocks.h"

namespace sinter::codegen {
namespace {

// Whether the value depends on these ranges through the even strides of what it reads alone, and
// everything that it reads is there.
bool read_through_strides(const Analysis& a, Ref value, std::uint64_t ranges) {
    for (Ref n : ir::toposort(std::span(&value, 1))) {
        if (n->is(Op::Load)) {
            if ((n->src(2)->ranges() & ranges) != 0) return false;
            const auto access = std::ranges::find(a.accesses, n, &MemoryAccess::node);
            if (access == a.accesses.end() || (access->general & ranges) != 0) return false;
        } else if (n->dtype() != DType::Index) {
            for (Ref s : n->src())
                if (s->dtype() == DType::Index && (s->ranges() & ranges) != 0) return false;
        }
    }
    return true;
}

}  // namespace

std::optional<Convolution> find_convolution(const Analysis& a) {
    const Reducing* const sum = sum_to_cut(a);
    if (sum == nullptr || sum->node->dtype() != f32 || !sum->node->src(0)->is(Op::Mul))
        return std::nullopt;
    const Reducing& r = *sum;
    Convolution c;
    c.reduce = r.node;
    c.image = r.node->src(0)->src(0);
    c.filter = r.node->src(0)->src(1);
    // The filter has one range of the result for itself, its channels.
    const auto of_one_alone = [&](Ref one, Ref other) {
        std::vector<std::int64_t> found;
        for (std::int64_t n : a.numbers)
            if (has(r.scope & one->ranges() & ~other->ranges(), n)) found.push_back(n);
        return found;
    };
    if (of_one_alone(c.filter, c.image).size() != 1) std::swap(c.image, c.filter);
    const std::vector<std::int64_t> channels = of_one_alone(c.filter, c.image);
    if (channels.size() != 1) return std::nullopt;
    c.outputs = channels[0];
    // Ranges of the image that it is read along as along one of the sum's.
    const auto is_below = [](Ref value, Ref load) {
        const std::vector<Ref> nodes = ir::toposort(std::span(&value, 1));
        return std::ranges::find(nodes, load) != nodes.end();
    };
    std::vector<std::pair<std::int64_t, std::int64_t>> windows;  // of the result, of the sum
    std::vector<const MemoryAccess*> moving;
    for (std::size_t l : r.loads)
        if (is_below(c.image, a.accesses[l].node)) moving.push_back(&a.accesses[l]);
    const std::vector<std::int64_t> of_image = of_one_alone(c.image, c.filter);
    for (std::int64_t n : of_image)
        for (std::int64_t k : a.numbers)
            if (has(r.closed, k) && has(c.filter->ranges(), k) &&
                std::ranges::all_of(moving,
                                    [&](auto* m) { return m->stride[n] == m->stride[k]; }) &&
                std::ranges::any_of(moving, [&](auto* m) { return m->stride[n] != 0; }))
                windows.emplace_back(n, k);
    if (windows.size() != 2 || windows[0].first == windows[1].first ||
        windows[0].second == windows[1].second)
        return std::nullopt;
    const auto longest = [&](std::int64_t n) {
        std::int64_t stride = 0;
        for (const MemoryAccess* m : moving) stride = std::max(stride, std::abs(m->stride[n]));
        return stride;
    };
    if (longest(windows[0].first) < longest(windows[1].first)) std::swap(windows[0], windows[1]);
    std::tie(c.rows, c.window_rows) = windows[0];
    std::tie(c.columns, c.window_columns) = windows[1];
    for (std::int64_t n : a.numbers) {
        if (n == c.rows || n == c.columns || n == c.outputs || n == c.window_rows ||
            n == c.window_columns)
            continue;
        if (has(r.closed, n)) {
            c.inputs.push_back(n);
        } else if (std::ranges::find(of_image, n) != of_image.end()) {
            if (c.batch >= 0) return std::nullopt;
            c.batch = n;
        } else if (has(r.scope & c.filter->ranges(), n)) {
            c.groups.push_back(n);
        } else if (has(r.scope, n)) {
            return std::nullopt;
        }
    }
    const std::uint64_t window =
        range_bit(a.range[c.window_rows]) | range_bit(a.range[c.window_columns]);
    const std::uint64_t windowed =
        window | range_bit(a.range[c.rows]) | range_bit(a.range[c.columns]);
    if (!read_through_strides(a, c.image, windowed) || !read_through_strides(a, c.filter, window))
        return std::nullopt;
    c.inputs_first = std::ranges::any_of(moving, [&](auto* m) {
        return std::ranges::any_of(c.inputs, [&](auto n) { return m->stride[n] == 1; });
    });
    return c;
}

Extent extent_of(const Analysis& a, const Convolution& c) {
    Extent e{a.size(c.rows),
             a.size(c.columns),
             a.size(c.window_rows),
             a.size(c.window_columns),
             c.batch < 0 ? 1 : a.size(c.batch),
             1,
             a.size(c.outputs),
             1};
    for (std::int64_t n : c.inputs) e.inputs *= a.size(n);
    for (std::int64_t n : c.groups) e.groups *= a.size(n);
    return e;
}

}  // namespace sinter::codegen
