// Marks: the value of a source, whatever the wish about how it is made.

#include "ref/functions.h"

namespace sinter::runtime::ref::eval {

Value Contiguous(ir::Ref, Sources src) { return *src[0]; }
Value Detach(ir::Ref, Sources src) { return *src[0]; }
Value Assign(ir::Ref, Sources src) { return *src[1]; }
Value Copy(ir::Ref, Sources src) { return *src[0]; }

}  // namespace sinter::runtime::ref::eval
