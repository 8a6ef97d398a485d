#include <sinter/losses.h>

#include <sinter/activation.h>
#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/indexing.h>
#include <sinter/movement.h>
#include <sinter/reduce.h>

#include "call.h"

namespace sinter {
namespace {

Tensor reduced(const Tensor& loss, Reduction reduction) {
    switch (reduction) {
        case Reduction::Mean:
            return mean(loss);
        case Reduction::Sum:
            return sum(loss);
        case Reduction::None:
            return loss;
    }
    return loss;
}

// Broadcasting a prediction against its target hides mistakes.
void require_same_shape(Call& call, const Arg& a, const Arg& b) {
    const UOp x = call.node(a), y = call.node(b);
    if (shape_of(x) != shape_of(y))
        fail<ShapeError>("prediction " + text(x) + " and target " + text(y) +
                         " must have the same shape");
}

Tensor smooth(const Arg& prediction, const Arg& target, double edge) {
    const Tensor gap = abs(sub(prediction, target));
    return where(lt(gap, edge), mul(0.5, square(gap)), mul(edge, sub(gap, 0.5 * edge)));
}

// Classes beside log-probabilities: the loss of each target and its weight (0 where ignored).
struct Picked {
    Tensor loss, weight;
};

Picked pick(const Tensor& log_p, const Tensor& target, std::int64_t axis,
            const CrossEntropyOptions& options) {
    const Tensor ignored = eq(target, options.ignore_index);
    const Tensor classes = where(ignored, 0, target);
    Tensor loss = neg(squeeze(gather(log_p, axis, unsqueeze(classes, axis)), axis));
    if (options.label_smoothing != 0)
        loss = add(mul(1 - options.label_smoothing, loss),
                   mul(-options.label_smoothing, mean(log_p, axis)));
    return {where(ignored, 0.0, loss), cast(logical_not(ignored), loss.dtype())};
}

Tensor class_loss(Call& call, const Tensor& log_p, const Tensor& target,
                  const CrossEntropyOptions& options) {
    const UOp scores = call.node(log_p), classes = call.node(target);
    const std::int64_t axis = scores->rank() == 1 ? 0 : 1;
    if (scores->rank() == 0) fail<ShapeError>("needs a class axis, got " + text(scores));
    ir::Shape want = shape_of(scores);
    want.erase(want.begin() + axis);
    if (!is_integer(classes->dtype()))
        fail<DTypeError>("classes must be integers, got " + text(classes));
    if (want != shape_of(classes))
        fail<ShapeError>("scores are " + text(scores) + " with classes along axis " + text(axis) +
                         "; targets must be " + text(want) + ", got " + text(classes));
    const Picked p = pick(log_p, target, axis, options);
    switch (options.reduction) {
        case Reduction::None:
            return p.loss;
        case Reduction::Sum:
            return sum(p.loss);
        case Reduction::Mean:
            return div(sum(p.loss), sum(p.weight));
    }
    return p.loss;
}

}  // namespace

Tensor mse_loss(const Arg& prediction, const Arg& target, Reduction reduction) {
    Call call("mse_loss", prediction);
    require_same_shape(call, prediction, target);
    return reduced(square(sub(prediction, target)), reduction);
}

Tensor l1_loss(const Arg& prediction, const Arg& target, Reduction reduction) {
    Call call("l1_loss", prediction);
    require_same_shape(call, prediction, target);
    return reduced(abs(sub(prediction, target)), reduction);
}

Tensor smooth_l1_loss(const Arg& prediction, const Arg& target, double beta, Reduction reduction) {
    Call call("smooth_l1_loss", prediction);
    require_same_shape(call, prediction, target);
    if (!(beta > 0)) fail<ValueError>("beta must be positive, got " + std::to_string(beta));
    return reduced(div(smooth(prediction, target, beta), beta), reduction);
}

Tensor huber_loss(const Arg& prediction, const Arg& target, double delta, Reduction reduction) {
    Call call("huber_loss", prediction);
    require_same_shape(call, prediction, target);
    if (!(delta > 0)) fail<ValueError>("delta must be positive, got " + std::to_string(delta));
    return reduced(smooth(prediction, target, delta), reduction);
}

Tensor cross_entropy(const Arg& logits, const Tensor& target, const CrossEntropyOptions& options) {
    Call call("cross_entropy", logits);
    const UOp scores = call.node(logits), wanted = call.node(target);
    if (scores->rank() == 0) fail<ShapeError>("needs a class axis, got " + text(scores));
    const std::int64_t axis = scores->rank() == 1 ? 0 : 1;
    const Tensor log_p = log_softmax(logits, axis);
    if (!is_float(wanted->dtype())) return class_loss(call, log_p, target, options);
    require_same_shape(call, logits, target);
    const double classes = static_cast<double>(scores->shape()[static_cast<std::size_t>(axis)]);
    Tensor p = target;
    if (options.label_smoothing != 0)
        p = add(mul(1 - options.label_smoothing, p), options.label_smoothing / classes);
    const Tensor loss = neg(sum(mul(p, log_p), axis));
    return reduced(loss, options.reduction);
}

Tensor nll_loss(const Arg& log_probabilities, const Tensor& target,
                const CrossEntropyOptions& options) {
    Call call("nll_loss", log_probabilities);
    const Tensor log_p = call.wrap(call.float_node(log_probabilities));
    return class_loss(call, log_p, target, options);
}

Tensor bce(const Arg& probability, const Arg& target, Reduction reduction) {
    Call call("bce", probability);
    require_same_shape(call, probability, target);
    const auto cut_log = [](const Tensor& x) { return maximum(x, -100); };
    const Tensor yes = mul(target, cut_log(log(probability)));
    const Tensor no = mul(sub(1, target), cut_log(log1p(neg(probability))));
    return reduced(neg(add(yes, no)), reduction);
}

Tensor bce_with_logits(const Arg& logits, const Arg& target, Reduction reduction) {
    Call call("bce_with_logits", logits);
    require_same_shape(call, logits, target);
    // max(x, 0) - x y + log(1 + exp(-|x|)) = softplus(x) - x y
    return reduced(sub(softplus(logits), mul(logits, target)), reduction);
}

}  // namespace sinter
