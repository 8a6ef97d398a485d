#pragma once
// The two classifiers of 28x28 digits.

#include <memory>
#include <string>
#include <vector>

#include <sinter/nn.h>
#include <sinter/sinter.h>

namespace sinter::tool {

/// Images [batch, 1, 28, 28] to logits [batch, 10].
struct Net : nn::Module {
    virtual Tensor operator()(const Tensor& x) const = 0;
};

struct Mlp final : Net {
    nn::Linear fc1{784, 512}, fc2{512, 256}, fc3{256, 10};

    Mlp() {
        add("fc1", fc1);
        add("fc2", fc2);
        add("fc3", fc3);
    }
    Tensor operator()(const Tensor& x) const override {
        return fc3(relu(fc2(relu(fc1(flatten(x, 1))))));
    }
};

struct Cnn final : Net {
    nn::Conv2d conv1{1, 16, 5}, conv2{16, 32, 5};
    nn::Linear fc1{32 * 4 * 4, 128}, fc2{128, 10};

    Cnn() {
        add("conv1", conv1);
        add("conv2", conv2);
        add("fc1", fc1);
        add("fc2", fc2);
    }
    Tensor operator()(const Tensor& x) const override {
        Tensor h = max_pool2d(relu(conv1(x)), 2);  // [batch, 16, 12, 12]
        h = max_pool2d(relu(conv2(h)), 2);         // [batch, 32, 4, 4]
        return fc2(relu(fc1(flatten(h, 1))));
    }
};

}  // namespace sinter::tool
