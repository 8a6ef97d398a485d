// The walk over a graph: sources first, each value freed after its last use.

#include <sinter/ir/error.h>
#include <sinter/runtime/noise.h>
#include <sinter/runtime/realize.h>

#include <cstring>
#include <optional>
#include <unordered_map>

#include "ref/functions.h"
#include "ref/spread.h"

namespace sinter::runtime::ref {
namespace {

struct Row {
    ir::Op op;
    eval::Function function;
};

constexpr Row kRows[] = {
#define SINTER_TENSOR_OP(name, ...) {ir::Op::name, &eval::name},
#include <sinter/ir/op_table.def>
};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < std::size(kRows); ++i)
        if (kRows[i].op != static_cast<ir::Op>(i)) return false;
    return true;
}
static_assert(rows_are_in_order(), "tensor-level ops come first in the enumeration");

/// The nodes to evaluate in an order that has every node after its sources. A realized node is a
/// leaf: its Buffer stands for it.
class Plan {
public:
    explicit Plan(std::span<const ir::UOp> roots) {
        for (const ir::UOp& root : roots) {
            visit(root.get());
            ++steps_[positions_.at(root.get())].uses;
        }
    }

    std::vector<Value> run(std::span<const ir::UOp> roots) {
        for (Step& step : steps_) evaluate(step);
        std::vector<Value> results;
        for (const ir::UOp& root : roots)
            results.push_back(steps_[positions_.at(root.get())].value);
        return results;
    }

private:
    struct Step {
        ir::Ref node;
        ir::UOp held;  // the Buffer of a realized node
        std::size_t uses = 0;
        std::vector<std::size_t> sources;
        bool summed_on = false;     // a sum or product of which another sum is made
        bool one_function = false;  // 1 + tanh: a device may compute it as one function
        Value value;
        // The same with other errors, as sums of it see it: a device may compute it there once
        // more, as part of them, and once in itself for its other uses.
        std::optional<Value> again;
    };

    static bool is_sum(ir::Ref node) {
        return node->is(ir::Op::Fold) ||
               (node->is(ir::Op::Reduce) &&
                static_cast<ir::ReduceKind>(node->arg(0)) == ir::ReduceKind::Add);
    }

    static bool is_running_sum(ir::Ref node) {
        return node->is(ir::Op::Scan) &&
               static_cast<ir::ReduceKind>(node->arg(0)) == ir::ReduceKind::Add;
    }

    static bool is_one_plus_tanh(ir::Ref node) {
        if (!node->is(ir::Op::Add)) return false;
        const auto moved = [](ir::Ref n) {
            while (ir::is_movement(n->op()) || n->is(ir::Op::Detach)) n = n->src(0);
            return n;
        };
        for (const std::size_t i : {0u, 1u}) {
            const ir::Ref one = moved(node->src(1 - i));
            if (moved(node->src(i))->is(ir::Op::Tanh) && one->is(ir::Op::Const) &&
                ir::as_double(one) == 1.0)
                return true;
        }
        return false;
    }

    static Value blurred(const Noise& noise, ir::Ref node, const Value& value) {
        return with_element(node->dtype(), [&]<class E>() -> Value {
            if constexpr (is_float_element<E>) {
                Value out = allocate_for(node);
                for (std::int64_t i = 0; i < node->numel(); ++i)
                    out.fill<E>()[i] = store<E>(blur_function<E>(noise, load(value.as<E>()[i]), i));
                return out;
            } else {
                return value;
            }
        });
    }

    static bool passes_on(ir::Ref node) {
        return node->is(ir::Op::Detach) || (ir::is_movement(node->op()) && !is_sum(node));
    }

    // Depth first, without recursion: a graph may be as deep as it has nodes.
    void visit(ir::Ref root) {
        struct Frame {
            ir::Ref node;
            std::size_t next;
        };
        std::vector<Frame> stack;
        const auto enter = [&](ir::Ref node) {
            if (positions_.contains(node)) return;
            const auto* done = dynamic_cast<const Realized*>(node->attachment());
            if (ir::Ref buffer = done == nullptr ? nullptr : done->on(DeviceId::REF))
                finish(node, ir::UOp::share(buffer));
            else
                stack.push_back({node, 0});
        };
        enter(root);
        while (!stack.empty()) {
            Frame& frame = stack.back();
            if (frame.next < frame.node->src().size()) {
                enter(frame.node->src(frame.next++));
            } else {
                const ir::Ref node = frame.node;
                stack.pop_back();
                if (!positions_.contains(node)) finish(node, {});
            }
        }
    }

    void finish(ir::Ref node, ir::UOp realized) {
        Step step;
        step.node = realized ? realized.get() : node;
        step.held = std::move(realized);
        for (const ir::Ref source : step.node->src()) {
            const std::size_t position = positions_.at(source);
            step.sources.push_back(position);
            ++steps_[position].uses;
        }
        step.one_function = is_one_plus_tanh(step.node);
        if (is_sum(step.node) || is_running_sum(step.node)) {
            // Sums and products below it, with no more than movement and choices in between.
            std::vector<std::size_t> stack{step.sources[0]};
            for (int visits = 0; !stack.empty() && visits < eval::kMostVisits; ++visits) {
                const std::size_t below = stack.back();
                stack.pop_back();
                const ir::Ref term = steps_[below].node;
                if (passes_on(term)) stack.push_back(steps_[below].sources[0]);
                if (term->is(ir::Op::Where))
                    stack.insert(stack.end(), steps_[below].sources.begin() + 1,
                                 steps_[below].sources.end());
                if (is_sum(term) || term->is(ir::Op::Mul)) steps_[below].summed_on = true;
            }
        }
        positions_.emplace(node, steps_.size());
        steps_.push_back(std::move(step));
    }

    void evaluate(Step& step) {
        const auto op = static_cast<std::size_t>(step.node->op());
        if (op >= std::size(kRows)) refuse(step.node, "not an op of tensor-level graphs");
        const bool adds = is_sum(step.node) || is_running_sum(step.node);
        bool any_again = false;
        std::vector<const Value*> values, again;
        for (const std::size_t source : step.sources) {
            const Step& s = steps_[source];
            any_again = any_again || s.again.has_value();
            again.push_back(s.again ? &*s.again : &s.value);
            values.push_back(adds ? again.back() : &s.value);
        }
        Noise* const noise = Noise::active();
        if (noise != nullptr) noise->next_node(step.summed_on);
        step.value = kRows[op].function(step.node, values);
        if (noise != nullptr && step.one_function)
            step.value = blurred(*noise, step.node, step.value);
        if (noise != nullptr && step.summed_on) {
            noise->next_node(true);
            step.again = kRows[op].function(step.node, again);
        } else if (any_again && (passes_on(step.node) || step.node->is(ir::Op::Where))) {
            step.again = kRows[op].function(step.node, again);
        }
        for (const std::size_t source : step.sources)
            if (--steps_[source].uses == 0) {
                steps_[source].value = {};
                steps_[source].again.reset();
            }
    }

    std::vector<Step> steps_;
    std::unordered_map<ir::Ref, std::size_t> positions_;
};

}  // namespace

std::vector<ir::UOp> evaluate(std::span<const ir::UOp> roots) {
    const std::vector<Value> values = Plan(roots).run(roots);
    std::vector<ir::UOp> results;
    for (std::size_t i = 0; i < roots.size(); ++i) {
        const ir::Ref node = roots[i].get();
        const std::size_t bytes = static_cast<std::size_t>(node->numel()) * size_of(node->dtype());
        // A copy, since the value may lie in a Buffer that a later assignment changes.
        std::shared_ptr<Memory> memory = Memory::allocate(DeviceId::REF, bytes);
        if (bytes > 0) std::memcpy(memory->data(), values[i].as<std::byte>(), bytes);
        results.push_back(make_buffer(node->dtype(), node->shape(), std::move(memory)));
    }
    return results;
}

}  // namespace sinter::runtime::ref
