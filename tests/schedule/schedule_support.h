#pragma once
// Graphs, their schedules, and their values by the interpreter against REF.

#include <doctest/doctest.h>
#include <sinter/ir/uop.h>
#include <sinter/runtime/realize.h>
#include <sinter/schedule/schedule.h>

#include <string>
#include <vector>

#include "kernel_interpreter.h"

namespace sinter::test {

/// A Buffer of numbers that look random, fixed by `seed`: floats in about -2..2, integers in
/// 0..bound.
ir::UOp data(DType dt, const ir::Shape& shape, unsigned seed = 1, std::int64_t bound = 7);

/// What a schedule may assume: of every input, or of those that are named.
struct Given {
    bool may_overwrite = false;
    std::vector<ir::UOp> steady = {};
    std::int64_t panel_columns = 0;
    bool pack_always = false;
};

schedule::Schedule schedule_of(const std::vector<ir::UOp>& roots, const Given& given = {});

/// Launches of the schedule.
std::size_t kernels(const std::vector<ir::UOp>& roots);

/// Runs the schedule by the interpreter and compares with REF. Empty if they agree, else what
/// differs.
std::string mismatch(const std::vector<ir::UOp>& roots, const Given& given = {});

/// The kernels as text, for messages and for comparing schedules.
std::string text(const schedule::Schedule& s);

// Compositions as users write them.
ir::UOp row_max(const ir::UOp& x, std::int64_t axis);
ir::UOp row_sum(const ir::UOp& x, std::int64_t axis);
ir::UOp spread(const ir::UOp& x, const ir::UOp& like);  ///< expand to the shape of `like`
ir::UOp scaled(const ir::UOp& x, double factor);
ir::UOp matmul(const ir::UOp& a, const ir::UOp& b);  ///< [m, k] x [k, n]
ir::UOp gelu(const ir::UOp& x);
ir::UOp relu(const ir::UOp& x);

}  // namespace sinter::test
