#include <cmath>
#include <memory>

#include <sinter/nn.h>

#include "functions.h"
#include "workload.h"

namespace sinter::tool {
namespace {

constexpr int kReportedSteps = 3;

// A network's weights, trained by Adam on one batch.
struct Training {
    std::vector<Tensor> weights;
    std::unique_ptr<nn::Adam> optimizer;
    std::function<Tensor(const std::vector<Tensor>&)> loss;
};

Workload training_step(std::vector<Tensor> weights,
                       std::function<Tensor(const std::vector<Tensor>&)> loss) {
    auto state = std::make_shared<Training>();
    state->weights = std::move(weights);
    state->loss = std::move(loss);
    nn::Parameters parameters;
    for (Tensor& w : state->weights) parameters.push_back(&w);
    state->optimizer = std::make_unique<nn::Adam>(parameters, nn::AdamOptions{.lr = 1e-3});
    return {[state] {
                Tensor value = state->loss(state->weights);
                state->optimizer->step(value);
                value.realize();
                return std::vector<Tensor>{value};
            },
            kReportedSteps};
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

}  // namespace

std::vector<Kind> model_kinds() {
    return {{"mlp_step", mlp_step}, {"mnist_cnn_step", mnist_cnn_step}};
}

}  // namespace sinter::tool
