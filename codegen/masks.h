#pragma once
// Masks where they cost least.

#include "rebuild.h"

namespace sinter::codegen {

/// Loads that may be read anyway lose their mask: a choice after them does the same. Products of
/// values under one mask are one product under it: a sum of such products then is a masked
/// multiply-add, with no masked load of what all lanes share.
Ref gather_masks(Arena& arena, Ref sink);

}  // namespace sinter::codegen
