#pragma once
// The trace of PROFILE: what each thread did when, as Chrome and Perfetto show it.

#include <chrono>
#include <string>
#include <string_view>

namespace sinter::runtime::trace {

using Clock = std::chrono::steady_clock;

/// Whether PROFILE names a file.
bool enabled();

/// Number of the calling thread in the trace.
int thread_number();

/// A stretch of time of a thread. `args` is the inside of a JSON object, or empty.
void write(std::string_view name, std::string_view category, int thread, Clock::time_point begin,
           Clock::time_point end, std::string_view args = {});

/// What the calling thread does while this lives: "schedule", "lower r_64_64", ….
class Span {
public:
    Span(std::string_view name, std::string_view category, std::string_view of = {})
        : on_(enabled()) {
        if (!on_) return;
        name_ = name;
        if (!of.empty()) name_.append(" ").append(of);
        category_ = category;
        begin_ = Clock::now();
    }
    ~Span() {
        if (on_) write(name_, category_, thread_number(), begin_, Clock::now());
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

private:
    const bool on_;
    std::string name_, category_;
    Clock::time_point begin_;
};

}  // namespace sinter::runtime::trace
