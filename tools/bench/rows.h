#pragma once
// What is measured.

#include <functional>
#include <string>
#include <vector>

namespace sinter::tool {

/// A row of the table. `run` gives seconds for one unit of what the row counts.
struct Row {
    std::string name, what;
    double budget = 0;  ///< seconds; 0: none
    double flops = 0;   ///< of one unit, for GFLOP/s; 0: not counted
    double bytes = 0;   ///< that must move, for GB/s; 0: not counted
    std::function<double(double seconds)> run;
    bool bf16 = false;  ///< its products are of bf16
};

/// The budgets of the design: graph building, new kernels, eager ops, start-up. `program` is the
/// path of this binary, which is started anew for what a fresh process costs.
std::vector<Row> budget_rows(const std::string& program);
/// Kernels over tensors of real sizes.
std::vector<Row> kernel_rows();
/// Training steps of whole networks.
std::vector<Row> step_rows();

/// What `budget_rows` starts: realizes one small kernel.
int first_kernel();
/// Seconds that a new kernel takes from its graph to machine code, the row `name` of
/// `budget_rows`, which starts a process with empty caches for it.
double new_kernel(const std::string& name, double seconds);

}  // namespace sinter::tool
