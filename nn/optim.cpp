#include <sinter/nn/optim.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <sinter/autograd.h>
#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/jit.h>
#include <sinter/movement.h>

#include "check.h"

namespace sinter::nn {
namespace {

/// A scalar of the host, in the dtype of what it is used with.
Tensor beside(const Tensor& scalar, const Tensor& x) { return cast(scalar, x.dtype()); }

/// Zeros like `p` in memory of their own, which updates can go to in place.
Tensor zero_memory(const Tensor& p) {
    const DeviceGuard there(p.device());
    const std::vector<std::byte> bytes(static_cast<std::size_t>(p.numel()) * size_of(p.dtype()));
    return from_data(bytes.data(), p.shape(), p.dtype());
}

}  // namespace

Optimizer::Optimizer(const char* name, const Parameters& parameters, double lr, std::size_t states,
                     const Where& where)
    : parameters_(parameters), clock_(std::make_shared<Clock>(lr, 0)) {
    const Called call(name, where);
    require(!parameters_.empty(), "there are no parameters to train");
    require_not_negative("lr", lr);
    std::vector<Tensor*> all(parameters_.begin(), parameters_.end());
    for (Tensor* p : parameters_) {
        if (!is_float(p->dtype())) {
            fail<DTypeError>("a parameter of shape " + to_string(p->shape()) + " is " +
                             std::string(sinter::name(p->dtype())) +
                             "; only floats can be trained");
        }
        p->requires_grad(true);  // which gives it memory of its own
        std::vector<Tensor>& state = state_.emplace_back();
        for (std::size_t s = 0; s < states; ++s) state.push_back(zero_memory(*p));
    }
    Tensor::realize(std::span<Tensor* const>(all));
}

std::vector<Tensor> Optimizer::gradients_of(const Tensor& loss, Where where) const {
    std::vector<Tensor> values;
    for (const Tensor* p : parameters_) values.push_back(*p);
    std::vector<Tensor> gradients =
        gradient(loss, std::span<const Tensor>(values), {.allow_unused = true}, where);
    if (std::ranges::none_of(gradients, &Tensor::defined)) {
        fail<ValueError>("none of the parameters reaches the loss");
    }
    return gradients;
}

void Optimizer::set_lr(double lr, Where where) {
    const Called call("set_lr", where);
    require_not_negative("lr", lr);
    clock_->lr = lr;
}

void Optimizer::step(const Tensor& loss, Where where) {
    const Called call("step", where);
    Tensor value = loss;  // a copy: the loss keeps its graph, and finds its value there
    apply(gradients_of(loss, where), &value, where);
}

void Optimizer::step(Tensor& loss, Where where) {
    const Called call("step", where);
    apply(gradients_of(loss, where), &loss, where);
}

void Optimizer::step(Where where) {
    const Called call("step", where);
    std::vector<Tensor> gradients;
    for (const Tensor* p : parameters_) gradients.push_back(p->grad());
    apply(std::move(gradients), nullptr, where);
}

void Optimizer::apply(std::vector<Tensor> gradients, Tensor* loss, Where where) {
    each_call([clock = clock_] { ++clock->steps; });
    const std::vector<Tensor> numbers = prepare();
    std::vector<Tensor*> computed;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
        if (!gradients[i].defined()) continue;
        update(*parameters_[i], gradients[i], state_[i], numbers);
        computed.push_back(parameters_[i]);
        for (Tensor& s : state_[i]) computed.push_back(&s);
    }
    // They are made of the parameters: as long as they are held, their memory is needed.
    gradients.clear();
    computed.insert(computed.end(), parameters_.buffers.begin(), parameters_.buffers.end());
    if (loss != nullptr) computed.push_back(loss);
    Tensor::realize(std::span<Tensor* const>(computed), where);
}

void Optimizer::zero_grad() {
    for (Tensor* p : parameters_) p->zero_grad();
}

// --- SGD

SGD::SGD(const Parameters& parameters, const SGDOptions& options, Where where)
    : Optimizer("SGD", parameters, options.lr, options.momentum != 0 ? 1 : 0, where),
      options_(options) {
    const Called call("SGD", where);
    require_not_negative("momentum", options.momentum);
    require_not_negative("weight_decay", options.weight_decay);
    require(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
            "nesterov needs momentum, and no dampening");
}

std::vector<Tensor> SGD::prepare() {
    const auto rate = [clock = clock()] { return clock->lr; };
    // The first velocity is the gradient itself; bound, so that the first step's graph is every
    // step's.
    const auto share = [clock = clock(), dampening = options_.dampening] {
        return clock->steps == 1 ? 1 : 1 - dampening;
    };
    return {host_scalar(rate), host_scalar(share)};
}

void SGD::update(Tensor& p, const Tensor& gradient, std::vector<Tensor>& state,
                 const std::vector<Tensor>& numbers) {
    const Tensor &rate = numbers[0], &share = numbers[1];
    Tensor g = gradient;
    if (options_.weight_decay != 0) g = g + p * options_.weight_decay;
    if (options_.momentum != 0) {
        Tensor& velocity = state[0];
        const Tensor fresh = options_.dampening != 0 ? g * beside(share, p) : g;
        velocity.assign(velocity * options_.momentum + fresh);
        g = options_.nesterov ? g + velocity * options_.momentum : velocity;
    }
    p.assign(p - g * beside(rate, p));
}

// --- Adam

Adam::Adam(const Parameters& parameters, const AdamOptions& options, Where where)
    : Adam("Adam", parameters, options, false, where) {}

Adam::Adam(const char* name, const Parameters& parameters, const AdamOptions& options,
           bool decoupled, const Where& where)
    : Optimizer(name, parameters, options.lr, options.amsgrad ? 3 : 2, where),
      options_(options),
      decoupled_(decoupled) {
    const Called call(name, where);
    require_not_negative("eps", options.eps);
    require(options.beta1 >= 0 && options.beta1 < 1,
            "beta1 must be in [0, 1), got " + std::to_string(options.beta1));
    require(options.beta2 >= 0 && options.beta2 < 1,
            "beta2 must be in [0, 1), got " + std::to_string(options.beta2));
    require_not_negative("weight_decay", options.weight_decay);
}

std::vector<Tensor> Adam::prepare() {
    const auto grown = [clock = clock()](double beta) {
        return 1 - std::pow(beta, static_cast<double>(clock->steps));
    };
    const auto step_size = [clock = clock(), grown, beta = options_.beta1] {
        return clock->lr / grown(beta);
    };
    const auto root_correction = [grown, beta = options_.beta2] { return std::sqrt(grown(beta)); };
    const auto keep = [clock = clock(), decay = options_.weight_decay] {
        return 1 - clock->lr * decay;
    };
    return {host_scalar(step_size), host_scalar(root_correction), host_scalar(keep)};
}

void Adam::update(Tensor& p, const Tensor& gradient, std::vector<Tensor>& state,
                  const std::vector<Tensor>& numbers) {
    const Tensor &step_size = numbers[0], &root_correction = numbers[1], &keep = numbers[2];
    Tensor g = gradient, kept = p;
    if (options_.weight_decay != 0) {
        if (decoupled_) {
            kept = p * beside(keep, p);
        } else {
            g = g + p * options_.weight_decay;
        }
    }
    Tensor &mean = state[0], &square_mean = state[1];
    mean.assign(mean + (g - mean) * (1 - options_.beta1));
    square_mean.assign(square_mean * options_.beta2 + g * g * (1 - options_.beta2));
    Tensor spread = square_mean;
    if (options_.amsgrad) {
        state[2].assign(maximum(state[2], square_mean));
        spread = state[2];
    }
    const Tensor denominator = sqrt(spread) / beside(root_correction, p) + options_.eps;
    p.assign(kept - mean / denominator * beside(step_size, p));
}

}  // namespace sinter::nn
