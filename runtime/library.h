#pragma once
// Libraries that are opened at run time.

#include <memory>
#include <span>
#include <string>

namespace sinter::runtime {

/// A library by name or path, closed at the end of its life unless it is kept. It is either usable
/// or has a reason why it is not: that it cannot be opened, that a function is missing, or what
/// refuse() said; the first counts.
class Library {
public:
    explicit Library(const std::string& path);
    ~Library();
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    bool usable() const { return reason_.empty(); }
    const std::string& reason() const { return reason_; }
    void refuse(const std::string& reason);

    /// Sets `function` to the one of this name; to null where there is none, or no library.
    template <class F>
    void find(F*& function, const char* name) {
        function = reinterpret_cast<F*>(symbol(name));
    }
    /// The file that the functions found are in; the path that was asked for if the loader cannot
    /// tell.
    std::string file() const;
    /// Leaves it open: code of it may run until the process ends.
    void keep() { handle_ = nullptr; }

private:
    void* symbol(const char* name);

    std::string path_, reason_;
    void* handle_;
    void* found_ = nullptr;  // some symbol
};

/// The functions (an Api, with a `path`) of the first library of `paths` that is usable after
/// `load(library, api)`, which finds them; it stays open. Throws an Error that says that `what`
/// cannot be opened, what was tried and why not, a line each, and what to do.
template <class Api, class Error, class Load>
std::unique_ptr<Api> open_first(std::span<const std::string> paths, const std::string& what,
                                const std::string& advice, const Load& load) {
    std::string tried;
    for (const std::string& path : paths) {
        Library library(path);
        auto api = std::make_unique<Api>();
        if (library.usable()) load(library, *api);
        if (library.usable()) {
            api->path = library.file();
            library.keep();
            return api;
        }
        tried += "\n  " + path + ": " + library.reason();
    }
    throw Error(what + " cannot be opened. Tried:" + tried + "\n" + advice);
}

}  // namespace sinter::runtime
