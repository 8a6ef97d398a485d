// Layers against PyTorch's numbers: values, gradients of inputs and parameters, running statistics.

#include "nn_support.h"

namespace sinter::nn {

using namespace test;

namespace {

/// Expected: the output, then the gradients of Σ output · pattern(5): of x and of each parameter.
template <class Layer>
void check_layer(Layer& layer, const Tensor& x, const std::vector<Floats>& expected) {
    fill(layer);
    Tensor input = x;
    const Tensor y = layer(input);
    check_close(y, expected[0]);
    std::vector<Tensor> inputs{input};
    for (Tensor* p : layer.parameters()) inputs.push_back(*p);
    const std::vector<Tensor> gradients = gradient(sum(y * pattern(y.shape(), 5)), inputs);
    REQUIRE(gradients.size() + 1 == expected.size());
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        CAPTURE(i);
        CHECK(gradients[i].shape() == inputs[i].shape());
        check_close(gradients[i], expected[i + 1], 2e-5);
    }
}

}  // namespace

TEST_CASE("Linear is x weightᵀ + bias") {
    on_each_device([] {
        Linear layer(3, 2);
        check_layer(layer, pattern({2, 3}),
                    {{-0.24000001f, -1.0400001f, -2.2f, 0.75999999f},
                     {1.0f, 0.40000001f, -0.2f, -1.16f, -0.23999999f, 0.24000001f},
                     {2.0f, -0.2f, -0.20000002f, -0.2f, -0.040000003f, 0.12f},
                     {0.0f, -0.2f}});
    });
}

TEST_CASE("LayerNorm") {
    on_each_device([] {
        LayerNorm layer(4);
        check_layer(layer, pattern({2, 4}),
                    {{0.31305289f, -0.21008848f, 0.89495575f, 0.85044235f, -1.199996f, 0.55998886f,
                      1.2799944f, -0.35999683f},
                     {0.26986718f, -0.060676992f, -0.35949996f, 0.15030968f, -1.0879787f,
                      0.73598862f, 0.82398009f, -0.47199008f},
                     {1.4730496f, 0.55998886f, 0.31476206f, -0.14261296f},
                     {-0.19999999f, -0.40000001f, 1.6f, -0.80000001f}});
    });
}

TEST_CASE("BatchNorm1d takes the batch's statistics in training, the running ones in evaluation") {
    on_each_device([] {
        BatchNorm1d layer(3);
        check_layer(
            layer, pattern({4, 3}),
            {{0.70421129f, -0.53660268f, 1.2683012f, -1.8205462f, -0.17886755f, 1.0894337f,
              -1.5680704f, 0.17886756f, 0.91056615f, -1.3155947f, 0.53660268f, 0.73169863f},
             {-0.055309489f, 0.3934657f, 0.19689389f, 0.23235138f, -1.1805403f, -0.59021634f,
              -0.90730798f, 1.1805403f, 0.59021646f, 0.73026586f, -0.3934657f, -0.19689384f},
             {1.6284686f, 0.3577351f, 2.325278f},
             {-1.4000001f, 0.39999998f, 0.0f}});
        check_close(layer.running_mean, {0.035000004f, 0.010000001f, -0.07f});
        check_close(layer.running_var, {0.98366666f, 0.90666664f, 0.90666664f});
        CHECK(layer.num_batches_tracked.item<std::int64_t>() == 1);
        layer.eval();
        check_close(layer(pattern({4, 3})), {0.04355222f, -0.16383186f, 0.93068659f, -1.9729738f,
                                             -0.079815522f, 0.88867837f, -1.7713212f, 0.0042008176f,
                                             0.84667021f, -1.5696687f, 0.088217162f, 0.80466205f});
    });
}

TEST_CASE("BatchNorm2d without momentum averages over all batches") {
    on_each_device([] {
        BatchNorm2d layer(2, {.momentum = std::nullopt});
        check_layer(layer, pattern({2, 2, 2, 2}),
                    {{0.15029645f, -1.8017218f, -0.68628281f, -2.6383011f, 6.6028552e-09f,
                      0.6275596f, -0.47066969f, 0.1568899f, -0.12856328f, -2.0805817f, -0.96514261f,
                      0.15029645f, -0.15688989f, 0.47066969f, -0.62755954f, 6.6028552e-09f},
                     {1.0622439f, -0.18263236f, -1.6623154f, 0.16026561f, -0.43144724f, 0.49782416f,
                      -0.26550633f, 0.66376507f, -0.86842835f, 0.95415276f, -0.52553034f,
                      1.0622439f, 0.19912937f, -0.59738809f, 0.36507022f, -0.43144724f},
                     {0.43920395f, 0.078444988f},
                     {-1.4000001f, 2.0f}});
        layer(pattern({2, 2, 2, 2}, 3));
        check_close(layer.running_mean, {-0.175f, 0.1125f});
        check_close(layer.running_var, {0.53071427f, 0.38535717f});
    });
}

TEST_CASE("Conv1d with stride and padding") {
    on_each_device([] {
        Conv1d layer(2, 2, 3, {.stride = 2, .padding = 1});
        check_layer(layer, pattern({1, 2, 5}),
                    {{-0.19999999f, -0.23999995f, -3.2f, -2.4000001f, -0.040000021f, 0.96000004f},
                     {0.2f, 0.24000002f, 0.80000001f, -1.64f, -0.80000001f, 0.68000001f,
                      0.40000001f, 0.48000002f, 0.0f, -1.0400001f},
                     {1.0f, 1.2f, -0.40000001f, -0.80000001f, 1.2f, -0.80000001f, -0.079999983f,
                      -0.20000002f, 0.72000003f, 0.96000004f, -0.12f, -0.80000007f},
                     {0.0f, 0.20000002f}});
    });
}

TEST_CASE("Conv2d in groups") {
    on_each_device([] {
        Conv2d layer(2, 4, 2, {.stride = 2, .padding = 1, .groups = 2});
        check_layer(layer, pattern({1, 2, 3, 3}),
                    {{-1.8f, -1.24f, -0.75999999f, -1.6f, -1.0f, -0.23999999f, 0.60000002f,
                      -0.84000003f, 0.39999998f, 1.88f, 0.80000001f, 0.079999983f, -0.68000001f,
                      0.44f, -0.28f, -0.96000004f},
                     {0.0f, -0.16000001f, -0.40000001f, -0.52000004f, 0.68000001f, 0.20000002f,
                      1.4000001f, -0.28f, -0.76000005f, -0.40000001f, 0.31999999f, 0.0f,
                      -0.040000003f, 0.28f, 0.16000001f, -0.039999999f, 0.039999995f, 0.35999998f},
                     {-0.040000003f, 1.12f, 0.0f, 1.9599999f, -0.12f, 0.96000004f, -0.16000001f,
                      0.32000005f, 0.40000001f, -0.92000002f, 0.76000005f, 0.28f, -0.32000002f,
                      0.72000003f, -0.68000001f, -0.39999995f},
                     {-0.19999999f, 0.40000001f, -1.2f, 1.6f}});
    });
}

TEST_CASE("MaxPool2d") {
    on_each_device([] {
        MaxPool2d layer(2);
        check_layer(layer, pattern({1, 1, 4, 4}),
                    {{0.40000001f, 1.0f, 0.60000002f, 1.0f},
                     {0.0f, -1.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f, 0.0f, 0.0f,
                      0.0f, -0.2f, 0.0f}});
    });
}

TEST_CASE("AvgPool2d counts its padding") {
    on_each_device([] {
        AvgPool2d layer(3, {.stride = 2, .padding = 1});
        check_layer(layer, pattern({1, 1, 4, 4}),
                    {{-0.11111111f, 0.13333334f, -0.06666667f, 0.044444449f},
                     {-0.11111111f, -0.11111111f, 0.0f, 0.0f, 0.0f, -0.022222223f, -0.022222223f,
                      -0.022222223f, 0.11111111f, 0.088888891f, -0.022222223f, -0.022222223f,
                      0.11111111f, 0.088888891f, -0.022222223f, -0.022222223f}});
    });
}

TEST_CASE("activations and their gradients, kinks included") {
    on_each_device([] {
        const Tensor x = pattern({3, 4}, 7, -3, 3);
        {
            CAPTURE("relu");
            ReLU layer;
            check_layer(layer, x,
                        {{0.0f, 1.2f, 0.0f, 3.0f, 0.60000002f, 0.0f, 2.4000001f, 0.0f, 0.0f, 1.8f,
                          0.0f, 0.0f},
                         {0.0f, 0.0f, 0.0f, -0.2f, 0.80000001f, 0.0f, 0.60000002f, 0.0f, 0.0f,
                          -0.80000001f, 0.0f, 0.0f}});
        }
        {
            CAPTURE("gelu");
            GELU layer;
            check_layer(
                layer, x,
                {{-0.004050225f, 1.0619165f, -0.13808359f, 2.9959497f, 0.43544814f, -0.064674549f,
                  2.3803258f, 0.0f, -0.019674325f, 1.7353255f, -0.16455188f, -0.004050225f},
                 {0.011945605f, 0.0f, -0.11795351f, -0.20238912f, 0.74054539f, 0.042472005f,
                  0.62732965f, -0.30000001f, -0.018219734f, -0.88494396f, 0.014863661f,
                  0.011945605f}});
        }
        {
            CAPTURE("silu");
            SiLU layer;
            check_layer(
                layer, x,
                {{-0.14227761f, 0.92222977f, -0.27777028f, 2.8577225f, 0.3873938f, -0.2553319f,
                  2.2003858f, 0.0f, -0.19961447f, 1.544668f, -0.21260622f, -0.14227761f},
                 {0.088104106f, 0.0f, 0.018001884f, -0.21762082f, 0.62634146f, 0.030904697f,
                  0.65990359f, -0.30000001f, -0.039935723f, -0.86180937f, 0.043414634f,
                  0.088104106f}});
        }
        {
            CAPTURE("elu");
            ELU layer;
            check_layer(
                layer, x,
                {{-0.95021296f, 1.2f, -0.69880581f, 3.0f, 0.60000002f, -0.83470112f, 2.4000001f,
                  0.0f, -0.90928209f, 1.8f, -0.45118839f, -0.95021296f},
                 {-0.049787067f, 0.0f, 0.30119419f, -0.2f, 0.80000001f, -0.066119559f, 0.60000002f,
                  -0.60000002f, 0.036287177f, -0.80000001f, 0.10976233f, -0.049787067f}});
        }
        {
            CAPTURE("softplus");
            Softplus layer;
            check_layer(
                layer, x,
                {{0.048587352f, 1.4632825f, 0.26328245f, 3.0485873f, 1.037488f, 0.15297762f,
                  2.4868362f, 0.69314718f, 0.086836144f, 1.9529777f, 0.43748793f, 0.048587352f},
                 {-0.047425874f, 0.0f, 0.2314752f, -0.19051483f, 0.51652509f, -0.056740426f,
                  0.55009639f, -0.30000001f, 0.033269078f, -0.68651915f, 0.070868738f,
                  -0.047425874f}});
        }
        {
            CAPTURE("hardswish");
            Hardswish layer;
            check_layer(layer, x,
                        {{-0.0f, 0.83999997f, -0.36000001f, 3.0f, 0.36000001f, -0.36000001f,
                          2.1600001f, 0.0f, -0.23999996f, 1.4400001f, -0.24000001f, -0.0f},
                         {0.0f, 0.0f, 0.099999994f, -0.2f, 0.56f, 0.039999988f, 0.78000003f,
                          -0.30000001f, -0.12f, -0.87999994f, 0.060000002f, 0.0f}});
        }
        {
            CAPTURE("mish");
            Mish layer;
            check_layer(
                layer, x,
                {{-0.14564747f, 1.0779459f, -0.3088358f, 2.9865351f, 0.46613652f, -0.2732316f,
                  2.3670232f, 0.0f, -0.20788449f, 1.7289907f, -0.24693604f, -0.14564747f},
                 {0.093393125f, 0.0f, -0.002008779f, -0.2042214f, 0.74437666f, 0.039061297f,
                  0.62778747f, -0.36000001f, -0.044599313f, -0.8640157f, 0.046993088f,
                  0.093393125f}});
        }
        {
            CAPTURE("selu");
            SELU layer;
            check_layer(layer, x,
                        {{-1.6705687f, 1.2608413f, -1.22857f, 3.1521029f, 0.63042063f, -1.4674875f,
                          2.5216825f, 0.0f, -1.5986083f, 1.8912618f, -0.79323399f, -1.6705687f},
                         {-0.087530605f, 0.0f, 0.52952927f, -0.21014021f, 0.84056085f, -0.11624475f,
                          0.63042063f, -1.0548596f, 0.063796461f, -0.84056085f, 0.19297306f,
                          -0.087530605f}});
        }
    });
}

TEST_CASE("losses as PyTorch counts them") {
    on_each_device([] {
        const Tensor x = pattern({3, 4}, 7, -3, 3);
        const Tensor ce = cross_entropy(x, Tensor({1, 3, 0}), {.label_smoothing = 0.1});
        check_close(ce, {2.9568605f});
        check_close(gradient(ce, x), {-0.0076347631f, -0.26174819f, -0.0041072271f, 0.27349016f,
                                      0.035017639f, -0.0044006216f, 0.25392479f, -0.28454179f,
                                      -0.30384606f, 0.2909039f, 0.018812856f, -0.0058706878f});
        const Tensor target = (pattern({3, 4}, 3, 0, 1) > 0.5).to(f32);
        const Tensor bce = bce_with_logits(x, target);
        check_close(bce, {0.67667311f});
        check_close(gradient(bce, x), {0.0039521563f, 0.064043738f, -0.06404373f, -0.0039521554f,
                                       0.053804692f, 0.011820923f, -0.0069310567f, -0.041666668f,
                                       0.0069310577f, 0.071512409f, -0.053804692f, 0.0039521563f});
    });
}

TEST_CASE("Embedding looks rows up and leaves the padding row untrained") {
    on_each_device([] {
        Embedding layer(4, 2, {.padding = 1});
        CHECK(layer.weight[1].to_vector<float>() == Floats{0, 0});
        fill(layer);
        const Tensor indices({{0, 1}, {3, 0}});
        const Tensor y = layer(indices);
        CHECK(y.shape() == Shape{2, 2, 2});
        check_close(
            y, {-1.0f, -0.40000001f, 0.2f, 0.80000001f, 0.40000001f, 1.0f, -1.0f, -0.40000001f});
        check_close(
            gradient(sum(y * pattern(y.shape(), 5)), layer.weight),
            {-0.39999998f, -0.60000002f, 0.0f, 0.0f, 0.0f, 0.0f, 0.80000001f, -0.40000001f});
    });
}

TEST_CASE("Dropout drops in training alone, and keeps the mean") {
    on_each_device([] {
        Dropout layer(0.25);
        const Tensor x = ones({10000});
        const Floats y = layer(x).to_vector<float>();
        std::size_t kept = 0;
        for (const float v : y) {
            if (v != 0) {
                CHECK(v == doctest::Approx(1 / 0.75));
                ++kept;
            }
        }
        // Five deviations of a binomial of 10,000 draws.
        CHECK(std::abs(static_cast<double>(kept) - 7500) < 5 * 43.4);
        layer.eval();
        CHECK(layer(x).to_vector<float>() == Floats(10000, 1.f));
    });
}

TEST_CASE("first values are drawn within PyTorch's bounds") {
    manual_seed(3);
    Linear linear(50, 40);
    const Floats w = linear.weight.to_vector<float>();
    const double bound = 1 / std::sqrt(50.0);
    double largest = 0, total = 0, square = 0;
    for (const float v : w) {
        largest = std::max(largest, std::abs(static_cast<double>(v)));
        total += v;
        square += static_cast<double>(v) * v;
    }
    const auto n = static_cast<double>(w.size());
    CHECK(largest <= bound);
    CHECK(largest > 0.95 * bound);
    CHECK(std::abs(total / n) < 5 * bound / std::sqrt(3 * n));
    CHECK(square / n == doctest::Approx(bound * bound / 3).epsilon(0.1));
    Conv2d conv(3, 8, 5);
    const double conv_bound = 1 / std::sqrt(75.0);
    for (const float v : conv.weight.to_vector<float>()) CHECK(std::abs(v) <= conv_bound);
    for (const float v : conv.bias.to_vector<float>()) CHECK(std::abs(v) <= conv_bound);
    CHECK(BatchNorm2d(3).weight.to_vector<float>() == Floats(3, 1.f));
}

TEST_CASE("layers that do not fit their input say so, with the line") {
    const Tensor x = zeros({2, 5});
    const std::string text = message_of<ShapeError>([&] { Linear(3, 2)(x); });
    CHECK(says(text, "layers_test.cpp:"));
    CHECK(says(text, "Linear: takes [..., 3], got [2, 5]"));
    CHECK(says(message_of<ShapeError>([&] { LayerNorm(4)(x); }), "must be [4], got [2, 5]"));
    CHECK(says(message_of<ShapeError>([&] { BatchNorm2d(5)(x); }), "BatchNorm2d: takes 4 axes"));
    CHECK(says(message_of<ValueError>([&] { BatchNorm1d(5)(zeros({1, 5})); }),
               "more than one value a channel"));
    CHECK(says(message_of<ValueError>([] { Dropout(1.5); }), "probability"));
    CHECK(says(message_of<ValueError>([] { Linear(0, 3); }), "must be positive"));
    CHECK(says(message_of<ValueError>([] { Conv2d(3, 4, 3, {.groups = 2}); }), "2 groups"));
}

}  // namespace sinter::nn
