#include <sinter/runtime/compiler.h>

#include <mutex>
#include <utility>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/llvm.h>

namespace sinter::runtime {

const char* const kPasses = "function(early-cse,loop-mssa(licm))";

namespace {

// What one compile needs and may not share with another that runs at the same time.
class Workshop {
public:
    explicit Workshop(const codegen::Target& target) : api_(llvm::api()), key_(key_of(target)) {
        llvm::TargetRef back_end = nullptr;
        char* message = nullptr;
        if (api_.GetTargetFromTriple(target.triple.c_str(), &back_end, &message) != 0)
            throw BackendError("LLVM " + api_.version() + " does not know the target " +
                               target.triple + ": " + api_.take(message));
        machine_ = api_.CreateTargetMachine(back_end, target.triple.c_str(), target.cpu.c_str(),
                                            target.features.c_str(), llvm::kCodeGenDefault,
                                            llvm::kRelocationPic, llvm::kCodeModelSmall);
        if (machine_ == nullptr)
            throw BackendError("LLVM " + api_.version() + " has no machine " + target.cpu +
                               " for " + target.triple);
        layout_ = api_.CreateTargetDataLayout(machine_);
        options_ = api_.CreatePassBuilderOptions();
        api_.PassBuilderOptionsSetLoopVectorization(options_, 0);
        api_.PassBuilderOptionsSetSLPVectorization(options_, 0);
        api_.PassBuilderOptionsSetLoopUnrolling(options_, 0);
    }
    ~Workshop() {
        if (context_ != nullptr) api_.ContextDispose(context_);
        api_.DisposePassBuilderOptions(options_);
        api_.DisposeTargetData(layout_);
        api_.DisposeTargetMachine(machine_);
    }
    Workshop(const Workshop&) = delete;
    Workshop& operator=(const Workshop&) = delete;

    static std::string key_of(const codegen::Target& target) {
        return target.triple + '\n' + target.cpu + '\n' + target.features;
    }
    const std::string& key() const { return key_; }

    std::string compile(const std::string& ir, const std::string& name,
                        const codegen::Target& target, bool verify, int file_type) {
        renew_context();
        diagnostics_.clear();
        const auto fail = [&](const char* step, std::string message) {
            throw BackendError(describe_failure(ir, name, step, std::move(message)));
        };
        llvm::ModuleRef module = nullptr;
        char* message = nullptr;
        // The buffer is the parser's from here on.
        llvm::MemoryBufferRef text =
            api_.CreateMemoryBufferWithMemoryRangeCopy(ir.data(), ir.size(), name.c_str());
        if (api_.ParseIRInContext(context_, text, &module, &message) != 0)
            fail("parse", api_.take(message));
        const auto dispose = [this](llvm::ModuleRef m) { api_.DisposeModule(m); };
        const std::unique_ptr<llvm::OpaqueModule, decltype(dispose)> owner(module, dispose);

        api_.SetTarget(module, target.triple.c_str());
        api_.SetModuleDataLayout(module, layout_);
        if (verify && api_.VerifyModule(module, llvm::kReturnStatus, &message) != 0)
            fail("verify", api_.take(message));
        if (verify) api_.take(message);
        if (llvm::ErrorRef error = api_.RunPasses(module, kPasses, machine_, options_))
            fail("optimise", api_.take(error));
        llvm::MemoryBufferRef result = nullptr;
        message = nullptr;
        if (api_.TargetMachineEmitToMemoryBuffer(machine_, module, file_type, &message, &result) !=
            0)
            fail("compile", api_.take(message));
        std::string bytes(api_.GetBufferStart(result), api_.GetBufferSize(result));
        api_.DisposeMemoryBuffer(result);
        if (!diagnostics_.empty()) fail("compile", {});
        return bytes;
    }

private:
    // A context keeps every type and constant that it has met; a new one now and then bounds that.
    void renew_context() {
        constexpr int kUses = 64;
        if (context_ != nullptr && ++uses_ < kUses) return;
        if (context_ != nullptr) api_.ContextDispose(context_);
        context_ = api_.ContextCreate();
        api_.ContextSetDiagnosticHandler(context_, &Workshop::collect, this);
        uses_ = 0;
    }

    static void collect(llvm::DiagnosticInfoRef info, void* data) {
        constexpr int kError = 0;  // LLVMDSError
        auto& self = *static_cast<Workshop*>(data);
        if (self.api_.GetDiagInfoSeverity(info) != kError) return;
        self.diagnostics_ += "\n  " + self.api_.take(self.api_.GetDiagInfoDescription(info));
    }

    std::string describe_failure(const std::string& ir, const std::string& name, const char* step,
                                 std::string message) const {
        std::string text = "LLVM " + api_.version() + " does not " + step + " kernel " + name +
                           ": " + message + diagnostics_;
        if (ir::env::debug() >= 4)
            text += "\n" + ir;
        else
            text += "\nDEBUG=4 adds the kernel's source to this message.";
        return text;
    }

    const llvm::Api& api_;
    std::string key_;
    llvm::TargetMachineRef machine_ = nullptr;
    llvm::TargetDataRef layout_ = nullptr;
    llvm::PassBuilderOptionsRef options_ = nullptr;
    llvm::ContextRef context_ = nullptr;
    int uses_ = 0;
    std::string diagnostics_;
};

// Workshops that no thread is using. Lent to one compile at a time: as many exist as ever compiled
// at once.
class Workshops {
public:
    std::string compile(const std::string& ir, const std::string& name,
                        const codegen::Target& target, bool verify, int file_type) {
        std::unique_ptr<Workshop> workshop = borrow(target);
        std::string bytes = workshop->compile(ir, name, target, verify, file_type);
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(workshop));
        return bytes;
    }

private:
    std::unique_ptr<Workshop> borrow(const codegen::Target& target) {
        const std::string key = Workshop::key_of(target);
        {
            const std::lock_guard lock(mutex_);
            for (auto& workshop : idle_) {
                if (workshop->key() != key) continue;
                std::swap(workshop, idle_.back());
                std::unique_ptr<Workshop> found = std::move(idle_.back());
                idle_.pop_back();
                return found;
            }
        }
        return std::make_unique<Workshop>(target);
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Workshop>> idle_;
};

// Never destroyed: LLVM's own statics may be gone first.
Workshops& workshops() {
    static Workshops& all = *new Workshops;
    return all;
}

}  // namespace

std::string compile_object(const std::string& ir, const std::string& name,
                           const codegen::Target& target, bool verify) {
    return workshops().compile(ir, name, target, verify, llvm::kObjectFile);
}

std::string compile_assembly(const std::string& ir, const std::string& name,
                             const codegen::Target& target) {
    return workshops().compile(ir, name, target, false, llvm::kAssemblyFile);
}

}  // namespace sinter::runtime
