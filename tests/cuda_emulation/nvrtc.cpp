// NVRTC as far as Sinter uses it, over the system's C++ compiler: a CUBIN is a shared library for
// the emulated driver. With EMULATED_NVRTC_ALSO set to the path of the real library, everything is
// compiled by that one too, for the architectures in EMULATED_NVRTC_ARCHS, and must pass.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Program {
    std::string source, name, log, code;
};

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// By content: the same text gives the same code.
std::filesystem::path place_of(const std::string& source) {
    const std::size_t a = std::hash<std::string>()(source),
                      b = std::hash<std::string>()(source + "another");
    char name[64];
    std::snprintf(name, sizeof name, "%016zx%016zx", a, b);
    return std::filesystem::path(EMULATED_CUBINS) / name;
}

bool compile(Program& program) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    fs::create_directories(EMULATED_CUBINS, ignored);
    std::string text = "#include \"kernel.h\"\n" + program.source +
                       "\nu64 sinter_scratch[kEmulatedSharedBytes / 8];\n";
    const std::string header = read(std::string(EMULATED_HEADERS) + "/kernel.h") +
                               read(std::string(EMULATED_HEADERS) + "/machine.h");
    const fs::path done = place_of(text + header);
    if (fs::exists(done)) {
        program.code = read(done);
        return true;
    }
    const std::string own = done.string() + "." + std::to_string(getpid()) + "." +
                            std::to_string(reinterpret_cast<std::size_t>(&program));
    std::ofstream(own + ".cpp") << text;
    const std::string command =
        std::string(EMULATED_COMPILER) + " -std=c++17 -O1 -w -fPIC -shared -march=native " +
        "-ffp-contract=off -fno-math-errno -fno-strict-aliasing -fno-exceptions -fno-rtti -I " +
        EMULATED_HEADERS + " -o " + own + ".so " + own + ".cpp > " + own + ".log 2>&1";
    const bool good = std::system(command.c_str()) == 0;
    program.log = read(own + ".log");
    if (good) {
        fs::rename(own + ".so", done);
        program.code = read(done);
        fs::remove(own + ".cpp", ignored);
    } else {
        program.log += "\nthe text is in " + own + ".cpp";
    }
    fs::remove(own + ".log", ignored);
    return good;
}

// The real library, by name of function.
template <class F>
F real(const char* name) {
    static void* library = dlopen(std::getenv("EMULATED_NVRTC_ALSO"), RTLD_NOW | RTLD_LOCAL);
    void* symbol = library == nullptr ? nullptr : dlsym(library, name);
    if (symbol == nullptr) {
        std::fprintf(stderr, "emulated NVRTC: no %s in %s\n", name,
                     std::getenv("EMULATED_NVRTC_ALSO"));
        std::abort();
    }
    return reinterpret_cast<F>(symbol);
}

// What has passed leaves an empty file beside its emulated code.
bool compile_for_real(Program& program, const std::vector<std::string>& options) {
    const char* list = std::getenv("EMULATED_NVRTC_ARCHS");
    std::istringstream archs(list == nullptr ? "sm_90" : list);
    std::string arch;
    while (archs >> arch) {
        const std::string passed = place_of(program.source).string() + "." + arch;
        if (std::filesystem::exists(passed)) continue;
        void* handle = nullptr;
        real<int (*)(void**, const char*, const char*, int, const char* const*,
                     const char* const*)>("nvrtcCreateProgram")(
            &handle, program.source.c_str(), program.name.c_str(), 0, nullptr, nullptr);
        std::vector<const char*> words;
        const std::string wanted = "--gpu-architecture=" + arch;
        for (const std::string& option : options)
            words.push_back(option.starts_with("--gpu-architecture") ? wanted.c_str()
                                                                     : option.c_str());
        const int result = real<int (*)(void*, int, const char* const*)>("nvrtcCompileProgram")(
            handle, static_cast<int>(words.size()), words.data());
        if (result != 0) {
            std::size_t bytes = 0;
            real<int (*)(void*, std::size_t*)>("nvrtcGetProgramLogSize")(handle, &bytes);
            program.log.assign(bytes, '\0');
            real<int (*)(void*, char*)>("nvrtcGetProgramLog")(handle, program.log.data());
            program.log.insert(0, "NVRTC for " + arch + ":\n");
            return false;
        }
        real<int (*)(void**)>("nvrtcDestroyProgram")(&handle);
        std::ofstream(passed) << "";
    }
    return true;
}

int give_size(const std::string& text, std::size_t* bytes) {
    *bytes = text.size() + 1;
    return 0;
}
int give(const std::string& text, char* to) {
    std::memcpy(to, text.c_str(), text.size() + 1);
    return 0;
}

}  // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
    *major = 13;
    *minor = 0;
    return 0;
}
const char* nvrtcGetErrorString(int result) { return result == 0 ? "success" : "NVRTC_ERROR"; }
int nvrtcGetNumSupportedArchs(int* count) {
    *count = 1;
    return 0;
}
int nvrtcGetSupportedArchs(int* archs) {
    archs[0] = 90;
    return 0;
}
int nvrtcCreateProgram(Program** program, const char* source, const char* name, int,
                       const char* const*, const char* const*) {
    *program = new Program{source, name, {}, {}};
    return 0;
}
int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    if (!compile(*program)) return 6;
    if (std::getenv("EMULATED_NVRTC_ALSO") != nullptr &&
        !compile_for_real(*program, {options, options + count}))
        return 6;
    return 0;
}
int nvrtcGetProgramLogSize(Program* program, std::size_t* bytes) {
    return give_size(program->log, bytes);
}
int nvrtcGetProgramLog(Program* program, char* to) { return give(program->log, to); }
int nvrtcGetCUBINSize(Program* program, std::size_t* bytes) {
    *bytes = program->code.size();
    return 0;
}
int nvrtcGetCUBIN(Program* program, char* to) {
    std::memcpy(to, program->code.data(), program->code.size());
    return 0;
}
int nvrtcGetPTXSize(Program* program, std::size_t* bytes) {
    return give_size(program->source, bytes);
}
int nvrtcGetPTX(Program* program, char* to) { return give(program->source, to); }
}
