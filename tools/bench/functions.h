#pragma once
// Functions that the workloads share, as the benchmark defines them: eps 1e-5, biased variances,
// gelu by tanh.

#include <sinter/sinter.h>

namespace sinter::tool {

inline constexpr double kEps = 1e-5;

inline Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
    return matmul(x, w.transpose(-2, -1)) + b;
}

inline Tensor linear(const Tensor& x, const Tensor& w) { return matmul(x, w.transpose(-2, -1)); }

inline Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b) {
    const Tensor centred = x - x.mean(-1, true);
    return centred * rsqrt(mean(centred * centred, -1, true) + kEps) * w + b;
}

inline Tensor rms_norm(const Tensor& x, const Tensor& w) {
    return x * rsqrt(mean(x * x, -1, true) + kEps) * w;
}

/// Per channel of [batch, channels, height, width], with the batch's own statistics.
inline Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b) {
    const Shape channels{1, w.shape()[0], 1, 1};
    const Tensor centred = x - mean(x, {0, 2, 3}, true);
    return centred * rsqrt(mean(centred * centred, {0, 2, 3}, true) + kEps) * w.reshape(channels) +
           b.reshape(channels);
}

/// The same with stored statistics.
inline Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& mean,
                         const Tensor& var) {
    const Shape channels{1, w.shape()[0], 1, 1};
    return (x - mean.reshape(channels)) * (rsqrt(var + kEps) * w).reshape(channels) +
           b.reshape(channels);
}

/// q: [batch, heads, t, d]; k, v: [batch, heads / n, t, d], each shared by n heads.
inline Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
    const std::int64_t heads = q.shape()[1], shared = heads / k.shape()[1], queries = q.shape()[2],
                       keys = k.shape()[2];
    const auto spread = [&](const Tensor& x) {
        return shared == 1 ? x : repeat_interleave(x, shared, 1);
    };
    Tensor scores =
        matmul(q, spread(k).transpose(-2, -1)) * (1 / std::sqrt(static_cast<double>(q.shape()[3])));
    if (causal) {
        const Tensor visible =
            arange(queries).reshape({queries, 1}) >= arange(keys).reshape({1, keys});
        scores = where(visible, scores, -std::numeric_limits<float>::infinity());
    }
    return matmul(softmax(scores, -1), spread(v));
}

}  // namespace sinter::tool
