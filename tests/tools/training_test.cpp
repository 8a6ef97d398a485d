// The training binaries, run as a user runs them.

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

#include <sinter/nn/safetensors.h>

#include "run.h"

using namespace sinter;
using test::Folder;
using test::Outcome;
namespace fs = std::filesystem;

namespace {

Outcome run(const std::string& arguments) { return test::shell(test::binary(arguments)); }

double accuracy_in(const std::string& text) {
    std::smatch match;
    const std::regex line("(^|\n)test accuracy: ([0-9]+\\.[0-9][0-9])%\n");
    REQUIRE(std::regex_search(text, match, line));
    return std::stod(match[2]);
}

void fails(const std::string& arguments, const std::string& part) {
    const Outcome outcome = run(arguments);
    INFO(arguments << "\n" << outcome.text);
    CHECK(outcome.status > 0);
    CHECK(outcome.status < 128);
    CHECK(outcome.text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("sinter-xor learns exclusive or and tells which kernels ran") {
    const Outcome outcome = run("xor");
    INFO(outcome.text);
    CHECK(outcome.status == 0);
    CHECK(outcome.text.find("kernels: ") != std::string::npos);
}

TEST_CASE(
    "sinter-mnist learns the built-in digits, the same with the same "
    "seed, and saves") {
    const Folder folder;
    const std::string file = (folder.path / "net.safetensors").string();
    const std::string command = "mnist --model mlp --epochs 1 --seed 3";
    const Outcome first = run(command + " --save " + file), second = run(command);
    INFO(first.text);
    REQUIRE(first.status == 0);
    REQUIRE(second.status == 0);
    CHECK(accuracy_in(first.text) > 90);
    CHECK(accuracy_in(first.text) == accuracy_in(second.text));
    CHECK(first.text.find("kernels: ") != std::string::npos);
    CHECK(first.text.find('\r') == std::string::npos);  // no terminal here

    const sinter::nn::StateDict state = sinter::nn::load_safetensors(file);
    REQUIRE(state.size() == 6);
    CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE(
    "bad flags and missing data end with a message and a status that is "
    "not 0") {
    const Folder folder;
    fails("mnist --model transformer", "--model");
    fails("mnist --epochs 0", "--epochs");
    fails("mnist --batch -3", "--batch");
    fails("mnist --batch 20000", "more than the 10000 training images");
    fails("mnist --frobnicate", "--frobnicate");
    fails("mnist --seed x", "--seed");
    fails("mnist --data " + (folder.path / "absent").string(), "no such folder");
    fails("mnist --data " + folder.path.string(), "train-images-idx3-ubyte: no such file");
    fails("mnist --save " + (folder.path / "absent" / "net").string(), "there is no folder");
    std::ofstream(folder.path / "train-images-idx3-ubyte") << "not images";
    fails("mnist --data " + folder.path.string(), "train-labels-idx1-ubyte: no such file");
    std::ofstream(folder.path / "train-labels-idx1-ubyte") << "not labels";
    fails("mnist --data " + folder.path.string(), "no IDX data");
    fails("xor --steps many", "--steps");
}
