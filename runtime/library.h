#pragma once
// Libraries that are opened at run time.

#include <functional>
#include <span>
#include <string>

namespace sinter::runtime {

/// Opens the first of `paths` that can be opened and that `accept` takes; `accept` gives the reason
/// why not, or nothing. The library stays open. Gives null where there is none, with what was tried
/// and why not in `tried`, a line each.
void* open_library(std::span<const std::string> paths,
                   const std::function<std::string(void* library)>& accept, std::string& path,
                   std::string& tried);

/// A function of an opened library, or null, with `reason` set if it is empty.
void* find_symbol(void* library, const char* name, std::string& reason);

/// The file that a function's code is in; `otherwise` if the loader cannot tell.
std::string file_of(const void* function, const std::string& otherwise);

}  // namespace sinter::runtime
