#pragma once
// NVRTC, NVIDIA's compiler of CUDA C, opened at run time: neither its headers nor the library are
// needed to build Sinter. It needs no GPU and no driver.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sinter::runtime::nvrtc {

using ProgramRef = struct OpaqueProgram*;

/// The functions of an opened library.
struct Api {
#define SINTER_NVRTC_FUNCTION(result, name, parameters) result(*name) parameters = nullptr;
#include <sinter/runtime/nvrtc_functions.inc>
#undef SINTER_NVRTC_FUNCTION

    int major = 0, minor = 0;
    std::string path;        ///< as it was found
    std::vector<int> archs;  ///< it can compile for, ascending: 80 is sm_80
    std::string version() const { return std::to_string(major) + "." + std::to_string(minor); }
};

/// Where the library is looked for, in order: SINTER_NVRTC alone if it is set, else the loader's
/// names of NVRTC 13 and 12, then the folders that NVIDIA's packages use.
std::vector<std::string> search_paths();

/// Opens the first library of `paths` that is NVRTC 12 or later. Throws BackendError that lists
/// what was tried and says what to install.
std::unique_ptr<Api> open(std::span<const std::string> paths);

/// The library of this process, opened by the first call. Throws as `open` does.
const Api& api();

/// What the assembler says of a kernel.
struct Usage {
    std::string kernel;
    int registers = 0;
    int stack_bytes = 0, spill_stores = 0, spill_loads = 0;
    int shared_bytes = 0;
};

struct Compiled {
    std::string code;  ///< a CUBIN; or the text of PTX
    std::string log;   ///< warnings, and with `report` what the assembler says
    std::vector<Usage> usage() const;
};

struct Options {
    bool ptx = false;     ///< PTX instead of machine code
    bool report = false;  ///< the log holds registers and spills
};

/// Compiles CUDA C (codegen's prelude and kernels) for `arch`, e.g. "sm_90". Arithmetic is IEEE's:
/// nothing is contracted, flushed or approximated. Throws BackendError with NVRTC's log; `name` is
/// for messages. Any thread may call.
Compiled compile(const std::string& source, const std::string& name, const std::string& arch,
                 const Options& options = {});

}  // namespace sinter::runtime::nvrtc
