#pragma once
// Gradients: reverse mode as graph building. What comes back are ordinary lazy Tensors, so that
// gradients of gradients are the same calls again, and a backward pass fuses with the forward pass
// and with an update.

#include <concepts>
#include <functional>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include <sinter/tensor.h>

namespace sinter {

struct GradientOptions {
    /// An input that does not reach the loss gives an undefined Tensor instead of an error.
    bool allow_unused = false;
};

/// d loss / d input, of the input's shape and dtype. `loss` has one element and is a float
/// (ShapeError, DTypeError). `input` is a tensor that the loss was computed from (ValueError if it
/// does not reach the loss, or only through detach, comparisons or integers), inner results
/// included. Constants (zeros, full, a C++ number) must be realized before use, as equal ones are
/// one node of the graph (ValueError).
///
/// Where a derivative is not unique it is PyTorch's: equal operands of max and min share it evenly,
/// abs has 0 at 0, floor and the like have 0 everywhere.
Tensor gradient(const Tensor& loss, const Tensor& input, Where where = Where::current());
/// All at once, with one walk of the graph.
std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> inputs,
                             Where where = Where::current());
std::vector<Tensor> gradient(const Tensor& loss, std::span<const Tensor> inputs,
                             const GradientOptions& options, Where where = Where::current());
std::vector<Tensor> gradient(const Tensor& loss, std::initializer_list<Tensor> inputs,
                             Where where = Where::current());
std::vector<Tensor> gradient(const Tensor& loss, const std::vector<Tensor>& inputs,
                             Where where = Where::current());

/// Vector-Jacobian products: `cotangent` (of y's shape and dtype) times dy / d input.
Tensor vjp(const Tensor& y, const Tensor& input, const Tensor& cotangent,
           Where where = Where::current());
std::vector<Tensor> vjp(const Tensor& y, std::span<const Tensor> inputs, const Tensor& cotangent,
                        Where where = Where::current());

/// Adds the gradient of `loss` to grad() of every tensor marked by requires_grad() that reaches it;
/// the others stay as they are. Throws ValueError if there is none.
void backward(const Tensor& loss, Where where = Where::current());

namespace detail {
/// `x` itself, or a copy in memory of its own if it is a constant.
Tensor own(const Tensor& x);
std::vector<Tensor> own(std::span<const Tensor> xs);
}  // namespace detail

/// What value_and_grad makes of a function from one Tensor, or from a vector of them, to a scalar
/// Tensor.
template <class F>
class ValueAndGrad {
public:
    explicit ValueAndGrad(F fn) : fn_(std::move(fn)) {}

    std::pair<Tensor, Tensor> operator()(const Tensor& x, Where where = Where::current()) const
        requires std::invocable<const F&, const Tensor&>
    {
        const Tensor input = detail::own(x);
        Tensor value = std::invoke(fn_, input);
        Tensor slope = gradient(value, input, where);
        return {std::move(value), std::move(slope)};
    }
    std::pair<Tensor, std::vector<Tensor>> operator()(const std::vector<Tensor>& xs,
                                                      Where where = Where::current()) const
        requires std::invocable<const F&, const std::vector<Tensor>&>
    {
        const std::vector<Tensor> inputs = detail::own(xs);
        Tensor value = std::invoke(fn_, inputs);
        std::vector<Tensor> slopes = gradient(value, std::span<const Tensor>(inputs), where);
        return {std::move(value), std::move(slopes)};
    }

private:
    F fn_;
};

/// auto [loss, grads] = value_and_grad(fn)(params): the function's value with its gradients.
template <class F>
ValueAndGrad<F> value_and_grad(F fn) {
    return ValueAndGrad<F>(std::move(fn));
}

/// What grad makes of a function: see ValueAndGrad.
template <class F>
class Grad {
public:
    explicit Grad(F fn) : both_(std::move(fn)) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const
        requires std::invocable<const F&, const Tensor&>
    {
        return both_(x, where).second;
    }
    std::vector<Tensor> operator()(const std::vector<Tensor>& xs,
                                   Where where = Where::current()) const
        requires std::invocable<const F&, const std::vector<Tensor>&>
    {
        return both_(xs, where).second;
    }

private:
    ValueAndGrad<F> both_;
};

/// As value_and_grad, without the value: grad(grad(fn))(x) is the second derivative.
template <class F>
Grad<F> grad(F fn) {
    return Grad<F>(std::move(fn));
}
// Grad(F) of a Grad would be a copy of it.
template <class F>
Grad<Grad<F>> grad(Grad<F> fn) {
    return Grad<Grad<F>>(std::move(fn));
}

/// auto [y, pull] = vjp(fn, x): the value, and the function from a cotangent of y to that of x.
template <class F>
    requires std::invocable<const F&, const Tensor&>
auto vjp(const F& fn, const Tensor& x) {
    const Tensor input = detail::own(x);
    Tensor y = std::invoke(fn, input);
    auto pull = [y, input](const Tensor& cotangent, Where where = Where::current()) {
        return vjp(y, input, cotangent, where);
    };
    return std::pair(y, pull);
}

}  // namespace sinter
