#include <sinter/runtime/nvrtc.h>

#include <cstdlib>
#include <sstream>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>

#include "library.h"

namespace sinter::runtime::nvrtc {
namespace {

constexpr int kOldest = 12;

// The program of one compile.
class Program {
public:
    Program(const Api& api, const std::string& source, const std::string& name) : api_(api) {
        const std::string file = name + ".cu";
        require(api.CreateProgram(&program_, source.c_str(), file.c_str(), 0, nullptr, nullptr),
                name);
    }
    ~Program() { api_.DestroyProgram(&program_); }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    void require(int result, const std::string& name) const {
        if (result != 0)
            throw BackendError("NVRTC " + api_.version() + ": " + api_.GetErrorString(result) +
                               " for " + name);
    }
    ProgramRef get() const { return program_; }

    std::string log() const {
        return text([&](std::size_t* n) { return api_.GetProgramLogSize(program_, n); },
                    [&](char* to) { return api_.GetProgramLog(program_, to); }, true);
    }
    std::string ptx() const {
        return text([&](std::size_t* n) { return api_.GetPTXSize(program_, n); },
                    [&](char* to) { return api_.GetPTX(program_, to); }, true);
    }
    std::string cubin() const {
        return text([&](std::size_t* n) { return api_.GetCUBINSize(program_, n); },
                    [&](char* to) { return api_.GetCUBIN(program_, to); }, false);
    }

private:
    // Texts come with the zero at their end.
    template <class Size, class Get>
    static std::string text(const Size& size, const Get& get, bool ends) {
        std::size_t bytes = 0;
        if (size(&bytes) != 0 || bytes == 0) return {};
        std::string result(bytes, '\0');
        if (get(result.data()) != 0) return {};
        if (ends) result.resize(bytes - 1);
        return result;
    }

    const Api& api_;
    ProgramRef program_ = nullptr;
};

void load(Library& library, Api& api) {
#define SINTER_NVRTC_FUNCTION(result, name, parameters) library.find(api.name, "nvrtc" #name);
#include <sinter/runtime/nvrtc_functions.inc>
#undef SINTER_NVRTC_FUNCTION
    if (!library.usable()) return;
    int count = 0;
    if (api.Version(&api.major, &api.minor) != 0 || api.GetNumSupportedArchs(&count) != 0)
        return library.refuse("it does not tell its version");
    if (api.major < kOldest)
        return library.refuse("it is NVRTC " + api.version() + ", Sinter needs " +
                              std::to_string(kOldest) + " or later");
    api.archs.resize(static_cast<std::size_t>(count));
    api.GetSupportedArchs(api.archs.data());
}

std::string numbered(const std::string& source) {
    std::istringstream lines(source);
    std::string text, line;
    for (int n = 1; std::getline(lines, line); ++n) text += std::to_string(n) + ": " + line + "\n";
    return text;
}

}  // namespace

std::vector<std::string> search_paths() {
    const std::string chosen = ir::env::text("SINTER_NVRTC");
    if (!chosen.empty()) return {chosen};
    std::vector<std::string> paths;
    for (const char* name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"})
        paths.emplace_back(name);
    for (const char* folder :
         {"/usr/local/cuda/lib64/", "/usr/local/cuda/lib/", "/usr/local/cuda-13/lib64/",
          "/usr/local/cuda-13.0/lib/", "/usr/local/cuda-12/lib64/", "/opt/cuda/lib64/"})
        for (const char* name : {"libnvrtc.so.13", "libnvrtc.so.12"})
            paths.push_back(std::string(folder) + name);
    return paths;
}

std::unique_ptr<Api> open(std::span<const std::string> paths) {
    return open_first<Api, BackendError>(
        paths, "NVRTC (12 or later), which compiles kernels for NVIDIA GPUs,",
        "Install NVIDIA's package cuda-nvrtc-13-0 (pip: nvidia-cuda-nvrtc), or set SINTER_NVRTC to "
        "the path of libnvrtc.so.",
        load);
}

const Api& api() {
    static const Api& opened = *open(search_paths()).release();  // for the process's life
    return opened;
}

Compiled compile(const std::string& source, const std::string& name, const std::string& arch,
                 const Options& options) {
    const Api& nvrtc = api();
    std::string architecture = arch;
    if (options.ptx && architecture.starts_with("sm_")) architecture.replace(0, 3, "compute_");
    architecture.insert(0, "--gpu-architecture=");
    // The library's own cache keeps no log, and ours comes before it.
    std::vector<const char*> words = {architecture.c_str(), "--std=c++17",     "--fmad=false",
                                      "--ftz=false",        "--prec-div=true", "--prec-sqrt=true",
                                      "--disable-warnings"};
    if (nvrtc.major > 12 || (nvrtc.major == 12 && nvrtc.minor >= 9)) words.push_back("--no-cache");
    if (options.report) words.push_back("--ptxas-options=-v");
    const Program program(nvrtc, source, name);
    const int result =
        nvrtc.CompileProgram(program.get(), static_cast<int>(words.size()), words.data());
    Compiled compiled;
    compiled.log = program.log();
    if (result != 0)
        throw BackendError(
            "NVRTC " + nvrtc.version() + " does not compile kernel " + name + " for " + arch +
            " (" + nvrtc.GetErrorString(result) + "):\n" + compiled.log +
            (ir::env::debug() >= 4 ? "\n" + numbered(source)
                                   : "\nDEBUG=4 adds the kernel's source to this message."));
    compiled.code = options.ptx ? program.ptx() : program.cubin();
    if (compiled.code.empty())
        throw BackendError("NVRTC " + nvrtc.version() + " gave no code for kernel " + name);
    return compiled;
}

// Lines as in: "ptxas info : Compiling entry function 'k' for 'sm_90'", "0 bytes stack frame, 0
// bytes spill stores, 0 bytes spill loads", "Used 10 registers, used 1 barriers, 8192 bytes smem".
std::vector<Usage> Compiled::usage() const {
    std::vector<Usage> all;
    std::istringstream lines(log);
    std::string line;
    const auto number_before = [&](const char* words) {
        const std::size_t at = line.find(words);
        if (at == std::string::npos) return 0;
        const std::size_t from = line.find_last_not_of("0123456789", at - 1);
        return std::atoi(line.c_str() + (from == std::string::npos ? 0 : from + 1));
    };
    while (std::getline(lines, line)) {
        const std::string entry = "Compiling entry function '";
        if (const std::size_t at = line.find(entry); at != std::string::npos) {
            const std::size_t from = at + entry.size();
            all.push_back({line.substr(from, line.find('\'', from) - from)});
        }
        if (all.empty()) continue;
        Usage& usage = all.back();
        if (line.find("spill stores") != std::string::npos) {
            usage.stack_bytes = number_before(" bytes stack frame");
            usage.spill_stores = number_before(" bytes spill stores");
            usage.spill_loads = number_before(" bytes spill loads");
        }
        if (line.find(" registers") != std::string::npos) {
            usage.registers = number_before(" registers");
            usage.shared_bytes = number_before(" bytes smem");
        }
    }
    return all;
}

}  // namespace sinter::runtime::nvrtc
