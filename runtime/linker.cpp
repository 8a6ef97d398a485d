// Objects -> code in memory, through ORC.

#include <elf.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>

#include <sinter/ir/error.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/llvm.h>

namespace sinter::runtime {
namespace {

// What LLVM may call in code that asks for none of it: loops that copy or clear become these.
const struct {
    const char* name;
    void* address;
} kProvided[] = {
    {"memcpy", reinterpret_cast<void*>(
                   static_cast<void* (*)(void*, const void*, std::size_t)>(&std::memcpy))},
    {"memmove", reinterpret_cast<void*>(
                    static_cast<void* (*)(void*, const void*, std::size_t)>(&std::memmove))},
    {"memset",
     reinterpret_cast<void*>(static_cast<void* (*)(void*, int, std::size_t)>(&std::memset))},
};

// The process's JIT. Each kernel is linked into a dylib of its own, so that symbols need not be
// unique and the code can go again; ORC cannot delete dylibs, so emptied ones are used anew.
class Jit {
public:
    // Never destroyed: LLVM's own statics may be gone before ours.
    static Jit& instance() {
        static Jit& jit = *new Jit;
        return jit;
    }

    llvm::DylibRef take_dylib() {
        {
            const std::lock_guard lock(mutex_);
            if (!free_.empty()) {
                llvm::DylibRef dylib = free_.back();
                free_.pop_back();
                return dylib;
            }
        }
        const std::string name =
            "kernel" + std::to_string(made_.fetch_add(1, std::memory_order_relaxed));
        return api_.OrcExecutionSessionCreateBareJITDylib(session_, name.c_str());
    }

    void give_back(llvm::DylibRef dylib) {
        api_.take(api_.OrcJITDylibClear(dylib));
        const std::lock_guard lock(mutex_);
        free_.push_back(dylib);
    }

    // Throws BackendError; the dylib then holds nothing of use and should be given back.
    void link(llvm::DylibRef dylib, const std::string& object, const std::string& name) {
        provide(dylib, undefined_symbols(object), name);
        llvm::MemoryBufferRef buffer =
            api_.CreateMemoryBufferWithMemoryRangeCopy(object.data(), object.size(), name.c_str());
        if (llvm::ErrorRef error = api_.OrcLLJITAddObjectFile(jit_, dylib, buffer))
            throw BackendError("kernel " + name + " cannot be linked: " + api_.take(error));
    }

    std::vector<void*> find(llvm::DylibRef dylib, std::span<const std::string> symbols,
                            const std::string& name) {
        Lookup lookup(api_);
        std::vector<llvm::LookupElement> wanted;
        for (const std::string& symbol : symbols) {
            llvm::SymbolRef entry = api_.OrcLLJITMangleAndIntern(jit_, symbol.c_str());
            api_.OrcRetainSymbolStringPoolEntry(entry);  // one count is the lookup's, one ours
            lookup.names.push_back(entry);
            wanted.push_back({entry, 0});
        }
        lookup.addresses.resize(symbols.size());
        llvm::SearchElement order{dylib, 1};
        constexpr int kStatic = 0;  // LLVMOrcLookupKindStatic
        api_.OrcExecutionSessionLookup(session_, kStatic, &order, 1, wanted.data(), wanted.size(),
                                       &Lookup::done, &lookup);
        {
            std::unique_lock lock(lookup.mutex);
            lookup.finished.wait(lock, [&] { return lookup.over; });
        }
        for (llvm::SymbolRef entry : lookup.names) api_.OrcReleaseSymbolStringPoolEntry(entry);
        if (!lookup.error.empty())
            throw BackendError("kernel " + name + " cannot be linked: " + lookup.error +
                               reported());
        return std::move(lookup.addresses);
    }

private:
    // A lookup under way; ORC may finish it on another thread.
    struct Lookup {
        const llvm::Api* api;
        std::vector<llvm::SymbolRef> names;
        std::vector<void*> addresses;
        std::string error;
        std::mutex mutex;
        bool over = false;
        std::condition_variable finished;

        explicit Lookup(const llvm::Api& library) : api(&library) {}

        static void done(llvm::ErrorRef error, llvm::SymbolAddress* found, std::size_t count,
                         void* data) {
            auto& self = *static_cast<Lookup*>(data);
            const std::lock_guard lock(self.mutex);
            if (error != nullptr) {
                self.error = self.api->take(error);
            } else {
                for (std::size_t i = 0; i < count; ++i)
                    for (std::size_t k = 0; k < self.names.size(); ++k)
                        if (self.names[k] == found[i].name)
                            self.addresses[k] = reinterpret_cast<void*>(found[i].address);
            }
            self.over = true;
            self.finished.notify_all();  // under the lock: the waiter owns us
        }
    };

    Jit() : api_(llvm::api()) {
        if (llvm::ErrorRef error = api_.OrcCreateLLJIT(&jit_, nullptr))
            throw BackendError("LLVM's JIT cannot be set up: " + api_.take(error));
        session_ = api_.OrcLLJITGetExecutionSession(jit_);
        api_.OrcExecutionSessionSetErrorReporter(session_, &Jit::report, this);
    }

    // The useful half of ORC's errors comes here, not with the failure itself.
    static void report(void* data, llvm::ErrorRef error) {
        auto& self = *static_cast<Jit*>(data);
        std::string text = self.api_.take(error);
        const std::lock_guard lock(self.mutex_);
        self.reports_ += "\n  " + text;
    }

    std::string reported() {
        const std::lock_guard lock(mutex_);
        return std::exchange(reports_, {});
    }

    void provide(llvm::DylibRef dylib, const std::vector<std::string>& needed,
                 const std::string& name) {
        std::vector<llvm::SymbolAddress> symbols;
        for (const std::string& symbol : needed) {
            const auto* known = std::find_if(std::begin(kProvided), std::end(kProvided),
                                             [&](const auto& row) { return symbol == row.name; });
            if (known == std::end(kProvided)) {
                for (const auto& made : symbols) api_.OrcReleaseSymbolStringPoolEntry(made.name);
                throw BackendError("kernel " + name + " calls " + symbol +
                                   ", which no kernel may: the code generator has to expand it");
            }
            symbols.push_back({api_.OrcLLJITMangleAndIntern(jit_, known->name),
                               reinterpret_cast<std::uint64_t>(known->address),
                               llvm::kSymbolExported | llvm::kSymbolCallable, 0});
        }
        if (symbols.empty()) return;
        llvm::MaterializationUnitRef unit = api_.OrcAbsoluteSymbols(symbols.data(), symbols.size());
        if (llvm::ErrorRef error = api_.OrcJITDylibDefine(dylib, unit)) {
            api_.OrcDisposeMaterializationUnit(unit);
            throw BackendError("kernel " + name + " cannot be linked: " + api_.take(error));
        }
    }

    const llvm::Api& api_;
    llvm::LljitRef jit_ = nullptr;
    llvm::ExecutionSessionRef session_ = nullptr;
    std::mutex mutex_;
    std::vector<llvm::DylibRef> free_;
    std::string reports_;
    std::atomic<std::uint64_t> made_{0};
};

// `count` records of type T at `offset` of the bytes, or null if they do not lie inside.
template <class T>
const T* records(const std::string& bytes, std::uint64_t offset, std::uint64_t count) {
    if (offset > bytes.size() || count > (bytes.size() - offset) / sizeof(T) ||
        offset % alignof(T) != 0)
        return nullptr;
    return reinterpret_cast<const T*>(bytes.data() + offset);
}

}  // namespace

std::vector<std::string> undefined_symbols(const std::string& object) {
    const auto bad = [] { return BackendError("the bytes are no ELF object of a kernel"); };
    const auto* header = records<Elf64_Ehdr>(object, 0, 1);
    if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_type != ET_REL || header->e_ident[EI_CLASS] != ELFCLASS64)
        throw bad();
    const auto* sections = records<Elf64_Shdr>(object, header->e_shoff, header->e_shnum);
    if (sections == nullptr) throw bad();
    std::vector<std::string> names;
    for (int s = 0; s < header->e_shnum; ++s) {
        const Elf64_Shdr& table = sections[s];
        if (table.sh_type != SHT_SYMTAB) continue;
        if (table.sh_link >= header->e_shnum) throw bad();
        const Elf64_Shdr& text = sections[table.sh_link];
        const char* strings = records<char>(object, text.sh_offset, text.sh_size);
        const std::uint64_t count = table.sh_size / sizeof(Elf64_Sym);
        const auto* symbols = records<Elf64_Sym>(object, table.sh_offset, count);
        if (strings == nullptr || symbols == nullptr || text.sh_size == 0 ||
            strings[text.sh_size - 1] != '\0')
            throw bad();
        for (std::uint64_t i = 1; i < count; ++i) {  // the first entry is always empty
            if (symbols[i].st_shndx != SHN_UNDEF) continue;
            if (symbols[i].st_name >= text.sh_size) throw bad();
            names.emplace_back(strings + symbols[i].st_name);
        }
    }
    return names;
}

std::shared_ptr<const Code> Code::load(const std::string& object, const std::string& name,
                                       std::span<const std::string> symbols) {
    Jit& jit = Jit::instance();
    std::shared_ptr<Code> code(new Code);
    llvm::DylibRef dylib = jit.take_dylib();
    code->dylib_ = dylib;
    jit.link(dylib, object, name);
    code->addresses_ = jit.find(dylib, symbols, name);
    return code;
}

Code::~Code() {
    if (dylib_ != nullptr) Jit::instance().give_back(static_cast<llvm::DylibRef>(dylib_));
}

}  // namespace sinter::runtime
