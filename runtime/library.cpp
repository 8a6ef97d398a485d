#include "library.h"

#include <dlfcn.h>

namespace sinter::runtime {

// LOCAL: a second LLVM in the process (a GPU driver's, say) must not meet our symbols.
Library::Library(const std::string& path)
    : path_(path), handle_(dlopen(path.c_str(), RTLD_LOCAL | RTLD_LAZY)) {
    if (handle_ == nullptr) refuse(dlerror());
}

Library::~Library() {
    if (handle_ != nullptr) dlclose(handle_);
}

void Library::refuse(const std::string& reason) {
    if (reason_.empty()) reason_ = reason;
}

void* Library::symbol(const char* name) {
    void* symbol = handle_ == nullptr ? nullptr : dlsym(handle_, name);
    if (symbol == nullptr) refuse(std::string("it has no function ") + name);
    if (found_ == nullptr) found_ = symbol;
    return symbol;
}

std::string Library::file() const {
    Dl_info info;
    const bool known = found_ != nullptr && dladdr(found_, &info) != 0 && info.dli_fname != nullptr;
    return known ? info.dli_fname : path_;
}

}  // namespace sinter::runtime
