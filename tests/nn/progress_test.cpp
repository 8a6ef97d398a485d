#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include <sinter/nn/progress.h>

using namespace sinter::nn;

namespace {

// A clock that moves when told.
struct Run {
    std::ostringstream out;
    double now = 100;
    ProgressOptions options(bool terminal) {
        return {.label = "epoch 1/3", .out = &out, .terminal = terminal, .seconds = [this] {
                    return now;
                }};
    }
    std::string text() const { return out.str(); }
};

long count(const std::string& text, char c) { return std::count(text.begin(), text.end(), c); }

}  // namespace

TEST_CASE("off a terminal progress is a few plain lines") {
    Run run;
    {
        Progress progress(100, run.options(false));
        for (int i = 0; i < 100; ++i) {
            run.now += .5;
            progress.update(.25);
        }
    }
    const std::string text = run.text();
    CHECK(count(text, '\n') == 4);
    CHECK(count(text, '\r') == 0);
    CHECK(count(text, '\033') == 0);
    CHECK(text.find("epoch 1/3 25/100  loss 0.2500  2.0 batches/s  0:38 left\n") == 0);
    CHECK(text.find("epoch 1/3 100/100  loss 0.2500  2.0 batches/s  in 0:50\n") !=
          std::string::npos);
}

TEST_CASE("on a terminal progress is one line drawn over itself, ten times a second at most") {
    Run run;
    {
        Progress progress(1000, run.options(true));
        for (int i = 0; i < 1000; ++i) {
            run.now += .001;
            progress.update(1);
        }
    }
    const std::string text = run.text();
    CHECK(count(text, '\n') == 1);
    CHECK(text.back() == '\n');
    CHECK(count(text, '\r') >= 9);
    CHECK(count(text, '\r') <= 12);
    CHECK(text.find("[====================] 1000/1000") != std::string::npos);
}

TEST_CASE("a short line hides the longer one before it") {
    Run run;
    Progress progress(10, run.options(true));
    progress.update(1e9);
    const std::size_t before = run.text().size();
    run.now += 100;
    progress.finish();
    CHECK(run.text().size() - before >= before);
}

TEST_CASE("a loss that is no number is shown as such from then on") {
    Run run;
    Progress progress(4, run.options(false));
    run.now += 1;
    progress.update(1);
    progress.update(std::nan(""));
    progress.update(1);
    progress.finish();
    progress.finish();
    CHECK(run.text().find("3/4  loss nan") != std::string::npos);
}

TEST_CASE("progress of nothing ends") {
    Run run;
    {
        Progress progress(0, run.options(true));
    }
    {
        Progress progress(0, run.options(false));
    }
    CHECK(count(run.text(), '\n') == 2);
}

TEST_CASE("times read like a clock") {
    CHECK(clock_text(7.4) == "0:07");
    CHECK(clock_text(754) == "12:34");
    CHECK(clock_text(3723) == "1:02:03");
    CHECK(clock_text(-1) == "0:00");
}
