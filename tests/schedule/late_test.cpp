// Results that are read much later than they are written.

#include <sinter/ir/kernel.h>
#include <sinter/ir/uop.h>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::UOp;
using schedule::Schedule;

namespace {

std::size_t late_results(const Schedule& s) {
    std::size_t count = 0;
    for (const schedule::Kernel& k : s.kernels)
        for (ir::Ref n : ir::toposort(std::span<const ir::Ref>(&k.sink, 1)))
            count += n->is(Op::Param) && ir::is_late(n) ? 1 : 0;
    return count;
}

// An activation whose argument is wanted once more, after two products.
Schedule layers(std::int64_t width) {
    const UOp in = matmul(data(f32, {512, 128}, 1), data(f32, {128, 256}, 2));
    const UOp active = ir::unary(Op::Contiguous, gelu(in));
    const UOp wide = matmul(active, data(f32, {256, width}, 3));
    const UOp out = matmul(relu(wide), data(f32, {width, 256}, 4));
    return schedule_of({ir::binary(Op::Mul, out, in)});
}

}  // namespace

TEST_CASE("a result is read late if much other memory is gone through before") {
    const Schedule near = layers(512), far = layers(std::int64_t{1} << 15);
    CHECK_MESSAGE(late_results(near) == 0, text(near));
    CHECK_MESSAGE(late_results(far) == 1, text(far));
}
