// Optimizers against PyTorch's numbers, and what a step costs.

#include "nn_support.h"

namespace sinter::nn {

using namespace test;

namespace {

/// A small least-squares problem, four steps.
struct Problem {
    Tensor a{{0.5f, -1.f, 2.f}, {1.5f, 0.25f, -0.75f}};
    Tensor b{0.1f, -0.2f, 0.3f};
    Tensor x{{1.f, 2.f}, {-0.5f, 0.75f}, {3.f, -1.f}, {0.2f, 0.4f}};
    Tensor y{{1.f, 0.f, -1.f}, {0.5f, 0.5f, 0.5f}, {-2.f, 1.f, 0.f}, {0.3f, -0.3f, 0.6f}};
    Parameters parameters{&a, &b};

    Tensor loss() const { return mean(square(matmul(x, a) + b - y)); }
};

struct Expected {
    Floats a, b;
    float loss;
};

template <class Make>
void check_steps(Make make, const Expected& expected) {
    on_each_device([&] {
        for (const bool by_backward : {false, true}) {
            CAPTURE(by_backward);
            Problem problem;
            const auto optimizer = make(problem.parameters);
            Tensor loss;
            for (int step = 0; step < 4; ++step) {
                loss = problem.loss();
                if (by_backward) {
                    optimizer->zero_grad();
                    loss.backward();
                    loss.realize();
                    optimizer->step();
                } else {
                    optimizer->step(loss);
                }
            }
            CHECK(optimizer->steps() == 4);
            CHECK(loss.item<float>() == doctest::Approx(expected.loss).epsilon(1e-5));
            check_close(problem.a, expected.a, 1e-5);
            check_close(problem.b, expected.b, 1e-5);
        }
    });
}

}  // namespace

TEST_CASE("SGD takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) { return std::make_unique<SGD>(p, SGDOptions{.lr = 0.1}); },
        {{0.0703584924f, -0.307803512f, 0.81696099f, 1.2903204f, 0.0842783228f, -0.492675155f},
         {-0.185582593f, 0.048650071f, -0.00762708485f},
         2.19163871f});
}

TEST_CASE("SGD with momentum and weight decay takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<SGD>(
                p, SGDOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05});
        },
        {{-0.462357074f, 0.554481328f, -0.66843611f, 0.973798752f, -0.126730517f, -0.152614504f},
         {-0.528090239f, 0.349903554f, -0.375672519f},
         0.284637541f});
}

TEST_CASE("SGD with dampening starts from the gradient itself takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<SGD>(p,
                                         SGDOptions{.lr = 0.1, .momentum = 0.9, .dampening = 0.3});
        },
        {{-0.337794423f, 0.348858088f, -0.301197082f, 1.10183716f, -0.0673618391f, -0.254331768f},
         {-0.454813212f, 0.28640002f, -0.311394989f},
         0.531877041f});
}

TEST_CASE("SGD with Nesterov momentum takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<SGD>(p,
                                         SGDOptions{.lr = 0.05, .momentum = 0.9, .nesterov = true});
        },
        {{-0.159362748f, 0.0623193309f, 0.184990734f, 1.17935705f, -0.0037302163f, -0.355504036f},
         {-0.338224232f, 0.181750029f, -0.173651412f},
         1.09091485f});
}

TEST_CASE("Adam takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) { return std::make_unique<Adam>(p, AdamOptions{.lr = 0.1}); },
        {{0.107167974f, -0.604486763f, 1.60209048f, 1.11055708f, -0.141467676f, -0.353958488f},
         {-0.290099084f, 0.195587799f, -0.0971317366f},
         4.16060877f});
}

TEST_CASE("Adam with weight decay takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<Adam>(
                p, AdamOptions{.lr = 0.1, .beta1 = 0.8, .beta2 = 0.9, .weight_decay = 0.1});
        },
        {{0.107924268f, -0.604835868f, 1.60224545f, 1.10897684f, -0.139543712f, -0.354477614f},
         {-0.288231313f, 0.194575667f, -0.0965179652f},
         4.16213989f});
}

TEST_CASE("Adam with the largest second moment (AMSGrad) takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<Adam>(
                p, AdamOptions{.lr = 0.1, .beta1 = 0.5, .beta2 = 0.5, .amsgrad = true});
        },
        {{0.122219816f, -0.611092746f, 1.60292828f, 1.13347757f, -0.122998796f, -0.358549654f},
         {-0.268393576f, 0.189128265f, -0.0950956568f},
         4.165133f});
}

TEST_CASE("AdamW takes PyTorch's steps") {
    check_steps(
        [](const Parameters& p) {
            return std::make_unique<AdamW>(p, AdamWOptions{.lr = 0.1, .weight_decay = 0.1});
        },
        {{0.093649447f, -0.571499944f, 1.52964187f, 1.05982208f, -0.144782439f, -0.331105083f},
         {-0.287227273f, 0.197082132f, -0.102505073f},
         3.90356159f});
}

TEST_CASE("a step updates the memory of the parameters, and leaves others' values alone") {
    const DeviceGuard guard{Device("CPU")};
    Problem problem;
    const Tensor before = problem.a;
    const Floats old = before.to_vector<float>();
    SGD optimizer(problem.parameters, {.lr = 0.1});
    optimizer.step(problem.loss());
    CHECK(before.to_vector<float>() == old);
    CHECK(problem.a.to_vector<float>() != old);
}

TEST_CASE("a prediction that was not computed before the step keeps the old parameters' value") {
    on_each_device([] {
        Problem problem;
        SGD optimizer(problem.parameters, {.lr = 0.1});
        const Floats expected = (matmul(problem.x, problem.a) + problem.b).to_vector<float>();
        const Tensor prediction = matmul(problem.x, problem.a) + problem.b;
        optimizer.step(mean(square(prediction - problem.y)));
        check_close(prediction, expected);
    });
}

TEST_CASE("every step after the first finds its schedule") {
    const DeviceGuard guard{Device("CPU")};
    Problem problem;
    Adam optimizer(problem.parameters, {.lr = 0.1});
    optimizer.step(problem.loss());
    optimizer.step(problem.loss());
    reset_stats();
    for (int step = 0; step < 3; ++step) {
        optimizer.set_lr(0.1 / (step + 1));
        optimizer.step(problem.loss());
    }
    const Stats counts = stats();
    CHECK(counts.schedule_misses == 0);
    CHECK(counts.compiled == 0);
    CHECK(counts.schedule_hits == 3);
}

TEST_CASE("an Adam update of all parameters is at most three kernels") {
    const DeviceGuard guard{Device("CPU")};
    Sequential net(Conv2d(1, 8, 3), ReLU(), Conv2d(8, 16, 3), Flatten(), Linear(64, 32), ReLU(),
                   Linear(32, 10));
    Adam optimizer(net.parameters());
    // Gradients that are in memory, so that only the update is left.
    for (int step = 0; step < 2; ++step) {
        optimizer.zero_grad();
        mean(square(net(pattern({2, 1, 6, 6})))).backward();
        for (Tensor* p : net.parameters()) p->grad().realize();
        reset_stats();
        optimizer.step();
    }
    const std::uint64_t launches = stats().launches;
    CHECK(launches >= 1);
    CHECK(launches <= 3);
}

TEST_CASE("the loss is computed along with the step") {
    const DeviceGuard guard{Device("CPU")};
    Problem problem;
    SGD optimizer(problem.parameters, {.lr = 0.1});
    const float expected = problem.loss().item<float>();
    const Tensor loss = problem.loss();
    optimizer.step(loss);
    reset_stats();
    CHECK(loss.item<float>() == doctest::Approx(expected));
    CHECK(stats().launches == 0);
}

TEST_CASE("parameters that do not reach the loss stay as they are") {
    Problem problem;
    Tensor aside({1.f, 2.f});
    Parameters all = problem.parameters;
    all.push_back(&aside);
    Adam optimizer(all, {.lr = 0.1, .weight_decay = 0.5});
    optimizer.step(problem.loss());
    CHECK(aside.to_vector<float>() == Floats{1, 2});
    const Tensor unrelated = sum(Tensor({1.f}) * 2);
    CHECK(says(message_of<ValueError>([&] { optimizer.step(unrelated); }),
               "none of the parameters reaches the loss"));
    CHECK(says(message_of<ShapeError>([&] { optimizer.step(problem.x * problem.a.sum()); }),
               "not one element"));
}

TEST_CASE("bad options are refused") {
    Problem problem;
    const Parameters& p = problem.parameters;
    CHECK_THROWS_AS(SGD(p, {.lr = -1}), ValueError);
    CHECK_THROWS_AS(SGD(p, {.nesterov = true}), ValueError);
    CHECK_THROWS_AS(Adam(p, {.beta1 = 1}), ValueError);
    CHECK_THROWS_AS(AdamW(p, {.eps = -1}), ValueError);
    CHECK_THROWS_AS(SGD(Parameters{}), ValueError);
    Tensor integers({1, 2});
    CHECK_THROWS_AS(SGD(Parameters{&integers}), DTypeError);
}

TEST_CASE(
    "a step that takes its loss along writes parameters and state in place, beside indices too") {
    Embedding table(20000, 32);
    Linear head(32, 1);
    Parameters all = table.parameters();
    for (Tensor* p : head.parameters()) all.push_back(p);
    Adam optimizer(all, {.lr = 0.1});
    const std::uint64_t bytes = 20000 * 32 * sizeof(float);
    const auto loss_of = [&](std::int32_t last) {
        return mean(square(head(table(Tensor({3, 7, last})))));
    };
    Tensor loss = loss_of(19999);
    reset_stats();
    const std::uint64_t before = stats().allocated_bytes;
    optimizer.step(loss);
    // The gradient of the table, as large as the table; not three new tables as well.
    CHECK(stats().peak_bytes - before < 2 * bytes);
    CHECK(stats().allocated_bytes - before < bytes / 2);
}

TEST_CASE("XOR is learned") {
    on_each_device([] {
        manual_seed(1);
        Sequential net(Linear(2, 8), Tanh(), Linear(8, 1));
        Adam optimizer(net.parameters(), {.lr = 0.05});
        const Tensor x({{0.f, 0.f}, {0.f, 1.f}, {1.f, 0.f}, {1.f, 1.f}});
        const Tensor y({{0.f}, {1.f}, {1.f}, {0.f}});
        Tensor loss;
        for (int step = 0; step < 300; ++step) {
            loss = bce_with_logits(net(x), y);
            optimizer.step(loss);
        }
        CHECK(loss.item<float>() < 0.05f);
        CHECK(equal((net(x) > 0).to(f32), y));
    });
}

}  // namespace sinter::nn
