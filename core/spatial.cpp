#include "spatial.h"

namespace sinter {

ir::Shape per_axis(std::string_view what, const PerAxis& given, std::size_t count,
                   std::int64_t least) {
    ir::Shape out = given.values();
    if (out.size() == 1) out.resize(count, out[0]);
    if (out.size() != count)
        fail<ShapeError>(std::string(what) + " needs one number or " + std::to_string(count) +
                         ", got " + text(given.values()));
    for (const std::int64_t value : out)
        if (value < least)
            fail<ValueError>(std::string(what) + " must be at least " + text(least) + ", got " +
                             text(given.values()));
    return out;
}

UOp windows(UOp x, std::size_t first, Ints kernel, Ints stride, Ints dilation) {
    for (std::size_t d = 0; d < kernel.size(); ++d)
        x = ir::window(x, static_cast<std::int64_t>(first + d), kernel[d], stride[d], dilation[d]);
    return x;
}

}  // namespace sinter
