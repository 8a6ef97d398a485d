#include "shapes.h"

#include <algorithm>
#include <string>

#include <sinter/ir/error.h>

namespace sinter::ir {
namespace {

using Sizes = std::span<const std::int64_t>;

[[noreturn]] void fail(const NodeKey& key, const std::string& why) {
    std::string text = std::string(name(key.op)) + ": " + why;
    if (!key.src.empty()) {
        text += " (";
        for (std::size_t i = 0; i < key.src.size(); ++i) {
            if (i != 0) text += ", ";
            text += std::string(sinter::name(key.src[i]->dtype())) + to_string(key.src[i]->shape());
        }
        text += ")";
    }
    throw ShapeError(text);
}

void want_args(const NodeKey& key, std::size_t count) {
    if (key.args.size() != count)
        fail(key, "takes " + std::to_string(count) + " arguments, got " +
                      std::to_string(key.args.size()));
}

std::int64_t axis_arg(const NodeKey& key, std::size_t position, std::size_t rank) {
    const std::int64_t axis = key.args[position];
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank))
        fail(key, "axis " + std::to_string(axis) + " is outside the " + std::to_string(rank) +
                      " axes there are");
    return axis;
}

Shape sizes_after(const NodeKey& key, std::size_t skip) {
    if (key.args.size() < skip) want_args(key, skip);
    return {key.args.begin() + static_cast<std::ptrdiff_t>(skip), key.args.end()};
}

Shape same_rule(const NodeKey& key) {
    const Sizes first = key.src[0]->shape();
    for (Ref s : key.src)
        if (!std::ranges::equal(s->shape(), first) && key.op != Op::Scatter)
            fail(key, "operands differ in shape");
    if (key.op == Op::Scan) {
        want_args(key, 2);
        axis_arg(key, 1, first.size());
    }
    if (key.op == Op::Scatter) {
        want_args(key, 2);
        const std::int64_t axis = axis_arg(key, 1, first.size());
        const Sizes index = key.src[1]->shape();
        if (!std::ranges::equal(index, key.src[2]->shape()))
            fail(key, "index and source differ in shape");
        if (index.size() != first.size()) fail(key, "index needs as many axes as the base");
        for (std::size_t d = 0; d < first.size(); ++d)
            if (static_cast<std::int64_t>(d) != axis && index[d] != first[d])
                fail(key, "index and base may differ along axis " + std::to_string(axis) + " only");
    }
    return {first.begin(), first.end()};
}

Shape sort_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 4);
    const auto axis = static_cast<std::size_t>(axis_arg(key, 0, in.size()));
    if (key.args[1] < 0 || key.args[1] > in[axis])
        fail(key, std::to_string(key.args[1]) + " elements of axis " + std::to_string(axis) +
                      " are not there");
    Shape out(in.begin(), in.end());
    out[axis] = key.args[1];
    return out;
}

Shape reshape_rule(const NodeKey& key) {
    Shape out(key.args.begin(), key.args.end());
    if (numel_of(out, key.op) != key.src[0]->numel())
        fail(key, "cannot become " + to_string(out) + ": element counts differ");
    return out;
}

Shape permute_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, in.size());
    Shape out(in.size());
    std::vector<bool> seen(in.size(), false);
    for (std::size_t d = 0; d < in.size(); ++d) {
        const auto axis = static_cast<std::size_t>(axis_arg(key, d, in.size()));
        if (seen[axis]) fail(key, "axis " + std::to_string(axis) + " is named twice");
        seen[axis] = true;
        out[d] = in[axis];
    }
    return out;
}

Shape expand_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, in.size());
    for (std::size_t d = 0; d < in.size(); ++d)
        if (in[d] != key.args[d] && in[d] != 1)
            fail(key, "cannot expand to " + to_string(key.args) + ": axis " + std::to_string(d) +
                          " is not 1");
    return {key.args.begin(), key.args.end()};
}

Shape pad_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 1 + 2 * in.size());
    Shape out(in.size());
    for (std::size_t d = 0; d < in.size(); ++d) {
        if (key.args[1 + 2 * d] < 0 || key.args[2 + 2 * d] < 0) fail(key, "padding is negative");
        if (__builtin_add_overflow(in[d], key.args[1 + 2 * d], &out[d]) ||
            __builtin_add_overflow(out[d], key.args[2 + 2 * d], &out[d]))
            fail(key, "size overflows");
    }
    return out;
}

Shape shrink_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 2 * in.size());
    Shape out(in.size());
    for (std::size_t d = 0; d < in.size(); ++d) {
        const std::int64_t begin = key.args[2 * d], end = key.args[2 * d + 1];
        if (begin < 0 || end > in[d] || begin > end)
            fail(key, "elements " + std::to_string(begin) + " to " + std::to_string(end) +
                          " of axis " + std::to_string(d) + " are not there");
        out[d] = end - begin;
    }
    return out;
}

Shape flip_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    for (std::size_t i = 0; i < key.args.size(); ++i) {
        axis_arg(key, i, in.size());
        if (i > 0 && key.args[i] <= key.args[i - 1]) fail(key, "axes must ascend");
    }
    return {in.begin(), in.end()};
}

Shape stride_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, in.size());
    Shape out(in.size());
    for (std::size_t d = 0; d < in.size(); ++d) {
        if (key.args[d] <= 0) fail(key, "steps must be positive");
        out[d] = (in[d] + key.args[d] - 1) / key.args[d];
    }
    return out;
}

std::int64_t window_count(const NodeKey& key, std::int64_t n, std::int64_t size, std::int64_t step,
                          std::int64_t dilation) {
    if (size <= 0 || step <= 0 || dilation <= 0)
        fail(key, "size, step and dilation must be positive");
    const std::int64_t reach = dilation * (size - 1) + 1;
    if (n < reach)
        fail(key, "a window that reaches over " + std::to_string(reach) +
                      " elements does not fit " + std::to_string(n));
    return (n - reach) / step + 1;
}

Shape window_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 4);
    Shape out(in.begin(), in.end());
    const auto axis = static_cast<std::size_t>(axis_arg(key, 0, in.size()));
    out[axis] = window_count(key, in[axis], key.args[1], key.args[2], key.args[3]);
    out.push_back(key.args[1]);
    return out;
}

Shape fold_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 4);
    if (in.size() < 2) fail(key, "needs a window axis and a size axis");
    const auto axis = static_cast<std::size_t>(axis_arg(key, 0, in.size() - 1));
    if (window_count(key, key.args[1], in.back(), key.args[2], key.args[3]) != in[axis])
        fail(key, "the windows do not belong to an axis of " + std::to_string(key.args[1]));
    Shape out(in.begin(), in.end() - 1);
    out[axis] = key.args[1];
    return out;
}

Shape reduce_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    Shape out(in.begin(), in.end());
    if (key.args.empty()) want_args(key, 1);
    for (std::size_t i = 1; i < key.args.size(); ++i) {
        out[static_cast<std::size_t>(axis_arg(key, i, in.size()))] = 1;
        if (i > 1 && key.args[i] <= key.args[i - 1]) fail(key, "axes must ascend");
    }
    return out;
}

Shape arg_reduce_rule(const NodeKey& key) {
    const Sizes in = key.src[0]->shape();
    want_args(key, 2);
    Shape out(in.begin(), in.end());
    out[static_cast<std::size_t>(axis_arg(key, 1, in.size()))] = 1;
    return out;
}

Shape gather_rule(const NodeKey& key) {
    want_args(key, 1);
    const Sizes in = key.src[0]->shape(), index = key.src[1]->shape();
    const std::int64_t axis = axis_arg(key, 0, in.size());
    if (index.size() != in.size()) fail(key, "index needs as many axes as the values");
    for (std::size_t d = 0; d < in.size(); ++d)
        if (static_cast<std::int64_t>(d) != axis && index[d] != in[d])
            fail(key, "index and values may differ along axis " + std::to_string(axis) + " only");
    return {index.begin(), index.end()};
}

void check_dtypes(const NodeKey& key) {
    const OpInfo& row = info(key.op);
    const auto bad = [&](const std::string& why) {
        std::string text = std::string(row.name) + ": " + why + " (";
        for (std::size_t i = 0; i < key.src.size(); ++i)
            text += (i != 0 ? ", " : "") + std::string(sinter::name(key.src[i]->dtype()));
        throw DTypeError(text + ")");
    };
    if (row.dtype == DTypeRule::Same && key.dtype != key.src[0]->dtype())
        bad("the result has the first operand's dtype");
    if (row.dtype == DTypeRule::Bool && key.dtype != boolean) bad("the result is bool");
    if ((row.kind == OpKind::Binary || row.kind == OpKind::Compare || key.op == Op::Assign) &&
        key.src[0]->dtype() != key.src[1]->dtype())
        bad("operands differ in dtype");
    if (key.op == Op::Where &&
        (key.src[0]->dtype() != boolean || key.src[1]->dtype() != key.src[2]->dtype() ||
         key.dtype != key.src[1]->dtype()))
        bad("takes a bool and two operands of one dtype");
    if (key.op == Op::Scatter && key.src[0]->dtype() != key.src[2]->dtype())
        bad("base and source differ in dtype");
    if (row.kind == OpKind::Index && !is_integer(key.src[1]->dtype()))
        bad("the index must be an integer tensor");
    if (key.op == Op::Bitcast && size_of(key.dtype) != size_of(key.src[0]->dtype()))
        bad("element sizes differ");
}

}  // namespace

std::string to_string(std::span<const std::int64_t> shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i != 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

std::int64_t numel_of(std::span<const std::int64_t> shape, Op op) {
    std::int64_t count = 1;
    bool empty = false, overflow = false;
    for (std::int64_t size : shape) {
        if (size < 0)
            throw ShapeError(std::string(name(op)) + ": a size of " + to_string(shape) +
                             " is negative");
        empty = empty || size == 0;
        overflow = overflow || __builtin_mul_overflow(count, size, &count);
    }
    if (empty) return 0;
    // 16 bytes an element must fit too, so that no byte count overflows later.
    if (overflow || count > (std::int64_t{1} << 59))
        throw ShapeError(std::string(name(op)) + ": a tensor of shape " + to_string(shape) +
                         " has too many elements");
    return count;
}

Shape shape_of(const NodeKey& key) {
    const OpInfo& row = info(key.op);
    if (row.shape == ShapeRule::None) return {};
    if (row.arity >= 0 && key.src.size() != static_cast<std::size_t>(row.arity))
        fail(key, "takes " + std::to_string(row.arity) + " operands");
    check_dtypes(key);
    switch (row.shape) {
        case ShapeRule::None:
            break;
        case ShapeRule::Same:
            return same_rule(key);
        case ShapeRule::Const:
            return sizes_after(key, 1);
        case ShapeRule::Bind:
        case ShapeRule::Buffer:
            return sizes_after(key, 2);
        case ShapeRule::Iota: {
            Shape out = sizes_after(key, 1);
            axis_arg(key, 0, out.size());
            return out;
        }
        case ShapeRule::Reshape:
            return reshape_rule(key);
        case ShapeRule::Permute:
            return permute_rule(key);
        case ShapeRule::Expand:
            return expand_rule(key);
        case ShapeRule::Pad:
            return pad_rule(key);
        case ShapeRule::Shrink:
            return shrink_rule(key);
        case ShapeRule::Flip:
            return flip_rule(key);
        case ShapeRule::Stride:
            return stride_rule(key);
        case ShapeRule::Window:
            return window_rule(key);
        case ShapeRule::Reduce:
            return reduce_rule(key);
        case ShapeRule::ArgReduce:
            return arg_reduce_rule(key);
        case ShapeRule::Fold:
            return fold_rule(key);
        case ShapeRule::Sort:
            return sort_rule(key);
        case ShapeRule::Gather:
            return gather_rule(key);
    }
    return {};
}

}  // namespace sinter::ir
