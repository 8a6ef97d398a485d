// How many kernels layers and updates are, counted by what the CPU ran.

#include <doctest/doctest.h>

#include <sinter/nn.h>
#include <sinter/sinter.h>

namespace sinter::nn {
namespace {

std::uint64_t kernels(Tensor x) {
    const std::uint64_t before = stats().launches;
    x.realize();
    return stats().launches - before;
}

// The network of sinter-mnist --model cnn.
struct Cnn : Module {
    Conv2d conv1{1, 16, 5}, conv2{16, 32, 5};
    Linear fc1{32 * 4 * 4, 128}, fc2{128, 10};
    Cnn() {
        add("conv1", conv1);
        add("conv2", conv2);
        add("fc1", fc1);
        add("fc2", fc2);
    }
    Tensor operator()(const Tensor& x) const {
        Tensor h = max_pool2d(relu(conv1(x)), 2);
        h = max_pool2d(relu(conv2(h)), 2);
        return fc2(relu(fc1(flatten(h, 1))));
    }
};

}  // namespace

TEST_CASE("a layer norm is one kernel, with and without weights, over one axis and over two") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = randn({16, 12, 96}).realize();
    LayerNorm plain(96, {.affine = false}), affine(96), both(Shape{12, 96});
    for (Tensor* p : affine.parameters()) p->realize();
    for (Tensor* p : both.parameters()) p->realize();
    CHECK(kernels(plain(x)) == 1);
    CHECK(kernels(affine(x)) == 1);
    CHECK(kernels(both(x)) == 1);
}

TEST_CASE("a linear layer with bias and gelu is one kernel") {
    const DeviceGuard guard{Device("CPU")};
    Linear layer(784, 512);
    for (Tensor* p : layer.parameters()) p->realize();
    for (const std::int64_t batch : {1, 17, 128}) {
        CAPTURE(batch);
        CHECK(kernels(gelu(layer(randn({batch, 784}).realize()))) == 1);
    }
}

TEST_CASE("an Adam update of all parameters of the digit classifier is at most three kernels") {
    const DeviceGuard guard{Device("CPU")};
    Cnn net;
    REQUIRE(net.parameters().size() == 8);
    Adam optimizer(net.parameters());
    const Tensor x = randn({4, 1, 28, 28}).realize(), y({1, 7, 0, 3});
    for (int step = 0; step < 2; ++step) {
        optimizer.zero_grad();
        cross_entropy(net(x), y).backward();
        // The gradients are in memory, so that the update alone is left.
        for (Tensor* p : net.parameters()) p->grad().realize();
        const std::uint64_t before = stats().launches;
        optimizer.step();
        const std::uint64_t launches = stats().launches - before;
        CHECK(launches >= 1);
        CHECK(launches <= 3);
    }
}

}  // namespace sinter::nn
