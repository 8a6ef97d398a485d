#include <sinter/nn/progress.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string_view>

namespace sinter::nn {

namespace {

constexpr int kBarWidth = 20;
constexpr double kSecondsBetweenDraws = 0.1;
constexpr double kLossMemory = 0.95;

double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

bool is_terminal() {
    const char* term = std::getenv("TERM");
    return isatty(STDOUT_FILENO) != 0 && term != nullptr && std::string_view(term) != "dumb";
}

}  // namespace

std::string clock_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0., 359999.)));
    std::ostringstream text;
    text << std::setfill('0');
    if (whole >= 3600) text << whole / 3600 << ':' << std::setw(2);
    text << whole / 60 % 60 << ':' << std::setw(2) << whole % 60;
    return text.str();
}

Progress::Progress(std::int64_t total, ProgressOptions options)
    : total_(std::max<std::int64_t>(total, 0)),
      options_(std::move(options)),
      out_(options_.out ? *options_.out : std::cout),
      terminal_(options_.terminal.value_or(!options_.out && is_terminal())) {
    if (!options_.seconds) options_.seconds = steady_seconds;
    start_ = options_.seconds();
}

Progress::~Progress() {
    try {
        finish();
    } catch (...) {
        // A stream that throws must not end a program that is unwinding.
    }
}

void Progress::update(double loss, std::int64_t steps) {
    done_ += steps;
    loss_ = loss_ ? kLossMemory * *loss_ + (1 - kLossMemory) * loss : loss;
    draw(false);
}

void Progress::finish() {
    if (finished_) return;
    finished_ = true;
    draw(true);
}

void Progress::draw(bool last) {
    const double now = options_.seconds();
    if (terminal_) {
        if (!last && drawn_ >= 0 && now - drawn_ < kSecondsBetweenDraws) return;
        drawn_ = now;
        std::string text = line(now - start_, last);
        const std::size_t width = text.size();
        if (width < width_drawn_) text.append(width_drawn_ - width, ' ');
        width_drawn_ = width;
        out_ << '\r' << text;
        if (last) out_ << '\n';
        out_.flush();
        return;
    }
    // The last line is the one that finish() writes.
    const std::int64_t due = total_ > 0 ? std::min(done_, total_) * options_.lines / total_ : 0;
    if (!last && (due <= lines_drawn_ || due >= options_.lines)) return;
    lines_drawn_ = std::max(due, lines_drawn_);
    out_ << line(now - start_, last) << '\n';
    out_.flush();
}

std::string Progress::line(double elapsed, bool last) const {
    std::ostringstream text;
    if (!options_.label.empty()) text << options_.label << ' ';
    if (terminal_) {
        const double share =
            total_ > 0 ? static_cast<double>(std::min(done_, total_)) / static_cast<double>(total_)
                       : 1;
        const auto full = static_cast<std::size_t>(share * kBarWidth);
        std::string bar(full, '=');
        if (full < kBarWidth) bar += '>';
        bar.resize(kBarWidth, ' ');
        text << '[' << bar << "] ";
    }
    text << done_ << '/' << total_;
    text << std::fixed;
    if (loss_) text << "  loss " << std::setprecision(4) << *loss_;
    if (done_ > 0 && elapsed > 0) {
        const double rate = static_cast<double>(done_) / elapsed;
        text << "  " << std::setprecision(rate < 10 ? 1 : 0) << rate << ' ' << options_.unit
             << "/s";
        if (!last) {
            text << "  "
                 << clock_text(static_cast<double>(std::max<std::int64_t>(total_ - done_, 0)) /
                               rate)
                 << " left";
        }
    }
    if (last) text << "  in " << clock_text(elapsed);
    return text.str();
}

}  // namespace sinter::nn
