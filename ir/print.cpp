#include <sinter/ir/print.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <sinter/ir/arena.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/ref_map.h>

namespace sinter::ir {
namespace {

using Ints = std::span<const std::int64_t>;

std::string list(Ints values) {
    std::string text = "[";
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i != 0) text += ", ";
        text += std::to_string(values[i]);
    }
    return text + "]";
}

// Shortest text that reads back as the same number.
std::string number(double v) {
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
    std::array<char, 40> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v).ptr;
    return std::string(buffer.data(), end);
}

std::string value(DType dt, std::int64_t bits) {
    if (is_float(dt)) {
        if (dt != f64) {
            const double v = const_double(bits);
            std::array<char, 40> buffer;
            if (std::isfinite(v)) {
                const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                               static_cast<float>(v))
                                     .ptr;
                return std::string(buffer.data(), end);
            }
        }
        return number(const_double(bits));
    }
    if (dt == DType::Bool) return bits != 0 ? "true" : "false";
    return dt == u64 ? std::to_string(static_cast<std::uint64_t>(bits)) : std::to_string(bits);
}

std::string_view role_name(std::int64_t role) {
    constexpr std::array<std::string_view, 6> names = {"loop",   "reduce", "parallel",
                                                       "serial", "unroll", "vector"};
    return role >= 0 && role < 6 ? names[static_cast<std::size_t>(role)] : "?";
}

std::string kind_name(std::int64_t kind) {
    if (kind < 0 || kind > static_cast<std::int64_t>(ReduceKind::Set)) return "?";
    return std::string(name(static_cast<ReduceKind>(kind)));
}

// Arguments by name, with a space in front; "" if there are none. Nodes too short for their op
// print them plainly.
std::string arguments(Ref node) {
    const Ints args = node->args();
    const auto named = [&](std::string_view what, std::size_t i) {
        return " " + std::string(what) + "=" + std::to_string(args[i]);
    };
    const auto has = [&](std::size_t n) { return args.size() >= n; };
    switch (node->op()) {
        case Op::Const:
            if (!has(1)) break;
            return " " + value(node->dtype(), args[0]);
        case Op::Bind:
            return "";  // known when the graph runs
        case Op::Buffer:
            if (!has(2)) break;
            return named("id", 0) + named("device", 1);
        case Op::Iota:
            if (!has(1)) break;
            return named("axis", 0);
        case Op::Permute:
        case Op::Flip:
            return " axes=" + list(args);
        case Op::Reshape:
        case Op::Expand:
            return " to=" + list(args);
        case Op::Pad: {
            if (!has(1)) break;
            return " by=" + list(args.subspan(1)) + " fill=" + value(node->dtype(), args[0]);
        }
        case Op::Shrink:
            return " to=" + list(args);
        case Op::Stride:
            return " step=" + list(args);
        case Op::Window:
            if (!has(4)) break;
            return named("axis", 0) + named("size", 1) + named("step", 2) + named("dilation", 3);
        case Op::Fold:
            if (!has(4)) break;
            return named("axis", 0) + named("n", 1) + named("step", 2) + named("dilation", 3);
        case Op::Sort:
            if (!has(4)) break;
            return std::string(args[2] == 0 ? " ascending" : " descending") + named("axis", 0) +
                   named("count", 1) + (args[3] == 0 ? "" : " positions");
        case Op::Reduce:
            if (!has(1)) break;
            if (node->src().size() > 1)  // of a kernel
                return " " + kind_name(args[0]) + (has(2) ? named("copies", 1) : "");
            return " " + kind_name(args[0]) + " axes=" + list(args.subspan(1));
        case Op::ArgReduce:
        case Op::Scan:
            if (!has(1)) break;
            return " " + kind_name(args[0]) + (has(2) ? named("axis", 1) : "");
        case Op::Scatter:
            if (!has(2)) break;
            return " " + kind_name(args[0]) + named("axis", 1);
        case Op::Gather:
            if (!has(1)) break;
            return named("axis", 0);
        case Op::Copy:
            if (!has(1)) break;
            return named("device", 0);
        case Op::Range:
            if (!has(2)) break;
            return " r" + std::to_string(args[0]) + " " + std::string(role_name(args[1])) +
                   (has(3) && args[2] != 0 ? " ragged" : "");
        case Op::Variable:
            if (!has(3)) break;
            return " v" + std::to_string(args[0]) +
                   (is_float(node->dtype())
                        ? ""
                        : " in [" + std::to_string(args[1]) + ", " + std::to_string(args[2]) + "]");
        case Op::Param:
            if (!has(1)) break;
            return " p" + std::to_string(args[0]) + (has(2) && args[1] != 0 ? " late" : "");
        case Op::Load:
            if (!has(1)) break;
            return " fill=" + value(node->dtype(), args[0]);
        case Op::Store:
            if (!has(1)) break;
            return args[0] == kPlainStore ? "" : " " + kind_name(args[0]);
        case Op::Accumulate:
            if (!has(2)) break;
            return std::string(args[0] == static_cast<std::int64_t>(Combine::ArgMax)   ? " argmax"
                               : args[0] == static_cast<std::int64_t>(Combine::ArgMin) ? " argmin"
                                                                                       : " ?") +
                   named("values", 1) + (has(3) ? named("copies", 2) : "");
        case Op::Get:
            if (!has(1)) break;
            return " ." + std::to_string(args[0]);
        case Op::Nth:
            if (!has(1)) break;
            return args[0] == 0 ? " key" : " position";
        case Op::Check:
            if (!has(2)) break;
            return named("below", 0) + named("site", 1) + (has(3) ? " guarding" : "");
        default:
            break;
    }
    return args.empty() ? "" : " " + list(args);
}

std::string shape_text(Ref node) { return node->rank() == 0 ? "" : list(node->shape()); }

std::string escaped(const std::string& text) {
    std::string out;
    for (char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

RefMap<std::size_t> numbers(std::span<const Ref> order) {
    RefMap<std::size_t> number_of(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) number_of[order[i]] = i;
    return number_of;
}

}  // namespace

std::string describe(Ref node) {
    if (node == nullptr) return "none";
    std::string text = std::string(name(node->op()));
    if (node->dtype() != DType::None) text += " " + std::string(name(node->dtype()));
    if (node->lanes() != 1) text += "x" + std::to_string(node->lanes());
    return text + shape_text(node) + arguments(node);
}

std::string to_text(std::span<const Ref> roots) {
    const std::vector<Ref> order = toposort(roots);
    const RefMap<std::size_t> number_of = numbers(order);
    std::string text;
    for (std::size_t i = 0; i < order.size(); ++i) {
        text += "%" + std::to_string(i) + " = " + describe(order[i]);
        for (Ref s : order[i]->src()) text += " %" + std::to_string(*number_of.find(s));
        text += '\n';
    }
    return text;
}

std::string to_text(Ref root) { return to_text(std::span<const Ref>(&root, 1)); }

std::string to_dot(std::span<const Ref> roots, const std::string& title) {
    const std::vector<Ref> order = toposort(roots);
    const RefMap<std::size_t> number_of = numbers(order);
    std::string text =
        "digraph \"" + escaped(title) + "\" {\n  node [shape=box, fontname=monospace];\n";
    for (std::size_t i = 0; i < order.size(); ++i) {
        const std::string me = "n" + std::to_string(i);
        text += "  " + me + " [label=\"" + escaped(describe(order[i])) + "\"];\n";
        const auto src = order[i]->src();
        for (std::size_t s = 0; s < src.size(); ++s)
            text += "  n" + std::to_string(*number_of.find(src[s])) + " -> " + me +
                    (src.size() > 1 ? " [label=\"" + std::to_string(s) + "\"]" : "") + ";\n";
    }
    return text + "}\n";
}

}  // namespace sinter::ir
