#include <cmath>
#include <memory>
#include <optional>

#include <sinter/nn.h>

#include "functions.h"
#include "workload.h"

namespace sinter::tool {
namespace {

constexpr int kReportedSteps = 3;

// A network's weights, trained on one batch.
struct Training {
    std::vector<Tensor> weights;
    std::unique_ptr<nn::Optimizer> optimizer;
    std::function<Tensor(const std::vector<Tensor>&)> loss;
};

template <class Optimizer = nn::Adam, class Options = nn::AdamOptions>
Workload training_step(std::vector<Tensor> weights,
                       std::function<Tensor(const std::vector<Tensor>&)> loss,
                       const Options& options = {.lr = 1e-3}) {
    auto state = std::make_shared<Training>();
    state->weights = std::move(weights);
    state->loss = std::move(loss);
    nn::Parameters parameters;
    for (Tensor& w : state->weights) parameters.push_back(&w);
    state->optimizer = std::make_unique<Optimizer>(parameters, options);
    return {captured([state] {
                Tensor value = state->loss(state->weights);
                state->optimizer->step(value);
                return std::vector<Tensor>{value};
            }),
            Reported::EveryCall, kReportedSteps};
}

void add_linear(std::vector<Tensor>& weights, Source& s, std::int64_t out, std::int64_t in) {
    const double scale = std::pow(static_cast<double>(in), -0.5);
    weights.push_back(s.values({out, in}, scale));
    weights.push_back(s.values({out}, scale));
}

void add_conv(std::vector<Tensor>& weights, Source& s, std::int64_t out, std::int64_t in,
              std::int64_t r) {
    const double scale = std::pow(static_cast<double>(in * r * r), -0.5);
    weights.push_back(s.values({out, in, r, r}, scale));
    weights.push_back(s.values({out}, scale));
}

void add_norm(std::vector<Tensor>& weights, Source& s, std::int64_t n) {
    weights.push_back(s.values({n}, 0, 1));
    weights.push_back(s.values({n}, 0, 0));
}

Workload mlp_step(const Params& p, Source& s) {
    const std::vector<std::int64_t> sizes = p.integers("sizes");
    const Tensor x = s.values({p.integer("batch"), sizes.front()}),
                 labels = s.integers({p.integer("batch")}, sizes.back());
    std::vector<Tensor> weights;
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i)
        add_linear(weights, s, sizes[i + 1], sizes[i]);
    return training_step(std::move(weights), [=](const std::vector<Tensor>& w) {
        Tensor h = x;
        for (std::size_t i = 0; i < w.size(); i += 2)
            h = linear(i == 0 ? h : relu(h), w[i], w[i + 1]);
        return cross_entropy(h, labels);
    });
}

Workload mnist_cnn_step(const Params& p, Source& s) {
    const std::int64_t batch = p.integer("batch");
    const Tensor x = s.values({batch, 1, 28, 28}), labels = s.integers({batch}, 10);
    std::vector<Tensor> weights;
    add_conv(weights, s, 32, 1, 5);
    add_conv(weights, s, 32, 32, 5);
    add_norm(weights, s, 32);
    add_conv(weights, s, 64, 32, 3);
    add_conv(weights, s, 64, 64, 3);
    add_norm(weights, s, 64);
    add_linear(weights, s, 10, 576);
    return training_step(std::move(weights), [=](const std::vector<Tensor>& w) {
        Tensor h = x;
        for (std::size_t base : {0u, 6u}) {
            h = relu(conv2d(h, w[base], w[base + 1]));
            h = relu(conv2d(h, w[base + 2], w[base + 3]));
            h = max_pool2d(batch_norm(h, w[base + 4], w[base + 5]), 2);
        }
        return cross_entropy(linear(h.reshape({batch, 576}), w[12], w[13]), labels);
    });
}

// Hands out weights in the order in which they are used.
class Taker {
public:
    explicit Taker(const std::vector<Tensor>& weights) : weights_(weights) {}
    const Tensor& operator()() { return weights_.at(next_++); }

private:
    const std::vector<Tensor>& weights_;
    std::size_t next_ = 0;
};

// --- ResNet

struct ConvShape {
    std::int64_t in, out, size, stride;
};

// Convolutions of the way through, and the one on the shortcut where there is one.
struct ResidualBlock {
    std::vector<ConvShape> way;
    std::optional<ConvShape> shortcut;
};

class ResNet {
public:
    // `steps`: for small images, with the statistics of the batch.
    ResNet(std::int64_t depth, bool steps)
        : steps_(steps),
          stem_(steps ? ConvShape{3, 64, 3, 1} : ConvShape{3, 64, 7, 2}),
          features_(depth == 50 ? 2048 : 512) {
        if (depth != 18 && depth != 50) throw Unsupported("no ResNet of this depth");
        const std::vector<int> counts =
            depth == 50 ? std::vector<int>{3, 4, 6, 3} : std::vector<int>{2, 2, 2, 2};
        std::int64_t channels = 64;
        for (std::size_t stage = 0; stage < counts.size(); ++stage) {
            const std::int64_t width = std::int64_t{64} << stage,
                               out = depth == 50 ? 4 * width : width;
            for (int i = 0; i < counts[stage]; ++i) {
                const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
                ResidualBlock& block = blocks_.emplace_back();
                block.way = depth == 50 ? std::vector<ConvShape>{{channels, width, 1, 1},
                                                                 {width, width, 3, stride},
                                                                 {width, out, 1, 1}}
                                        : std::vector<ConvShape>{{channels, width, 3, stride},
                                                                 {width, width, 3, 1}};
                if (stride != 1 || channels != out) block.shortcut = {channels, out, 1, stride};
                channels = out;
            }
        }
    }

    std::vector<Tensor> weights(Source& s, std::int64_t classes) const {
        std::vector<Tensor> all;
        add(all, s, stem_);
        for (const ResidualBlock& block : blocks_) {
            for (const ConvShape& c : block.way) add(all, s, c);
            if (block.shortcut) add(all, s, *block.shortcut);
        }
        add_linear(all, s, classes, features_);
        return all;
    }

    Tensor operator()(const Tensor& images, const std::vector<Tensor>& weights) const {
        Taker take(weights);
        Tensor x = relu(normed(images, stem_, take));
        if (!steps_) x = max_pool2d(x, 3, {.stride = 2, .padding = 1});
        for (const ResidualBlock& block : blocks_) {
            Tensor y = x;
            for (std::size_t i = 0; i < block.way.size(); ++i)
                y = normed(i == 0 ? y : relu(y), block.way[i], take);
            if (block.shortcut) x = normed(x, *block.shortcut, take);
            x = relu(x + y);
        }
        const Tensor& w = take();
        return linear(mean(x, {2, 3}), w, take());
    }

private:
    void add(std::vector<Tensor>& all, Source& s, const ConvShape& c) const {
        const double fan_in = static_cast<double>(c.in * c.size * c.size);
        all.push_back(s.values({c.out, c.in, c.size, c.size}, std::sqrt(6 / fan_in)));
        if (steps_) return add_norm(all, s, c.out);
        all.push_back(s.values({c.out}, 0.1, 0.5));
        for (int i = 0; i < 2; ++i) all.push_back(s.values({c.out}, 0.1));
        all.push_back(s.values({c.out}, 0.2, 1));
    }

    Tensor normed(const Tensor& x, const ConvShape& c, Taker& take) const {
        const Tensor y = conv2d(x, take(), {}, {.stride = c.stride, .padding = c.size / 2});
        const Tensor &w = take(), &b = take();
        if (steps_) return batch_norm(y, w, b);
        const Tensor& mean = take();
        return batch_norm(y, w, b, mean, take());
    }

    bool steps_;
    ConvShape stem_;
    std::int64_t features_;
    std::vector<ResidualBlock> blocks_;
};

Workload resnet_forward(const Params& p, Source& s) {
    const std::int64_t size = p.integer("size");
    const Tensor x = s.values({p.integer("batch"), 3, size, size});
    const ResNet net(p.integer("depth"), false);
    const std::vector<Tensor> weights = net.weights(s, 1000);
    return {captured({x}, [=](const std::vector<Tensor>& inputs) {
        return std::vector<Tensor>{net(inputs[0], weights)};
    })};
}

Workload resnet_step(const Params& p, Source& s) {
    const std::int64_t size = p.integer("size"), batch = p.integer("batch");
    const Tensor x = s.values({batch, 3, size, size}), labels = s.integers({batch}, 10);
    const ResNet net(p.integer("depth"), true);
    return training_step(net.weights(s, 10), [=](const std::vector<Tensor>& w) {
        return cross_entropy(net(x, w), labels);
    });
}

// --- GPT-2

class Gpt {
public:
    explicit Gpt(const Params& p)
        : layers_(p.integer("layers")),
          width_(p.integer("width")),
          heads_(p.integer("heads")),
          ctx_(p.integer("ctx")),
          vocab_(p.integer("vocab")) {}

    std::vector<Tensor> weights(Source& s) const {
        std::vector<Tensor> all{matrix(s, vocab_, width_), matrix(s, ctx_, width_)};
        const auto add = [&](std::int64_t out, std::int64_t in) {
            all.push_back(matrix(s, out, in));
            all.push_back(s.values({out}, 0));
        };
        for (std::int64_t layer = 0; layer < layers_; ++layer) {
            add_norm(all, s, width_);
            add(3 * width_, width_);
            add(width_, width_);
            add_norm(all, s, width_);
            add(4 * width_, width_);
            add(width_, 4 * width_);
        }
        add_norm(all, s, width_);
        return all;
    }

    using Attend =
        std::function<Tensor(std::size_t layer, const Tensor& q, const Tensor& k, const Tensor& v)>;
    // ids [b, t], which stand at positions first..first + t, to logits [b, t, vocab].
    Tensor operator()(const Tensor& ids, std::int64_t first, const std::vector<Tensor>& weights,
                      const Attend& attend) const {
        const std::int64_t b = ids.size(0), t = ids.size(1);
        Taker take(weights);
        const auto linear_of = [&](const Tensor& x) {
            const Tensor& w = take();
            return linear(x, w, take());
        };
        const auto norm_of = [&](const Tensor& x) {
            const Tensor& w = take();
            return layer_norm(x, w, take());
        };
        const Tensor &wte = take(), &wpe = take();
        Tensor x = embedding(ids, wte) + narrow(wpe, 0, first, t);
        for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers_); ++layer) {
            const Tensor qkv = linear_of(norm_of(x)).reshape({b, t, 3, heads_, width_ / heads_});
            const std::vector<Tensor> parts = unbind(qkv.permute({2, 0, 3, 1, 4}), 0);
            const Tensor mixed = attend(layer, parts[0], parts[1], parts[2]);
            x = x + linear_of(mixed.transpose(1, 2).reshape({b, t, width_}));
            x = x + linear_of(gelu(linear_of(norm_of(x)), Gelu::Tanh));
        }
        return matmul(norm_of(x), wte.transpose());
    }

private:
    static Tensor matrix(Source& s, std::int64_t out, std::int64_t in) {
        return s.values({out, in}, 0.02 * std::sqrt(3.0));
    }

    std::int64_t layers_, width_, heads_, ctx_, vocab_;
};

Workload gpt_step(const Params& p, Source& s) {
    const std::int64_t batch = p.integer("batch"), ctx = p.integer("ctx"),
                       vocab = p.integer("vocab");
    const Tensor ids = s.integers({batch, ctx}, vocab), labels = s.integers({batch * ctx}, vocab);
    const Gpt net(p);
    return training_step<nn::AdamW>(
        net.weights(s),
        [=](const std::vector<Tensor>& w) {
            const Tensor logits =
                net(ids, 0, w, [](std::size_t, const Tensor& q, const Tensor& k, const Tensor& v) {
                    return attention(q, k, v, true);
                });
            return cross_entropy(logits.reshape({batch * ctx, vocab}), labels);
        },
        nn::AdamWOptions{.lr = 3e-4, .weight_decay = 0.01});
}

Workload gpt_decode(const Params& p, Source& s) {
    const std::int64_t layers = p.integer("layers"), heads = p.integer("heads"),
                       ctx = p.integer("ctx"), d = p.integer("width") / heads;
    const Tensor id = s.integers({1, 1}, p.integer("vocab"));
    struct Cache {
        Tensor k, v;
    };
    const auto caches = std::make_shared<std::vector<Cache>>();
    for (std::int64_t i = 0; i < layers; ++i) {
        const Tensor k = s.values({1, heads, ctx, d});
        caches->push_back({k, s.values({1, heads, ctx, d})});
    }
    const Gpt net(p);
    const std::vector<Tensor> weights = net.weights(s);
    return {captured({id}, [=](const std::vector<Tensor>& inputs) {
        Tensor logits =
            net(inputs[0], ctx - 1, weights,
                [&](std::size_t layer, const Tensor& q, const Tensor& k, const Tensor& v) {
                    Cache& cache = (*caches)[layer];
                    cache.k.set({ellipsis, slice(ctx - 1, ctx), slice()}, k);
                    cache.v.set({ellipsis, slice(ctx - 1, ctx), slice()}, v);
                    return attention(q, cache.k, cache.v, false);
                });
        std::vector<Tensor*> all{&logits};
        for (Cache& cache : *caches) all.insert(all.end(), {&cache.k, &cache.v});
        Tensor::realize(std::span<Tensor* const>(all));
        return std::vector<Tensor>{logits};
    })};
}

// --- Llama

Workload llama_block(const Params& p, Source& s) {
    const std::int64_t b = p.integer("batch"), t = p.integer("t"), dim = p.integer("dim"),
                       heads = p.integer("heads"), kv_heads = p.integer("kv_heads"),
                       hidden = p.integer("hidden"), d = dim / heads;
    const auto matrix = [&](std::int64_t out, std::int64_t in) {
        return s.values({out, in}, std::pow(static_cast<double>(in), -0.5));
    };
    const Tensor x = s.values({b, t, dim}), table = s.rotary(t, d / 2, p.number("rope_base"));
    std::vector<Tensor> weights{s.values({dim}, 0.1, 1)};
    for (const std::int64_t out : {heads * d, kv_heads * d, kv_heads * d})
        weights.push_back(matrix(out, dim));
    weights.push_back(matrix(dim, heads * d));
    weights.push_back(s.values({dim}, 0.1, 1));
    weights.push_back(matrix(hidden, dim));
    weights.push_back(matrix(hidden, dim));
    weights.push_back(matrix(dim, hidden));
    const Tensor cosine = table[{ellipsis, 0}], sine = table[{ellipsis, 1}];
    return {captured({x}, [=](const std::vector<Tensor>& inputs) {
        Taker take(weights);
        const auto projected = [&](const Tensor& y, std::int64_t count) {
            return linear(y, take()).reshape({b, t, count, d}).transpose(1, 2);
        };
        const auto rotated = [&](const Tensor& y) {
            const std::vector<Tensor> halves = chunk(y, 2, -1);
            return cat(
                {halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1);
        };
        const Tensor in = rms_norm(inputs[0], take());
        const Tensor q = rotated(projected(in, heads)), k = rotated(projected(in, kv_heads)),
                     v = projected(in, kv_heads);
        const Tensor mixed = attention(q, k, v, true).transpose(1, 2).reshape({b, t, dim});
        const Tensor y = inputs[0] + linear(mixed, take());
        const Tensor normed = rms_norm(y, take());
        const Tensor gate = silu(linear(normed, take()));
        const Tensor up = linear(normed, take());
        return std::vector<Tensor>{y + linear(gate * up, take())};
    })};
}

// --- AdamW alone

Workload adamw(const Params& p, Source& s) {
    const std::int64_t c = p.integer("width");
    std::vector<Shape> shapes{{p.integer("vocab"), c}, {p.integer("ctx"), c}};
    for (std::int64_t layer = 0; layer < p.integer("layers"); ++layer)
        for (const Shape& shape : std::vector<Shape>{{c},
                                                     {c},
                                                     {3 * c, c},
                                                     {3 * c},
                                                     {c, c},
                                                     {c},
                                                     {c},
                                                     {c},
                                                     {4 * c, c},
                                                     {4 * c},
                                                     {c, 4 * c},
                                                     {c}})
            shapes.push_back(shape);
    shapes.insert(shapes.end(), {{c}, {c}});
    struct State {
        std::vector<Tensor> weights, gradients;
        std::unique_ptr<nn::AdamW> optimizer;
    };
    const auto state = std::make_shared<State>();
    for (const Shape& shape : shapes) state->weights.push_back(s.values(shape, 0.05));
    for (const Shape& shape : shapes) state->gradients.push_back(s.values(shape));
    nn::Parameters parameters;
    for (Tensor& w : state->weights) parameters.push_back(&w);
    state->optimizer =
        std::make_unique<nn::AdamW>(parameters, nn::AdamWOptions{.lr = 1e-3, .weight_decay = 0.01});
    // A sum whose gradients are the ones wanted.
    Tensor weighted = 0.0f;
    for (std::size_t i = 0; i < shapes.size(); ++i)
        weighted += sum(state->weights[i] * state->gradients[i]);
    backward(weighted);
    const Call step = captured([state] {
        state->optimizer->step();
        return std::vector<Tensor>();
    });
    return {[state, step] {
                step();
                return state->weights;
            },
            Reported::LastCall, kReportedSteps};
}

}  // namespace

std::vector<Kind> model_kinds() {
    return {{"mlp_step", mlp_step},           {"mnist_cnn_step", mnist_cnn_step},
            {"resnet_fwd", resnet_forward},   {"resnet_step", resnet_step},
            {"gpt_step", gpt_step},           {"gpt_decode", gpt_decode},
            {"llama_block_fwd", llama_block}, {"adamw", adamw}};
}

}  // namespace sinter::tool
