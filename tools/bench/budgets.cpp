#include <sinter/sinter.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <stdexcept>

#include "rows.h"
#include "timing.h"

namespace sinter::tool {
namespace {

namespace fs = std::filesystem;

// A folder of this process's own, gone with the object.
class ScratchFolder {
public:
    ScratchFolder() {
        std::string pattern = (fs::temp_directory_path() / "sinter-bench-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr)
            throw std::runtime_error("cannot make a folder in " +
                                     fs::temp_directory_path().string());
        path_ = pattern;
    }
    ~ScratchFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

// Wall seconds of a fresh process that realizes one kernel, with the program cache in `cache`.
double fresh_process(const std::string& program, const std::string& cache) {
    const auto start = std::chrono::steady_clock::now();
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("cannot start a process");
    if (child == 0) {
        setenv("SINTER_CACHE_DIR", cache.c_str(), 1);
        execl(program.c_str(), program.c_str(), "--first-kernel", static_cast<char*>(nullptr));
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error("the fresh process failed");
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double least_of(int times, const std::function<double()>& measure) {
    double least = measure();
    for (int i = 1; i < times; ++i) least = std::min(least, measure());
    return least;
}

// Every call compiles a kernel that has not been seen: the sizes differ.
double new_kernel(const std::function<Tensor(std::int64_t)>& make, double seconds) {
    std::int64_t n = 0;
    return seconds_a_call([&] { make(n++).realize(); }, seconds);
}

double graph_node(double seconds) {
    constexpr int kNodes = 10'000;
    const Tensor one = full({16}, 1.0f);
    Tensor start = zeros({16});
    start.realize();
    return seconds_a_call(
               [&] {
                   Tensor x = start;
                   for (int i = 0; i < kNodes; ++i) x = x + one;
               },
               seconds) /
           kNodes;
}

double eager_op(double seconds) {
    Tensor a = randn({16}), b = randn({16});
    sinter::realize(a, b);
    return seconds_a_call([&] { (a + b).realize(); }, seconds);
}

// A dependent chain of small kernels, captured: host and kernels.
double replayed_kernel(double seconds) {
    constexpr int kKernels = 100;
    auto chain = jit([](const Tensor& x) {
        Tensor y = x;
        for (int i = 0; i < kKernels; ++i) y = y * 0.5f + sum(y, i % 2, true) * 0.03f;
        return y;
    });
    Tensor x = randn({4, 4});
    x.realize();
    for (int i = 0; i < 3; ++i) chain(x);
    const double once = seconds_a_call([&] { chain(x); }, seconds);
    return once / static_cast<double>(std::max<std::size_t>(chain.stats().kernels, 1));
}

}  // namespace

int first_kernel() {
    Tensor x = full({64}, 1.5f) * arange(64.0f) + 1;
    x.realize();
    return x.to_vector<float>()[2] == 4.0f ? 0 : 1;
}

std::vector<Row> budget_rows(const std::string& program) {
    return {
        {"graph_node", "building and dropping a graph, a node", 0.3e-6, 0, 0, graph_node},
        {"eager_op", "a + b of 16 numbers, built and realized anew", 20e-6, 0, 0, eager_op},
        {"replayed_kernel", "a tiny kernel of a captured chain of 100, a kernel", 1e-6, 0, 0,
         replayed_kernel},
        {"new_elementwise", "a small kernel, graph to machine code", 3e-3, 0, 0,
         [](double s) {
             return new_kernel(
                 [](std::int64_t n) { return relu(zeros({97 + n, 3}) + arange(3.0f) * 2); }, s);
         }},
        {"new_softmax", "a row kernel with exp, graph to machine code", 0, 0, 0,
         [](double s) {
             return new_kernel(
                 [](std::int64_t n) {
                     return softmax(
                         arange(static_cast<double>(40 * (65 + n))).reshape({40, 65 + n}), -1);
                 },
                 s);
         }},
        {"new_matmul", "a matrix product, graph to machine code", 6e-3, 0, 0,
         [](double s) {
             return new_kernel(
                 [](std::int64_t n) {
                     Tensor a = empty({64, 65 + n}), b = empty({65 + n, 64});
                     sinter::realize(a, b);
                     return matmul(a, b);
                 },
                 s);
         }},
        {"start_cold", "a fresh process with its first kernel, empty cache", 60e-3, 0, 0,
         [program](double) {
             return least_of(5, [&] {
                 const ScratchFolder cache;
                 return fresh_process(program, cache.path());
             });
         }},
        {"start_cached", "the same from the disk cache", 50e-3, 0, 0,
         [program](double) {
             const ScratchFolder cache;
             fresh_process(program, cache.path());
             return least_of(5, [&] { return fresh_process(program, cache.path()); });
         }},
    };
}

}  // namespace sinter::tool
