// Results that are written past the caches, and loops that come in parts where masks change,
// against REF: as they are chosen for large results, and for all that are made of whole lines.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <sinter/ir/env.h>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

struct Case {
    const char* name;
    Program program;
};

Tensor values(Shape shape) { return randn(std::move(shape)).realize(); }

const Case kCases[] = {
    {"rows that begin anywhere in a line",
     [] { return log_softmax(values({7, 401}), 1) * values({7, 401}); }},
    {"the same with a bias of a row and one of a column",
     [] { return relu(values({300, 67}) + values({67})) * values({300, 1}); }},
    {"a row that begins behind others", [] { return cat({values({3, 5}), values({3, 1000})}, 1); }},
    {"parts side by side, cut and padded",
     [] {
         const Tensor all = cat({values({40, 300}), values({40, 300})}, 1);
         return pad(all[{slice(), slice(7, 591)}], {4, 4, 2, 2}) * 2.0;
     }},
    {"columns from the last to the first, and a border",
     [] { return pad(flip(values({5, 333}), {1}), {150, 31, 0, 0}); }},
    {"sums and maxima of padded rows",
     [] {
         const Tensor x = pad(values({33, 500}), {77, 210, 1, 0});
         return sum(x, {1}) + max(x, {1});
     }},
    {"where the largest of a padded row is",
     [] { return argmax(pad(values({33, 500}), {77, 210, 1, 0}), 1).to(f32); }},
    {"a whole row of zeros between others",
     [] { return pad(values({1, 90}), {20, 20, 1, 1}) + values({3, 130}); }},
    {"the gradient of a cross-entropy",
     [] {
         const Tensor logits = values({19, 1003}) * 4.0;
         const Tensor labels = (arange(19) * 50 + 3).to(i32).realize();
         return gradient(cross_entropy(logits, labels), {logits})[0];
     }},
    {"halves", [] { return (values({9, 321}).to(f16) * 3.0).to(f32); }},
};

}  // namespace

TEST_CASE("results written past the caches are what REF computes") {
    for (const Case& c : kCases) {
        CAPTURE(c.name);
        const std::vector<float> want = test::values_on("REF", c.program);
        for (const char* stream : {"0", "1", "2"}) {
            CAPTURE(stream);
            const ir::env::Override mode("STREAM", stream);
            CHECK(test::relative_difference(test::values_on("CPU", c.program), want) <
                  16 * 0x1p-23);
        }
    }
}

TEST_CASE("rows of a large result begin anywhere in a line, whatever memory it gets") {
    const Program program = [] { return exp(values({2100, 4099})) - 1.0; };
    CHECK(test::relative_difference(test::values_on("CPU", program),
                                    test::values_on("REF", program)) < 16 * 0x1p-23);
}

TEST_CASE("a smaller result of a kernel that goes through much memory is right as well") {
    const Program programs[] = {
        // Rows that begin anywhere in a line, and one walk over all.
        [] {
            const Tensor a = values({3100, 1003}), b = values({3100, 1003}), c = values({1003});
            return (a + c) * b + values({3100, 1003});
        },
        [] {
            const Tensor a = values({3300001}), b = values({3300001});
            return a * b + values({3300001});
        },
    };
    for (const Program& program : programs)
        CHECK(test::relative_difference(test::values_on("CPU", program),
                                        test::values_on("REF", program)) < 4 * 0x1p-23);
}
