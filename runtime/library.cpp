#include "library.h"

#include <dlfcn.h>

namespace sinter::runtime {

void* open_library(std::span<const std::string> paths,
                   const std::function<std::string(void* library)>& accept, std::string& path,
                   std::string& tried) {
    for (const std::string& candidate : paths) {
        void* library = dlopen(candidate.c_str(), RTLD_LOCAL | RTLD_LAZY);
        std::string reason;
        if (library == nullptr)
            reason = dlerror();
        else
            reason = accept(library);
        if (reason.empty()) {
            path = candidate;
            return library;
        }
        if (library != nullptr) dlclose(library);
        tried += "\n  " + candidate + ": " + reason;
    }
    return nullptr;
}

void* find_symbol(void* library, const char* name, std::string& reason) {
    void* symbol = dlsym(library, name);
    if (symbol == nullptr && reason.empty()) reason = std::string("it has no function ") + name;
    return symbol;
}

std::string file_of(const void* function, const std::string& otherwise) {
    Dl_info info;
    return dladdr(function, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : otherwise;
}

}  // namespace sinter::runtime
