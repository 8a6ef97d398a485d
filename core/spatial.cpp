#include "spatial.h"

namespace sinter {

UOp windows(UOp x, std::size_t first, Ints kernel, Ints stride, Ints dilation) {
    for (std::size_t d = 0; d < kernel.size(); ++d)
        x = ir::window(x, static_cast<std::int64_t>(first + d), kernel[d], stride[d], dilation[d]);
    return x;
}

}  // namespace sinter
