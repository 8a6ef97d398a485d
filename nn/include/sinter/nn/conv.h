#pragma once
// Convolutions and pooling as modules; shapes, options and arithmetic are those of the functions.

#include <cstddef>
#include <cstdint>

#include <sinter/conv.h>
#include <sinter/nn/module.h>
#include <sinter/pool.h>

namespace sinter::nn {

struct ConvLayerOptions {
    PerAxis stride = 1;
    PerAxis padding = 0;
    PerAxis dilation = 1;
    std::int64_t groups = 1;
    bool bias = true;
    bool same = false;  ///< pads so that the size stays
};

/// Over `axes` spatial axes; see Conv1d, Conv2d and Conv3d.
template <std::size_t axes>
struct Conv : Module {
    Tensor weight;  ///< [out, in / groups, kernel...]
    Tensor bias;    ///< [out], undefined without a bias

    /// Channels must be positive and divisible by the groups (ValueError).
    Conv(std::int64_t in, std::int64_t out, const PerAxis& kernel,
         const ConvLayerOptions& options = {});
    Tensor operator()(const Tensor& x, Where where = Where::current()) const;

private:
    ConvOptions options_;
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

/// A pooling function with its kernel and options.
template <class Options, Tensor (*function)(const Arg&, const PerAxis&, const Options&)>
struct Pool : Module {
    explicit Pool(const PerAxis& kernel, const Options& options = {})
        : kernel_(kernel), options_(options) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return function(Arg(x, where), kernel_, options_);
    }

private:
    PerAxis kernel_;
    Options options_;
};
using MaxPool1d = Pool<MaxPoolOptions, &max_pool1d>;
using MaxPool2d = Pool<MaxPoolOptions, &max_pool2d>;
using MaxPool3d = Pool<MaxPoolOptions, &max_pool3d>;
using AvgPool1d = Pool<AvgPoolOptions, &avg_pool1d>;
using AvgPool2d = Pool<AvgPoolOptions, &avg_pool2d>;
using AvgPool3d = Pool<AvgPoolOptions, &avg_pool3d>;

/// Pooling to a size.
template <Tensor (*function)(const Arg&, const PerAxis&)>
struct AdaptivePool : Module {
    explicit AdaptivePool(const PerAxis& out) : out_(out) {}
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        return function(Arg(x, where), out_);
    }

private:
    PerAxis out_;
};
using AdaptiveAvgPool1d = AdaptivePool<&adaptive_avg_pool1d>;
using AdaptiveAvgPool2d = AdaptivePool<&adaptive_avg_pool2d>;
using AdaptiveMaxPool1d = AdaptivePool<&adaptive_max_pool1d>;
using AdaptiveMaxPool2d = AdaptivePool<&adaptive_max_pool2d>;

}  // namespace sinter::nn
