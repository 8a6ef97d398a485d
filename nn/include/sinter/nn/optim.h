#pragma once
// Optimizers, with the numbers of PyTorch's.

#include <cstdint>
#include <memory>
#include <vector>

#include <sinter/nn/module.h>
#include <sinter/tensor.h>

namespace sinter::nn {

/// Base of the optimizers. A step is lazy graph like all else: gradients, updates, state and loss
/// are computed in one realize, in the memory of the old values; the learning rate and the step
/// count are bound when it runs, so that every step is the same graph. Both ways to write a step
/// give the same numbers:
///
///     optimizer.step(loss);
///     optimizer.zero_grad(); backward(loss); optimizer.step();
///
/// A loss whose expression is kept needs the old parameters, so that their memory cannot be written
/// over: step(loss) of a Tensor that is not const makes it memory (Tensor::realize).
///
/// Tensors given here are realized at once; they must stay where they are as long as the optimizer
/// lives.
class Optimizer {
public:
    virtual ~Optimizer() = default;
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;

    /// Updates every parameter that reaches `loss` and computes the loss along with it. Throws
    /// ValueError if none does, and what gradient() throws.
    void step(const Tensor& loss, Where where = Where::current());
    /// The same, and the loss forgets how it was computed.
    void step(Tensor& loss, Where where = Where::current());
    /// Updates every parameter that has a grad().
    void step(Where where = Where::current());
    /// Forgets the gradients that backward() collected.
    void zero_grad();

    double lr() const { return clock_->lr; }
    /// Holds from the next step on, in a captured function too.
    void set_lr(double lr, Where where = Where::current());
    /// Steps taken.
    std::int64_t steps() const { return clock_->steps; }

protected:
    /// `states` tensors of state for each parameter, zero at first.
    /// ValueError without parameters or with a negative rate, DTypeError for one that is no float.
    Optimizer(const char* name, const Parameters& parameters, double lr, std::size_t states,
              const Where& where);

    /// What the host counts: kept apart from the optimizer, since captured steps refer to it.
    struct Clock {
        double lr = 0;
        std::int64_t steps = 0;
    };
    std::shared_ptr<const Clock> clock() const { return clock_; }

    /// Scalars of this step that the host works out (host_scalar), before any update.
    virtual std::vector<Tensor> prepare() = 0;
    /// Assigns the new values of `p` and of its state; `numbers` are those of prepare().
    virtual void update(Tensor& p, const Tensor& gradient, std::vector<Tensor>& state,
                        const std::vector<Tensor>& numbers) = 0;

private:
    std::vector<Tensor> gradients_of(const Tensor& loss, Where where) const;
    /// Realizes `loss`, if any, along with the updates.
    void apply(std::vector<Tensor> gradients, Tensor* loss, Where where);

    Parameters parameters_;
    std::vector<std::vector<Tensor>> state_;
    const std::shared_ptr<Clock> clock_;
};

struct SGDOptions {
    double lr = 1e-3;
    double momentum = 0;
    double dampening = 0;
    double weight_decay = 0;
    bool nesterov = false;
};

/// v = momentum v + (1 - dampening) g (at the first step g); p -= lr v, with Nesterov p -= lr (g +
/// momentum v).
class SGD final : public Optimizer {
public:
    /// Throws ValueError for negative options, and for Nesterov without momentum or with dampening.
    explicit SGD(const Parameters& parameters, const SGDOptions& options = {},
                 Where where = Where::current());

private:
    std::vector<Tensor> prepare() override;
    void update(Tensor& p, const Tensor& gradient, std::vector<Tensor>& state,
                const std::vector<Tensor>& numbers) override;
    SGDOptions options_;
};

struct AdamOptions {
    double lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0;
    bool amsgrad = false;
};
struct AdamWOptions {
    double lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 1e-2;
    bool amsgrad = false;
};

/// Kingma and Ba 2015. Weight decay is added to the gradient (AdamW: taken off the parameter,
/// Loshchilov and Hutter 2019).
class Adam : public Optimizer {
public:
    /// Throws ValueError for negative options and for betas outside [0, 1).
    explicit Adam(const Parameters& parameters, const AdamOptions& options = {},
                  Where where = Where::current());

protected:
    Adam(const char* name, const Parameters& parameters, const AdamOptions& options, bool decoupled,
         const Where& where);

private:
    std::vector<Tensor> prepare() override;
    void update(Tensor& p, const Tensor& gradient, std::vector<Tensor>& state,
                const std::vector<Tensor>& numbers) override;
    AdamOptions options_;
    bool decoupled_;
};

class AdamW final : public Adam {
public:
    explicit AdamW(const Parameters& parameters, const AdamWOptions& options = {},
                   Where where = Where::current())
        : Adam("AdamW", parameters,
               {options.lr, options.beta1, options.beta2, options.eps, options.weight_decay,
                options.amsgrad},
               true, where) {}
};

}  // namespace sinter::nn
