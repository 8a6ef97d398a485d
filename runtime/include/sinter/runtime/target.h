#pragma once
// The machine that kernels are made for.

#include <sinter/codegen/codegen.h>

namespace sinter::runtime {

/// This machine as LLVM sees it, or the one that SINTER_TARGET names: sse2, avx2, avx512 (a level
/// of x86-64 that this machine must have, to run what is made for it) or native. Throws ValueError
/// for another word, DeviceError for a level that the machine lacks, BackendError without LLVM. The
/// reference stays valid.
const codegen::Target& host_target();
/// The target of such a word, e.g. to compile for several in one process; empty: native.
codegen::Target make_target(const std::string& word);

/// CPUs that this process may use: its affinity mask, cut by the quota of its control group.
int usable_cpus();
/// Threads that run kernels: SINTER_THREADS, else usable_cpus(). At least 1.
int thread_count();

}  // namespace sinter::runtime
