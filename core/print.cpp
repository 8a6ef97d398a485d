// Tensors as text, as NumPy writes them: columns aligned, big arrays with their edges alone.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <sstream>

#include <sinter/tensor.h>

#include "call.h"
#include "convert.h"

namespace sinter {
namespace {

constexpr std::int64_t kSummariseFrom = 1000;  // elements
constexpr std::int64_t kEdge = 3;              // elements shown at each end of a summarised axis
constexpr std::size_t kLineWidth = 75;
constexpr int kDecimals = 8;

class Printer {
public:
    Printer(const Tensor& x, std::ostream& os) : os_(os), shape_(x.shape()), dtype_(x.dtype()) {
        const std::int64_t n = x.numel();
        cut_ = n > kSummariseFrom;
        std::vector<std::byte> bytes(static_cast<std::size_t>(n) * size_of(dtype_));
        x.read_bytes(bytes);
        collect(bytes.data());
        measure();
    }

    void print() {
        if (shape_.empty()) {
            os_ << cells_.at(0);
            return;
        }
        if (std::ranges::find(shape_, 0) != shape_.end()) {
            os_ << "[]";
            return;
        }
        axis(0);
    }

private:
    bool summarised(std::size_t d) const { return cut_ && shape_[d] > 2 * kEdge; }

    void collect(const std::byte* bytes) {
        std::vector<std::int64_t> at(shape_.size(), 0);
        if (std::ranges::find(shape_, 0) != shape_.end()) return;
        while (true) {
            std::int64_t offset = 0;
            for (std::size_t d = 0; d < shape_.size(); ++d) offset = offset * shape_[d] + at[d];
            const auto i = static_cast<std::size_t>(offset);
            if (is_integer(dtype_)) {
                std::int64_t value = 0;
                convert_elements(&value, dtype_ == u64 ? u64 : i64, bytes + i * size_of(dtype_),
                                 dtype_, 1);
                whole_.push_back(value);
            } else {
                numbers_.push_back(element_as_double(bytes, dtype_, i));
            }
            std::size_t d = shape_.size();
            while (d-- > 0) {
                ++at[d];
                if (summarised(d) && at[d] == kEdge) at[d] = shape_[d] - kEdge;
                if (at[d] < shape_[d]) break;
                at[d] = 0;
            }
            if (d == static_cast<std::size_t>(-1)) break;
        }
    }

    static std::string format(bool scientific, int decimals, double value) {
        char buffer[400];  // the largest double has 309 digits before the point
        std::snprintf(buffer, sizeof buffer, scientific ? "%.*e" : "%.*f", decimals, value);
        return buffer;
    }

    // The fewest decimals, at most kDecimals, that tell x from its neighbours of the same dtype.
    int decimals_of(double x, bool scientific) const {
        for (int decimals = 0; decimals < kDecimals; ++decimals) {
            const double back = std::strtod(format(scientific, decimals, x).c_str(), nullptr);
            if (ir::round_bits(dtype_, back) == ir::round_bits(dtype_, x)) return decimals;
        }
        return kDecimals;
    }

    void measure() {
        if (dtype_ == boolean) {
            for (const double b : numbers_) cells_.push_back(b != 0 ? "true" : "false");
        } else if (is_integer(dtype_)) {
            for (const std::int64_t i : whole_)
                cells_.push_back(dtype_ == u64 ? std::to_string(static_cast<std::uint64_t>(i))
                                               : std::to_string(i));
        } else {
            format_floats();
        }
        for (const std::string& cell : cells_) width_ = std::max(width_, cell.size());
        if (!shape_.empty())
            for (std::string& cell : cells_) cell.insert(0, width_ - cell.size(), ' ');
    }

    // One format for all, chosen by NumPy's rule: scientific where the sizes differ too much for
    // fixed columns.
    void format_floats() {
        double largest = 0, smallest = INFINITY;
        for (const double x : numbers_) {
            if (!std::isfinite(x) || x == 0) continue;
            largest = std::max(largest, std::fabs(x));
            smallest = std::min(smallest, std::fabs(x));
        }
        const bool scientific =
            largest >= 1e8 || smallest < 1e-4 || (largest > 0 && largest / smallest > 1000);
        int widest = 0;
        for (const double x : numbers_)
            if (std::isfinite(x)) widest = std::max(widest, decimals_of(x, scientific));
        for (const double x : numbers_) {
            if (!std::isfinite(x)) {
                cells_.push_back(std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
                continue;
            }
            const int own = scientific ? widest : decimals_of(x, false);
            std::string cell = format(scientific, own, x);
            if (own == 0) cell.insert(std::min(cell.find('e'), cell.size()), ".");
            // Points stand below one another.
            if (!shape_.empty()) cell.append(static_cast<std::size_t>(widest - own), ' ');
            cells_.push_back(std::move(cell));
        }
    }

    void axis(std::size_t d) {
        const bool last = d + 1 == shape_.size();
        os_ << '[';
        std::size_t column = d + 1;
        for (std::int64_t i = 0; i < shape_[d]; ++i) {
            if (i > 0 && last) os_ << ' ', ++column;
            if (i > 0 && !last) new_row(d);
            if (summarised(d) && i == kEdge) {
                os_ << "...";
                column += 3;
                i = shape_[d] - kEdge - 1;
                continue;
            }
            if (!last) {
                axis(d + 1);
                continue;
            }
            const std::string& cell = cells_[next_++];
            if (column + cell.size() > kLineWidth && i > 0) {
                os_ << '\n' << std::string(d + 1, ' ');
                column = d + 1;
            }
            os_ << cell;
            column += cell.size();
        }
        os_ << ']';
    }

    void new_row(std::size_t d) {
        os_ << std::string(shape_.size() - d - 1, '\n') << std::string(d + 1, ' ');
    }

    std::ostream& os_;
    Shape shape_;
    DType dtype_;
    bool cut_ = false;
    // The elements shown, row-major: all, or the edges of every long axis.
    std::vector<double> numbers_;      // of floats and bool
    std::vector<std::int64_t> whole_;  // of integers
    std::vector<std::string> cells_;
    std::size_t width_ = 0, next_ = 0;
};

}  // namespace

std::ostream& operator<<(std::ostream& os, const Printed& x) {
    if (!x.tensor().defined()) return os << "(undefined)";
    const Call call("print", x.where());
    Printer(x.tensor(), os).print();
    return os;
}

std::string to_string(const Tensor& tensor, Where where) {
    std::ostringstream os;
    os << Printed(tensor, where);
    return os.str();
}

}  // namespace sinter
