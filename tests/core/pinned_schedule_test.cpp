// Schedules that a caller pins to kernels.

#include <sinter/testing.h>

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
