#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>

#include <sinter/ir/env.h>
#include <sinter/runtime/machine.h>
#include <sinter/runtime/target.h>

using namespace sinter;
using namespace sinter::runtime;

namespace {

void check_sane(const Machine& m) {
    CHECK(m.f32_flops > 1e8);
    CHECK(m.bf16_flops >= 0);
    REQUIRE(m.memory.size() >= 2);
    std::size_t before = 0;
    for (const Machine::Memory& rung : m.memory) {
        CHECK(rung.bytes > before);
        before = rung.bytes;
        CHECK(rung.read > 1e7);
        CHECK(rung.copy > 1e7);
    }
    CHECK(m.fork_join_seconds >= 0);
    CHECK(m.barrier_seconds >= 0);
}

}  // namespace

TEST_CASE("the least time of a kernel is that of its work or of its bytes, whichever is longer") {
    Machine m;
    m.f32_flops = 100;
    m.bf16_flops = 400;
    m.memory = {{10, 8, 6}, {100, 2, 4}};
    CHECK(m.bandwidth(5) == 8);
    CHECK(m.bandwidth(10) == 8);
    CHECK(m.bandwidth(11) == 4);
    CHECK(m.bandwidth(1000) == 4);
    CHECK(m.seconds(200, 0) == 2);
    CHECK(m.seconds(200, 0, true) == 0.5);
    CHECK(m.seconds(200, 40) == 10);
    CHECK(m.seconds(0, 0) == 0);
}

TEST_CASE("a machine that nobody has measured is guessed from its features") {
    codegen::Target plain, wide;
    wide.vector_bits = 512;
    wide.fma = wide.native_bf16 = true;
    wide.threads = 2;
    check_sane(guess_machine(plain));
    check_sane(guess_machine(wide));
    CHECK_FALSE(guess_machine(wide).measured);
    CHECK(guess_machine(plain).bf16_flops == 0);
    CHECK(guess_machine(wide).f32_flops == 16 * guess_machine(plain).f32_flops);
}

TEST_CASE("a machine is measured once, and its figures are kept on disk") {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("sinter-machine-" + std::to_string(getpid()));
    const ir::env::Override cache("SINTER_CACHE_DIR", folder.string());
    const Machine& measured = measured_machine();
    CHECK(measured.measured);
    check_sane(measured);
    CHECK(&measured_machine() == &measured);
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        files += entry.is_regular_file() ? 1 : 0;
    CHECK(files >= 1);
    std::filesystem::remove_all(folder);
}
