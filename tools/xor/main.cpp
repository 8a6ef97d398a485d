// The smallest network that learns something a line cannot: exclusive or.

#include <cmath>
#include <cstdint>
#include <iomanip>
#include <iostream>

#include <sinter/nn.h>
#include <sinter/sinter.h>

#include "command_line.h"
#include "tool.h"

namespace {

using namespace sinter;

struct Net : nn::Module {
    nn::Linear hidden{2, 8}, out{8, 1};
    Net() {
        add("hidden", hidden);
        add("out", out);
    }
    Tensor operator()(const Tensor& x) const { return out(tanh(hidden(x))); }
};

int run(std::int64_t steps, std::uint64_t seed) {
    const Tensor x({{0.f, 0.f}, {0.f, 1.f}, {1.f, 0.f}, {1.f, 1.f}});
    const Tensor y({{0.f}, {1.f}, {1.f}, {0.f}});

    manual_seed(seed);
    Net net;
    nn::Adam optimizer(net.parameters(), {.lr = 0.05});
    auto train = jit([&] {
        Tensor loss = bce_with_logits(net(x), y);
        optimizer.step(loss);
        return loss;
    });
    for (std::int64_t step = 1; step <= steps; ++step) {
        const Tensor loss = train();
        if (step == 1 || step % 100 == 0 || step == steps) {
            std::cout << "step " << step << "  loss " << std::fixed << std::setprecision(4)
                      << loss.item<float>() << '\n';
        }
    }

    const std::vector<float> answers = sigmoid(net(x)).to_vector<float>();
    int right = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const int a = static_cast<int>(i / 2), b = static_cast<int>(i % 2);
        std::cout << a << " xor " << b << " = " << answers[i] << '\n';
        right += std::abs(answers[i] - static_cast<float>(a ^ b)) < 0.5f;
    }
    tool::print_kernels(std::cout, stats());
    if (right == 4) return 0;
    std::cerr << "sinter-xor: " << 4 - right << " of 4 answers are wrong after " << steps
              << " steps\n";
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    std::int64_t steps = 500;
    std::uint64_t seed = 1;
    tool::CommandLine line("Trains a network of eight hidden units to compute exclusive or.");
    line.option("--steps", steps, "updates", 1, 1'000'000);
    line.option("--seed", seed, "of the first weights");
    if (const auto status = line.read(argc, argv)) return *status;
    return sinter::tool::guarded("sinter-xor", [&] { return run(steps, seed); });
}
