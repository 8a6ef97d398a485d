#include <sinter/ir/spec.h>

#include <array>
#include <cstdio>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/print.h>

#include "spec_rows.h"

namespace sinter::ir {
namespace {

// Rows of one level by op, so that a node is held against its own rows alone.
class Index {
public:
    explicit Index(std::span<const SpecRow> rows) {
        for (const SpecRow& row : rows)
            for (std::size_t op = 0; op < kOpCount; ++op)
                if (row.ops.test(op)) by_op_[op].push_back(&row);
    }
    std::span<const SpecRow* const> rows(Op op) const {
        return by_op_[static_cast<std::size_t>(op)];
    }

private:
    std::array<std::vector<const SpecRow*>, kOpCount> by_op_;
};

const Index& index_of(Level level) {
    static const std::array<Index, 3> all = {Index(spec(Level::Tensor)), Index(spec(Level::Kernel)),
                                             Index(spec(Level::Scheduled))};
    return all[static_cast<std::size_t>(level)];
}

std::string with_sources(Ref node) {
    std::string text = describe(node) + " (";
    for (std::size_t i = 0; i < node->src().size(); ++i)
        text += (i != 0 ? ", " : "") + describe(node->src(i));
    return text + ")";
}

[[noreturn]] void broken(Level level, std::string_view pass, Ref node, const std::string& rule) {
    throw InternalError("after " + std::string(pass) + ": " + with_sources(node) +
                        " is illegal in a graph of level " + std::string(name(level)) + ": " +
                        rule);
}

std::string place(const std::source_location& where) {
    const std::string_view path = where.file_name();
    return std::string(path.substr(path.find_last_of('/') + 1)) + ":" +
           std::to_string(where.line());
}

// Ranges are told apart by number (Node::ranges), so a kernel has one Range node a number.
void check_ranges(Level level, std::span<const Ref> order, std::string_view pass) {
    std::array<Ref, 64> by_number{};
    for (Ref node : order) {
        if (!node->is(Op::Range)) continue;
        Ref& first = by_number[static_cast<std::size_t>(node->arg(0))];
        if (first != nullptr)
            broken(level, pass, node, "its number is taken by " + with_sources(first));
        first = node;
    }
}

}  // namespace

std::string_view name(Level level) {
    switch (level) {
        case Level::Tensor:
            return "tensor";
        case Level::Kernel:
            return "kernel";
        case Level::Scheduled:
            return "scheduled kernel";
    }
    return "?";
}

std::span<const SpecRow> spec(Level level) {
    switch (level) {
        case Level::Tensor:
            return tensor_spec();
        case Level::Kernel:
            return kernel_spec();
        case Level::Scheduled:
            return scheduled_spec();
    }
    return {};
}

void check_spec(Level level, std::span<const Ref> roots, std::string_view pass) {
    const Index& index = index_of(level);
    const std::vector<Ref> order = toposort(roots);
    for (Ref node : order) {
        const auto rows = index.rows(node->op());
        if (rows.empty()) broken(level, pass, node, "no row of the spec names this op");
        for (const SpecRow* row : rows)
            if (!row->holds(node))
                broken(level, pass, node, row->says + " (" + place(row->where) + ")");
    }
    if (level != Level::Tensor) check_ranges(level, order, pass);
}

void establishes(Level level, std::span<const Ref> roots, std::string_view pass) {
    if (env::debug() >= 5) {
        const std::string text = "--- after " + std::string(pass) + "\n" + to_text(roots);
        std::fwrite(text.data(), 1, text.size(), stderr);  // at once: kernels compile in parallel
    }
    if (checks_spec()) check_spec(level, roots, pass);
}

bool checks_spec() {
#ifdef NDEBUG
    return env::flag("SPEC");
#else
    return true;
#endif
}

}  // namespace sinter::ir
