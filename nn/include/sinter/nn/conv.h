#pragma once
// Convolutions and pooling as modules; shapes, options and arithmetic are those of the functions.
// Sizes and options that make no layer are a ValueError or ShapeError, inputs that do not fit a
// ShapeError or DTypeError; both name the layer and the caller's line.

#include <cstddef>
#include <cstdint>

#include <sinter/called.h>
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
         const ConvLayerOptions& options = {}, Where where = Where::current());
    Tensor operator()(const Tensor& x, Where where = Where::current()) const;

private:
    ConvOptions options_;
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

/// The name of a module as an argument of its template.
template <std::size_t n>
struct ModuleName {
    char text[n] = {};
    consteval ModuleName(const char (&name)[n]) {
        for (std::size_t i = 0; i < n; ++i) text[i] = name[i];
    }
};

/// Base of the modules that pool over `axes` axes, which refuses what can never be done.
class Pooling : public Module {
protected:
    static void check(const char* name, std::size_t axes, const PerAxis& kernel,
                      const MaxPoolOptions& options, const Where& where);
    static void check(const char* name, std::size_t axes, const PerAxis& kernel,
                      const AvgPoolOptions& options, const Where& where);
    static void check(const char* name, std::size_t axes, const PerAxis& out, const Where& where);
};

/// A pooling function with its kernel and options.
template <ModuleName name, std::size_t axes, class Options,
          Tensor (*function)(const Arg&, const PerAxis&, const Options&)>
struct Pool : Pooling {
    explicit Pool(const PerAxis& kernel, const Options& options = {},
                  Where where = Where::current())
        : kernel_(kernel), options_(options) {
        check(name.text, axes, kernel, options, where);
    }
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        const Called call(name.text, where);
        return function(x, kernel_, options_);
    }

private:
    PerAxis kernel_;
    Options options_;
};
using MaxPool1d = Pool<"MaxPool1d", 1, MaxPoolOptions, &max_pool1d>;
using MaxPool2d = Pool<"MaxPool2d", 2, MaxPoolOptions, &max_pool2d>;
using MaxPool3d = Pool<"MaxPool3d", 3, MaxPoolOptions, &max_pool3d>;
using AvgPool1d = Pool<"AvgPool1d", 1, AvgPoolOptions, &avg_pool1d>;
using AvgPool2d = Pool<"AvgPool2d", 2, AvgPoolOptions, &avg_pool2d>;
using AvgPool3d = Pool<"AvgPool3d", 3, AvgPoolOptions, &avg_pool3d>;

/// Pooling to a size.
template <ModuleName name, std::size_t axes, Tensor (*function)(const Arg&, const PerAxis&)>
struct AdaptivePool : Pooling {
    explicit AdaptivePool(const PerAxis& out, Where where = Where::current()) : out_(out) {
        check(name.text, axes, out, where);
    }
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        const Called call(name.text, where);
        return function(x, out_);
    }

private:
    PerAxis out_;
};
using AdaptiveAvgPool1d = AdaptivePool<"AdaptiveAvgPool1d", 1, &adaptive_avg_pool1d>;
using AdaptiveAvgPool2d = AdaptivePool<"AdaptiveAvgPool2d", 2, &adaptive_avg_pool2d>;
using AdaptiveMaxPool1d = AdaptivePool<"AdaptiveMaxPool1d", 1, &adaptive_max_pool1d>;
using AdaptiveMaxPool2d = AdaptivePool<"AdaptiveMaxPool2d", 2, &adaptive_max_pool2d>;

}  // namespace sinter::nn
