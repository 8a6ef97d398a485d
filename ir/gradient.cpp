#include <sinter/ir/gradient.h>

#include <algorithm>
#include <string>
#include <unordered_map>

#include <sinter/ir/arena.h>
#include <sinter/ir/error.h>

#include "shapes.h"
#include "vjp/elementwise.h"
#include "vjp/indexing.h"
#include "vjp/marks.h"
#include "vjp/movement.h"
#include "vjp/reduce.h"

namespace sinter::ir {
namespace {

using Rule = void (*)(vjp::Vjp&);

// A row of op_table.def without a rule in ir/vjp does not compile.
constexpr Rule kRules[] = {
#define SINTER_TENSOR_OP(name, ...) vjp::name,
#include <sinter/ir/op_table.def>
};

/// Whether a gradient of `node` is one of its source i too.
bool flows(Ref node, std::size_t i) {
    if (!is_float(node->dtype()) || !is_float(node->src(i)->dtype())) return false;
    if (node->is(Op::Detach) || node->is(Op::Bitcast)) return false;
    return !(node->is(Op::Assign) && i == 0);  // the memory, not its value
}

/// The loss's graph in order, and which of its nodes depend differentiably on an input.
class Walk {
public:
    Walk(const UOp& loss, std::span<const UOp> inputs) {
        const Ref root = loss.get();
        order_ = toposort(std::span<const Ref>(&root, 1));
        position_.reserve(order_.size());
        for (std::size_t i = 0; i < order_.size(); ++i) position_.emplace(order_[i], i);
        depends_.resize(order_.size());
        for (const UOp& input : inputs) {
            if (const auto found = position_.find(input.get()); found != position_.end()) {
                depends_[found->second] = true;
            }
        }
        for (std::size_t i = 0; i < order_.size(); ++i) {
            if (!depends_[i]) depends_[i] = wanted(i) != 0;
        }
    }

    std::span<const Ref> order() const { return order_; }
    std::size_t position(Ref node) const { return position_.at(node); }
    bool contains(Ref node) const { return position_.contains(node); }

    /// The sources of order()[i] that a gradient flows to and that depend on an input, a bit each.
    std::uint32_t wanted(std::size_t i) const {
        const Ref node = order_[i];
        std::uint32_t bits = 0;
        for (std::size_t s = 0; s < node->src().size(); ++s) {
            if (flows(node, s) && depends_[position(node->src(s))]) bits |= 1u << s;
        }
        return bits;
    }

private:
    std::vector<Ref> order_;
    std::unordered_map<Ref, std::size_t> position_;
    std::vector<bool> depends_;
};

/// Nodes to which a gradient of the loss flows at all, by position: the loss, and what it flows on
/// to.
std::vector<bool> reached_from_loss(const Walk& walk) {
    const std::span<const Ref> order = walk.order();
    std::vector<bool> reached(order.size());
    reached.back() = is_float(order.back()->dtype());
    for (std::size_t i = order.size(); i-- > 0;) {
        if (!reached[i]) continue;
        for (std::size_t s = 0; s < order[i]->src().size(); ++s) {
            if (flows(order[i], s)) reached[walk.position(order[i]->src(s))] = true;
        }
    }
    return reached;
}

void check_arguments(const UOp& loss, std::span<const UOp> inputs, const UOp& seed) {
    if (!is_float(loss->dtype())) {
        throw DTypeError("gradient: the loss is " + std::string(name(loss->dtype())) +
                         "; only floats have gradients: cast it to f32");
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Op op = inputs[i]->op();
        if (op == Op::Const || op == Op::Bind) {
            throw ValueError("gradient: input " + std::to_string(i) + " (" +
                             std::string(name(inputs[i]->dtype())) + " of shape " +
                             to_string(inputs[i]->shape()) +
                             ") is a constant, of which all equal ones are one node; realize() it "
                             "before use, so that it has memory of its own");
        }
        if (is_float(inputs[i]->dtype())) continue;
        throw DTypeError("gradient: input " + std::to_string(i) + " of shape " +
                         to_string(inputs[i]->shape()) + " is " +
                         std::string(name(inputs[i]->dtype())) + "; only floats have gradients");
    }
    if (!seed) {
        if (loss->numel() != 1) {
            throw ShapeError(
                "gradient: the loss has shape " + to_string(loss->shape()) +
                ", not one element; reduce it (sum, mean) or give a seed of its shape");
        }
        return;
    }
    if (!std::ranges::equal(seed->shape(), loss->shape())) {
        throw ShapeError("gradient: the seed has shape " + to_string(seed->shape()) +
                         ", the loss " + to_string(loss->shape()) + "; they must agree");
    }
    if (seed->dtype() != loss->dtype()) {
        throw DTypeError("gradient: the seed is " + std::string(name(seed->dtype())) +
                         ", the loss " + std::string(name(loss->dtype())) + "; cast the seed");
    }
}

void check_reached(const Walk& walk, std::span<const UOp> inputs) {
    const std::vector<bool> reached = reached_from_loss(walk);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const Ref input = inputs[i].get();
        const bool contained = walk.contains(input);
        if (contained && reached[walk.position(input)]) continue;
        throw ValueError("gradient: input " + std::to_string(i) + " (" +
                         std::string(name(input->dtype())) + " of shape " +
                         to_string(input->shape()) + ") does not reach the loss" +
                         (contained ? ": every path goes through detach, a comparison, an integer "
                                      "or a bitcast"
                                    : ": the loss was not computed from it") +
                         "; leave it out, or compute the loss from it");
    }
}

/// `total` + `more`; null is zero. Values of constants alone may be used on several devices: with
/// `copies` in the graph, what comes from another one is copied to that of the total.
UOp sum_of(const UOp& total, const UOp& more, bool copies) {
    if (!total) return more;
    if (!copies) return binary(Op::Add, total, more);
    const std::optional<std::int64_t> home = device_of(total.get()), other = device_of(more.get());
    return binary(Op::Add, total, home && other && *home != *other ? copy_to(more, *home) : more);
}

void check_rule(const UOp& given, Ref node, Ref source) {
    if (given->dtype() == source->dtype() && std::ranges::equal(given->shape(), source->shape())) {
        return;
    }
    throw InternalError("gradient: the rule of " + describe(node) + " gave " +
                        std::string(name(given->dtype())) + " " + to_string(given->shape()) +
                        " for a source of " + std::string(name(source->dtype())) + " " +
                        to_string(source->shape()));
}

}  // namespace

std::vector<UOp> gradient(const UOp& loss, std::span<const UOp> inputs, const UOp& seed) {
    check_arguments(loss, inputs, seed);
    const Walk walk(loss, inputs);
    check_reached(walk, inputs);

    const std::span<const Ref> order = walk.order();
    const bool copies = std::ranges::any_of(order, [](Ref n) { return n->is(Op::Copy); });
    std::vector<UOp> gradients(order.size());
    std::vector<bool> keep(order.size());
    for (const UOp& input : inputs) keep[walk.position(input.get())] = true;
    gradients.back() = seed ? seed : constant(loss->dtype(), 1, loss->shape());

    for (std::size_t i = order.size(); i-- > 0;) {
        if (!gradients[i]) continue;
        if (const std::uint32_t wanted = walk.wanted(i)) {
            const UOp y = UOp::share(order[i]);
            vjp::Vjp application(y, gradients[i], wanted);
            kRules[static_cast<std::size_t>(order[i]->op())](application);
            for (std::size_t s = 0; s < order[i]->src().size(); ++s) {
                const UOp& given = application.given(s);
                if (!given || (wanted >> s & 1) == 0) continue;
                check_rule(given, order[i], order[i]->src(s));
                UOp& total = gradients[walk.position(order[i]->src(s))];
                total = sum_of(total, given, copies);
            }
        }
        if (!keep[i]) gradients[i] = {};
    }

    std::vector<UOp> result;
    result.reserve(inputs.size());
    for (const UOp& input : inputs) {
        const UOp& total = gradients[walk.position(input.get())];
        result.push_back(total ? total : constant(input->dtype(), 0, input->shape()));
    }
    return result;
}

std::vector<bool> reaches(const UOp& loss, std::span<const UOp> candidates) {
    const Walk walk(loss, {});
    const std::vector<bool> reached = reached_from_loss(walk);
    std::vector<bool> result;
    result.reserve(candidates.size());
    for (const UOp& candidate : candidates) {
        result.push_back(walk.contains(candidate.get()) && reached[walk.position(candidate.get())]);
    }
    return result;
}

}  // namespace sinter::ir
