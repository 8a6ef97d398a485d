#include <sinter/nn/layers.h>

#include <cmath>
#include <string>

#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/indexing.h>
#include <sinter/linalg.h>
#include <sinter/movement.h>
#include <sinter/random.h>
#include <sinter/reduce.h>

#include "check.h"

namespace sinter::nn {

// --- Linear

Linear::Linear(std::int64_t in, std::int64_t out, const LinearOptions& options, Where where) {
    const Called call("Linear", where);
    require_positive("input features", in);
    require_positive("output features", out);
    // PyTorch's Kaiming draw with slope sqrt(5) comes to this bound, for weight and bias.
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    weight = uniform({out, in}, -bound, bound);
    add("weight", weight);
    if (!options.bias) return;
    bias = uniform({out}, -bound, bound);
    add("bias", bias);
}

Tensor Linear::operator()(const Tensor& x, Where where) const {
    const Called call("Linear", where);
    if (x.ndim() == 0 || x.size(-1) != weight.size(1)) {
        fail<ShapeError>("takes [..., " + std::to_string(weight.size(1)) + "], got " +
                         to_string(x.shape()));
    }
    const Tensor y = matmul(x, weight.transpose());
    return bias.defined() ? y + bias : y;
}

// --- Embedding

Embedding::Embedding(std::int64_t count, std::int64_t size, const EmbeddingOptions& options,
                     Where where)
    : padding_(options.padding) {
    const Called call("Embedding", where);
    require_positive("rows", count);
    require_positive("numbers a row", size);
    if (padding_ && *padding_ < 0) *padding_ += count;
    require(!padding_ || (*padding_ >= 0 && *padding_ < count),
            "the padding row " + std::to_string(options.padding.value_or(0)) +
                " is not one of the " + std::to_string(count));
    weight = randn({count, size});
    if (padding_) weight = sinter::where(arange(count).unsqueeze(1) == *padding_, 0, weight);
    add("weight", weight);
}

Tensor Embedding::operator()(const Tensor& indices, Where where) const {
    const Called call("Embedding", where);
    if (!padding_) return embedding(indices, weight);
    const Tensor padding = arange(weight.size(0)).unsqueeze(1) == *padding_;
    return embedding(indices, sinter::where(padding, weight.detach(), weight));
}

// --- Dropout

Dropout::Dropout(double p, Where where) : p_(p) {
    const Called call("Dropout", where);
    require(p >= 0 && p <= 1, "p is a probability, got " + std::to_string(p));
}

Tensor Dropout::operator()(const Tensor& x, Where where) const {
    const Called call("Dropout", where);
    return dropout(x, p_, training());
}

// --- LayerNorm

LayerNorm::LayerNorm(const Shape& shape, const LayerNormOptions& options, Where where)
    : shape_(shape), eps_(options.eps) {
    const Called call("LayerNorm", where);
    if (shape.empty()) fail<ShapeError>("needs the sizes of one axis at least, got []");
    for (const std::int64_t size : shape) {
        require(size > 0, "sizes must be positive, got " + to_string(shape));
    }
    require_not_negative("eps", eps_);
    if (!options.affine) return;
    weight = ones(shape);
    add("weight", weight);
    if (!options.bias) return;
    bias = zeros(shape);
    add("bias", bias);
}

Tensor LayerNorm::operator()(const Tensor& x, Where where) const {
    const Called call("LayerNorm", where);
    const Shape shape = x.shape();
    const bool fits =
        shape.size() >= shape_.size() && std::equal(shape_.rbegin(), shape_.rend(), shape.rbegin());
    if (!fits) {
        fail<ShapeError>("the last axes must be " + to_string(shape_) + ", got " +
                         to_string(shape));
    }
    std::vector<std::int64_t> axes;
    for (std::size_t d = shape.size() - shape_.size(); d < shape.size(); ++d) {
        axes.push_back(static_cast<std::int64_t>(d));
    }
    const Tensor wide = in_wide_float(x);
    const Tensor mean = wide.mean(axes, true), var = wide.var(axes, true, 0);
    Tensor y = (wide - mean) * rsqrt(var + eps_);
    if (weight.defined()) y = y * weight;
    if (bias.defined()) y = y + bias;
    return y.to(x.dtype());
}

// --- BatchNorm

BatchNorm::BatchNorm(const char* name, std::int64_t channels, std::size_t min_rank,
                     std::size_t max_rank, const BatchNormOptions& options, const Where& where)
    : name_(name),
      channels_(channels),
      min_rank_(min_rank),
      max_rank_(max_rank),
      options_(options) {
    const Called call(name, where);
    require_positive("channels", channels);
    require_not_negative("eps", options.eps);
    require(!options.momentum || (*options.momentum >= 0 && *options.momentum <= 1),
            "momentum is a share, 0 to 1, got " + std::to_string(options.momentum.value_or(0)));
    if (options.affine) {
        weight = ones({channels});
        bias = zeros({channels});
        add("weight", weight);
        add("bias", bias);
    }
    if (options.track) {
        running_mean = zeros({channels});
        running_var = ones({channels});
        num_batches_tracked = zeros({}, i64);
        add_buffer("running_mean", running_mean);
        add_buffer("running_var", running_var);
        add_buffer("num_batches_tracked", num_batches_tracked);
    }
}

void BatchNorm::track(const Tensor& mean, const Tensor& var, std::int64_t count) const {
    num_batches_tracked.assign(num_batches_tracked + 1);
    const Tensor share =
        options_.momentum ? full({}, *options_.momentum) : 1 / num_batches_tracked.to(f32);
    const double unbias = static_cast<double>(count) / static_cast<double>(count - 1);
    const Tensor batch_mean = mean.detach().reshape({channels_});
    const Tensor batch_var = var.detach().reshape({channels_}) * unbias;
    running_mean.assign(running_mean * (1 - share) + batch_mean * share);
    running_var.assign(running_var * (1 - share) + batch_var * share);
}

Tensor BatchNorm::forward(const Tensor& x, const Where& where) const {
    const Called call(name_, where);
    const Shape shape = x.shape();
    if (shape.size() < min_rank_ || shape.size() > max_rank_ || shape[1] != channels_) {
        fail<ShapeError>("takes " + std::to_string(min_rank_) +
                         (min_rank_ == max_rank_ ? "" : " to " + std::to_string(max_rank_)) +
                         " axes with " + std::to_string(channels_) + " channels on axis 1, got " +
                         to_string(shape));
    }
    const Tensor wide = in_wide_float(x);
    Shape columns(shape.size(), 1);
    columns[1] = channels_;
    Tensor mean, var;
    if (training() || !options_.track) {
        const std::int64_t count = channels_ == 0 ? 0 : x.numel() / channels_;
        if (training() && count < 2) {
            fail<ValueError>("training needs more than one value a channel, got " +
                             to_string(shape));
        }
        std::vector<std::int64_t> axes{0};
        for (std::size_t d = 2; d < shape.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
        mean = wide.mean(axes, true);
        var = wide.var(axes, true, 0);
        if (training() && options_.track) track(mean, var, count);
    } else {
        mean = running_mean.reshape(columns);
        var = running_var.reshape(columns);
    }
    Tensor y = (wide - mean) * rsqrt(var + options_.eps);
    if (weight.defined()) y = y * weight.reshape(columns) + bias.reshape(columns);
    return y.to(x.dtype());
}

}  // namespace sinter::nn
