#include <sinter/ir/error.h>

namespace sinter {

std::string at(const std::source_location& where) {
    return std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": ";
}

}  // namespace sinter
