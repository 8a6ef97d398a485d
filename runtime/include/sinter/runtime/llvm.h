#pragma once
// LLVM, opened at run time through its C API: neither its headers nor the library are needed to
// build Sinter.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sinter::runtime::llvm {

// The API's opaque handles, under our names.
using ErrorRef = struct OpaqueError*;
using DiagnosticInfoRef = struct OpaqueDiagnosticInfo*;
using ContextRef = struct OpaqueContext*;
using ModuleRef = struct OpaqueModule*;
using MemoryBufferRef = struct OpaqueMemoryBuffer*;
using TargetRef = struct OpaqueTarget*;
using TargetMachineRef = struct OpaqueTargetMachine*;
using TargetDataRef = struct OpaqueTargetData*;
using PassBuilderOptionsRef = struct OpaquePassBuilderOptions*;
using LljitRef = struct OpaqueLljit*;
using LljitBuilderRef = struct OpaqueLljitBuilder*;
using ExecutionSessionRef = struct OpaqueExecutionSession*;
using DylibRef = struct OpaqueDylib*;
using SymbolRef = struct OpaqueSymbol*;
using MaterializationUnitRef = struct OpaqueMaterializationUnit*;

using DiagnosticHandler = void (*)(DiagnosticInfoRef info, void* data);
using ErrorReporter = void (*)(void* data, ErrorRef error);

// LLVMOrcCSymbolMapPair with its LLVMJITEvaluatedSymbol.
struct SymbolAddress {
    SymbolRef name;
    std::uint64_t address;
    std::uint8_t generic_flags, target_flags;
};
// LLVMOrcCJITDylibSearchOrderElement.
struct SearchElement {
    DylibRef dylib;
    int match_all;
};
// LLVMOrcCLookupSetElement.
struct LookupElement {
    SymbolRef name;
    int weak;
};
using LookupHandler = void (*)(ErrorRef error, SymbolAddress* result, std::size_t count,
                               void* data);

inline constexpr std::uint8_t kSymbolExported = 1, kSymbolCallable = 4;
inline constexpr int kReturnStatus = 2;    // LLVMReturnStatusAction
inline constexpr int kCodeGenDefault = 2;  // LLVMCodeGenLevelDefault
inline constexpr int kRelocationPic = 2;   // LLVMRelocPIC
inline constexpr int kCodeModelSmall = 3;  // LLVMCodeModelSmall
inline constexpr int kAssemblyFile = 0, kObjectFile = 1;

/// The functions of an opened library.
struct Api {
#define SINTER_LLVM_FUNCTION(result, name, parameters) result(*name) parameters = nullptr;
#include <sinter/runtime/llvm_functions.inc>
#undef SINTER_LLVM_FUNCTION

    unsigned major = 0, minor = 0, patch = 0;
    std::string path;  ///< as it was found
    std::string version() const;
    /// The text of an error, which is consumed.
    std::string take(ErrorRef error) const;
    /// A message of the library as a string, disposed of.
    std::string take(char* message) const;
};

/// Where the library is looked for, in order: SINTER_LLVM alone if it is set, else the names and
/// folders of Debian's packages from LLVM 19 over 20 and 18 to 17.
std::vector<std::string> search_paths();

/// Opens the first library of `paths` that is LLVM 17 or later, and sets up the host's target.
/// Throws BackendError that lists what was tried and says what to install.
std::unique_ptr<Api> open(std::span<const std::string> paths);

/// The library of this process, opened by the first call. Throws as `open` does.
const Api& api();

}  // namespace sinter::runtime::llvm
