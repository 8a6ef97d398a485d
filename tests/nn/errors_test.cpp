// Layers and optimizers refuse bad input in the user's line, however deep it is found.

#include <doctest/doctest.h>

#include <sinter/nn.h>
#include <sinter/sinter.h>

namespace sinter::nn {
namespace {

template <class E, class F>
void refuses(int line, const std::string& part, F&& call) {
    std::string message = "no error";
    try {
        call();
    } catch (const E& error) {
        message = error.what();
    } catch (const std::exception& other) {
        message = std::string("another kind of exception: ") + other.what();
    }
    const std::string place = std::string(__FILE__) + ":" + std::to_string(line) + ": ";
    CAPTURE(message);
    CAPTURE(place);
    CHECK(message.starts_with(place));
    CAPTURE(part);
    CHECK(message.find(part) != std::string::npos);
}

}  // namespace

/// The expression throws an E that begins with this line and has `part` in it.
#define REFUSES(E, part, ...) refuses<E>(__LINE__, part, [&] { (void)(__VA_ARGS__); })

TEST_CASE("layers refuse inputs that do not fit, in the line of the call") {
    const Tensor x = zeros({2, 3}), image = zeros({1, 3, 8, 8});
    REFUSES(ShapeError, "Linear: takes [..., 4], got [2, 3]", Linear(4, 2)(x));
    REFUSES(ShapeError, "got f32[2, 4, 3, 3]", Conv2d(4, 2, 3)(image));
    REFUSES(ShapeError, "BatchNorm2d", BatchNorm2d(4)(image));
    REFUSES(ShapeError, "BatchNorm1d", BatchNorm1d(3)(image));
    REFUSES(ShapeError, "LayerNorm: the last axes must be [4], got [2, 3]", LayerNorm(4)(x));
    REFUSES(DTypeError, "f32[2, 3]", Embedding(4, 2)(x));
    REFUSES(ShapeError, "max_pool2d", MaxPool2d(9)(image));
    REFUSES(ValueError, "relu: this Tensor has no value", ReLU()(Tensor()));
    REFUSES(IndexError, "index 9", Embedding(4, 2)(Tensor({9})).to_vector<float>());
}

TEST_CASE("a layer inside Sequential refuses in the line of the outer call") {
    const Tensor x = zeros({2, 3});
    const Sequential net(Linear(3, 4), relu, Linear(5, 1));
    REFUSES(ShapeError, "Linear: takes [..., 5], got [2, 4]", net(x));
    const Sequential pools([](const Tensor& t) { return t; }, MaxPool2d(9));
    REFUSES(ShapeError, "max_pool2d", pools(zeros({1, 1, 4, 4})));
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
