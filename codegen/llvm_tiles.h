#pragma once
// Products of tiles as text of LLVM IR: tile registers are named by number, and no value of the
// program's.

#include <set>
#include <string>

#include "linear.h"

namespace sinter::codegen {

struct TileText {
    std::string body;     ///< what follows the entry's label, to the function's end
    std::string globals;  ///< that it uses, named after the function
    std::set<std::string> declarations;
};

TileText render_tiles(const TileProduct& product, const std::string& symbol);

}  // namespace sinter::codegen
