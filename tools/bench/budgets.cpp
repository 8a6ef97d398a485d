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

// What a fresh process of this program prints, run with these arguments and its caches in `cache`.
std::string fresh_output(const std::string& program, std::vector<std::string> arguments,
                         const std::string& cache) {
    int ends[2] = {-1, -1};
    const bool piped = pipe(ends) == 0;
    const pid_t child = piped ? fork() : -1;
    if (child == 0) {
        setenv("SINTER_CACHE_DIR", cache.c_str(), 1);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        std::vector<char*> argv{const_cast<char*>(program.c_str())};
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        execv(program.c_str(), argv.data());
        _exit(127);
    }
    std::string output;
    int status = -1;
    if (piped) close(ends[1]);
    if (child > 0) {
        char part[256];
        for (ssize_t got = 0; (got = read(ends[0], part, sizeof part)) > 0;)
            output.append(part, static_cast<std::size_t>(got));
        waitpid(child, &status, 0);
    }
    if (piped) close(ends[0]);
    if (child < 0) throw std::runtime_error("cannot start a process");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error("the fresh process failed");
    return output;
}

// Wall seconds of a fresh process that realizes one kernel.
double fresh_process(const std::string& program, const std::string& cache) {
    const auto start = std::chrono::steady_clock::now();
    fresh_output(program, {"--first-kernel"}, cache);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double least_of(int times, const std::function<double()>& measure) {
    double least = measure();
    for (int i = 1; i < times; ++i) least = std::min(least, measure());
    return least;
}

// Kernels that were not seen before: by `n` their sizes differ.
struct NewKernel {
    std::string name, what;
    double budget;
    Tensor (*make)(std::int64_t n);
};
const NewKernel kNewKernels[] = {
    {"new_elementwise", "a small kernel, graph to machine code", 3e-3,
     [](std::int64_t n) { return relu(zeros({97 + n, 3}) + arange(3.0f) * 2); }},
    {"new_softmax", "a row kernel with exp, graph to machine code", 0,
     [](std::int64_t n) {
         return softmax(arange(static_cast<double>(40 * (65 + n))).reshape({40, 65 + n}), -1);
     }},
    {"new_matmul", "a matrix product, graph to machine code", 6e-3,
     [](std::int64_t n) {
         Tensor a = empty({64, 65 + n}), b = empty({65 + n, 64});
         sinter::realize(a, b);
         return matmul(a, b);
     }},
};

// In a process of its own, since the kernels of another one may be in the disk cache.
double time_apart(const std::string& program, const std::string& name, double seconds) {
    const ScratchFolder cache;
    return std::stod(fresh_output(
        program, {"--new-kernel", name, "--seconds", std::to_string(seconds)}, cache.path()));
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

double new_kernel(const std::string& name, double seconds) {
    for (const NewKernel& kernel : kNewKernels) {
        if (kernel.name != name) continue;
        std::int64_t n = 0;
        return seconds_a_call([&] { kernel.make(n++).realize(); }, seconds);
    }
    throw std::runtime_error("no row of new kernels is called " + name);
}

std::vector<Row> budget_rows(const std::string& program) {
    std::vector<Row> rows = {
        {"graph_node", "building and dropping a graph, a node", 0.3e-6, 0, 0, graph_node},
        {"eager_op", "a + b of 16 numbers, built and realized anew", 20e-6, 0, 0, eager_op},
        {"replayed_kernel", "a tiny kernel of a captured chain of 100, a kernel", 1e-6, 0, 0,
         replayed_kernel},
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
    for (const NewKernel& kernel : kNewKernels)
        rows.push_back(
            {kernel.name, kernel.what, kernel.budget, 0, 0,
             [program, name = kernel.name](double s) { return time_apart(program, name, s); }});
    return rows;
}

}  // namespace sinter::tool
