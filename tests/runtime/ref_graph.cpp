// REF on whole graphs: sharing, realized values, depth, and what it leaves alone.

#include <sys/resource.h>

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;

namespace {
using Ints = std::vector<std::int64_t>;
}

TEST_CASE("several roots, shared sources, and one root twice") {
    const ir::UOp x = vec(f32, {1, 2}), y = ir::binary(Op::Add, x, x),
                  z = ir::binary(Op::Mul, y, y);
    const ir::UOp roots[] = {z, y, z, x};
    const std::vector<ir::UOp> values = runtime::ref::evaluate(roots);
    REQUIRE(values.size() == 4);
    CHECK(text_of_buffer(values[0]) == "4 16");
    CHECK(text_of_buffer(values[1]) == "2 4");
    CHECK(text_of_buffer(values[2]) == "4 16");
    CHECK(text_of_buffer(values[3]) == "1 2");
    for (const ir::UOp& value : values)
        CHECK(runtime::memory_of(value).device() == runtime::DeviceId::REF);
    CHECK(runtime::ref::evaluate({}).empty());
}

TEST_CASE("marks are the value of their source, and Assign that of its second") {
    const ir::UOp x = vec(f32, {1, 2}), y = vec(f32, {3, 4});
    CHECK(ref(ir::contiguous(x)) == "1 2");
    CHECK(ref(ir::detach(x)) == "1 2");
    CHECK(ref(ir::assign(x, y)) == "3 4");
    CHECK(ref(ir::copy_to(x, static_cast<std::int64_t>(runtime::DeviceId::CPU))) == "1 2");
    CHECK(ref(x) == "1 2");
}

TEST_CASE("a result does not share memory with the buffers it came from") {
    const ir::UOp x = vec(f32, {1, 2}), y = ir::reshape(x, Ints{2, 1});
    const std::vector<ir::UOp> values = runtime::ref::evaluate(std::span(&y, 1));
    static_cast<float*>(runtime::memory_of(x).data())[0] = 9;
    CHECK(text_of_buffer(values[0]) == "1 2");
}

TEST_CASE("a realized node counts as its buffer") {
    const ir::UOp x = vec(f32, {1, 2}), y = ir::unary(Op::Neg, x);
    y->attach(std::make_unique<runtime::Realized>(vec(f32, {7, 8}), true));
    CHECK(ref(y) == "7 8");
    CHECK(ref(ir::binary(Op::Add, y, x)) == "8 10");
}

TEST_CASE("a chain of 300,000 nodes is evaluated") {
    ir::UOp x = ir::constant(i32, 0);
    const ir::UOp one = ir::constant(i32, 1);
    for (int i = 0; i < 300000; ++i) x = ir::binary(Op::Add, x, one);
    CHECK(ref(x) == "300000");
}

// Under AddressSanitizer freed memory is kept for a while.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("values are freed after their last use") {
    const auto peak_kib = [] {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    constexpr std::int64_t kSize = 1 << 18, kDepth = 500;  // a MiB a node
    ir::UOp x = ir::constant(f32, 0, Ints{kSize});
    const ir::UOp one = ir::constant(f32, 1, Ints{kSize});
    for (std::int64_t i = 0; i < kDepth; ++i) x = ir::binary(Op::Add, x, one);
    const auto before = peak_kib();
    CHECK(ref(ir::reduce(ir::ReduceKind::Max, x, Ints{0})) == std::to_string(kDepth));
    CHECK(peak_kib() - before < 50 * 1024);
}
#endif

TEST_CASE("a buffer without memory is refused by name") {
    const ir::UOp x = ir::buffer(f32, Ints{2}, 0);
    CHECK_THROWS_WITH_AS(ref(x), "REF: Buffer of shape [2] and dtype f32: the buffer has no memory",
                         InternalError);
}
