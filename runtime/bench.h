#pragma once
// One kernel of a plan on scratch memory, by schedule after schedule.

#include <memory>
#include <vector>

#include <sinter/runtime/tune.h>

#include "plan.h"

namespace sinter::runtime {

/// Runs the largest launch of a kernel on memory of its own that is filled at random, the same for
/// all candidates: memory that is written in place is one with what is read, numbers are away from
/// 0, indices in range.
class KernelBench final : public Bench {
public:
    /// `plan` has its schedule; `binds` are what the graph binds now. Throws OutOfMemoryError.
    KernelBench(const Plan& plan, std::size_t kernel, std::vector<std::int64_t> binds,
                DeviceId device);

    /// Whether the kernel can run so: not where memory says, unchecked, which memory is read.
    static bool possible(ir::Ref sink);

    std::vector<bool> add(std::span<const codegen::Schedule> schedules) override;
    /// Throws IndexError where the data make an index that is out of range.
    std::vector<Written> results(std::size_t candidate) override;
    double run(std::size_t candidate) override;

private:
    struct Operand {
        DType dtype;
        std::size_t bytes;
        bool written = false, read = false;
    };
    KernelRequest request_for(const codegen::Schedule& schedule) const;
    std::shared_ptr<const Plan> plan_of(const codegen::Schedule& schedule);
    void fill(std::size_t operand);
    double time(std::size_t candidate, int repeats);

    const Plan& whole_;
    const schedule::Kernel& kernel_;
    const std::vector<std::int64_t> binds_;
    const DeviceId device_;
    schedule::Launch launch_;  // its blocks are the operands
    std::vector<Operand> operands_;
    std::vector<std::shared_ptr<Memory>> memory_;  // by operand
    std::int64_t integers_ = 0;                    // are below it
    bool in_place_ = false;
    ProgramCache programs_;  // of the candidates, which are not worth keeping
    std::vector<std::shared_ptr<const Plan>> plans_;  // by candidate; null: it cannot run
    std::vector<double> last_;                        // nanoseconds of a run, as far as is known
};

}  // namespace sinter::runtime
