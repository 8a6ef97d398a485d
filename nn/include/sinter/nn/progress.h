#pragma once
// How far a training run is: a bar on a terminal, plain lines elsewhere.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace sinter::nn {

struct ProgressOptions {
    std::string label = {};        ///< stands in front, e.g. "epoch 1/3"
    std::string unit = "batches";  ///< what is counted, for the rate
    std::ostream* out = nullptr;   ///< null: standard output
    /// None: asked of standard output; an `out` of one's own is no terminal.
    std::optional<bool> terminal = {};
    int lines = 4;  ///< off a terminal: lines in all, evenly spread, the last at the end
    std::function<double()> seconds = {};  ///< the clock; null: steady time
};

/// Shows count, loss, rate and time left:
///
///     epoch 1/3 [=========>          ] 234/468  loss 0.1234  512 batches/s  0:01 left
///
/// On a terminal the line is drawn over itself, at most 10 times a second, and so costs a training
/// loop nothing.
class Progress {
public:
    explicit Progress(std::int64_t total, ProgressOptions options = {});
    /// Ends the line.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// `steps` more are done. The loss shown is a running mean, and "nan" as soon as one is.
    void update(double loss, std::int64_t steps = 1);
    /// Draws the final state and ends the line; more calls do nothing.
    void finish();

private:
    void draw(bool last);
    std::string line(double elapsed, bool last) const;

    std::int64_t total_, done_ = 0;
    ProgressOptions options_;
    std::ostream& out_;
    bool terminal_;
    bool finished_ = false;
    double start_, drawn_ = -1;
    std::int64_t lines_drawn_ = 0;
    std::optional<double> loss_;
    std::size_t width_drawn_ = 0;
};

/// "0:07", "12:34", "1:02:03".
std::string clock_text(double seconds);

}  // namespace sinter::nn
