#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/llvm.h>
#include <sinter/runtime/target.h>

using namespace sinter;
using namespace sinter::runtime;

namespace {

// y[i] = x[i] * 2 + bias[i] over trips [begin, end), in the signature of codegen's kernels.
std::string axpy(const std::string& symbol, const std::string& factor = "2.0") {
    return "define void @" + symbol +
           R"((ptr noalias %blocks, ptr %scalars, ptr %shared, ptr %thread, ptr %check,
                   i64 %begin, i64 %end) nounwind {
entry:
  %p1 = getelementptr ptr, ptr %blocks, i64 1
  %x = load ptr, ptr %blocks
  %y = load ptr, ptr %p1
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %px = getelementptr float, ptr %x, i64 %i
  %v = load float, ptr %px
  %m = fmul float %v, )" +
           factor + R"(
  %py = getelementptr float, ptr %y, i64 %i
  store float %m, ptr %py
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}
)";
}

std::shared_ptr<const Code> build(const std::string& ir, const std::string& symbol) {
    const std::vector<std::string> symbols{symbol};
    return Code::load(compile_object(ir, symbol, host_target(), true), symbol, symbols);
}

std::vector<float> call(const Code& code, std::vector<float> x) {
    std::vector<float> y(x.size());
    void* blocks[] = {x.data(), y.data()};
    std::int64_t check[2] = {};
    reinterpret_cast<codegen::KernelFunction>(code.address(0))(
        blocks, nullptr, nullptr, nullptr, check, 0, static_cast<std::int64_t>(x.size()));
    return y;
}

std::string message_of(const auto& act) {
    try {
        act();
    } catch (const BackendError& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("IR text becomes code that runs") {
    const auto code = build(axpy("twice"), "twice");
    CHECK(call(*code, {1, -2, 0.5f}) == std::vector<float>{2, -4, 1});
}

TEST_CASE("kernels with the same symbol live beside each other, and outlive one another") {
    auto twice = build(axpy("same", "2.0"), "same");
    const auto thrice = build(axpy("same", "3.0"), "same");
    CHECK(call(*twice, {5}) == std::vector<float>{10});
    CHECK(call(*thrice, {5}) == std::vector<float>{15});
    twice.reset();
    const auto fourfold = build(axpy("same", "4.0"), "same");
    CHECK(call(*thrice, {5}) == std::vector<float>{15});
    CHECK(call(*fourfold, {5}) == std::vector<float>{20});
}

TEST_CASE("any number of threads compile, link and run") {
    constexpr int kThreads = 4, kKernels = 6;
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&right, t] {
            for (int k = 1; k <= kKernels; ++k) {
                const int factor = 10 * t + k;
                const auto code = build(axpy("f", std::to_string(factor) + ".0"), "f");
                if (call(*code, {2}) == std::vector<float>{2.0f * static_cast<float>(factor)})
                    ++right;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(right == kThreads * kKernels);
}

TEST_CASE("text that does not parse is an error with LLVM's message and the kernel's name") {
    const std::string bad = "define void @f() {\n  %x = fadd float 1.0, %nowhere\n  ret void\n}\n";
    const std::string text =
        message_of([&] { compile_object(bad, "my_kernel", host_target(), true); });
    CHECK(contains(text, "my_kernel"));
    CHECK(contains(text, "%nowhere"));
    CHECK_FALSE(contains(text, "fadd float 1.0, %nowhere\n  ret void"));
    const ir::env::Override debug("DEBUG", "4");
    const std::string long_text =
        message_of([&] { compile_object(bad, "my_kernel", host_target(), true); });
    CHECK(contains(long_text, "fadd float 1.0, %nowhere\n  ret void"));
}

TEST_CASE("text that breaks LLVM's rules is an error when it is verified") {
    // A use that its definition does not dominate.
    const std::string bad =
        "define float @f(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n  %x = fadd float 1.0, 2.0\n"
        "  br label %b\nb:\n  ret float %x\n}\n";
    const std::string text =
        message_of([&] { compile_object(bad, "dominance", host_target(), true); });
    CHECK(contains(text, "dominance"));
    CHECK(contains(text, "dominate"));
}

TEST_CASE("a call of a function that is not provided names the function") {
    const std::string ir =
        "declare float @expf(float)\ndefine float @f(float %x) nounwind {\n"
        "  %y = call float @expf(float %x)\n  ret float %y\n}\n";
    const std::string object = compile_object(ir, "calls", host_target(), true);
    CHECK(undefined_symbols(object) == std::vector<std::string>{"expf"});
    const std::vector<std::string> symbols{"f"};
    const std::string text = message_of([&] { Code::load(object, "calls", symbols); });
    CHECK(contains(text, "expf"));
    CHECK(contains(text, "calls"));
}

TEST_CASE("memory functions that LLVM puts in are provided") {
    const std::string ir =
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)\n"
        "define void @f(ptr %to, ptr %from, i64 %n) nounwind {\n"
        "  call void @llvm.memset.p0.i64(ptr %to, i8 7, i64 %n, i1 false)\n"
        "  %half = lshr i64 %n, 1\n"
        "  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %half, i1 false)\n"
        "  ret void\n}\n";
    const auto code = build(ir, "f");
    std::string to(4, 'x'), from = "abcd";
    reinterpret_cast<void (*)(char*, const char*, std::int64_t)>(code->address(0))(to.data(),
                                                                                   from.data(), 4);
    CHECK(to == "ab\a\a");
}

TEST_CASE("a symbol that an object lacks is an error") {
    const std::string object = compile_object(axpy("there"), "there", host_target(), true);
    const std::vector<std::string> symbols{"elsewhere"};
    const std::string text = message_of([&] { Code::load(object, "there", symbols); });
    CHECK(contains(text, "elsewhere"));
}

TEST_CASE("bytes that are no object are an error, never a crash") {
    const std::string object = compile_object(axpy("f"), "f", host_target(), true);
    CHECK_THROWS_AS(undefined_symbols(""), BackendError);
    CHECK_THROWS_AS(undefined_symbols(std::string(4096, 'x')), BackendError);
    for (const std::size_t kept :
         {std::size_t{3}, std::size_t{63}, std::size_t{100}, object.size() / 2})
        CHECK_THROWS_AS(undefined_symbols(object.substr(0, kept)), BackendError);
}

TEST_CASE("assembly is text of the same kernel") {
    CHECK(contains(compile_assembly(axpy("twice"), "twice", host_target()), "twice:"));
}

TEST_CASE("a missing LLVM is an error that says what was tried and what to do") {
    const std::vector<std::string> paths{"/nonexistent/libLLVM.so.19.1", "/also/missing.so"};
    const std::string text = message_of([&] { llvm::open(paths); });
    for (const char* part :
         {"/nonexistent/libLLVM.so.19.1", "/also/missing.so", "SINTER_LLVM", "libllvm19"})
        CHECK(contains(text, part));
}

TEST_CASE("a library that is no LLVM is refused") {
    const std::vector<std::string> paths{"libc.so.6"};
    CHECK(contains(message_of([&] { llvm::open(paths); }), "LLVMGetVersion"));
}

TEST_CASE("SINTER_LLVM is the only place looked at when it is set") {
    const ir::env::Override chosen("SINTER_LLVM", "/some/where/libLLVM.so");
    CHECK(llvm::search_paths() == std::vector<std::string>{"/some/where/libLLVM.so"});
}

TEST_CASE("targets are chosen by word") {
    CHECK(llvm::api().major >= 17);
    {
        const ir::env::Override word("SINTER_TARGET", "sse2");
        const codegen::Target& target = host_target();
        CHECK(target.vector_bits == 128);
        CHECK_FALSE(target.fma);
        CHECK(call(*build(axpy("f"), "f"), {3}) == std::vector<float>{6});
    }
    const ir::env::Override word("SINTER_TARGET", "mips");
    CHECK_THROWS_WITH_AS(host_target(), doctest::Contains("mips"), ValueError);
}
