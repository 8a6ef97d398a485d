#include "tool.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <iomanip>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace sinter::tool {

int guarded(std::string_view name, const std::function<int()>& body) {
    try {
        return body();
    } catch (const std::exception& error) {
        std::cout.flush();
        std::cerr << name << ": " << error.what() << '\n';
        return 1;
    }
}

void print_kernels(std::ostream& out, const Stats& stats) {
    std::vector<std::pair<std::string, std::uint64_t>> counts;
    for (const std::string& kernel : stats.kernel_names) {
        const auto known =
            std::ranges::find(counts, kernel, &std::pair<std::string, std::uint64_t>::first);
        if (known == counts.end()) {
            counts.emplace_back(kernel, 1);
        } else {
            ++known->second;
        }
    }
    out << "kernels: " << stats.launches << " launches, " << stats.compiled << " compiled, "
        << stats.disk_hits << " from the cache on disk\n";
    const bool all = stats.kernel_names.size() == stats.launches;
    if (!all) out << "of the first " << stats.kernel_names.size() << " launches:\n";
    for (const auto& [kernel, count] : counts)
        out << std::setw(8) << count << "  " << kernel << '\n';
}

}  // namespace sinter::tool
