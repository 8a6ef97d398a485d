#pragma once
// Losses. `reduction`: the mean by default, the sum, or none.

#include <cstdint>

#include <sinter/tensor.h>

namespace sinter {

enum class Reduction : std::uint8_t { Mean, Sum, None };

/// (prediction - target)².
Tensor mse_loss(const Arg& prediction, const Arg& target, Reduction reduction = Reduction::Mean);
/// |prediction - target|.
Tensor l1_loss(const Arg& prediction, const Arg& target, Reduction reduction = Reduction::Mean);
/// Quadratic below beta, linear above.
Tensor smooth_l1_loss(const Arg& prediction, const Arg& target, double beta = 1,
                      Reduction reduction = Reduction::Mean);
Tensor huber_loss(const Arg& prediction, const Arg& target, double delta = 1,
                  Reduction reduction = Reduction::Mean);

struct CrossEntropyOptions {
    double label_smoothing = 0;
    std::int64_t ignore_index = -100;  ///< targets of this class count for nothing
    Reduction reduction = Reduction::Mean;
};
/// -log softmax(logits)[class]. logits: [classes], [n, classes] or [n, classes, ...]; targets:
/// integer classes of the same shape without the class axis, or probabilities of the logits' shape.
Tensor cross_entropy(const Arg& logits, const Tensor& target,
                     const CrossEntropyOptions& options = {});
/// -log_probabilities[class], shapes as cross_entropy.
Tensor nll_loss(const Arg& log_probabilities, const Tensor& target,
                const CrossEntropyOptions& options = {});
/// Binary cross-entropy of probabilities; logarithms are cut at -100.
Tensor bce(const Arg& probability, const Arg& target, Reduction reduction = Reduction::Mean);
/// The same of logits, without overflow.
Tensor bce_with_logits(const Arg& logits, const Arg& target, Reduction reduction = Reduction::Mean);

}  // namespace sinter
