#include <sinter/nn.h>
#include <sinter/sinter.h>

#include "../mnist/nets.h"
#include "rows.h"
#include "timing.h"

namespace sinter::tool {
namespace {

// Forward, backward and Adam over one batch, the loss read back.
template <class Network>
std::function<double(double)> training_step(std::int64_t batch) {
    return [batch](double seconds) {
        manual_seed(1);
        Network net;
        net.train();
        nn::Adam optimizer(net.parameters(), {.lr = 1e-3});
        Tensor x = randn({batch, 1, 28, 28}), y = randint(0, 10, {batch});
        sinter::realize(x, y);
        auto step = jit([&](const Tensor& images, const Tensor& labels) {
            Tensor loss = cross_entropy(net(images), labels);
            optimizer.step(loss);
            return loss;
        });
        return seconds_a_call(
            [&] {
                const Tensor loss = step(x, y);
                (void)loss.item<float>();
            },
            seconds);
    };
}

}  // namespace

std::vector<Row> step_rows() {
    return {
        {"mlp_step_128", "sinter-mnist --model mlp, a step of 128 images", 0, 0, 0,
         training_step<Mlp>(128)},
        {"cnn_step_128", "sinter-mnist --model cnn, a step of 128 images", 0, 0, 0,
         training_step<Cnn>(128)},
    };
}

}  // namespace sinter::tool
