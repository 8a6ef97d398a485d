// Trains a digit classifier and tells how good it is.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "command_line.h"
#include "nets.h"
#include "tool.h"

namespace {

using namespace sinter;

constexpr double kPeakRate = 3e-3;
constexpr double kWarmUp = 0.2;  // share of the steps in which the rate rises
constexpr std::int64_t kTestBatch = 1000;
constexpr std::int64_t kBuiltInTrain = 10'000, kBuiltInTest = 2'000;

struct Options {
    std::string model = "cnn";
    std::string data;
    std::optional<std::int64_t> epochs;
    std::int64_t batch = 0;
    std::uint64_t seed = 1;
    std::string save;
};

// What is used where the command line does not say; the built-in set is a sixth of MNIST.
struct Defaults {
    std::string_view model;
    bool built_in;
    std::int64_t epochs, batch;
};
constexpr Defaults kDefaults[] = {
    {"mlp", false, 3, 128},
    {"cnn", false, 4, 128},
    {"mlp", true, 6, 64},
    {"cnn", true, 5, 64},
};

const Defaults& defaults_of(const Options& options) {
    return *std::ranges::find_if(kDefaults, [&](const Defaults& d) {
        return d.model == options.model && d.built_in == options.data.empty();
    });
}

nn::ImageData load(const Options& options) {
    if (!options.data.empty()) return nn::load_mnist(options.data);
    return {nn::make_digits(kBuiltInTrain, options.seed),
            nn::make_digits(kBuiltInTest, ~options.seed)};
}

// Up to the peak, then down to 0, linearly.
double rate_at(std::int64_t step, std::int64_t steps) {
    const double done = static_cast<double>(step) / static_cast<double>(steps);
    return kPeakRate * (done < kWarmUp ? (done + 1. / static_cast<double>(steps)) / kWarmUp
                                       : (1 - done) / (1 - kWarmUp));
}

void train(tool::Net& net, nn::DataLoader& loader, std::int64_t epochs) {
    net.train();
    nn::Adam optimizer(net.parameters());
    auto step = jit([&](const Tensor& x, const Tensor& y) {
        Tensor loss = cross_entropy(net(x), y);
        optimizer.step(loss);
        return loss;
    });
    const std::int64_t steps = epochs * loader.batch_count();
    for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
        nn::Progress progress(loader.batch_count(), {.label = "epoch " + std::to_string(epoch + 1) +
                                                              "/" + std::to_string(epochs)});
        for (const nn::Batch& batch : loader) {
            optimizer.set_lr(rate_at(optimizer.steps(), steps));
            progress.update(step(batch.x, batch.y).item<double>());
        }
    }
}

// The share of right answers.
double accuracy(tool::Net& net, nn::DataLoader& loader) {
    net.eval();
    auto count = jit([&](const Tensor& x, const Tensor& y) { return sum(argmax(net(x), 1) == y); });
    std::int64_t right = 0;
    for (const nn::Batch& batch : loader) right += count(batch.x, batch.y).item<std::int64_t>();
    return static_cast<double>(right) / static_cast<double>(loader.sample_count());
}

// Before the training, not after it.
void check_save(const std::string& save) {
    if (save.empty()) return;
    const std::filesystem::path file(save);
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    if (!std::filesystem::is_directory(folder))
        throw FileError(save + ": there is no folder " + folder.string());
    if (std::filesystem::is_directory(file)) throw FileError(save + ": is a folder");
}

int run(const Options& options) {
    const auto start = std::chrono::steady_clock::now();
    check_save(options.save);
    const nn::ImageData data = load(options);
    if (data.train.height != 28 || data.train.width != 28)
        throw ValueError("the images must be of 28x28 pixels");
    const Defaults& defaults = defaults_of(options);
    const std::int64_t epochs = options.epochs.value_or(defaults.epochs);
    const std::int64_t batch = options.batch == 0 ? defaults.batch : options.batch;
    if (batch > data.train.count) {
        throw ValueError("--batch " + std::to_string(batch) + " is more than the " +
                         std::to_string(data.train.count) + " training images");
    }
    const nn::PixelScale scale{.mean = .1307f, .std = .3081f};
    nn::DataLoader training(data.train, {.batch = batch, .drop_last = true, .seed = options.seed},
                            scale);
    nn::DataLoader testing(data.test, {.batch = kTestBatch, .shuffle = false}, scale);

    manual_seed(options.seed);
    std::unique_ptr<tool::Net> net;
    if (options.model == "mlp")
        net = std::make_unique<tool::Mlp>();
    else
        net = std::make_unique<tool::Cnn>();
    std::cout << "model: " << options.model << ", " << net->parameter_count()
              << " parameters; data: " << (options.data.empty() ? "built-in digits" : options.data)
              << ", " << data.train.count << " to train, " << data.test.count << " to test; seed "
              << options.seed << std::endl;

    train(*net, training, epochs);
    const double right = accuracy(*net, testing);
    if (!options.save.empty()) {
        nn::save_safetensors(options.save, net->state_dict());
        std::cout << "weights: " << options.save << '\n';
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << std::fixed << std::setprecision(2) << "test accuracy: " << 100 * right << "%\n"
              << std::setprecision(1) << "time: " << seconds << " s\n";
    tool::print_kernels(std::cout, stats());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    tool::CommandLine line("Trains a digit classifier and tells its accuracy on new digits.");
    line.option("--model", options.model, "mlp or cnn", {"mlp", "cnn"});
    line.option("--data", options.data,
                "folder with the files of MNIST; without it: built-in digits");
    line.option("--epochs", options.epochs,
                "times over the training data (MNIST: mlp 3, cnn 4; built-in digits: 6 and 5)", 1,
                1000);
    line.option("--batch", options.batch, "images a step (128; built-in digits: 64)", 1, 60000);
    line.option("--seed", options.seed, "of weights, order and built-in digits");
    line.option("--save", options.save, "write the weights to this safetensors file");
    if (const auto status = line.read(argc, argv)) return *status;
    return sinter::tool::guarded("sinter-mnist", [&] { return run(options); });
}
