#include "late.h"

#include <map>
#include <vector>

#include <sinter/ir/kernel.h>
#include <sinter/ir/simplify.h>

#include "cost.h"
#include "operands.h"

namespace sinter::schedule {

using ir::Ref;

void mark_late(Schedule& schedule) {
    std::vector<Operands> operands;
    for (const Kernel& k : schedule.kernels) operands.push_back(operands_of(k.sink));

    // From the last launch back: the bytes that follow it, and at which of these a block is read
    // next.
    constexpr double kNever = -1;
    std::vector<double> read_next(schedule.blocks.size(), kNever);
    std::map<std::pair<std::uint32_t, Ref>, std::int64_t> votes;  // by kernel and Param
    double after = 0;
    for (auto launch = schedule.launches.rbegin(); launch != schedule.launches.rend(); ++launch) {
        const Operands& used = operands[launch->kernel];
        const auto block = [](const Segment& s, Ref param) {
            return s.blocks[static_cast<std::size_t>(param->arg(0))];
        };
        for (const Segment& segment : launch->segments) {
            for (Ref param : used.written) {
                const std::uint32_t b = block(segment, param);
                if (schedule.blocks[b].kind != Block::Kind::Temporary || read_next[b] == kNever)
                    continue;
                const bool late = after - read_next[b] >= cost::kLateBytes;
                votes[{launch->kernel, param}] += late ? 1 : -1;
            }
        }
        after += static_cast<double>(launch->bytes);
        for (const Segment& segment : launch->segments)
            for (Ref param : used.read) read_next[block(segment, param)] = after;
    }
    for (const auto& [at, vote] : votes) {
        if (vote <= 0) continue;
        Kernel& kernel = schedule.kernels[at.first];
        const Ref param = at.second;
        const std::pair<Ref, Ref> late{
            param, ir::late_param(*schedule.arena, param->dtype(), param->arg(0))};
        kernel.sink = ir::substitute(*schedule.arena, kernel.sink, {&late, 1});
    }
}

}  // namespace sinter::schedule
