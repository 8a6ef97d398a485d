#include <sinter/runtime/llvm.h>

#include <dlfcn.h>

#include <atomic>
#include <mutex>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>

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

// The library at `path`, or null with the reason.
std::unique_ptr<Api> open_one(const std::string& path, std::string& reason) {
    // LOCAL: a second LLVM in the process (a GPU driver's, say) must not meet our symbols.
    void* library = dlopen(path.c_str(), RTLD_LOCAL | RTLD_LAZY);
    if (library == nullptr) {
        reason = dlerror();
        return nullptr;
    }
    auto api = std::make_unique<Api>();
    const auto find = [&](const char* name) {
        void* symbol = dlsym(library, name);
        if (symbol == nullptr && reason.empty()) reason = std::string("it has no function ") + name;
        return symbol;
    };
    // The version first: an old library is better named by its age than by what it lacks.
    api->GetVersion = reinterpret_cast<decltype(api->GetVersion)>(find("LLVMGetVersion"));
    if (api->GetVersion != nullptr) {
        api->GetVersion(&api->major, &api->minor, &api->patch);
        if (api->major < kOldest)
            reason = "it is LLVM " + api->version() + ", Sinter needs " + std::to_string(kOldest) +
                     " or later";
    }
    if (reason.empty()) {
#define SINTER_LLVM_FUNCTION(result, name, parameters) \
    api->name = reinterpret_cast<decltype(api->name)>(find("LLVM" #name));
#include <sinter/runtime/llvm_functions.inc>
#undef SINTER_LLVM_FUNCTION
    }
    void (*initialize[std::size(kHostParts)])() = {};
    for (std::size_t i = 0; reason.empty() && i < std::size(kHostParts); ++i)
        initialize[i] = reinterpret_cast<void (*)()>(find(kHostParts[i]));
    if (!reason.empty()) {
        dlclose(library);
        return nullptr;
    }
    for (const auto part : initialize) part();
    api->path = path;
    Dl_info info;
    if (dladdr(reinterpret_cast<void*>(api->GetVersion), &info) != 0 && info.dli_fname != nullptr)
        api->path = info.dli_fname;
    return api;  // the library stays open: code of it may run until the process ends
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
    std::string tried;
    for (const std::string& path : paths) {
        std::string reason;
        if (auto api = open_one(path, reason)) return api;
        tried += "\n  " + path + ": " + reason;
    }
    throw BackendError(
        "LLVM (17 or later), which compiles kernels for the CPU, cannot be opened. Tried:" + tried +
        "\nInstall the Debian package libllvm19, or set SINTER_LLVM to the path of libLLVM.so.");
}

const Api& api() {
    static std::atomic<const Api*> opened{nullptr};
    static std::mutex mutex;
    if (const Api* known = opened.load(std::memory_order_acquire)) return *known;
    const std::lock_guard lock(mutex);
    if (opened.load(std::memory_order_relaxed) == nullptr)
        opened.store(open(search_paths()).release(),
                     std::memory_order_release);  // for the process's life
    return *opened.load(std::memory_order_relaxed);
}

}  // namespace sinter::runtime::llvm
