#pragma once
// The registry of environment variables: every variable that Sinter reads is one row of `kEnvVars`.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sinter::ir::env {

enum class Kind : std::uint8_t { Flag, Number, Text };

struct EnvVar {
    std::string_view name;
    Kind kind;
    std::string_view fallback;  ///< the value where the environment says nothing
    std::string_view doc;       ///< one sentence, as `sinter-info` prints it
};

inline constexpr auto kEnvVars = std::to_array<EnvVar>({
    {"DEBUG", Kind::Number, "0",
     "What to print: 1 kernels and times, 2 rates and memory, 3 schedules, 4 sources, 5 passes and "
     "rules, 6 assembly."},
    {"DEVICE", Kind::Text, "CPU", "Device of new tensors: CPU, CUDA or REF."},
    {"SPEC", Kind::Flag, "0",
     "1 checks every graph against the spec of its level after every pass; debug builds always "
     "do."},
    {"SINTER_CACHE_DIR", Kind::Text, "",
     "Folder of compiled programs, or off; empty: $XDG_CACHE_HOME/sinter or ~/.cache/sinter."},
    {"SINTER_CACHE_SIZE_MB", Kind::Number, "1024",
     "Cap of the cache folder; 0 keeps nothing on disk."},
    {"SINTER_THREADS", Kind::Number, "0",
     "Threads that run kernels; 0: one a core this process may use."},
    {"SINTER_LLVM", Kind::Text, "",
     "Path of the LLVM library (libLLVM.so) to open; empty: the usual places."},
    {"SINTER_NVRTC", Kind::Text, "",
     "Path of the NVRTC library (libnvrtc.so) to open; empty: the usual places."},
    {"SINTER_CUDA", Kind::Text, "",
     "Path of the CUDA driver library (libcuda.so.1) to open; empty: the usual places."},
    {"SINTER_TARGET", Kind::Text, "",
     "Vectors that code is made for: sse2, avx2, avx512 or native; empty: native, this machine's."},
    {"PROFILE", Kind::Text, "",
     "File to write a trace of launches to, in the Chrome trace format; empty: none."},
    {"NOOPT", Kind::Flag, "0", "1 runs kernels as scheduled, without codegen's transformations."},
    {"CHAIN", Kind::Number, "1",
     "0 keeps kernels apart that could hand rows to one another; 2 joins them however small they "
     "are."},
    {"BLOCKS", Kind::Number, "1",
     "0 runs every sum of products in one go; 2 cuts all of them into blocks of a few steps."},
    {"DOTS", Kind::Number, "1",
     "0 adds one product at a time; 2 pairs and quads of narrow ones wherever there is an "
     "instruction for it, 3 whole tiles of them."},
    {"WINOGRAD", Kind::Number, "1",
     "0 computes convolutions product by product; 2 in tiles, with fewer, wherever windows move by "
     "one element."},
    {"STREAM", Kind::Number, "1",
     "0 writes every result through the caches; 2 none, where whole lines are written."},
    {"PACK", Kind::Number, "1",
     "0 keeps nothing of what captured functions make of weights; 2 lays weights out for products "
     "however small they are."},
    {"SCHEDULE", Kind::Number, "0",
     "1 does every kernel's schedule again from its text, which must give the same code; n > 1 "
     "takes random schedules that n picks."},
    {"BEAM", Kind::Number, "0",
     "n > 1 measures n schedules of each new kernel at a time and keeps the fastest in the tuning "
     "database; 1 uses what is kept there, and measures nothing."},
    {"NO_COLOR", Kind::Text, "", "Anything at all keeps colours out of what DEBUG prints."},
});

/// A row of the table by its name; an unknown name does not compile.
struct Name {
    std::size_t row;
    // NOLINTNEXTLINE(google-explicit-constructor): reads as env::flag("SPEC")
    consteval Name(const char* name) : row(kEnvVars.size()) {
        for (std::size_t i = 0; i < kEnvVars.size(); ++i)
            if (kEnvVars[i].name == name) row = i;
        if (row == kEnvVars.size()) throw "no such environment variable: add a row to kEnvVars";
    }
};

// The environment is read once, at the first question; any thread may ask. All throw ValueError for
// a Flag or Number that is not a whole number, naming the variable.

/// The variable as text; its fallback where the environment does not set it, or sets it to nothing.
std::string text(Name name);
/// The same of a row of the table, for those who list them all.
std::string value_of(const EnvVar& row);
/// A Flag or Number as a number.
std::int64_t number(Name name);
/// Whether a Flag or Number is not 0.
bool flag(Name name);
/// The level of DEBUG.
int debug();

/// Sets a variable for this process while it lives, for tests; nests like a stack.
class Override {
public:
    Override(Name name, std::string value);
    ~Override();
    Override(const Override&) = delete;
    Override& operator=(const Override&) = delete;

private:
    std::size_t row_;
    std::string before_;
};

}  // namespace sinter::ir::env
