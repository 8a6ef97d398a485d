#pragma once
// Layers with parameters and those that act differently in training. First values are drawn as
// PyTorch draws them. Sizes and options that make no layer are a ValueError or ShapeError, inputs
// that do not fit a ShapeError or DTypeError; both name the layer and the caller's line.

#include <cstdint>
#include <optional>

#include <sinter/nn/module.h>
#include <sinter/tensor.h>

namespace sinter::nn {

struct LinearOptions {
    bool bias = true;
};

/// y = x weightᵀ + bias, of the last axis: [..., in] to [..., out].
struct Linear : Module {
    Tensor weight;  ///< [out, in]
    Tensor bias;    ///< [out], undefined without a bias

    Linear(std::int64_t in, std::int64_t out, const LinearOptions& options = {},
           Where where = Where::current());
    Tensor operator()(const Tensor& x, Where where = Where::current()) const;
};

struct EmbeddingOptions {
    std::optional<std::int64_t> padding =
        std::nullopt;  ///< this row starts as zeros and is not trained
};

/// Rows of a table by index: integers of any shape to that shape, then `size`. An index outside is
/// an IndexError.
struct Embedding : Module {
    Tensor weight;  ///< [count, size]

    Embedding(std::int64_t count, std::int64_t size, const EmbeddingOptions& options = {},
              Where where = Where::current());
    Tensor operator()(const Tensor& indices, Where where = Where::current()) const;

private:
    std::optional<std::int64_t> padding_;
};

/// In training, zeros with probability p and the rest divided by 1 - p; otherwise x.
struct Dropout : Module {
    explicit Dropout(double p = 0.5, Where where = Where::current());
    Tensor operator()(const Tensor& x, Where where = Where::current()) const;

private:
    double p_;
};

struct LayerNormOptions {
    double eps = 1e-5;
    bool affine = true;
    bool bias = true;
};

/// Over the last axes, which have this shape: (x - mean) / sqrt(var + eps) * weight + bias (Ba et
/// al., 2016).
struct LayerNorm : Module {
    Tensor weight, bias;  ///< of the shape normalised; undefined where left out

    explicit LayerNorm(const Shape& shape, const LayerNormOptions& options = {},
                       Where where = Where::current());
    explicit LayerNorm(std::int64_t size, const LayerNormOptions& options = {},
                       Where where = Where::current())
        : LayerNorm(Shape{size}, options, where) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const;

private:
    Shape shape_;
    double eps_;
};

struct BatchNormOptions {
    double eps = 1e-5;
    /// Share of a batch's statistics in the running ones; none: their plain average over all
    /// batches.
    std::optional<double> momentum = 0.1;
    bool affine = true;
    bool track = true;  ///< keep running statistics, and use them in evaluation
};

/// Each channel (axis 1) over all other axes: (x - mean) / sqrt(var + eps) * weight + bias (Ioffe
/// and Szegedy, 2015). Training takes the batch's statistics and updates the running ones, which an
/// optimizer computes with its step; the rest of the time the running ones are used. 16-bit floats
/// are normalised in f32.
struct BatchNorm : Module {
    Tensor weight, bias;                       ///< [channels]
    mutable Tensor running_mean, running_var;  ///< [channels]; the variance is the unbiased one
    mutable Tensor num_batches_tracked;        ///< i64, batches seen in training

protected:
    /// Takes inputs of min_rank to max_rank axes.
    BatchNorm(const char* name, std::int64_t channels, std::size_t min_rank, std::size_t max_rank,
              const BatchNormOptions& options, const Where& where);
    Tensor forward(const Tensor& x, const Where& where) const;

private:
    void track(const Tensor& mean, const Tensor& var, std::int64_t count) const;

    const char* name_;
    std::int64_t channels_;
    std::size_t min_rank_, max_rank_;
    BatchNormOptions options_;
};

/// [n, channels] or [n, channels, length].
struct BatchNorm1d : BatchNorm {
    explicit BatchNorm1d(std::int64_t channels, const BatchNormOptions& options = {},
                         Where where = Where::current())
        : BatchNorm("BatchNorm1d", channels, 2, 3, options, where) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return forward(x, where);
    }
};

/// [n, channels, height, width].
struct BatchNorm2d : BatchNorm {
    explicit BatchNorm2d(std::int64_t channels, const BatchNormOptions& options = {},
                         Where where = Where::current())
        : BatchNorm("BatchNorm2d", channels, 4, 4, options, where) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return forward(x, where);
    }
};

}  // namespace sinter::nn
