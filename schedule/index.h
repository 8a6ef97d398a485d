#pragma once
// Index arithmetic that folds as it builds: sums are kept flat and sorted, div and mod are proved
// away by bounds and divisibility. What it leaves, ir::simplify sees once more when the kernel is
// finished.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <sinter/ir/kernel.h>

namespace sinter::schedule {

/// constant + Σ coefficient · term; terms are distinct nodes that are no sums, Ranges first, by
/// number.
struct Sum {
    std::int64_t constant = 0;
    std::vector<std::pair<ir::Ref, std::int64_t>> terms;
};

class Index {
public:
    explicit Index(ir::Arena& arena) : arena_(arena) {}

    ir::Ref constant(std::int64_t value) const { return arena_.index(value); }
    ir::Ref truth() const { return arena_.truth(true); }
    ir::Ref add(ir::Ref a, ir::Ref b) const;
    ir::Ref add(ir::Ref a, std::int64_t b) const;
    ir::Ref sub(ir::Ref a, ir::Ref b) const;
    ir::Ref mul(ir::Ref a, std::int64_t factor) const;
    /// Floor division and modulo by a positive constant.
    ir::Ref div(ir::Ref a, std::int64_t divisor) const;
    ir::Ref mod(ir::Ref a, std::int64_t divisor) const;

    ir::Ref both(ir::Ref a, ir::Ref b) const;
    /// low <= a, a < high, as far as bounds do not prove them.
    ir::Ref within(ir::Ref a, std::int64_t low, std::int64_t high) const;
    ir::Ref is_zero(ir::Ref a) const;

    /// Position in row-major memory.
    ir::Ref flatten(std::span<const ir::Ref> index, std::span<const std::int64_t> shape) const;
    /// The other way, appended to `out`.
    void unflatten(ir::Ref flat, std::span<const std::int64_t> shape,
                   std::vector<ir::Ref>& out) const;

private:
    ir::Ref build(Sum sum) const;
    ir::Ref quotient(const Sum& sum, std::int64_t divisor) const;

    ir::Arena& arena_;
};

Sum sum_of(ir::Ref expr);
bool is_constant(ir::Ref expr, std::int64_t value);

}  // namespace sinter::schedule
