// Layers and optimizers refuse bad input in the user's line, however deep it is found.

#include <cmath>
#include <string>

#include <sinter/nn.h>

#include "support.h"

namespace sinter::nn {
/// The expression throws an E that begins with this line and has `part` in it.
#define REFUSES(E, part, ...) \
    sinter::test::expect_refusal<E>(__FILE__, __LINE__, "", part, [&] { (void)(__VA_ARGS__); })

TEST_CASE("layers refuse inputs that do not fit, in the line of the call") {
    const Tensor x = zeros({2, 3}), image = zeros({1, 3, 8, 8});
    REFUSES(ShapeError, "Linear: takes [..., 4], got [2, 3]", Linear(4, 2)(x));
    REFUSES(ShapeError, "Conv2d: x has 3 channels", Conv2d(4, 2, 3)(image));
    REFUSES(ShapeError, "got f32[2, 4, 3, 3]", Conv2d(4, 2, 3)(image));
    REFUSES(ShapeError, "Conv1d: takes x of 2 or 3 axes", Conv1d(3, 2, 3)(image));
    REFUSES(ShapeError, "BatchNorm2d", BatchNorm2d(4)(image));
    REFUSES(ShapeError, "BatchNorm1d", BatchNorm1d(3)(image));
    REFUSES(ShapeError, "LayerNorm: the last axes must be [4], got [2, 3]", LayerNorm(4)(x));
    REFUSES(DTypeError, "f32[2, 3]", Embedding(4, 2)(x));
    REFUSES(DTypeError, "Embedding: ", Embedding(4, 2)(x));
    REFUSES(ShapeError, "MaxPool2d: the kernel [9, 9]", MaxPool2d(9)(image));
    REFUSES(ShapeError, "AvgPool1d: takes 2 or 3 axes", AvgPool1d(2)(image));
    REFUSES(ShapeError, "AdaptiveAvgPool2d: takes 3 or 4 axes", AdaptiveAvgPool2d(1)(x));
    REFUSES(ValueError, "Linear: this Tensor has no value", Linear(4, 2)(Tensor()));
    REFUSES(ValueError, "LayerNorm: this Tensor has no value", LayerNorm(4)(Tensor()));
    REFUSES(ValueError, "Dropout: this Tensor has no value", Dropout()(Tensor()));
    REFUSES(ValueError, "relu: this Tensor has no value", ReLU()(Tensor()));
    REFUSES(IndexError, "index 9", Embedding(4, 2)(Tensor({9})).to_vector<float>());
}

TEST_CASE("layers that cannot be are refused in the line that makes them") {
    REFUSES(ValueError, "Linear: the number of input features must be positive, got 0",
            Linear(0, 3));
    REFUSES(ShapeError, "Linear: sizes overflow: [4611686018427387904, 8]", Linear(8, 1LL << 62));
    REFUSES(ValueError, "Embedding: the padding row -5 is not one of the 4",
            Embedding(4, 2, {.padding = -5}));
    REFUSES(ValueError, "Dropout: p is a probability, got 1.5", Dropout(1.5));
    REFUSES(ValueError, "Dropout", Dropout(std::nan("")));
    REFUSES(ShapeError, "LayerNorm: needs the sizes of one axis", LayerNorm(Shape{}));
    REFUSES(ValueError, "LayerNorm: sizes must be positive, got [3, -1]", LayerNorm(Shape{3, -1}));
    REFUSES(ValueError, "LayerNorm: eps may not be negative", LayerNorm(3, {.eps = -1}));
    REFUSES(ValueError, "BatchNorm2d: the number of channels", BatchNorm2d(-3));
    REFUSES(ValueError, "BatchNorm1d: momentum is a share", BatchNorm1d(3, {.momentum = 1.5}));
    REFUSES(ValueError, "Conv2d: 3 input and 4 output channels do not divide into 2 groups",
            Conv2d(3, 4, 3, {.groups = 2}));
    REFUSES(ShapeError, "Conv2d: kernel needs one number or 2, got [3, 3, 3]",
            Conv2d(3, 4, {3, 3, 3}));
    REFUSES(ValueError, "Conv1d: kernel must be at least 1, got [0]", Conv1d(3, 4, 0));
    REFUSES(ValueError, "Conv2d: stride must be at least 1", Conv2d(3, 4, 3, {.stride = 0}));
    REFUSES(ValueError, "Conv3d: dilation must be at least 1, got [1, 0, 1]",
            Conv3d(3, 4, 3, {.dilation = {1, 0, 1}}));
    REFUSES(ShapeError, "Conv2d: padding needs one number or 2",
            Conv2d(3, 4, 3, {.padding = {1, 1, 1}}));
    REFUSES(ValueError, "Conv2d: `same` padding needs stride 1, got [2, 1]",
            Conv2d(3, 4, 3, {.stride = {2, 1}, .same = true}));
    REFUSES(ValueError, "MaxPool2d: kernel must be at least 1, got [2, 0]", MaxPool2d({2, 0}));
    REFUSES(ValueError, "MaxPool1d: padding [2] is more than half the kernel [3]",
            MaxPool1d(3, {.padding = 2}));
    REFUSES(ShapeError, "MaxPool3d: dilation needs one number or 3",
            MaxPool3d(3, {.dilation = {1, 1}}));
    REFUSES(ValueError, "AvgPool2d: the divisor may not be 0", AvgPool2d(2, {.divisor = 0}));
    REFUSES(ValueError, "AdaptiveAvgPool1d: output size must be at least 0", AdaptiveAvgPool1d(-1));
    REFUSES(ShapeError, "kaiming_uniform: a weight of shape [3]", init::kaiming_uniform({3}));
    REFUSES(ValueError, "DataLoader: batch is 0",
            DataLoader(std::vector<float>{}, {}, {}, {.batch = 0}));
    REFUSES(ValueError, "DataLoader: 3 values are not 2 samples (one a label) of [2]",
            DataLoader(std::vector<float>{1, 2, 3}, {2}, {0, 1}));
    CHECK_NOTHROW(Conv2d(3, 4, 3, {.padding = {1, 0, 2, 1}}));
    CHECK_NOTHROW(Conv1d(3, 4, 3, {.padding = {1, 0}}));
}

TEST_CASE("a network's own parts are refused where it is made") {
    struct Net : Module {
        Linear a{2, 3}, b{3, 2};
        explicit Net(const char* name, int& line) {
            add("a", a);
            line = __LINE__ + 1;
            add(name, b);
        }
    };
    int line = 0;
    for (const char* name : {"a", "b.c", ""}) {
        std::string message = "no error";
        try {
            const Net net(name, line);
        } catch (const ValueError& error) {
            message = error.what();
        }
        CAPTURE(message);
        CHECK(message.starts_with(std::string(__FILE__) + ":" + std::to_string(line) +
                                  ": Module::add: "));
    }
    ModuleList<Linear> layers;
    layers.push(Linear(2, 2));
    REFUSES(IndexError, "ModuleList: module 1 is outside the 1 there are", layers[1]);
    REFUSES(IndexError, "ModuleList: module -1 is outside", layers[-1]);
    REFUSES(ShapeError, "load_state_dict: weight has shape [2, 2] here and [3] in the state",
            layers[0].load_state_dict({{"weight", zeros({3})}}));
}

TEST_CASE("modules of one's own name themselves") {
    struct Block : Module {
        Linear inner{4, 4};
        Block() { add("inner", inner); }
        Tensor operator()(const Tensor& x, Where where = Where::current()) const {
            const Called call("Block", where);
            return inner(x) + x;
        }
    };
    REFUSES(ShapeError, "Block: takes [..., 4], got [2, 3]", Block()(zeros({2, 3})));
}

TEST_CASE("optimizers that cannot be are refused in the line that makes them") {
    Linear layer(3, 1);
    const Parameters p = layer.parameters();
    Tensor integers({1, 2});
    REFUSES(ValueError, "SGD: lr may not be negative or NaN, got -1", SGD(p, {.lr = -1}));
    REFUSES(ValueError, "SGD: nesterov needs momentum", SGD(p, {.nesterov = true}));
    REFUSES(ValueError, "SGD: there are no parameters to train", SGD(Parameters{}));
    REFUSES(DTypeError, "SGD: a parameter of shape [2] is i32", SGD(Parameters{&integers}));
    REFUSES(ValueError, "Adam: beta1 must be in [0, 1), got 1", Adam(p, {.beta1 = 1}));
    REFUSES(ValueError, "AdamW: eps may not be negative", AdamW(p, {.eps = -1}));
    Adam adam(p);
    REFUSES(ValueError, "set_lr: lr may not be negative or NaN, got nan",
            adam.set_lr(std::nan("")));
    CHECK(adam.lr() == 1e-3);
}

TEST_CASE("a layer inside Sequential refuses in the line of the outer call") {
    const Tensor x = zeros({2, 3});
    const Sequential net(Linear(3, 4), relu, Linear(5, 1));
    REFUSES(ShapeError, "Linear: takes [..., 5], got [2, 4]", net(x));
    const Sequential pools([](const Tensor& t) { return t; }, MaxPool2d(9));
    REFUSES(ShapeError, "MaxPool2d", pools(zeros({1, 1, 4, 4})));
    const Sequential functions(sigmoid);
    REFUSES(ValueError, "has no value yet", functions(Tensor()));
}

TEST_CASE("optimizers refuse losses that are none, and change nothing") {
    Linear layer(3, 1);
    SGD optimizer(layer.parameters(), {.lr = 1});
    const std::vector<float> before = layer.weight.to_vector<float>();
    const Tensor x = ones({2, 3});
    REFUSES(ShapeError, "[2, 1]", optimizer.step(layer(x)));
    REFUSES(ValueError, "none of the parameters reaches the loss", optimizer.step(sum(x)));
    REFUSES(ValueError, "no value yet", optimizer.step(Tensor()));
    CHECK(layer.weight.to_vector<float>() == before);
}

}  // namespace sinter::nn
