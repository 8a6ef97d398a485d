// Modules: names, state, copies of values, training mode.

#include "nn_support.h"

namespace sinter::nn {

using namespace test;

namespace {

struct Block : Module {
    Linear fc{3, 4};
    BatchNorm1d bn{4};
    Block() {
        add("fc", fc);
        add("bn", bn);
    }
    Tensor operator()(const Tensor& x) const { return relu(bn(fc(x))); }
};

struct Net : Module {
    Block block;
    Dropout drop{0.5};
    Linear out{4, 2, {.bias = false}};
    Tensor scale = full({1}, 2.0);
    Net() {
        add("block", block);
        add("drop", drop);
        add("out", out);
        add("scale", scale);
    }
    Tensor operator()(const Tensor& x) const { return out(drop(block(x))) * scale; }
};

std::vector<std::string> names_of(const StateDict& state) {
    std::vector<std::string> names;
    for (const auto& [name, value] : state) names.push_back(name);
    return names;
}

}  // namespace

TEST_CASE("the state has PyTorch's names, in the order of declaration") {
    Net net;
    CHECK(names_of(net.state_dict()) ==
          std::vector<std::string>{"scale", "block.fc.weight", "block.fc.bias", "block.bn.weight",
                                   "block.bn.bias", "block.bn.running_mean", "block.bn.running_var",
                                   "block.bn.num_batches_tracked", "out.weight"});
    CHECK(net.parameters().size() == 6);
    CHECK(net.parameters().buffers.size() == 3);
    CHECK(net.parameter_count() == 1 + 12 + 4 + 4 + 4 + 8);
    Sequential row(Linear(2, 3), ReLU(), Linear(3, 1));
    CHECK(names_of(row.state_dict()) ==
          std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"});
}

TEST_CASE("parts are found again after a move") {
    Net first;
    const StateDict before = first.state_dict();
    Net net = std::move(first);
    const std::vector<NamedTensor> named = net.named_parameters();
    REQUIRE(named.size() == 6);
    CHECK(named[0].tensor == &net.scale);
    CHECK(named[1].tensor == &net.block.fc.weight);
    CHECK(net.block.fc.weight.requires_grad());
    CHECK(equal(net.block.fc.weight, before[1].second));
}

TEST_CASE("training and evaluation reach every child") {
    Net net;
    CHECK(net.drop.training());
    net.eval();
    CHECK_FALSE(net.drop.training());
    CHECK_FALSE(net.block.bn.training());
    net.train();
    CHECK(net.block.bn.training());
}

TEST_CASE("loading a state copies its values") {
    manual_seed(5);
    Net a, b;
    CHECK_FALSE(equal(a.out.weight, b.out.weight));
    b.load_state_dict(a.state_dict());
    CHECK(equal(a.out.weight, b.out.weight));
    CHECK(b.out.weight.requires_grad());
    a.eval();
    b.eval();
    const Tensor x = pattern({2, 3});
    CHECK(equal(a(x), b(x)));
    // What one learns then is its own.
    SGD optimizer(a.parameters(), {.lr = 0.1});
    optimizer.step(mean(square(a(x))));
    CHECK_FALSE(equal(a.out.weight, b.out.weight));
}

TEST_CASE("a state that does not fit changes nothing and says what is wrong") {
    Linear layer(2, 3);
    const Floats before = layer.weight.to_vector<float>();
    StateDict state = layer.state_dict();
    state[0].first = "wieght";
    const std::string text = message_of<ValueError>([&] { layer.load_state_dict(state); });
    CHECK(says(text, "the state lacks weight"));
    CHECK(says(text, "no part is named wieght"));
    CHECK(says(text, "module_test.cpp:"));
    layer.load_state_dict({{"bias", Tensor({1.f, 2.f, 3.f})}}, /*strict=*/false);
    CHECK(layer.bias.to_vector<float>() == Floats{1, 2, 3});
    const StateDict wrong = {{"weight", zeros({3, 3})}, {"bias", zeros({3})}};
    CHECK(says(message_of<ShapeError>([&] { layer.load_state_dict(wrong); }),
               "weight has shape [3, 2] here and [3, 3] in the state"));
    CHECK(layer.weight.to_vector<float>() == before);
}

TEST_CASE("a name is given once, and has no dot") {
    struct Twice : Module {
        Linear a{1, 1}, b{1, 1};
        Twice() {
            add("a", a);
            add("a", b);
        }
    };
    struct Dotted : Module {
        Linear a{1, 1};
        Dotted() { add("a.b", a); }
    };
    CHECK_THROWS_AS(Twice(), ValueError);
    CHECK_THROWS_AS(Dotted(), ValueError);
}

TEST_CASE("a network moves to another dtype as a whole") {
    Net net;
    net.to(f64);
    for (Tensor* p : net.parameters()) {
        CHECK(p->dtype() == f64);
        CHECK(p->requires_grad());
    }
    CHECK(net.block.bn.num_batches_tracked.dtype() == i64);
    CHECK(net(pattern({4, 3}).to(f64)).dtype() == f64);
}

TEST_CASE("lists and plain functions take part in a network") {
    struct Tower : Module {
        ModuleList<Linear> layers;
        Tower() {
            for (int i = 0; i < 3; ++i) layers.push(Linear(2, 2));
            add("layers", layers);
        }
    };
    Tower tower;
    CHECK(tower.named_parameters()[4].name == "layers.2.weight");
    Sequential net(Linear(2, 2), [](const Tensor& x) { return x * 0; });
    CHECK(net(ones({1, 2})).to_vector<float>() == Floats{0, 0});
}

TEST_CASE("statistics of a batch norm are computed with the step") {
    on_each_device([] {
        Net net;
        SGD optimizer(net.parameters(), {.lr = 0.1});
        const Tensor x = pattern({4, 3});
        for (int i = 0; i < 3; ++i) optimizer.step(mean(square(net(x))));
        CHECK(net.block.bn.num_batches_tracked.item<std::int64_t>() == 3);
    });
}

}  // namespace sinter::nn
