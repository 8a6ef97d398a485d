#include <cmath>
#include <limits>

#include "functions.h"
#include "workload.h"

namespace sinter::tool {
namespace {

Shape rows_cols(const Params& p) { return {p.integer("rows"), p.integer("cols")}; }

// The gradients of y (and y itself, first) with respect to `inputs`.
std::vector<Tensor> with_gradients(const Tensor& y, const std::vector<Tensor>& inputs,
                                   const Tensor& dy) {
    std::vector<Tensor> results{y};
    for (Tensor& g : vjp(y, std::span<const Tensor>(inputs), dy)) results.push_back(std::move(g));
    return results;
}

Workload elementwise(const Tensor& x, Tensor (*f)(const Tensor&)) {
    return {captured([=] { return std::vector<Tensor>{f(x)}; })};
}

Workload gemm(const Params& p, Source& s) {
    const std::int64_t m = p.integer("m"), n = p.integer("n"), k = p.integer("k");
    const bool tb = p.flag("tb");
    const Tensor a = s.values({m, k}), b = s.values(tb ? Shape{n, k} : Shape{k, n});
    return {captured([=] { return std::vector<Tensor>{matmul(a, tb ? b.transpose(0, 1) : b)}; })};
}

Workload gemm_bias_gelu(const Params& p, Source& s) {
    const std::int64_t m = p.integer("m"), n = p.integer("n"), k = p.integer("k");
    const Tensor x = s.values({m, k}), w = s.values({n, k}, std::pow(static_cast<double>(k), -0.5)),
                 b = s.values({n});
    return {captured([=] { return std::vector<Tensor>{gelu(linear(x, w, b), Gelu::Tanh)}; })};
}

Workload einsum_chain(const Params& p, Source& s) {
    const std::int64_t i = p.integer("i"), j = p.integer("j"), k = p.integer("k"),
                       l = p.integer("l");
    const Tensor a = s.values({i, j}), b = s.values({j, k}), c = s.values({k, l});
    return {captured([=] { return std::vector<Tensor>{einsum("ij,jk,kl->il", {a, b, c})}; })};
}

struct Convolution {
    Tensor x, w;
    ConvOptions options;
    bool channels_last;

    Convolution(const Params& p, Source& s) : channels_last(p.text("layout", "nchw") == "nhwc") {
        const std::int64_t n = p.integer("n"), c = p.integer("c"), h = p.integer("h"),
                           width = p.integer("w"), r = p.integer("r");
        options.stride = p.integer("stride", 1);
        options.padding = p.integer("pad", 0);
        options.groups = p.integer("groups", 1);
        const std::int64_t inputs = c / options.groups;
        x = s.values(channels_last ? Shape{n, h, width, c} : Shape{n, c, h, width});
        w = s.values({p.integer("k"), inputs, r, r},
                     std::pow(static_cast<double>(inputs * r * r), -0.5));
    }
    Tensor operator()() const {
        if (!channels_last) return conv2d(x, w, {}, options);
        return conv2d(x.permute({0, 3, 1, 2}), w, {}, options).permute({0, 2, 3, 1}).contiguous();
    }
};

Workload convolution(const Params& p, Source& s) {
    const Convolution c(p, s);
    return {captured([=] { return std::vector<Tensor>{c()}; })};
}

Workload convolution_backward(const Params& p, Source& s) {
    const Convolution c(p, s);
    const Tensor dy = s.values(c().shape());
    return {captured([=] { return vjp(c(), std::vector<Tensor>{c.x, c.w}, dy); })};
}

Workload chain(const Params& p, Source& s) {
    const Tensor a = s.values({p.integer("n")}), b = s.values({p.integer("n")});
    return {captured([=] { return std::vector<Tensor>{gelu(a * b + a, Gelu::Tanh) * b}; })};
}

Workload softmax_backward(const Params& p, Source& s) {
    const Tensor y = s.values(rows_cols(p)), dy = s.values(rows_cols(p));
    return {captured([=] { return std::vector<Tensor>{y * (dy - sum(y * dy, -1, true))}; })};
}

struct Affine {
    Tensor w, b;
    Affine(std::int64_t n, Source& s) : w(s.values({n}, 0.1, 1)), b(s.values({n}, 0.1)) {}
};

Workload layernorm(const Params& p, Source& s) {
    const Tensor x = s.values(rows_cols(p));
    const Affine a(p.integer("cols"), s);
    return {captured([=] { return std::vector<Tensor>{layer_norm(x, a.w, a.b)}; })};
}

Workload layernorm_train(const Params& p, Source& s) {
    const Tensor x = s.values(rows_cols(p));
    const Affine a(p.integer("cols"), s);
    const Tensor dy = s.values(rows_cols(p));
    return {captured([=] { return with_gradients(layer_norm(x, a.w, a.b), {x, a.w, a.b}, dy); })};
}

Workload rmsnorm(const Params& p, Source& s) {
    const Tensor x = s.values(rows_cols(p)), w = s.values({p.integer("cols")}, 0.1, 1);
    return {captured([=] { return std::vector<Tensor>{rms_norm(x, w)}; })};
}

Workload batchnorm_train(const Params& p, Source& s) {
    const Shape shape{p.integer("n"), p.integer("c"), p.integer("h"), p.integer("w")};
    const Tensor x = s.values(shape);
    const Affine a(p.integer("c"), s);
    const Tensor dy = s.values(shape);
    return {captured([=] { return with_gradients(batch_norm(x, a.w, a.b), {x, a.w, a.b}, dy); })};
}

Workload reduction(const Params& p, Source& s) {
    const Tensor x = s.values(Shape(p.integers("shape")));
    const std::string op = p.text("op", "sum");
    const Axes axes = p.is_null("axis") ? Axes() : Axes(p.integer("axis"));
    if (op == "sum") return {captured([=] { return std::vector<Tensor>{sum(x, axes)}; })};
    if (op == "max") return {captured([=] { return std::vector<Tensor>{max(x, axes)}; })};
    if (op == "mean_var")
        return {
            captured([=] { return std::vector<Tensor>{mean(x, axes), var(x, axes, false, 0)}; })};
    if (op == "argmax") {
        if (axes.all()) return {captured([=] { return std::vector<Tensor>{argmax(x)}; })};
        return {captured(
            [=, axis = p.integer("axis")] { return std::vector<Tensor>{argmax(x, axis)}; })};
    }
    throw Unsupported("no reduction " + op);
}

Workload permutation(const Params& p, Source& s) {
    const Tensor x = s.values(Shape(p.integers("shape")));
    return {captured([=, perm = p.integers("perm")] {
        return std::vector<Tensor>{x.permute(perm).contiguous()};
    })};
}

Workload movement(const Params& p, Source& s) {
    const std::int64_t cols = p.integer("cols");
    const Tensor a = s.values(rows_cols(p)), b = s.values(rows_cols(p));
    return {captured([=] {
        const Tensor both = narrow(cat({a, b}, 1), 1, 7, 2 * cols - 16);
        return std::vector<Tensor>{pad(both, {4, 4, 2, 2}) * 2};
    })};
}

struct Heads {
    Tensor q, k, v;
    bool causal;
    Heads(const Params& p, Source& s) : causal(p.flag("causal")) {
        const std::int64_t b = p.integer("b"), h = p.integer("h"), t = p.integer("t"),
                           d = p.integer("d"), kv = p.integer("kv_heads", h);
        q = s.values({b, h, t, d});
        k = s.values({b, kv, t, d});
        v = s.values({b, kv, t, d});
    }
    Tensor operator()() const { return attention(q, k, v, causal); }
};

Workload attention_forward(const Params& p, Source& s) {
    const Heads heads(p, s);
    return {captured([=] { return std::vector<Tensor>{heads()}; })};
}

Workload attention_train(const Params& p, Source& s) {
    const Heads heads(p, s);
    const Tensor dy = s.values(heads.q.shape());
    return {captured([=] { return with_gradients(heads(), {heads.q, heads.k, heads.v}, dy); })};
}

Workload embedding_rows(const Params& p, Source& s) {
    const Tensor table = s.values({p.integer("vocab"), p.integer("dim")}),
                 ids = s.integers({p.integer("ids")}, p.integer("vocab"));
    return {captured([=] { return std::vector<Tensor>{embedding(ids, table)}; })};
}

Workload embedding_backward(const Params& p, Source& s) {
    const std::int64_t vocab = p.integer("vocab"), dim = p.integer("dim"), count = p.integer("ids");
    const Tensor ids = s.integers({count}, vocab), dy = s.values({count, dim});
    return {
        captured([=] { return std::vector<Tensor>{index_add(zeros({vocab, dim}), 0, ids, dy)}; })};
}

Workload cross_entropy_train(const Params& p, Source& s) {
    const Tensor logits = s.values(rows_cols(p), 4),
                 labels = s.integers({p.integer("rows")}, p.integer("cols")), dloss = s.values({});
    return {
        captured([=] { return with_gradients(cross_entropy(logits, labels), {logits}, dloss); })};
}

Workload maxpool(const Params& p, Source& s) {
    const Tensor x = s.values({p.integer("n"), p.integer("c"), p.integer("h"), p.integer("w")});
    const std::int64_t r = p.integer("r"), stride = p.integer("stride"),
                       padding = p.integer("pad", 0);
    return {captured([=] {
        return std::vector<Tensor>{max_pool2d(x, r, {.stride = stride, .padding = padding})};
    })};
}

Workload topk_of(const Params& p, Source& s) {
    const Tensor x = s.values(rows_cols(p));
    return {captured([=, k = p.integer("k")] {
        const Sorted top = topk(x, k);
        return std::vector<Tensor>{top.values, top.indices};
    })};
}

// Built and run anew on each call.
Workload eager_op(const Params& p, Source& s) {
    const Tensor a = s.values({p.integer("n")}), b = s.values({p.integer("n")});
    return {realizing([=] { return std::vector<Tensor>{a + b}; })};
}

Workload replay(const Params& p, Source& s) {
    const std::int64_t n = p.integer("n"), steps = p.integer("steps");
    const Tensor x = s.values({n, n});
    return {captured([=] {
        Tensor y = x;
        for (std::int64_t i = 0; i < steps; ++i)
            y = y * 0.5 + sum(y, i % 2 == 0 ? 1 : 0, true) * (0.5 / static_cast<double>(n));
        return std::vector<Tensor>{y};
    })};
}

}  // namespace

std::vector<Kind> operator_kinds() {
    return {
        {"gemm", gemm},
        {"gemm_bias_gelu", gemm_bias_gelu},
        {"einsum_chain", einsum_chain},
        {"conv2d", convolution},
        {"conv2d_backward", convolution_backward},
        {"chain", chain},
        {"exp",
         [](const Params& p, Source& s) {
             return elementwise(s.values({p.integer("n")}, 4),
                                [](const Tensor& x) { return exp(x); });
         }},
        {"softmax",
         [](const Params& p, Source& s) {
             return elementwise(s.values(rows_cols(p), 4),
                                [](const Tensor& x) { return softmax(x, -1); });
         }},
        {"log_softmax",
         [](const Params& p, Source& s) {
             return elementwise(s.values(rows_cols(p), 4),
                                [](const Tensor& x) { return log_softmax(x, -1); });
         }},
        {"softmax_backward", softmax_backward},
        {"layernorm", layernorm},
        {"layernorm_train", layernorm_train},
        {"rmsnorm", rmsnorm},
        {"batchnorm_train", batchnorm_train},
        {"reduce", reduction},
        {"cumsum",
         [](const Params& p, Source& s) {
             return elementwise(s.values(rows_cols(p)),
                                [](const Tensor& x) { return cumsum(x, 1); });
         }},
        {"permute", permutation},
        {"movement", movement},
        {"attention", attention_forward},
        {"attention_train", attention_train},
        {"embedding", embedding_rows},
        {"embedding_backward", embedding_backward},
        {"cross_entropy_train", cross_entropy_train},
        {"sort",
         [](const Params& p, Source& s) {
             return elementwise(s.values(rows_cols(p)),
                                [](const Tensor& x) { return sort(x).values; });
         }},
        {"topk", topk_of},
        {"maxpool2d", maxpool},
        {"eager_op", eager_op},
        {"replay", replay},
    };
}

}  // namespace sinter::tool
