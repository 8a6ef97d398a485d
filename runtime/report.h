#pragma once
// What DEBUG prints, on stderr; and the trace of PROFILE.

#include <chrono>
#include <cstdint>
#include <string>

#include <sinter/codegen/codegen.h>
#include <sinter/runtime/realize.h>
#include <sinter/runtime/tune.h>
#include <sinter/schedule/schedule.h>

namespace sinter::runtime {

/// DEBUG=3: the kernel's form and codegen's choices; 4: its source; 6: its assembly.
void report_program(ir::Ref sink, const std::string& name, const codegen::Program& program,
                    const codegen::Target& target);

/// DEBUG=2: what BEAM found for a kernel; a candidate whose numbers are wrong.
void report_tuned(const std::string& name, const Search& found);
void report_discarded(const std::string& name, const codegen::Schedule& schedule);

/// One launch, for DEBUG=1 and 2 and the trace.
struct LaunchReport {
    const schedule::Kernel* kernel;
    const schedule::Launch* launch;
    bool parallel;
    std::int64_t trips;
    std::chrono::steady_clock::time_point begin, end;
    DeviceId device = DeviceId::CPU;
};
/// Whether launches have to be timed: DEBUG or PROFILE asks for it.
bool wants_launches();
void report_launch(const LaunchReport& launch);

}  // namespace sinter::runtime
