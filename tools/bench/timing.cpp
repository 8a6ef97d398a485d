#include "timing.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace sinter::tool {
namespace {

constexpr double kSample = 2e-3;
constexpr std::size_t kLeastSamples = 5;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace

double seconds_a_call(const std::function<void()>& call, double seconds) {
    call();
    double start = now();
    call();
    const double once = std::max(now() - start, 1e-9);
    const int repeats = std::max(1, static_cast<int>(kSample / once));
    std::vector<double> samples;
    const double begin = now();
    while (samples.size() < kLeastSamples || now() - begin < seconds) {
        start = now();
        for (int i = 0; i < repeats; ++i) call();
        samples.push_back((now() - start) / repeats);
        if (now() - begin > 10 * seconds) break;
    }
    std::ranges::nth_element(samples,
                             samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2));
    return samples[samples.size() / 2];
}

}  // namespace sinter::tool
