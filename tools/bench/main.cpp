// Times Sinter: the budgets of its design, kernels, training steps.

#include <filesystem>
#include <iomanip>
#include <iostream>
#include <regex>
#include <sstream>

#include <sinter/info.h>

#include "command_line.h"
#include "rows.h"
#include "tool.h"
#include "workload.h"

namespace {

using sinter::tool::Row;

// "1.23 ms"
std::string duration(double seconds) {
    std::ostringstream text;
    const auto [scale, unit] = seconds < 1e-6   ? std::pair(1e9, "ns")
                               : seconds < 1e-3 ? std::pair(1e6, "us")
                               : seconds < 1    ? std::pair(1e3, "ms")
                                                : std::pair(1.0, "s");
    text << std::setprecision(3) << seconds * scale << ' ' << unit;
    return text.str();
}

std::string rate(const Row& row, double seconds) {
    std::ostringstream text;
    text << std::fixed << std::setprecision(1);
    if (row.flops > 0)
        text << row.flops / seconds * 1e-9 << " GFLOP/s";
    else if (row.bytes > 0)
        text << row.bytes / seconds * 1e-9 << " GB/s";
    return text.str();
}

// "73%" of the machine's limit.
std::string share(const Row& row, double seconds) {
    if (row.flops <= 0 && row.bytes <= 0) return "";
    static const sinter::MachineLimits limits = sinter::machine_limits();
    std::ostringstream text;
    text << std::fixed << std::setprecision(0)
         << 100 * limits.seconds(row.flops, row.bytes, row.bf16) / seconds << '%';
    return text.str();
}

int run(const std::string& only, double seconds) {
    const std::regex wanted(only);
    std::vector<Row> rows =
        sinter::tool::budget_rows(std::filesystem::read_symlink("/proc/self/exe"));
    for (const auto& more : {sinter::tool::kernel_rows(), sinter::tool::step_rows()})
        rows.insert(rows.end(), more.begin(), more.end());
    bool within = true;
    std::cout << std::left << std::setw(22) << "row" << std::setw(12) << "time" << std::setw(12)
              << "budget" << std::setw(16) << "rate" << std::setw(8) << "limit" << "what\n";
    for (const Row& row : rows) {
        if (!std::regex_search(row.name, wanted)) continue;
        const double time = row.run(seconds);
        const bool over = row.budget > 0 && time > row.budget;
        within = within && !over;
        std::cout << std::setw(22) << row.name << std::setw(12) << duration(time) << std::setw(12)
                  << (row.budget > 0 ? duration(row.budget) + (over ? " !" : "") : "")
                  << std::setw(16) << rate(row, time) << std::setw(8) << share(row, time)
                  << row.what << std::endl;
    }
    if (!within) std::cout << "! over budget\n";
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string only = ".*";
    double seconds = 0.5;
    bool first_kernel = false, serve = false;
    std::string new_kernel;
    sinter::tool::CommandLine line(
        "Times Sinter: the budgets of its design, kernels over tensors of real sizes, training "
        "steps.");
    line.option("--only", only, "rows whose name this regular expression finds");
    line.option("--seconds", seconds, "to measure each row", 0.01, 60.0);
    line.flag("--first-kernel", first_kernel,
              "realize one kernel and exit: what the start-up rows time");
    line.option("--new-kernel", new_kernel,
                "print the seconds of a row that compiles and exit: what that row starts");
    line.flag("--serve", serve,
              "answer the requests of a benchmark driver, one JSON object a line");
    if (const auto status = line.read(argc, argv)) return *status;
    return sinter::tool::guarded("sinter-bench", [&] {
        if (serve) return sinter::tool::serve();
        if (!new_kernel.empty()) {
            std::cout << sinter::tool::new_kernel(new_kernel, seconds) << '\n';
            return 0;
        }
        return first_kernel ? sinter::tool::first_kernel() : run(only, seconds);
    });
}
