// BEAM: which candidate wins, what counts as right, and what is kept of it. Times are made up.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <sinter/codegen/candidates.h>
#include <sinter/ir/kernel.h>
#include <sinter/runtime/target.h>
#include <sinter/runtime/tune.h>

#include "folder.h"

using namespace sinter;
using namespace sinter::runtime;
using codegen::Candidates;
using codegen::Schedule;
using ir::Ref;
using ir::Role;

namespace {

// out[i, k] = sum over j of x[i, j] y[j, k]
Ref product(ir::Arena& a, std::int64_t rows, std::int64_t columns, std::int64_t depth) {
    const Ref i = ir::range(a, 0, rows, Role::Loop), k = ir::range(a, 1, columns, Role::Loop),
              j = ir::range(a, 2, depth, Role::Reduce), yes = a.truth(true);
    const auto at = [&](Ref row, std::int64_t width, Ref column) {
        return a.add(a.mul(row, a.index(width)), column);
    };
    const Ref x = ir::load(a, ir::param(a, f32, 0), at(i, depth, j), yes),
              y = ir::load(a, ir::param(a, f32, 1), at(j, columns, k), yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ir::ReduceKind::Add)};
    const Ref src[] = {a.mul(x, y), j};
    const Ref sum = a.make(ir::Op::Reduce, f32, src, add);
    return a.make(ir::Op::Sink, DType::None,
                  {ir::store(a, ir::param(a, f32, 2), at(i, columns, k), sum, yes)});
}

// Times by number of the candidate, and which of them give other numbers.
class MadeUp final : public Bench {
public:
    explicit MadeUp(std::function<double(std::size_t)> time, std::set<std::size_t> wrong = {},
                    std::set<std::size_t> unusable = {})
        : time_(std::move(time)), wrong_(std::move(wrong)), unusable_(std::move(unusable)) {}

    std::vector<bool> add(std::span<const Schedule> schedules) override {
        std::vector<bool> usable;
        for (const Schedule& schedule : schedules) {
            usable.push_back(!unusable_.contains(all.size()));
            all.push_back(schedule);
        }
        return usable;
    }
    std::vector<Written> results(std::size_t candidate) override {
        CHECK_FALSE(unusable_.contains(candidate));
        Written w{i32, std::vector<std::byte>(4)};
        w.bytes[2] = std::byte(wrong_.contains(candidate) ? 1 : 0);
        return {w};
    }
    double run(std::size_t candidate) override {
        CHECK_FALSE(unusable_.contains(candidate));
        CHECK_FALSE(wrong_.contains(candidate));
        return time_(candidate);
    }
    std::vector<Schedule> all;

private:
    const std::function<double(std::size_t)> time_;
    const std::set<std::size_t> wrong_, unusable_;
};

Written floats(const std::vector<float>& values) {
    Written w{f32, std::vector<std::byte>(values.size() * sizeof(float))};
    std::memcpy(w.bytes.data(), values.data(), w.bytes.size());
    return w;
}
Written halves(DType dtype, const std::vector<std::uint16_t>& values) {
    Written w{dtype, std::vector<std::byte>(values.size() * 2)};
    std::memcpy(w.bytes.data(), values.data(), w.bytes.size());
    return w;
}
bool agrees(const Written& x, const Written& y) {
    return agree(std::span(&x, 1), std::span(&y, 1));
}

using test::Folder;

constexpr std::uint64_t kMega = std::uint64_t{1} << 20;

}  // namespace

TEST_CASE("candidates are schedules of the kernel, each other code, the same every time") {
    ir::Arena arena;
    const codegen::Target target = host_target();
    for (const Ref sink : {product(arena, 100, 90, 80), product(arena, 17, 512, 1024)}) {
        Candidates candidates(sink, target), again(sink, target);
        std::vector<Schedule> all = candidates.best(8);
        CHECK(all.size() > 4);
        CHECK(all.size() <= 8);
        CHECK(again.best(8) == all);
        const codegen::Program chosen = codegen::lower(sink, "k", target);
        CHECK(codegen::lower(sink, "k", target, &all[0]).source == chosen.source);
        const std::vector<Schedule> others = candidates.near(all[1], 12);
        CHECK(others.size() > 6);
        CHECK(others.size() <= 12);
        CHECK(again.near(all[1], 12) == others);
        all.insert(all.end(), others.begin(), others.end());
        std::set<std::string> sources;
        for (const Schedule& schedule : all) {
            const std::string text = schedule.text();
            CAPTURE(text);
            CHECK(Schedule::parse(text) == schedule);
            CHECK(sources.insert(codegen::lower(sink, "k", target, &schedule).source).second);
        }
    }
}

TEST_CASE("a GPU's kernels have candidates as well") {
    ir::Arena arena;
    codegen::Target target;
    target.kind = codegen::Target::Kind::Cuda;
    target.cpu = "sm_90";
    target.fma = true;
    const Ref sink = product(arena, 512, 512, 128);
    Candidates candidates(sink, target);
    std::vector<Schedule> all = candidates.best(3);
    CHECK(all.size() >= 2);
    CHECK_FALSE(candidates.near(all[0], 4).empty());
}

TEST_CASE("the fastest candidate whose numbers are right wins") {
    ir::Arena arena;
    Candidates candidates(product(arena, 100, 90, 80), host_target());
    MadeUp bench([](std::size_t i) { return i == 3 ? 50 : i == 0 ? 90 : 100; }, {5}, {2});
    std::vector<Schedule> discarded;
    const Search found = search(candidates, bench, 8,
                                [&](const Schedule& schedule) { discarded.push_back(schedule); });
    REQUIRE(found.winner);
    CHECK(*found.winner == bench.all.at(3));
    CHECK(found.first == 90);
    CHECK(found.best == 50);
    CHECK(found.wrong == 1);
    CHECK(discarded == std::vector{bench.all.at(5)});
    CHECK(found.measured == bench.all.size() - 1);
}

TEST_CASE("what is no faster than the cost model's choice does not replace it") {
    ir::Arena arena;
    for (const double other : {100.0, 99.5}) {
        Candidates candidates(product(arena, 100, 90, 80), host_target());
        MadeUp bench([&](std::size_t i) { return i == 0 ? 100 : other; });
        const Search found = search(candidates, bench, 4);
        CHECK_FALSE(found.winner);
        CHECK(found.best == found.first);
    }
}

TEST_CASE("steps away from the best are tried as long as that gains") {
    ir::Arena arena;
    Candidates candidates(product(arena, 100, 90, 80), host_target());
    MadeUp bench([](std::size_t i) { return 100.0 / static_cast<double>(i + 1); });
    const Search found = search(candidates, bench, 3);
    REQUIRE(found.winner);
    CHECK(bench.all.size() > 9);
    CHECK(*found.winner == bench.all.back());
}

TEST_CASE("numbers agree as far as their dtype and another order of sums allow") {
    const float nan = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();
    CHECK(agrees(floats({1, 2, 3}), floats({1.0001F, 2, 3})));
    CHECK_FALSE(agrees(floats({1, 2, 3}), floats({1.1F, 2, 3})));
    CHECK_FALSE(agrees(floats({1, 2, 3}), floats({1, 2, nan})));
    CHECK_FALSE(agrees(floats({1, 2, nan}), floats({1, 2, 3})));
    CHECK(agrees(floats({1, nan, infinity}), floats({1, nan, infinity})));
    CHECK_FALSE(agrees(floats({1, nan, infinity}), floats({1, nan, -infinity})));
    CHECK_FALSE(agrees(floats({1, 2, 3}), floats({1, 2, infinity})));
    CHECK_FALSE(agrees(floats({1, 2}), floats({1, 2, 3})));
    // 1 and its neighbours; 1 and 1.25
    CHECK(agrees(halves(f16, {0x3c00}), halves(f16, {0x3c01})));
    CHECK_FALSE(agrees(halves(f16, {0x3c00}), halves(f16, {0x3d00})));
    CHECK(agrees(halves(bf16, {0x3f80}), halves(bf16, {0x3f81})));
    CHECK_FALSE(agrees(halves(bf16, {0x3f80}), halves(bf16, {0x3fa0})));
    CHECK(agrees(halves(u16, {7}), halves(u16, {7})));
    CHECK_FALSE(agrees(halves(u16, {7}), halves(u16, {8})));
    CHECK_FALSE(agrees(halves(f16, {0}), halves(u16, {0})));
}

TEST_CASE("winners are kept in memory and on disk, and what is damaged is absent") {
    const Folder folder;
    DiskCache disk(folder.path / "tuned", kMega);
    const auto here = [&]() -> DiskCache& { return disk; };
    TuningDatabase database(here);
    CHECK_FALSE(database.find("kernel"));
    database.keep("kernel", {"bind r0 to serial", 12.5, 4});
    const auto is_kept = [](const std::optional<Tuned>& found) {
        return found && found->schedule == "bind r0 to serial" && found->nanoseconds == 12.5 &&
               found->effort == 4;
    };
    CHECK(is_kept(database.find("kernel")));
    database.clear();
    CHECK(is_kept(database.find("kernel")));
    CHECK(is_kept(TuningDatabase(here).find("kernel")));
    CHECK_FALSE(TuningDatabase(here).find("another"));

    disk.put("kernel", "these bytes are no entry");
    CHECK_FALSE(TuningDatabase(here).find("kernel"));
    database.keep("kernel", {"no schedule at all", 1, 4});
    CHECK_FALSE(TuningDatabase(here).find("kernel"));
    database.keep("kernel", {"bind r0 to serial", 12.5, 4});
    for (const auto& entry : std::filesystem::directory_iterator(folder.path / "tuned"))
        std::filesystem::resize_file(entry.path(), entry.file_size() - 3);
    CHECK_FALSE(TuningDatabase(here).find("kernel"));
}

TEST_CASE("without a folder winners are kept in memory") {
    DiskCache none({}, 0);
    TuningDatabase database([&]() -> DiskCache& { return none; });
    database.keep("kernel", {"", 3, 2});
    REQUIRE(database.find("kernel"));
    CHECK(database.find("kernel")->schedule.empty());
    database.clear();
    CHECK_FALSE(database.find("kernel"));
}
