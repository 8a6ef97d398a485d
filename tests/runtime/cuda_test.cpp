// The CUDA device over the emulated driver and compiler, and what happens where there are none.

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <thread>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/realize.h>

using namespace sinter;
using namespace sinter::runtime;
using ir::UOp;
using ir::env::Override;

namespace {

// The libraries are opened at the first use of this process; the cache on disk would keep emulated
// code beside the real.
struct Emulated {
    Override driver{"SINTER_CUDA", SINTER_LIB_DIR "/libemulated-cuda.so"};
    Override compiler{"SINTER_NVRTC", SINTER_LIB_DIR "/libemulated-nvrtc.so"};
    Override disk{"SINTER_CACHE_DIR", "off"};
    Override device{"DEVICE", "CUDA"};
};

std::vector<float> count_up(std::size_t n) {
    std::vector<float> values(n);
    std::iota(values.begin(), values.end(), 0.0f);
    return values;
}

template <class T>
UOp on(DeviceId device, DType dtype, const std::vector<T>& values) {
    auto memory = Memory::allocate(device, values.size() * sizeof(T));
    write_memory(*memory, values.data(), values.size() * sizeof(T));
    const std::int64_t shape[] = {static_cast<std::int64_t>(values.size())};
    return make_buffer(dtype, shape, std::move(memory));
}

std::vector<float> values(const UOp& node) {
    const UOp buffer = realized(node);
    std::vector<float> out(static_cast<std::size_t>(buffer->numel()));
    read_memory(out.data(), memory_of(buffer), out.size() * sizeof(float));
    return out;
}

UOp twice(const UOp& x) { return ir::binary(ir::Op::Add, x, x); }

}  // namespace

TEST_CASE("a missing NVRTC is an error that says what was tried and what to do") {
    const std::vector<std::string> nowhere = {"/nowhere/libnvrtc.so.13", "libnvrtc-of-nobody.so"};
    CHECK_THROWS_WITH_AS(nvrtc::open(nowhere), doctest::Contains("/nowhere/libnvrtc.so.13"),
                         BackendError);
    CHECK_THROWS_WITH_AS(nvrtc::open(nowhere), doctest::Contains("libnvrtc-of-nobody.so"),
                         BackendError);
    CHECK_THROWS_WITH_AS(nvrtc::open(nowhere), doctest::Contains("set SINTER_NVRTC"), BackendError);
    CHECK_THROWS_WITH_AS(nvrtc::open(nowhere), doctest::Contains("cuda-nvrtc"), BackendError);
    const Override chosen("SINTER_NVRTC", "/here/libnvrtc.so");
    CHECK(nvrtc::search_paths() == std::vector<std::string>{"/here/libnvrtc.so"});
}

TEST_CASE("a missing driver is an error that says what was tried and what to do") {
    const std::vector<std::string> nowhere = {"/nowhere/libcuda.so.1"};
    CHECK_THROWS_WITH_AS(cuda::open_driver(nowhere), doctest::Contains("/nowhere/libcuda.so.1"),
                         DeviceError);
    CHECK_THROWS_WITH_AS(cuda::open_driver(nowhere), doctest::Contains("set SINTER_CUDA"),
                         DeviceError);
    CHECK_THROWS_WITH_AS(cuda::open_driver(nowhere), doctest::Contains("libcuda1"), DeviceError);
    const Override chosen("SINTER_CUDA", "/here/libcuda.so");
    CHECK(cuda::driver_search_paths() == std::vector<std::string>{"/here/libcuda.so"});
}

TEST_CASE("a library that lacks a function is named with it") {
    const std::vector<std::string> wrong = {SINTER_LIB_DIR "/libemulated-nvrtc.so"};
    CHECK_THROWS_WITH_AS(cuda::open_driver(wrong), doctest::Contains("it has no function cuInit"),
                         DeviceError);
}

TEST_CASE("what the compiler refuses is shown with its log") {
    const Emulated gpu;
    const std::string source = "this is no CUDA C";
    CHECK_THROWS_WITH_AS(nvrtc::compile(source, "broken", "sm_90"),
                         doctest::Contains("does not compile kernel broken for sm_90"),
                         BackendError);
    CHECK_THROWS_WITH_AS(nvrtc::compile(source, "broken", "sm_90"), doctest::Contains("error"),
                         BackendError);
}

TEST_CASE("the assembler's report is read") {
    nvrtc::Compiled done;
    done.log =
        "ptxas info    : 0 bytes gmem\n"
        "ptxas info    : Compiling entry function 'k_0' for 'sm_90'\n"
        "ptxas info    : Function properties for k_0\n"
        "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 40 registers, used 1 barriers, 8192 bytes smem\n"
        "ptxas info    : Compiling entry function 'k_1' for 'sm_90'\n"
        "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        "ptxas info    : Used 255 registers, used 0 barriers\n";
    const auto usage = done.usage();
    REQUIRE(usage.size() == 2);
    CHECK(usage[0].kernel == "k_0");
    CHECK(usage[0].stack_bytes == 8);
    CHECK(usage[0].spill_stores == 4);
    CHECK(usage[0].spill_loads == 12);
    CHECK(usage[0].registers == 40);
    CHECK(usage[0].shared_bytes == 8192);
    CHECK(usage[1].kernel == "k_1");
    CHECK(usage[1].registers == 255);
    CHECK(usage[1].shared_bytes == 0);
}

TEST_CASE("memory of the GPU is written, read and copied by the driver alone") {
    const Emulated emulated;
    cuda::Gpu& gpu = cuda::Gpu::instance();
    CHECK(gpu.name() == "emulated GPU");
    CHECK(gpu.target().cpu == "sm_90");
    const std::vector<float> in = count_up(1000);
    std::vector<float> out(1000);
    const auto a = Memory::allocate(DeviceId::CUDA, 4000),
               b = Memory::allocate(DeviceId::CUDA, 4000);
    write_memory(*a, in.data(), 4000);
    copy_memory(*b, *a, 4000);
    read_memory(out.data(), *b, 4000);
    CHECK(out == in);
    const auto host = Memory::allocate(DeviceId::CPU, 4000);
    copy_memory(*host, *b, 4000);
    CHECK(static_cast<const float*>(host->data())[999] == 999.0f);
}

TEST_CASE("freed memory of the GPU serves the next run, and is counted") {
    const Emulated emulated;
    cuda::Gpu& gpu = cuda::Gpu::instance();
    const std::size_t before = gpu.stats().in_use;
    void* first = gpu.allocate(100000);
    CHECK(gpu.stats().in_use > before);
    gpu.free(first, 100000);
    CHECK(gpu.stats().in_use == before);
    CHECK(gpu.allocate(100000) == first);
    gpu.free(first, 100000);
}

TEST_CASE("more memory than the GPU has is an error that says how much was asked for") {
    const Emulated emulated;
    CHECK_THROWS_WITH_AS(Memory::allocate(DeviceId::CUDA, std::size_t{1} << 40),
                         doctest::Contains("1099511627776 bytes asked for"), OutOfMemoryError);
    CHECK_THROWS_AS(Memory::allocate(DeviceId::CUDA, SIZE_MAX), OutOfMemoryError);
    // What is kept for the next run is given up before a request is refused.
    const std::size_t most = std::size_t{3} << 30;
    Memory::allocate(DeviceId::CUDA, most).reset();
    CHECK_NOTHROW(Memory::allocate(DeviceId::CUDA, most / 4 * 3));
}

TEST_CASE("graphs run where their buffers are") {
    const Emulated emulated;
    const UOp root = twice(on(DeviceId::CUDA, f32, count_up(100)));
    realize(std::vector<UOp>{root});
    CHECK(memory_of(realized(root)).device() == DeviceId::CUDA);
    CHECK(values(root)[99] == 198.0f);
    // Without buffers they run on the default device.
    const std::int64_t shape[] = {10};
    const UOp made = twice(ir::constant(f32, 2.5, shape));
    realize(std::vector<UOp>{made});
    CHECK(memory_of(realized(made)).device() == DeviceId::CUDA);
    CHECK(values(made) == std::vector<float>(10, 5.0f));
}

TEST_CASE("values go from device to device by copies, and only so") {
    const Emulated emulated;
    const UOp cpu = on(DeviceId::CPU, f32, count_up(10)),
              gpu = on(DeviceId::CUDA, f32, count_up(10));
    CHECK_THROWS_WITH_AS(realize(std::vector<UOp>{ir::binary(ir::Op::Add, cpu, gpu)}),
                         doctest::Contains("tensors on CPU and on CUDA in one expression"),
                         DeviceError);
    const UOp there = twice(ir::copy_to(twice(cpu), static_cast<std::int64_t>(DeviceId::CUDA)));
    const UOp back = twice(ir::copy_to(there, static_cast<std::int64_t>(DeviceId::CPU)));
    const UOp oracle = twice(ir::copy_to(there, static_cast<std::int64_t>(DeviceId::REF)));
    realize(std::vector<UOp>{back});
    realize(std::vector<UOp>{oracle});
    CHECK(memory_of(realized(there)).device() == DeviceId::CUDA);
    CHECK(memory_of(realized(back)).device() == DeviceId::CPU);
    CHECK(values(back)[9] == 72.0f);
    CHECK(values(oracle)[9] == 72.0f);
}

TEST_CASE("an index out of range is an error on the GPU too, and what was there stays") {
    const Emulated emulated;
    const UOp x = on(DeviceId::CUDA, f32, count_up(4));
    const UOp index = on<std::int64_t>(DeviceId::CUDA, i64, {0, 3, 7, 1});
    CHECK_THROWS_WITH_AS(realize(std::vector<UOp>{ir::gather(x, index, 0)}),
                         doctest::Contains("index 7 is out of range for size 4"), IndexError);
    const UOp good = ir::gather(x, on<std::int64_t>(DeviceId::CUDA, i64, {3, 0}), 0);
    realize(std::vector<UOp>{good});
    CHECK(values(good) == std::vector<float>{3.0f, 0.0f});
}

namespace {

UOp noise(DType dtype, const ir::Shape& shape, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& v : values) v = uniform(random);
    return ir::cast(ir::reshape(on(DeviceId::CUDA, f32, values), shape), dtype);
}

// [batch, m, k] x [batch, k, n], of operands that may lie transposed.
UOp product(DType dtype, std::int64_t batch, std::int64_t m, std::int64_t k, std::int64_t n,
            bool turn_a, bool turn_b) {
    const ir::Shape all{batch, m, n, k};
    const std::int64_t turned[] = {0, 2, 1};
    UOp a = noise(dtype, turn_a ? ir::Shape{batch, k, m} : ir::Shape{batch, m, k}, 1);
    UOp b = noise(dtype, turn_b ? ir::Shape{batch, n, k} : ir::Shape{batch, k, n}, 2);
    realize(std::vector<UOp>{a, b});
    a = realized(a);
    b = realized(b);
    if (turn_a) a = ir::permute(a, turned);
    if (!turn_b) b = ir::permute(b, turned);
    const UOp x = ir::expand(ir::reshape(a, ir::Shape{batch, m, 1, k}), all),
              y = ir::expand(ir::reshape(b, ir::Shape{batch, 1, n, k}), all);
    const std::int64_t axes[] = {3};
    return ir::reduce(ir::ReduceKind::Add, ir::binary(ir::Op::Mul, x, y), axes);
}

}  // namespace

TEST_CASE("tiles of a product are right at every edge, in every layout") {
    const Emulated emulated;
    struct Case {
        DType dtype;
        std::int64_t batch, m, k, n;
        bool turn_a, turn_b;
    };
    for (const Case& c :
         {Case{f32, 1, 256, 64, 128, false, false}, Case{f32, 1, 256, 64, 128, true, true},
          Case{f32, 1, 192, 33, 192, false, true}, Case{f32, 1, 201, 40, 190, false, false},
          Case{f32, 1, 199, 17, 205, true, false}, Case{f32, 3, 128, 16, 100, false, false},
          Case{bf16, 1, 256, 32, 130, false, false}, Case{f64, 2, 130, 20, 128, true, false}}) {
        CAPTURE(c.m);
        CAPTURE(c.k);
        CAPTURE(c.n);
        CAPTURE(c.turn_a);
        CAPTURE(c.turn_b);
        // With something before and after.
        const UOp sum = product(c.dtype, c.batch, c.m, c.k, c.n, c.turn_a, c.turn_b);
        const UOp root = ir::cast(ir::unary(ir::Op::Abs, twice(sum)), f32);
        const UOp wanted = ref::evaluate(std::vector<UOp>{root})[0];
        realize(std::vector<UOp>{root});
        const std::vector<float> got = values(root);
        const auto* expected = static_cast<const float*>(memory_of(wanted).data());
        // Sums of k products of numbers below 1, in another order; one rounding of bf16 at the end.
        const double k = static_cast<double>(c.k);
        const double off = k * k * 0x1p-24 * 2 + (c.dtype == bf16 ? 2 * k * 0x1p-8 : 0);
        double most = 0;
        for (std::size_t i = 0; i < got.size(); ++i) {
            const double d = std::abs(static_cast<double>(got[i]) - expected[i]);
            most = d <= most ? most : std::isnan(d) ? INFINITY : d;
        }
        CHECK(most <= off);
    }
}

TEST_CASE("threads share the GPU") {
    const Emulated emulated;
    std::vector<std::thread> threads;
    std::vector<float> last(4);
    for (std::size_t t = 0; t < last.size(); ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 5; ++i) {
                UOp x = on(DeviceId::CUDA, f32, count_up(50 + t));
                for (std::size_t k = 0; k <= t; ++k) x = twice(x);
                realize(std::vector<UOp>{x});
                last[t] = values(x).back();
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (std::size_t t = 0; t < last.size(); ++t)
        CHECK(last[t] == static_cast<float>((49 + t) << (t + 1)));
}
