// BEAM: kernels that are measured give the same results; what won is kept, and used again.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sinter/ir/env.h>
#include <sinter/runtime/realize.h>
#include <sinter/runtime/tune.h>

#include "folder.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;
using ir::env::Override;
using runtime::clear_caches;
using runtime::tune_counts;

namespace {

namespace fs = std::filesystem;

struct CacheFolder : Folder {
    fs::path tuned() const { return path / "tuned"; }
};

Tensor values(Shape shape) { return randn(std::move(shape)).realize(); }
Tensor integers(Shape shape) { return randint(-4, 5, std::move(shape)).to(f32).realize(); }

struct Case {
    const char* name;
    Program program;
};

const Case kCases[] = {
    {"product", [] { return matmul(values({40, 70}), values({70, 50})); }},
    {"product with a bias and an activation",
     [] { return relu(matmul(values({33, 64}), values({64, 48})) + values({48})); }},
    {"softmax", [] { return softmax(values({30, 100}), 1); }},
    {"elementwise", [] { return exp(values({37, 41})) * values({41}) + 1; }},
    {"convolution", [] { return conv2d(values({2, 3, 11, 12}), values({8, 3, 3, 3})); }},
    {"sum of all", [] { return values({300, 301}).sum(); }},
    {"sum of columns", [] { return values({200, 70}).sum(0); }},
    {"transpose", [] { return values({40, 60}).permute({1, 0}) + 1; }},
    {"rows by index",
     [] { return gather(values({50, 20}), 0, randint(0, 50, {30, 20}).realize()); }},
    {"sort", [] { return sort(values({20, 60}), 1).values; }},
    {"running sum", [] { return cumsum(values({20, 60}), 1); }},
    {"16-bit floats", [] { return (values({30, 40}).to(bf16) * 2).to(f32); }},
    {"in place",
     [] {
         Tensor x = values({40, 30});
         x.assign(x * 2 + values({40, 30}));
         return x;
     }},
    {"reversed in place", [] {
         Tensor x = values({64});
         x.assign(x.flip(0) - x);
         x.realize();
         x.assign(where(x > 0.0, x, x * 3));
         return x;
     }}};

bool on_cpu() { return default_device() == Device("CPU"); }

std::vector<float> run(const Program& program) {
    manual_seed(7);
    return program().to_vector<float>();
}

// Exact, whatever the order of sums.
Tensor exact() { return matmul(integers({50, 60}), integers({60, 70})) + 1; }

// The device of the tests on which kernels have schedules.
DeviceGuard device_with_schedules() {
    const char* named = std::getenv("DEVICE");
    return DeviceGuard{Device(named != nullptr && *named != '\0' ? named : "CPU")};
}

}  // namespace

TEST_CASE("measured kernels give what REF gives, and so do those found in the database") {
    const CacheFolder folder;
    const Override place("SINTER_CACHE_DIR", folder.path.string());
    const DeviceGuard device = device_with_schedules();
    const std::string name(default_device().name());
    clear_caches();
    for (const Case& c : kCases) {
        CAPTURE(c.name);
        const std::vector<float> want = values_on("REF", c.program);
        std::vector<float> measured;
        {
            const Override beam("BEAM", on_cpu() ? "6" : "2");
            const std::uint64_t before = tune_counts().searches;
            reset_stats();
            measured = run(c.program);
            CHECK(tune_counts().searches > before);
            CHECK(relative_difference(measured, want) < 64 * epsilon(f32));
        }
        // As another process would find them.
        clear_caches();
        const Override beam("BEAM", "1");
        const runtime::TuneCounts before = tune_counts();
        CHECK(run(c.program) == measured);
        CHECK(tune_counts().searches == before.searches);
        CHECK(tune_counts().found > before.found);
    }
    clear_caches();
}

TEST_CASE("a captured step runs by what was measured") {
    const CacheFolder folder;
    const Override place("SINTER_CACHE_DIR", folder.path.string()), beam("BEAM", "3");
    const DeviceGuard cpu{Device("CPU")};
    manual_seed(3);
    Tensor w = integers({20, 10});
    auto step = jit([&](const Tensor& x) {
        const Tensor y = matmul(x, w);
        w.assign(w + y.sum(0) * 0.125);
        return y;
    });
    std::vector<float> by_hand = w.to_vector<float>();
    const Tensor x = integers({16, 20});
    const std::vector<float> in = x.to_vector<float>();
    for (int call = 0; call < 4; ++call) {
        std::vector<float> y(160, 0);
        for (std::size_t i = 0; i < 16; ++i)
            for (std::size_t j = 0; j < 20; ++j)
                for (std::size_t k = 0; k < 10; ++k)
                    y[i * 10 + k] += in[i * 20 + j] * by_hand[j * 10 + k];
        CHECK(step(x).to_vector<float>() == y);
        for (std::size_t j = 0; j < 20; ++j)
            for (std::size_t k = 0; k < 10; ++k) {
                float sum = 0;
                for (std::size_t i = 0; i < 16; ++i) sum += y[i * 10 + k];
                by_hand[j * 10 + k] += sum * 0.125F;
            }
        CHECK(w.to_vector<float>() == by_hand);
    }
    clear_caches();
}

TEST_CASE("without BEAM nothing is measured or looked up, and with 1 nothing is measured") {
    const CacheFolder folder;
    const Override place("SINTER_CACHE_DIR", folder.path.string());
    const DeviceGuard cpu{Device("CPU")};
    clear_caches();
    const runtime::TuneCounts before = tune_counts();
    {
        const Override off("BEAM", "0");
        run(exact);
    }
    {
        const Override known("BEAM", "1");
        run(exact);
    }
    CHECK(tune_counts().searches == before.searches);
    CHECK(tune_counts().found == before.found);
    CHECK_FALSE(fs::exists(folder.tuned()));
}

TEST_CASE("launches of candidates are not counted") {
    const CacheFolder folder;
    const Override place("SINTER_CACHE_DIR", folder.path.string());
    const DeviceGuard cpu{Device("CPU")};
    manual_seed(7);
    const Tensor x = integers({50, 60}), y = integers({60, 70});
    const Override beam("BEAM", "4");
    reset_stats();
    matmul(x, y).realize();
    CHECK(stats().launches == 1);
    CHECK(stats().kernel_names.size() == 1);
    clear_caches();
}

TEST_CASE("entries that are damaged, or no schedule of their kernel, are measured again") {
    const CacheFolder folder;
    const Override place("SINTER_CACHE_DIR", folder.path.string());
    const DeviceGuard cpu{Device("CPU")};
    clear_caches();
    const std::vector<float> want = values_on("REF", exact);
    const Override beam("BEAM", "4");
    const auto searches = [&] {
        clear_caches();
        const std::uint64_t before = tune_counts().searches;
        CHECK(run(exact) == want);
        return tune_counts().searches - before;
    };
    const std::uint64_t kernels = searches();
    REQUIRE(kernels > 0);
    CHECK(searches() == 0);
    const auto files = [&] {
        std::vector<fs::path> found;
        for (const auto& entry : fs::directory_iterator(folder.tuned()))
            found.push_back(entry.path());
        return found;
    };
    REQUIRE(files().size() == kernels);

    for (const fs::path& file : files()) std::ofstream(file, std::ios::binary) << "noise";
    CHECK(searches() == kernels);
    CHECK(searches() == 0);

    // The key is behind the lengths of key and value, and a checksum.
    std::vector<std::string> keys;
    for (const fs::path& file : files()) {
        std::ifstream in(file, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(in), {}};
        std::uint64_t size = 0;
        REQUIRE(bytes.size() > 40);
        std::memcpy(&size, bytes.data() + 8, sizeof size);
        keys.push_back(bytes.substr(40, size));
    }
    runtime::TuningDatabase& database = runtime::TuningDatabase::instance();
    for (const std::string& key : keys) {
        REQUIRE(database.find(key));
        database.keep(key, {"split r40 by 4 into serial r41 vector r42", 1, 4});
    }
    CHECK(searches() == kernels);
    CHECK(searches() == 0);

    for (const std::string& key : keys) database.keep(key, {"as it is", 1, 4});
    CHECK(searches() == 0);
    // More effort than an entry was made with.
    const Override more("BEAM", "5");
    CHECK(searches() == kernels);
    clear_caches();
}

TEST_CASE("a folder that cannot be used is no error, and winners are kept in memory") {
    const DeviceGuard cpu{Device("CPU")};
    for (const char* where : {"off", "/proc/no/such/folder"}) {
        const Override place("SINTER_CACHE_DIR", where), beam("BEAM", "3");
        clear_caches();
        const std::uint64_t before = tune_counts().searches;
        CHECK(run(exact) == values_on("REF", exact));
        const std::uint64_t after = tune_counts().searches;
        CHECK(after > before);
        // Another graph with the same kernel.
        CHECK(run([] { return exact().to(f64).to(f32); }).size() == 3500);
    }
    clear_caches();
}
