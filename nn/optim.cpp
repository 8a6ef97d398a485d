#include <sinter/nn/optim.h>

#include <algorithm>
#include <cmath>
#include <string>

#include <sinter/autograd.h>
#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/jit.h>
#include <sinter/movement.h>

namespace sinter::nn {
namespace {

void require(bool holds, const char* optimizer, const std::string& what) {
    if (!holds) throw ValueError(std::string(optimizer) + ": " + what);
}

/// A scalar of the host, in the dtype of what it is used with.
Tensor beside(const Tensor& scalar, const Tensor& x) { return cast(scalar, x.dtype()); }

/// Zeros like `p` in memory of their own, which updates can go to in place.
Tensor zero_memory(const Tensor& p) {
    const DeviceGuard there(p.device());
    const std::vector<std::byte> bytes(static_cast<std::size_t>(p.numel()) * size_of(p.dtype()));
    return from_data(bytes.data(), p.shape(), p.dtype());
}

}  // namespace

Optimizer::Optimizer(const Parameters& parameters, double lr, std::size_t states)
    : parameters_(parameters), clock_(std::make_shared<Clock>(lr, 0)) {
    if (parameters_.empty()) throw ValueError("optimizer: there are no parameters to train");
    std::vector<Tensor*> all(parameters_.begin(), parameters_.end());
    for (Tensor* p : parameters_) {
        if (!is_float(p->dtype())) {
            throw DTypeError("optimizer: a parameter of shape " + to_string(p->shape()) + " is " +
                             std::string(name(p->dtype())) + "; only floats can be trained");
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
        throw ValueError(at(where) + "step: none of the parameters reaches the loss");
    }
    return gradients;
}

void Optimizer::step(const Tensor& loss, Where where) {
    Tensor value = loss;  // a copy: the loss keeps its graph, and finds its value there
    apply(gradients_of(loss, where), &value, where);
}

void Optimizer::step(Tensor& loss, Where where) { apply(gradients_of(loss, where), &loss, where); }

void Optimizer::step(Where where) {
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

SGD::SGD(const Parameters& parameters, const SGDOptions& options)
    : Optimizer(parameters, options.lr, options.momentum != 0 ? 1 : 0), options_(options) {
    require(options.lr >= 0, "SGD", "lr may not be negative");
    require(options.momentum >= 0, "SGD", "momentum may not be negative");
    require(options.weight_decay >= 0, "SGD", "weight_decay may not be negative");
    require(!options.nesterov || (options.momentum > 0 && options.dampening == 0), "SGD",
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

Adam::Adam(const Parameters& parameters, const AdamOptions& options)
    : Adam(parameters, options, false) {}

Adam::Adam(const Parameters& parameters, const AdamOptions& options, bool decoupled)
    : Optimizer(parameters, options.lr, options.amsgrad ? 3 : 2),
      options_(options),
      decoupled_(decoupled) {
    const char* const me = decoupled ? "AdamW" : "Adam";
    require(options.lr >= 0, me, "lr may not be negative");
    require(options.eps >= 0, me, "eps may not be negative");
    require(options.beta1 >= 0 && options.beta1 < 1, me, "beta1 must be in [0, 1)");
    require(options.beta2 >= 0 && options.beta2 < 1, me, "beta2 must be in [0, 1)");
    require(options.weight_decay >= 0, me, "weight_decay may not be negative");
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
