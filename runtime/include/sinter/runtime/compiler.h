#pragma once
// LLVM IR text -> machine code in memory.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>

namespace sinter::runtime {

/// The passes run over a kernel. Codegen writes vectors, unrolling and register tiles itself, so
/// what is left to do is little: sroa, instcombine and simplifycfg beside these made no kernel
/// faster, and cost up to 1.2 ms of a kernel's compile.
extern const char* const kPasses;

/// Compiles IR text to the bytes of a relocatable object. Throws BackendError with LLVM's message
/// for text that does not parse, or (with `verify`) breaks LLVM's rules. `name` is for messages.
/// Any thread may call these.
std::string compile_object(const std::string& ir, const std::string& name,
                           const codegen::Target& target, bool verify);
/// The same as assembly text, for DEBUG=6.
std::string compile_assembly(const std::string& ir, const std::string& name,
                             const codegen::Target& target);

/// Machine code of one kernel in memory; freed when the last owner lets go, so whoever runs it
/// keeps it.
class Code {
public:
    /// Links an object and finds `symbols` in it. Throws BackendError naming symbols that the
    /// object needs and Sinter does not provide (memcpy, memmove and memset are provided), or those
    /// that it lacks.
    static std::shared_ptr<const Code> load(const std::string& object, const std::string& name,
                                            std::span<const std::string> symbols);
    ~Code();
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;
    /// By position among `symbols`.
    void* address(std::size_t i) const { return addresses_[i]; }

private:
    Code() = default;
    void* dylib_ = nullptr;
    std::vector<void*> addresses_;
};

/// Names of the symbols that an x86-64 or AArch64 ELF object refers to but does not define. Throws
/// BackendError for bytes that are no such object.
std::vector<std::string> undefined_symbols(const std::string& object);

}  // namespace sinter::runtime
