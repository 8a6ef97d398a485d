// Captured functions give what the functions themselves give, call for call.

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

#include <sinter/nn.h>

#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

Tensor data(const Shape& shape, double seed) {
    Tensor x =
        (arange(static_cast<double>(zeros(shape).numel())) * 0.37 + seed).sin().reshape(shape);
    x.realize();
    return x;
}

std::vector<float> values(const Tensor& x) { return x.to_vector<float>(); }

struct Net : nn::Module {
    nn::Linear fc1{5, 7}, fc2{7, 3};
    Net() {
        add("fc1", fc1);
        add("fc2", fc2);
    }
    Tensor operator()(const Tensor& x) const { return fc2(relu(fc1(x))); }
};

std::vector<std::vector<float>> state_of(Net& net) {
    std::vector<std::vector<float>> all;
    for (Tensor* p : net.parameters()) all.push_back(values(*p));
    return all;
}

const Device kCpu("CPU");

}  // namespace

TEST_CASE("a captured function gives the function's results for new arguments") {
    const DeviceGuard guard(kCpu);
    int runs = 0;
    auto f = jit([&](const Tensor& x, const Tensor& y) {
        ++runs;
        return softmax(matmul(x, y), -1) + x.sum();
    });
    for (int i = 0; i < 7; ++i) {
        const Tensor x = data({4, 5}, i), y = data({5, 3}, 2 * i);
        CHECK(values(f(x, y)) == values(softmax(matmul(x, y), -1) + x.sum()));
    }
    CHECK(runs == 3);  // twice to capture, once to check
    CHECK(f.stats().replays == 4);
    CHECK(f.stats().reason == "");
    CHECK(f.stats().kernels >= 1);
}

TEST_CASE("results are vectors, arrays, pairs and tuples of tensors, and nothing") {
    const DeviceGuard guard(kCpu);
    auto several = jit([](const std::vector<Tensor>& xs) {
        std::vector<Tensor> out;
        for (const Tensor& x : xs) out.push_back(x * 2);
        return std::tuple(out, std::pair(xs[0] + 1, xs[0]), std::array{xs[0].sum()});
    });
    for (int i = 0; i < 5; ++i) {
        const std::vector<Tensor> xs{data({3}, i), data({2, 2}, i + 1)};
        const auto [doubled, two, one] = several(xs);
        CHECK(doubled.size() == 2);
        CHECK(values(doubled[1]) == values(xs[1] * 2));
        CHECK(values(two.first) == values(xs[0] + 1));
        CHECK(values(two.second) == values(xs[0]));
        CHECK(values(one[0]) == values(xs[0].sum()));
    }
    CHECK(several.stats().replays == 2);

    Tensor total = zeros({2});
    total.realize();
    auto add = jit([&](const Tensor& x) { total += x; });
    for (int i = 0; i < 6; ++i) add(Tensor({1.0f, 2.0f}));
    CHECK(values(total) == std::vector<float>{6, 12});
    CHECK(add.stats().replays >= 2);
}

TEST_CASE("an argument of another shape or dtype, or another number, is another capture") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x, double factor, bool negate) {
        const Tensor y = x * factor;
        return negate ? -y : y;
    });
    for (int i = 0; i < 4; ++i) {
        for (const std::int64_t n : {3, 4})
            for (const double factor : {2.0, 3.0})
                for (const bool negate : {false, true}) {
                    const Tensor x = data({n}, i);
                    CHECK(values(f(x, factor, negate)) ==
                          values(negate ? -(x * factor) : x * factor));
                }
        const Tensor x = data({3}, i).to(f64);
        CHECK(f(x, 2.0, false).dtype() == f64);
    }
}

TEST_CASE("training in place is the eager loop bit for bit, for every optimizer") {
    const DeviceGuard guard(kCpu);
    const auto make = [](int kind, Net& net) -> std::unique_ptr<nn::Optimizer> {
        if (kind == 0)
            return std::make_unique<nn::SGD>(net.parameters(), nn::SGDOptions{.lr = 0.1});
        if (kind == 1)
            return std::make_unique<nn::SGD>(
                net.parameters(),
                nn::SGDOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.01});
        if (kind == 2)
            return std::make_unique<nn::Adam>(net.parameters(), nn::AdamOptions{.lr = 0.01});
        return std::make_unique<nn::AdamW>(net.parameters(),
                                           nn::AdamWOptions{.lr = 0.01, .amsgrad = true});
    };
    for (int kind = 0; kind < 4; ++kind) {
        CAPTURE(kind);
        std::vector<float> losses[2];
        std::vector<std::vector<float>> weights[2];
        for (const bool captured : {false, true}) {
            manual_seed(3);
            Net net;
            const auto optimizer = make(kind, net);
            const auto body = [&](const Tensor& x, const Tensor& y) {
                Tensor loss = cross_entropy(net(x), y);
                optimizer->step(loss);
                return loss;
            };
            auto step = jit(body);
            for (int i = 0; i < 12; ++i) {
                const Tensor x = data({6, 5}, i);
                const Tensor y = Tensor({0, 1, 2, 0, 1, 2});
                // Both mid-way changes have to be seen.
                if (i == 6) optimizer->set_lr(0.05);
                const Tensor loss = captured ? step(x, y) : body(x, y);
                losses[captured].push_back(loss.item<float>());
            }
            if (captured) {
                CHECK(step.stats().replays >= 8);
                CHECK(step.stats().reason == "");
            }
            CHECK(optimizer->steps() == 12);
            weights[captured] = state_of(net);
        }
        CHECK(losses[0] == losses[1]);
        CHECK(weights[0] == weights[1]);
    }
}

TEST_CASE("a captured training step writes parameters in place") {
    const DeviceGuard guard(kCpu);
    Net net;
    nn::Adam optimizer(net.parameters(), {.lr = 0.01});
    auto step = jit([&](const Tensor& x) {
        Tensor loss = mean(square(net(x)));
        optimizer.step(loss);
        return loss;
    });
    const Tensor x = data({4, 5}, 1);
    for (int i = 0; i < 5; ++i) step(x);
    const std::uint64_t before = stats().allocated_bytes;
    for (int i = 0; i < 2; ++i) step(x);
    CHECK(stats().allocated_bytes == before);
    CHECK(step.stats().replays >= 3);
}

TEST_CASE("the form backward() and step() is captured too, and grad() is of the last call") {
    const DeviceGuard guard(kCpu);
    std::vector<float> slopes[2];
    std::vector<std::vector<float>> weights[2];
    for (const bool captured : {false, true}) {
        manual_seed(5);
        Net net;
        nn::SGD optimizer(net.parameters(), {.lr = 0.1});
        const auto body = [&](const Tensor& x) {
            optimizer.zero_grad();
            Tensor loss = mean(square(net(x)));
            backward(loss);
            optimizer.step();
            return loss;
        };
        auto step = jit(body);
        for (int i = 0; i < 7; ++i) {
            const Tensor x = data({4, 5}, i);
            if (captured)
                step(x);
            else
                body(x).realize();
            const std::vector<float> slope = values(net.fc1.weight.grad());
            slopes[captured].insert(slopes[captured].end(), slope.begin(), slope.end());
        }
        if (captured) CHECK(step.stats().replays >= 3);
        weights[captured] = state_of(net);
    }
    CHECK(slopes[0] == slopes[1]);
    CHECK(weights[0] == weights[1]);
}

TEST_CASE("a result stays what it was when the function is called again") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x) { return x * 2 + 1; });
    std::vector<Tensor> kept;
    for (int i = 0; i < 6; ++i) kept.push_back(f(full({3}, static_cast<float>(i))));
    for (int i = 0; i < 6; ++i)
        CHECK(values(kept[static_cast<std::size_t>(i)]) ==
              std::vector<float>(3, static_cast<float>(2 * i + 1)));
}

TEST_CASE("a copy of a parameter made between calls keeps its value, as in an eager loop") {
    const DeviceGuard guard(kCpu);
    Tensor w = zeros({3});
    w.realize();
    auto step = jit([&](const Tensor& x) {
        w += x;
        return w * 1;
    });
    std::vector<Tensor> copies;
    std::vector<Tensor> views;
    for (int i = 0; i < 10; ++i) {
        step(full({3}, 1.0f));
        copies.push_back(w);
        views.push_back(w.reshape({3, 1}));
    }
    for (int i = 0; i < 10; ++i) {
        const std::vector<float> want(3, static_cast<float>(i + 1));
        CHECK(values(copies[static_cast<std::size_t>(i)]) == want);
        CHECK(values(views[static_cast<std::size_t>(i)]) == want);
    }
}

TEST_CASE("a tensor of the world that is given another value is seen") {
    const DeviceGuard guard(kCpu);
    Tensor w = data({3}, 0), lazy = data({3}, 9) * 2;
    auto f = jit([&](const Tensor& x) { return x * w + lazy; }, {.verify = false});
    const Tensor x = data({3}, 1);
    const auto check = [&] { CHECK(values(f(x)) == values(x * w + lazy)); };
    for (int i = 0; i < 3; ++i) check();
    w = data({3}, 2);  // other memory
    check();
    CHECK(f.stats().reason == "");
    w += 1;  // an expression
    check();
    w.realize();
    check();
    w = full({3}, 2.0f);  // a constant
    check();
    check();
    w.assign(data({3}, 7));
    w.realize();
    for (int i = 0; i < 3; ++i) check();
    lazy = data({3}, 4) + 1;
    for (int i = 0; i < 3; ++i) check();
    w = data({1}, 2);  // another shape
    for (int i = 0; i < 3; ++i) check();
    CHECK(f.stats().reason == "");
}

TEST_CASE("what the function computes is computed anew, though the world has computed it before") {
    const DeviceGuard guard(kCpu);
    Tensor w = data({3}, 0);
    const Tensor x = data({3}, 1);
    Tensor known = w * 2;
    (void)known.to_vector<float>();  // an expression that is in memory
    auto f = jit([&](const Tensor& y) { return std::pair(y + w * 2, w * 2); }, {.verify = false});
    auto g = jit([&](const Tensor& y) { return y + known + w * 2; }, {.verify = false});
    for (int i = 0; i < 10; ++i) {
        if (i == 4) w = data({3}, 5);
        if (i == 7) known = data({3}, 6);
        const auto [sum, twice] = f(x);
        CHECK(values(sum) == values(x + w * 2));
        CHECK(values(twice) == values(w * 2));
        CHECK(values(g(x)) == values(x + known + w * 2));
    }
    CHECK(f.stats().replays == 8);
    CHECK(g.stats().replays >= 4);
}

TEST_CASE("tensors that shared memory and no longer do are told apart") {
    const DeviceGuard guard(kCpu);
    Tensor a = data({3}, 0), b = a;
    auto f = jit([&](const Tensor& x) { return x * a - b; });
    const Tensor x = data({3}, 1);
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) == values(x * a - b));
    b = data({3}, 5);
    for (int i = 0; i < 4; ++i) CHECK(values(f(x)) == values(x * a - b));
    a = b;
    for (int i = 0; i < 6; ++i) CHECK(values(f(x)) == values(x * a - b));
}

TEST_CASE("an argument may be the tensor that the function writes to") {
    const DeviceGuard guard(kCpu);
    Tensor w = data({4}, 1), same = data({4}, 1);
    auto step = jit([&](const Tensor& x) {
        w.assign(x.flip(0) + w);
        w.realize();
        return x + 0;
    });
    for (int i = 0; i < 6; ++i) {
        const std::vector<float> before = values(same);
        same.assign(same.flip(0) + same);
        same.realize();
        CHECK(values(step(w)) == before);
        CHECK(values(w) == values(same));
    }
}

TEST_CASE("scalars of the world are asked for at every call") {
    const DeviceGuard guard(kCpu);
    Tensor factor = scalar(2.0f), equal = scalar(2.0f);
    auto f = jit([&](const Tensor& x) { return x * factor + equal; });
    const Tensor x = data({3}, 1);
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) == values(x * 2.0f + 2.0f));
    for (int i = 0; i < 6; ++i) {
        factor = scalar(static_cast<float>(i));
        if (i > 3) equal = factor;
        CHECK(values(f(x)) == values(x * factor + equal));
    }
    double rate = 1;
    auto g = jit([&](const Tensor& y) { return y * host_scalar([&] { return rate; }); });
    for (int i = 0; i < 6; ++i) {
        rate = i;
        CHECK(values(g(x)) == values(x * scalar(rate)));
    }
    CHECK(g.stats().replays == 3);
}

TEST_CASE("random numbers are those of an eager loop") {
    const DeviceGuard guard(kCpu);
    Generator mine(7);
    const auto body = [&](const Tensor& x) {
        Generator own(3);  // of the function: the same numbers at every call
        return dropout(x, 0.5) + rand({3}, {.generator = &mine}) + randn({3}) +
               rand({3}, {.generator = &own}) + randn({3}, {.dtype = f64}).to(f32);
    };
    auto f = jit(body);
    const Tensor x = data({3}, 1);
    std::vector<std::vector<float>> eager, captured;
    manual_seed(11);
    for (int i = 0; i < 7; ++i) eager.push_back(values(body(x)));
    const Generator::State end = default_generator().state();
    manual_seed(11);
    mine.seed(7);
    for (int i = 0; i < 7; ++i) captured.push_back(values(f(x)));
    CHECK(f.stats().replays == 4);
    CHECK(eager == captured);
    CHECK(eager[5] != eager[6]);
    CHECK(default_generator().state().calls == end.calls);

    auto seeded = jit([&](const Tensor& y) {
        manual_seed(4);
        return y + rand({3});
    });
    const std::vector<float> first = values(seeded(x));
    for (int i = 0; i < 4; ++i) CHECK(values(seeded(x)) == first);
}

TEST_CASE("reading a value inside is an error that says what to do") {
    const DeviceGuard guard(kCpu);
    const Tensor x = data({1}, 1);
    auto reads = jit([](const Tensor& y) { return y * y.item<float>(); });
    auto copies = jit([](const Tensor& y) { return Tensor(y.to_vector<float>()); });
    auto prints =
        jit([](const Tensor& y) { return full({1}, static_cast<float>(to_string(y).size())); });
    for (int i = 0; i < 2; ++i) {
        CHECK(message_of<ValueError>([&] { reads(x); }).find("inside a function captured by jit") !=
              std::string::npos);
        CHECK_THROWS_AS(copies(x), ValueError);
        CHECK_THROWS_AS(prints(x), ValueError);
    }
    CHECK(values(x * 2)[0] == values(x)[0] * 2);  // this thread captures nothing any more
}

TEST_CASE("realize() inside is part of the capture") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x) {
        Tensor y = x * 2;
        y.realize();
        Tensor z = y.sum() + y;
        z.realize();
        return z * y;
    });
    for (int i = 0; i < 5; ++i) {
        const Tensor x = data({7}, i), y = x * 2;
        CHECK(values(f(x)) == values((y.sum() + y) * y));
    }
    CHECK(f.stats().replays == 2);
    CHECK(f.stats().kernels >= 2);
}

TEST_CASE("what changes in C++ at every call is not captured, and seldom changes are an error") {
    const DeviceGuard guard(kCpu);
    const Tensor x = data({3}, 1);
    int calls = 0;
    auto counts = jit([&](const Tensor& y) { return y * ++calls; });
    for (int i = 1; i < 6; ++i) CHECK(values(counts(x)) == values(x * i));
    CHECK(counts.stats().replays == 0);

    std::vector<float> host{1, 2, 3};
    auto reads = jit([&](const Tensor& y) { return y + Tensor(host); });
    for (int i = 0; i < 5; ++i) {
        host[0] = static_cast<float>(i);
        CHECK(values(reads(x)) == values(x + Tensor(host)));
    }

    float factor = 2;
    auto stale = jit([&](const Tensor& y) { return y * factor; });
    for (int i = 0; i < 5; ++i) stale(x);
    factor = 3;
    const std::string message = message_of<ValueError>([&] {
        for (int i = 0; i < 4; ++i) stale(x);
    });
    CHECK(message.find("no longer does what was captured") != std::string::npos);
    CHECK(values(stale(x)) == values(x * 3.0f));  // captured anew
    factor = 4;
    stale.reset();
    CHECK(values(stale(x)) == values(x * 4.0f));
}

TEST_CASE("a tensor kept by the function is no replay, one assigned by it is the last call's") {
    const DeviceGuard guard(kCpu);
    std::vector<Tensor> history;
    Tensor last;
    auto keeps = jit([&](const Tensor& x) {
        history.push_back(x * 2);
        return x;
    });
    auto assigns = jit([&](const Tensor& x) {
        last = x * 2;
        return x + last;
    });
    for (int i = 0; i < 6; ++i) {
        const Tensor x = data({3}, i);
        keeps(x);
        assigns(x);
        CHECK(values(history.back()) == values(x * 2));
        CHECK(values(last) == values(x * 2));
    }
    CHECK(history.size() == 6);
    CHECK(keeps.stats().replays == 0);
    CHECK(keeps.stats().reason == "it keeps a tensor that it made");
    CHECK(assigns.stats().replays >= 2);
}

TEST_CASE("a tensor of the world that ends between calls is not read again") {
    const DeviceGuard guard(kCpu);
    auto held = std::make_unique<Tensor>(data({3}, 1));
    auto f = jit([&](const Tensor& x) { return held ? x * *held : x; });
    const Tensor x = data({3}, 2);
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) == values(x * *held));
    held.reset();
    for (int i = 0; i < 4; ++i) CHECK(values(f(x)) == values(x));
}

TEST_CASE("a module's mode is seen to change") {
    const DeviceGuard guard(kCpu);
    nn::Dropout drop(0.9);
    auto f = jit([&](const Tensor& x) { return drop(x); });
    const Tensor x = full({64}, 1.0f);
    const std::vector<float> same(64, 1.0f);
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) != same);
    drop.eval();
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) == same);
    drop.train();
    for (int i = 0; i < 3; ++i) CHECK(values(f(x)) != same);
}

TEST_CASE("gradients inside, and captured functions inside captured functions") {
    const DeviceGuard guard(kCpu);
    auto inner = jit([](const Tensor& x) { return x * x * x; });
    auto f = jit([&](const Tensor& x) {
        const Tensor y = sum(inner(x));
        const Tensor slope = gradient(y, x);
        return std::pair(slope, gradient(sum(slope), x));
    });
    for (int i = 0; i < 5; ++i) {
        const Tensor x = data({4}, i);
        const auto [first, second] = f(x);
        CHECK(values(first) == values(x * x * 3));
        CHECK(values(second) == values(x * 6));
    }
    CHECK(f.stats().replays == 2);
    CHECK(inner.stats().runs == 0);  // part of the other's capture
    CHECK(values(inner(data({4}, 1))) == values(data({4}, 1) * data({4}, 1) * data({4}, 1)));
}

TEST_CASE("an argument that collects gradients is passed on as it is") {
    const DeviceGuard guard(kCpu);
    Tensor x = data({3}, 1);
    x.requires_grad(true);
    auto f = jit([](const Tensor& y) {
        Tensor loss = sum(y * y);
        backward(loss);
        return loss;
    });
    for (int i = 1; i < 4; ++i) {
        f(x);
        CHECK(values(x.grad()) == values(x * (2.0f * static_cast<float>(i))));
    }
}

TEST_CASE("an index out of range in a replay is the eager error, and nothing changes") {
    const DeviceGuard guard(kCpu);
    Tensor total = zeros({2});
    total.realize();
    auto f = jit(
        [&](const Tensor& table, const Tensor& index) {
            total += sum(gather(table, 0, index));
            return total * 1;
        },
        {.verify = false});
    const Tensor table({1.0f, 2.0f, 3.0f});
    const Tensor good({0, 2}), bad({0, 3});
    for (int i = 0; i < 3; ++i) f(table, good);
    CHECK(values(total) == std::vector<float>{12, 12});
    CHECK_THROWS_AS(f(table, bad), IndexError);
    CHECK(values(total) == std::vector<float>{12, 12});
    f(table, good);
    CHECK(values(total) == std::vector<float>{16, 16});
}

TEST_CASE("jitted functions run on many threads at once, and one of them from many threads") {
    const DeviceGuard guard(kCpu);
    auto shared = jit([](const Tensor& x) { return matmul(x, x) + 1; });
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            Tensor w = full({8, 8}, static_cast<float>(t));
            w.realize();
            auto own = jit([&](const Tensor& x) {
                w += 1;
                return x + w;
            });
            for (int i = 0; i < 20; ++i) {
                const Tensor x = data({8, 8}, t * 100 + i);
                if (values(own(x)) != values(x + static_cast<float>(t + i + 1))) ++wrong;
                if (values(shared(x)) != values(matmul(x, x) + 1)) ++wrong;
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("sizes of 0 and 1, bool and integers, and arguments that are expressions") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x, const Tensor& y) { return std::pair(x.sum() + y, x == x); });
    for (int i = 0; i < 5; ++i)
        for (const std::int64_t n : {0, 1}) {
            const auto [sum, same] = f(arange(static_cast<double>(n)) + i, full({n}, i));
            CHECK(sum.shape() == Shape{n});
            CHECK(same.dtype() == boolean);
            if (n == 1) CHECK(values(sum) == std::vector<float>{static_cast<float>(2 * i)});
        }
    CHECK(f.stats().replays > 0);
}

TEST_CASE("a product by a constant weight that is empty is captured") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor rows(std::vector<double>{}, Shape{0, 5}), columns(zeros({5, 0}));
    auto each = jit([&](const Tensor& x) { return einsum("ij,ij->i", {x, rows}); });
    auto whole = jit([&](const Tensor& x) { return matmul(x, columns); });
    for (int i = 0; i < 4; ++i) {
        CHECK(each(zeros({0, 5})).to_vector<float>().empty());
        CHECK(whole(zeros({6, 5})).shape() == Shape{6, 0});
    }
}

TEST_CASE("a function on the REF device runs as it is") {
    const DeviceGuard guard{Device("REF")};
    auto f = jit([](const Tensor& x) { return x * 2; });
    for (int i = 0; i < 4; ++i) {
        const Tensor x = data({3}, i);
        CHECK(values(f(x)) == values(x * 2));
    }
    CHECK(f.stats().replays == 0);
    CHECK(f.stats().reason == "it runs on REF");
}

TEST_CASE("a function that copies between devices runs as it is") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x) { return (x * 2).to(Device("REF")).to(kCpu) + x; });
    for (int i = 0; i < 4; ++i) {
        const Tensor x = data({3}, i);
        CHECK(values(f(x)) == values(x * 2 + x));
    }
    CHECK(f.stats().replays == 0);
    CHECK(f.stats().reason == "it copies from one device to another");
}

TEST_CASE("small kernels of a replay run one after the other with no barrier") {
    const DeviceGuard guard(kCpu);
    auto f = jit([](const Tensor& x) {
        Tensor y = x;
        for (int i = 0; i < 20; ++i) y = y * 0.5f + sum(y, i % 2, true) * 0.01f;
        return y;
    });
    for (int i = 0; i < 3; ++i) {
        const Tensor x = data({8, 8}, i);
        f(x);
    }
    CHECK(f.stats().kernels >= 20);
    CHECK(f.stats().barriers == 0);
}

TEST_CASE("barriers stand between kernels that depend on one another, and nowhere else") {
    const DeviceGuard guard(kCpu);
    const Tensor x = data({1 << 18}, 1), y = data({1 << 17}, 2);
    auto apart = jit([](const Tensor& a, const Tensor& b) { return std::pair(exp(a), sin(b)); });
    auto after = jit([](const Tensor& a, const Tensor&) { return a / sum(exp(a)); });
    for (int i = 0; i < 3; ++i) {
        const auto [first, second] = apart(x, y);
        CHECK(values(first) == values(exp(x)));
        CHECK(values(second) == values(sin(y)));
        CHECK(values(after(x, y)) == values(x / sum(exp(x))));
    }
    CHECK(apart.stats().kernels == 2);
    CHECK(apart.stats().barriers == 0);
    CHECK(after.stats().kernels >= 2);
    CHECK(after.stats().barriers >= 1);
}

TEST_CASE("what is made of tensors of the world alone is made again when one of them changes") {
    const DeviceGuard guard(kCpu);
    Tensor w = data({256, 128}, 1);
    auto scaled_by_norm = [&](const Tensor& x) {
        return matmul(x, w / sqrt(square(w).sum(0, true)));
    };
    auto f = jit(scaled_by_norm, {.verify = false});
    const auto check = [&](double seed) {
        const Tensor x = data({40, 256}, seed);
        const std::vector<float> got = values(f(x)), expected = values(scaled_by_norm(x));
        REQUIRE(got.size() == expected.size());
        for (std::size_t i = 0; i < got.size(); ++i)
            CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-4));
    };
    const auto launches = [&](double seed) {
        const Tensor x = data({40, 256}, seed);
        reset_stats();
        f(x);
        return stats().launches;
    };
    for (int i = 0; i < 4; ++i) check(i);
    CHECK(f.stats().reason.empty());
    CHECK(f.stats().kept_kernels > 0);
    const std::uint64_t few = launches(4);
    CHECK(few == f.stats().kernels);

    w.assign(data({256, 128}, 2));  // in its memory
    w.realize();
    CHECK(launches(5) == few + f.stats().kept_kernels);
    check(6);
    w = data({256, 128}, 3);  // other memory
    check(7);
    CHECK(launches(8) == few);
    CHECK(f.stats().reason.empty());
}

TEST_CASE("what is made of constants alone is made in the first replay") {
    const DeviceGuard guard(kCpu);
    const Tensor w = data({3, 1}, 1);
    auto f =
        jit([&](const Tensor& x) { return x + gradient(sum(topk(w, 0, 1, false).values), w); });
    for (int i = 0; i < 5; ++i) {
        for (int k = 0; k < 8; ++k) (full({3, 1}, -1) + k).realize();  // for the allocator
        CHECK(values(f(full({3, 1}, i))) == std::vector<float>(3, static_cast<float>(i)));
    }
    CHECK(f.stats().kept_kernels > 0);
}

TEST_CASE("weights of products are laid out once, until they change") {
    const DeviceGuard guard(kCpu);
    for (const DType dtype : {f32, bf16, f16, i8}) {
        CAPTURE(dtype);
        for (const std::int64_t rows : {5, 40}) {
            const auto numbers = [&](const Shape& shape, double seed) {
                Tensor x = (data(shape, seed) * 7).to(dtype);
                x.realize();
                return x;
            };
            Tensor w = numbers({256, 320}, 1), v = numbers({192, 320}, 2);
            const auto net = [&](const Tensor& x) {
                const DType sums = dtype == i8 ? i32 : f32;
                const DType terms = dtype == i8 ? i32 : dtype;
                const Tensor y = matmul(x.to(terms), w.to(terms));
                return matmul(y.to(sums), v.transpose().to(sums));
            };
            auto f = jit(net, {.verify = false});
            auto plain = jit(net, {.verify = false, .keep = false});
            for (int i = 0; i < 6; ++i) {
                if (i == 4) w.assign(numbers({256, 320}, 3)).realize();
                const Tensor x = numbers({rows, 256}, 4 + i);
                const std::vector<float> got = values(f(x).to(f32)),
                                         expected = values(plain(x).to(f32));
                REQUIRE(got.size() == expected.size());
                // Of 256 terms each rounds once: in y, of 16 bits where those are.
                float largest = 0;
                for (const float e : expected) largest = std::max(largest, std::abs(e));
                const float rounding = dtype == bf16 ? 0x1p-8F : dtype == f16 ? 0x1p-11F : 0x1p-20F;
                for (std::size_t k = 0; k < got.size(); ++k)
                    CHECK(std::abs(got[k] - expected[k]) <= largest * rounding);
            }
            CHECK(f.stats().replays == 4);
            if (dtype == f32) CHECK(f.stats().kept_kernels == 1);
            CHECK(plain.stats().kept_kernels == 0);
        }
    }
}

TEST_CASE("nothing is kept that a captured function writes over, or takes as an argument") {
    const DeviceGuard guard(kCpu);
    Tensor w = data({16, 8}, 1);
    auto f = jit([&](const Tensor& x) {
        const Tensor norms = square(w).sum(0, true).contiguous();
        w.assign(w + x);
        return norms + x.sum();
    });
    auto g = jit([](const Tensor& x) { return x / square(x).sum(0, true).contiguous(); });
    std::vector<float> expected;
    Tensor u = data({16, 8}, 1);
    for (int i = 0; i < 6; ++i) {
        const Tensor x = data({16, 8}, i);
        const std::vector<float> before = values(square(u).sum(0, true).contiguous() + x.sum());
        CHECK(values(f(x)) == before);
        u = (u + x).realize();
        CHECK(values(g(x)) == values(x / square(x).sum(0, true).contiguous()));
    }
    CHECK(f.stats().replays > 0);
    CHECK(f.stats().kept_kernels == 0);
    CHECK(g.stats().kept_kernels == 0);
}

TEST_CASE("memory of the caller's is asked for in every call") {
    const DeviceGuard guard(kCpu);
    std::vector<float> numbers(32, 1.0F);
    const Tensor w = from_blob(numbers.data(), {32}, f32);
    auto f = jit([&](const Tensor& x) { return x * square(w).sum().contiguous(); });
    for (int i = 0; i < 6; ++i) {
        numbers[0] = static_cast<float>(i);
        CHECK(values(f(ones({1})))[0] == doctest::Approx(31.0 + i * i));
    }
    CHECK(f.stats().replays > 0);
}
