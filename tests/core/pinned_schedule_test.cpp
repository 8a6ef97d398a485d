// Schedules that a caller pins to kernels.

#include <sinter/testing.h>

#include <algorithm>

#include "support.h"

using namespace sinter;

namespace {

Tensor product() {
    manual_seed(5);
    return matmul(randint(-4, 5, {20, 30}).to(f32).realize(),
                  randint(-4, 5, {30, 40}).to(f32).realize());
}

std::string kernel_of_product() {
    Tensor y = product();
    reset_stats();
    y.realize();
    const std::vector<std::string> names = stats().kernel_names;
    REQUIRE(names.size() == 1);
    return names[0];
}

}  // namespace

TEST_CASE("a pinned schedule is what a kernel runs by, while it is pinned") {
    const DeviceGuard cpu{Device("CPU")};
    const std::vector<float> want = test::values_on("REF", product);
    const std::string name = kernel_of_product();
    CHECK(test::values_on("CPU", product) == want);
    for (const char* text : {"as it is", "bind r0 to serial; bind r1 to serial",
                             "split r1 by 8 into serial r3 vector r4; stage load 0 over r2",
                             "kernel: blocks r0:5 r1:16 of r2:7 columns -"}) {
        CAPTURE(text);
        const PinnedSchedule pin(name, text);
        reset_stats();
        CHECK(test::values_on("CPU", product) == want);
        CHECK(stats().schedule_misses >= 1);  // planned anew
    }
    const Tensor again = product();
    reset_stats();
    CHECK(again.to_vector<float>() == want);
    CHECK(stats().schedule_hits == 1);
}

TEST_CASE("a schedule that a kernel cannot have is refused, and nothing is lost") {
    const DeviceGuard cpu{Device("CPU")};
    const std::string name = kernel_of_product();
    Tensor y = product();
    {
        const PinnedSchedule pin(name, "bind r2 to parallel");
        const std::string message = test::message_of<ValueError>([&] { return y.realize(); });
        CAPTURE(message);
        CHECK(test::says(message, "`bind r2 to parallel`: r2 cannot run in parallel"));
        const PinnedSchedule better(name, "bind r0 to serial");  // the later one counts
        CHECK(y.to_vector<float>() == test::values_on("REF", product));
    }
    CHECK(
        test::says(test::message_of<ValueError>([&] { return PinnedSchedule(name, "bind r2"), 0; }),
                   "schedule: cannot read the step `bind r2`"));
}

// Tries a schedule with every value that it may stage, and gives how many there are.
template <class T, class F>
int stage_each(const std::string& name, const std::string& steps, const std::vector<T>& want,
               F&& results) {
    int accepted = 0;
    for (int value = 0; value < 100; ++value) {
        CAPTURE(value);
        const PinnedSchedule pin(name, "stage value " + std::to_string(value) + steps);
        std::vector<T> got;
        try {
            got = results();
        } catch (const ValueError&) {  // there is no such value
            continue;
        }
        CHECK(got == want);
        ++accepted;
    }
    return accepted;
}

TEST_CASE("lanes beyond a copy of divisors divide by nothing that traps") {
    const DeviceGuard cpu{Device("CPU")};
    const auto quotients = [] {
        const Tensor extreme =
            full({4, 16}, 1.0f).to(bf16).contiguous().realize().max().reshape({1});
        const Tensor x = Tensor(std::vector<std::int64_t>{7, -8, 9}, {3}).realize();
        const Tensor d = Tensor(std::vector<std::int64_t>{0, 2, 0}, {3}).realize();
        return (floor_divide(x, d) * lt(extreme, 3.0).to(i64)).to_vector<std::int64_t>();
    };
    const std::vector<std::int64_t> want{0, -4, 0};
    reset_stats();
    CHECK(quotients() == want);
    CHECK(stage_each(stats().kernel_names.back(),
                     " over r0; split r0 by 16 into serial - vector r2", want, quotients) > 0);
}

TEST_CASE("what a loop keeps is read after it, in the last trip of a ragged range too") {
    const DeviceGuard cpu{Device("CPU")};
    manual_seed(3);
    const Tensor x = (floor(randn({3, 64}) * 4) / 4).to(f64).realize();
    const auto middle = [&] { return kthvalue(x, 2, 0, true).values.to_vector<double>(); };
    reset_stats();
    const std::vector<double> want = middle();
    const std::vector<std::string> names = stats().kernel_names;
    const auto sort = std::ranges::find_if(
        names, [](const std::string& n) { return n.find("sort") != std::string::npos; });
    REQUIRE(sort != names.end());
    CHECK(
        stage_each(*sort,
                   " over r0; split r1 by 30 into parallel r3 loop r4; split r0 by 16 into loop - "
                   "vector r5; bind r3 to serial; bind r2 to serial; bind r4 to parallel; trips "
                   "r4; order r3 r2",
                   want, middle) > 0);
}

TEST_CASE("a row whose last range has one step is copied as a whole") {
    const DeviceGuard cpu{Device("CPU")};
    manual_seed(7);
    const Tensor x = randint(-4, 5, {4, 5}).to(f32).realize(),
                 y = randint(-4, 5, {4}).to(f32).realize();
    const auto sums = [&] { return einsum("kj,k->j", {x, y}).to_vector<float>(); };
    reset_stats();
    const std::vector<float> want = sums();
    const PinnedSchedule pin(
        stats().kernel_names.back(),
        "kernel: sums over r1 by 1\npart 0: turn load 0 over r2 r3 from 0 to 2 "
        "by 4\npart 1: as it is");
    CHECK(sums() == want);
}

TEST_CASE("a row whose last range has one step is copied as a whole, whatever runs inside it") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor x = (arange(54) % 7).to(f32).reshape({1, 2, 3, 3, 3}).realize(),
                 w = (arange(72) % 5).to(f32).reshape({6, 1, 2, 3, 2}).realize();
    const auto sums = [&] {
        return conv3d(x, w, {}, {.stride = 2, .groups = 2}).to_vector<float>();
    };
    reset_stats();
    const std::vector<float> want = sums();
    const PinnedSchedule pin(
        stats().kernel_names.back(),
        "kernel: sums over r3 by 1\npart 0: turn load 1 over r2 r4 r5 r1 from 0 to 3 "
        "by 4\npart 1: as it is");
    CHECK(sums() == want);
}

TEST_CASE("a quotient of what a constant mask leaves out is not taken for 0") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor x = ones({1, 1, 7}).realize(), slope = ones({1, 1, 4}).realize();
    const auto gradients = [&] {
        Tensor apart = isnan(x), dx = vjp(max_pool1d(x, 3, {.stride = 2, .padding = 1}), x, slope);
        realize(apart, dx);
        return dx.to_vector<float>();
    };
    reset_stats();
    const std::vector<float> want = gradients();
    const PinnedSchedule pin(
        stats().kernel_names.back(),
        "part 0: split r0 by 2 into loop r2 vector r3; turn load 2 over r3 r2 from 1 to 2 by 4; "
        "split r2 by 5 into serial - unroll r7; split r1 by 2 into serial - unroll r9; unroll");
    CHECK(gradients() == want);
}

TEST_CASE("steps that are interleaved have as many accumulators as the first of them") {
    const DeviceGuard cpu{Device("CPU")};
    const Tensor q = ones({2, 16, 4}).realize();
    const auto attention = [&] {
        const Tensor seen = triu(ones({16, 16}, boolean), -2),
                     scores = where(seen, matmul(q, q.transpose(-2, -1)), -INFINITY);
        return matmul(softmax(scores, -1), q).permute({0, 2, 1}).to_vector<float>();
    };
    reset_stats();
    const std::vector<float> want = attention();
    const PinnedSchedule pin(
        stats().kernel_names.back(),
        "part 0: split r3 by 8 into serial r4 serial r5; split r2 by 16 into serial - vector r6; "
        "split r4 by 30 into parallel - unroll r7; split r1 by 8 into serial - unroll r8; unroll; "
        "bind r0 to serial; trips; order r0 r5");
    CHECK(test::relative_difference(attention(), want) < 1e-5);
}
