#include <sinter/autograd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sinter/ir/arena.h>
#include <sinter/ir/gradient.h>
#include <sinter/runtime/realize.h>

#include "call.h"
#include "leaf.h"

namespace sinter {
namespace {

/// The node of `loss`'s graph that each input stands for: its own, or, for an input that was
/// realized after the loss was built from it, the expression that its memory holds the value of.
std::vector<UOp> nodes_in(const UOp& loss, std::vector<UOp> inputs) {
    const std::vector<bool> reached = ir::reaches(loss, inputs);
    if (std::ranges::find(reached, false) == reached.end()) return inputs;
    std::unordered_map<ir::Ref, ir::Ref> computed;  // by the memory
    const ir::Ref root = loss.get();
    for (const ir::Ref node : ir::toposort(std::span<const ir::Ref>(&root, 1))) {
        const auto* held = dynamic_cast<const runtime::Realized*>(node->attachment());
        for (; held != nullptr; held = held->next())
            computed.insert_or_assign(held->buffer().get(), node);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (reached[i]) continue;
        if (const auto found = computed.find(inputs[i].get()); found != computed.end()) {
            inputs[i] = UOp::share(found->second);
        }
    }
    return inputs;
}

// The graph layer's messages name shapes and dtypes, and itself; the call is ours to name.
template <class E>
[[noreturn]] void fail_as_called(const E& error) {
    constexpr std::string_view kOwnName = "gradient: ";
    std::string_view message = error.what();
    if (message.starts_with(kOwnName)) message.remove_prefix(kOwnName.size());
    fail<E>(std::string(message));
}

template <class F>
auto as_called(F&& f) {
    try {
        return f();
    } catch (const ShapeError& error) {
        fail_as_called(error);
    } catch (const DTypeError& error) {
        fail_as_called(error);
    } catch (const ValueError& error) {
        fail_as_called(error);
    }
}

/// The gradients of `loss`, null for an input that does not reach it if that is allowed.
std::vector<UOp> differentiate(const UOp& loss, const std::vector<UOp>& inputs, const UOp& seed,
                               const GradientOptions& options) {
    const std::vector<UOp> nodes = nodes_in(loss, inputs);
    if (!options.allow_unused) {
        return as_called([&] { return ir::gradient(loss, nodes, seed); });
    }
    const std::vector<bool> reached = ir::reaches(loss, nodes);
    std::vector<UOp> used, result;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (reached[i]) used.push_back(nodes[i]);
    }
    const std::vector<UOp> gradients = as_called([&] { return ir::gradient(loss, used, seed); });
    std::size_t next = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        result.push_back(reached[i] ? gradients[next++] : UOp());
    }
    return result;
}

std::vector<Tensor> differentiate(std::string_view op, const Tensor& loss,
                                  std::span<const Tensor> inputs, const Tensor* seed,
                                  const GradientOptions& options, const Where& where) {
    Call call(op, where);
    const UOp root = call.node(loss);
    const UOp start = seed != nullptr ? call.node(*seed) : UOp();
    std::vector<UOp> nodes;
    nodes.reserve(inputs.size());
    for (const Tensor& input : inputs) nodes.push_back(input.node(where));
    const std::vector<UOp> gradients = differentiate(root, nodes, start, options);
    std::vector<Tensor> result;
    result.reserve(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        // An input of constants may be used on any device: its gradient is where the input says
        // to be.
        const std::int64_t home = inputs[i].device(where).id();
        const bool elsewhere = gradients[i] && !ir::device_of(nodes[i].get()) &&
                               ir::device_of(gradients[i].get()).value_or(home) != home;
        result.push_back(elsewhere ? Tensor(ir::copy_to(gradients[i], home), home)
                                   : Tensor(gradients[i], inputs[i].device_hint()));
    }
    return result;
}

}  // namespace

Tensor gradient(const Tensor& loss, const Tensor& input, Where where) {
    return differentiate("gradient", loss, std::span<const Tensor>(&input, 1), nullptr, {},
                         where)[0];
}
std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> inputs, Where where) {
    return differentiate("gradient", loss, inputs, nullptr, {}, where);
}
std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> inputs,
                             const GradientOptions& options, Where where) {
    return differentiate("gradient", loss, inputs, nullptr, options, where);
}
std::vector<Tensor> gradient(const Tensor& loss, std::initializer_list<Tensor> inputs,
                             Where where) {
    return differentiate("gradient", loss, std::span(inputs.begin(), inputs.size()), nullptr, {},
                         where);
}
std::vector<Tensor> gradient(const Tensor& loss, const std::vector<Tensor>& inputs, Where where) {
    return differentiate("gradient", loss, inputs, nullptr, {}, where);
}

Tensor vjp(const Tensor& y, const Tensor& input, const Tensor& cotangent, Where where) {
    return differentiate("vjp", y, std::span<const Tensor>(&input, 1), &cotangent, {}, where)[0];
}
std::vector<Tensor> vjp(const Tensor& y, std::span<const Tensor> inputs, const Tensor& cotangent,
                        Where where) {
    return differentiate("vjp", y, inputs, &cotangent, {}, where);
}

void backward(const Tensor& loss, Where where) {
    Call call("backward", where);
    const UOp root = call.node(loss);
    const std::vector<std::shared_ptr<Leaf>> leaves = Leaf::all();
    std::vector<UOp> nodes;
    nodes.reserve(leaves.size());
    for (const auto& leaf : leaves) nodes.push_back(leaf->node());
    const std::vector<UOp> gradients = differentiate(root, nodes, UOp(), {.allow_unused = true});
    if (std::ranges::none_of(gradients, [](const UOp& g) { return static_cast<bool>(g); })) {
        fail<ValueError>(
            "no tensor marked by requires_grad(true) reaches the loss; mark the parameters before "
            "computing the loss from them");
    }
    for (std::size_t i = 0; i < leaves.size(); ++i) {
        if (gradients[i]) leaves[i]->add(Tensor(gradients[i], call.device()));
    }
}

namespace detail {

Tensor own(const Tensor& x) {
    const UOp node = x.node();
    if (!node->is(ir::Op::Const) && !node->is(ir::Op::Bind)) return x;
    return in_own_memory(x, Where::current());
}

std::vector<Tensor> own(std::span<const Tensor> xs) {
    std::vector<Tensor> result;
    result.reserve(xs.size());
    for (const Tensor& x : xs) result.push_back(own(x));
    return result;
}

}  // namespace detail
}  // namespace sinter
