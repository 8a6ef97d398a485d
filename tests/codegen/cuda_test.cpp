// CUDA C of kernels: what it is made of, and that NVRTC takes it for every architecture it knows.

#include <doctest/doctest.h>

#include <algorithm>
#include <tuple>

#include <sinter/codegen/codegen.h>
#include <sinter/ir/error.h>
#include <sinter/ir/uop.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/realize.h>
#include <sinter/schedule/schedule.h>

using namespace sinter;
using namespace sinter::ir;

namespace {

UOp data(DType dt, const Shape& shape) { return buffer(dt, shape, 0); }

UOp reduced(ReduceKind kind, const UOp& x, std::int64_t axis) {
    const std::int64_t axes[] = {axis};
    return reduce(kind, x, axes);
}
UOp spread(const UOp& x, const UOp& like) { return expand(x, like->shape()); }

UOp softmax(const UOp& x, std::int64_t axis) {
    const UOp e = unary(Op::Exp, binary(Op::Sub, x, spread(reduced(ReduceKind::Max, x, axis), x)));
    return binary(Op::Div, e, spread(reduced(ReduceKind::Add, e, axis), x));
}

UOp matmul(const UOp& a, const UOp& b) {
    const std::int64_t m = a->shape()[0], k = a->shape()[1], n = b->shape()[1];
    const Shape all{m, k, n};
    const UOp x = expand(reshape(a, Shape{m, k, 1}), all),
              y = expand(reshape(b, Shape{1, k, n}), all);
    return reduced(ReduceKind::Add, binary(Op::Mul, x, y), 1);
}

// The programs of a graph, one a kernel.
std::vector<codegen::Program> programs(const std::vector<UOp>& roots, const std::string& arch) {
    std::vector<Ref> refs;
    for (const UOp& root : roots) refs.push_back(root.get());
    const schedule::Schedule s = schedule::make_schedule(schedule::normalise(refs));
    std::vector<codegen::Program> all;
    for (std::size_t i = 0; i < s.kernels.size(); ++i)
        all.push_back(codegen::lower(s.kernels[i].sink, "k" + std::to_string(i),
                                     runtime::cuda::target_of(arch)));
    return all;
}

codegen::Program program(const UOp& root, const std::string& arch = "sm_90") {
    const auto all = programs({root}, arch);
    REQUIRE(all.size() == 1);
    return all[0];
}

std::size_t times(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
        ++count;
    return count;
}

bool have_nvrtc() {
    try {
        runtime::nvrtc::api();
        return true;
    } catch (const BackendError& error) {
        MESSAGE("SKIPPED, no kernel was compiled: " << error.what());
        return false;
    }
}

std::string ptx(const codegen::Program& p) {
    return runtime::nvrtc::compile(codegen::cuda_prelude() + p.source, "test", "sm_90",
                                   {.ptx = true})
        .code;
}

}  // namespace

TEST_CASE("an elementwise kernel reads and writes 16 bytes at a time") {
    const UOp x = data(f32, {4096}), y = data(f32, {4096});
    const codegen::Program p = program(binary(Op::Add, x, y));
    CHECK(times(p.source, "load_pack<f32, 4>") == 2);
    CHECK(times(p.source, "store_pack(") == 1);
    CHECK(p.phases[0].lanes == 1);
    const codegen::Program halves = program(unary(Op::Neg, data(f16, {4096})));
    CHECK(times(halves.source, "load_pack<u16, 8>") == 1);
    if (!have_nvrtc()) return;
    const std::string text = ptx(p);
    // As two words of 8 bytes or four of 4: the compiler's choice.
    CHECK(times(text, "ld.global.v2.u64") + times(text, "ld.global.v4.") >= 2);
    CHECK(times(text, "st.global.v2.u64") + times(text, "st.global.v4.") >= 1);
}

TEST_CASE("rows that are no multiple of 16 bytes are read element by element") {
    const UOp x = data(f32, {64, 63});
    const UOp y = expand(data(f32, {64, 1}), x->shape());
    const codegen::Program p = program(binary(Op::Add, x, y));
    CHECK(times(p.source, "load_pack") == 0);
}

TEST_CASE("a warp shares a row, a block a long one, and their values meet by shuffles") {
    const codegen::Program rows = program(reduced(ReduceKind::Add, data(f32, {512, 256}), 1));
    CHECK(rows.phases[0].lanes == 32);
    CHECK(times(rows.source, "rotated<32>") == 5);
    CHECK(rows.phases[0].trips == 512);
    const codegen::Program wide = program(reduced(ReduceKind::Add, data(f32, {512, 4096}), 1));
    CHECK(wide.phases[0].lanes == 256);
    CHECK(wide.phases[0].teams == 1);
    CHECK(times(wide.source, "rotated<256>") == 8);
    if (!have_nvrtc()) return;
    CHECK(times(ptx(rows), "shfl.sync.idx.b32") >= 6);
    CHECK(times(ptx(wide), "bar.sync") + times(ptx(wide), "barrier.sync") >= 6);
}

TEST_CASE("columns are summed by a thread each, neighbours side by side") {
    const codegen::Program p = program(reduced(ReduceKind::Add, data(f32, {64, 65536}), 0));
    CHECK(p.phases[0].lanes == 1);
    CHECK(p.phases[0].trips == 65536);
}

TEST_CASE("a long sum is cut into chunks enough for a GPU") {
    const codegen::Program p = program(reduced(ReduceKind::Add, data(f32, {1 << 22}), 0));
    REQUIRE(p.phases.size() == 2);
    CHECK(p.phases[0].trips == 1024);
    CHECK(p.phases[0].lanes == 256);
}

TEST_CASE("a block computes a tile of a product, its operands in shared memory") {
    const codegen::Program p = program(matmul(data(f32, {512, 256}), data(f32, {256, 512})));
    CHECK(p.phases[0].lanes == 256);
    CHECK(p.phases[0].trips == 64);
    CHECK(p.thread_bytes == 2 * 16 * (64 + 4) * 4);
    // Before the tiles are filled, before they are read, and at the end of a trip.
    CHECK(times(p.source, "team_barrier<256>") == 3);
    CHECK(times(p.source, "fused_multiply_add") == 16);
    // Each thread copies four neighbours of each operand, and reads four rows and four columns.
    CHECK(times(p.source, "load_pack<f32, 4>") == 4);
    CHECK(times(p.source, "store_pack(") == 1 + 4);
}

TEST_CASE("a thread computes a few results of a product that has no tiles enough") {
    const codegen::Program p = program(matmul(data(f32, {4096, 8}), data(f32, {8, 16})));
    CHECK(p.phases[0].lanes == 1);
    CHECK(p.schedule.find("unroll") != std::string::npos);
}

TEST_CASE("the same kernel gives the same text, whatever it is made after") {
    const auto make = [] { return program(softmax(data(f32, {64, 100}), 1)).source; };
    const std::string first = make();
    (void)program(matmul(data(f32, {8, 8}), data(f32, {8, 8})));
    CHECK(make() == first);
}

TEST_CASE("integers wrap, and shifts and divisions are by what they are") {
    const UOp a = data(i32, {1000}), b = data(i32, {1000});
    CHECK(times(program(binary(Op::Add, a, b)).source, "(i32)((u32)") > 0);
    // Indices of a constant size are divided by shifts.
    const UOp turned = permute(data(f32, {64, 64}), std::vector<std::int64_t>{1, 0});
    CHECK(times(program(contiguous(turned)).source, "index_div") == 0);
}

TEST_CASE("every kind of kernel compiles to machine code for several architectures") {
    if (!have_nvrtc()) return;
    std::vector<UOp> roots, products;  // the latter keep their values in registers
    for (const DType dt : {f32, bf16}) {
        for (const auto& [rows, columns, axis] :
             {std::tuple{64, 100, 1}, std::tuple{8, 3000, 1}, std::tuple{30, 5000, 0}})
            products.push_back(softmax(data(dt, {rows, columns}), axis));
        products.push_back(matmul(data(dt, {70, 33}), data(dt, {33, 100})));
        products.push_back(matmul(data(dt, {256, 64}), data(dt, {64, 256})));
    }
    for (const Op op : {Op::Exp, Op::Log, Op::Sin, Op::Tanh, Op::Erf, Op::Floor, Op::Round}) {
        roots.push_back(unary(op, data(f32, {1000})));
        roots.push_back(unary(op, data(op == Op::Sin ? f16 : f64, {1000})));
    }
    for (const DType dt : {f32, f64, f16}) {
        for (const Op op : {Op::Div, Op::Pow, Op::Atan2, Op::Max})
            roots.push_back(binary(op, data(dt, {100}), data(dt, {100})));
        roots.push_back(scan(ReduceKind::Add, data(dt, {20, 50}), 1));
        roots.push_back(arg_reduce(ReduceKind::Max, data(dt, {20, 500}), 1));
        roots.push_back(sort(data(dt, {20, 500}), 1, 500, Sorting::Ascending));
        roots.push_back(sort_positions(data(dt, {20, 500}), 0, 2, Sorting::Descending));
    }
    for (const DType dt : {i8, u16, i32, u64}) {
        for (const DType to : {boolean, i64, f16, f64}) roots.push_back(cast(data(dt, {100}), to));
        for (const Op op : {Op::Add, Op::IDiv, Op::Mod, Op::Shl, Op::Shr, Op::Lt})
            roots.push_back(binary(op, data(dt, {100}), data(dt, {100})));
        roots.push_back(reduced(ReduceKind::Mul, data(dt, {5, 100}), 1));
    }
    roots.push_back(gather(data(f32, {10, 7}), data(i64, {5, 7}), 0));
    roots.push_back(
        scatter(ReduceKind::Add, data(f32, {10, 7}), data(i64, {5, 7}), data(f32, {5, 7}), 0));

    const std::vector<int>& known = runtime::nvrtc::api().archs;
    for (const int arch : {80, 90, 100}) {
        if (std::ranges::find(known, arch) == known.end()) {
            MESSAGE("SKIPPED, this NVRTC does not know sm_" << arch);
            continue;
        }
        const std::string word = "sm_" + std::to_string(arch);
        CAPTURE(word);
        // Many kernels a program, as when a schedule is compiled; the rest for one architecture.
        std::string source = codegen::cuda_prelude();
        std::size_t phases = 0;
        const auto add = [&](const UOp& root, const std::string& name) {
            const Ref ref = root.get();
            const schedule::Schedule s =
                schedule::make_schedule(schedule::normalise(std::span(&ref, 1)));
            for (std::size_t k = 0; k < s.kernels.size(); ++k) {
                const codegen::Program p =
                    codegen::lower(s.kernels[k].sink, name + "_" + std::to_string(k),
                                   runtime::cuda::target_of(word));
                source += p.source;
                phases += p.phases.size();
            }
        };
        for (std::size_t i = 0; i < products.size(); ++i)
            add(products[i], "product" + std::to_string(i));
        for (std::size_t i = 0; i < roots.size() && arch == 90; ++i)
            add(roots[i], "other" + std::to_string(i));
        const runtime::nvrtc::Compiled done =
            runtime::nvrtc::compile(source, "everything", word, {.report = true});
        CHECK(done.code.starts_with("\177ELF"));
        const auto usage = done.usage();
        CHECK(usage.size() == phases);
        for (const runtime::nvrtc::Usage& u : usage) {
            CAPTURE(u.kernel);
            CHECK(u.registers > 0);
            CHECK(u.shared_bytes <= 48 << 10);
            if (!u.kernel.starts_with("product")) continue;
            // Accumulators stay in registers; what steers a loop may not, for some architectures.
            CHECK(u.spill_stores <= 16);
            CHECK(u.spill_loads <= 16);
        }
    }
}
