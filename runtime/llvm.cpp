#include <sinter/runtime/llvm.h>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>

#include "library.h"

namespace sinter::runtime::llvm {
namespace {

constexpr unsigned kOldest = 17;

#if defined(__x86_64__)
#define SINTER_LLVM_HOST "X86"
#elif defined(__aarch64__)
#define SINTER_LLVM_HOST "AArch64"
#else
#error "Sinter's CPU back end knows x86-64 and AArch64"
#endif

// The parts of the host's back end, each with an LLVMInitialize function of its own.
constexpr const char* kHostParts[] = {
    "LLVMInitialize" SINTER_LLVM_HOST "TargetInfo",
    "LLVMInitialize" SINTER_LLVM_HOST "Target",
    "LLVMInitialize" SINTER_LLVM_HOST "TargetMC",
    "LLVMInitialize" SINTER_LLVM_HOST "AsmPrinter",
};

void load(Library& library, Api& api) {
    // The version first: an old library is better named by its age than by what it lacks.
    library.find(api.GetVersion, "LLVMGetVersion");
    if (api.GetVersion != nullptr) {
        api.GetVersion(&api.major, &api.minor, &api.patch);
        if (api.major < kOldest)
            library.refuse("it is LLVM " + api.version() + ", Sinter needs " +
                           std::to_string(kOldest) + " or later");
    }
#define SINTER_LLVM_FUNCTION(result, name, parameters) library.find(api.name, "LLVM" #name);
#include <sinter/runtime/llvm_functions.inc>
#undef SINTER_LLVM_FUNCTION
    void (*initialize[std::size(kHostParts)])() = {};
    for (std::size_t i = 0; i < std::size(kHostParts); ++i)
        library.find(initialize[i], kHostParts[i]);
    if (!library.usable()) return;
    for (const auto part : initialize) part();
}

}  // namespace

std::string Api::version() const {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::string Api::take(ErrorRef error) const {
    if (error == nullptr) return {};
    char* message = GetErrorMessage(error);
    std::string text = message;
    DisposeErrorMessage(message);
    return text;
}

std::string Api::take(char* message) const {
    if (message == nullptr) return {};
    std::string text = message;
    DisposeMessage(message);
    return text;
}

std::vector<std::string> search_paths() {
    const std::string chosen = ir::env::text("SINTER_LLVM");
    if (!chosen.empty()) return {chosen};
    std::vector<std::string> paths;
    for (const char* version : {"19", "20", "18", "17"}) {
        const std::string v = version;
        for (const std::string& name :
             {"libLLVM.so." + v + ".1", "libLLVM-" + v + ".so.1", "libLLVM-" + v + ".so"})
            paths.push_back(name);
        for (const char* name : {"libLLVM.so.1", "libLLVM.so"})
            paths.push_back("/usr/lib/llvm-" + v + "/lib/" + name);
    }
    return paths;
}

std::unique_ptr<Api> open(std::span<const std::string> paths) {
    return open_first<Api, BackendError>(
        paths, "LLVM (17 or later), which compiles kernels for the CPU,",
        "Install the Debian package libllvm19, or set SINTER_LLVM to the path of libLLVM.so.",
        load);
}

const Api& api() {
    static const Api& opened = *open(search_paths()).release();  // for the process's life
    return opened;
}

}  // namespace sinter::runtime::llvm
