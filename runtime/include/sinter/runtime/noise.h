#pragma once
// Rounding errors at random on REF, to learn how much a result may differ between devices.

#include <cstdint>

namespace sinter::runtime::ref {

/// While one lives, evaluations on REF in this thread put a small random error into every result
/// that another device need not have to the last bit: functions other than + - * / sqrt a few units
/// in the last place (1 + tanh is a function too), sums and products what another order of their
/// terms may give. Everything that is exact everywhere stays exact. Where the order decides about
/// overflow, the result is NaN; the sign of a NaN, seen by Bitcast, is drawn.
///
/// The spread of several such runs bounds, element by element, what two right results may differ
/// by, with the program's own conditioning, ties and jumps in it: Parker, "Monte Carlo arithmetic"
/// (1997).
class Noise {
public:
    /// Equal seeds give equal errors for equal graphs.
    explicit Noise(std::uint64_t seed);
    ~Noise();
    Noise(const Noise&) = delete;
    Noise& operator=(const Noise&) = delete;

    /// The one that is alive in this thread, or null.
    static Noise* active();
    /// The next node's errors are drawn afresh. `summed_on` says that the node is a sum or product
    /// that goes into a sum: a device may make one sum of both, in any order and with the products
    /// unrounded.
    void next_node(bool summed_on = false) {
        ++node_;
        summed_on_ = summed_on;
    }
    bool summed_on() const { return summed_on_; }
    /// Of results that are open altogether, because it depends on the order whether something
    /// overflows: which of four to take, for half of the seeds the same throughout.
    int choice(std::uint64_t element) const;
    /// ±[1/2, 1), the same for the same seed, node and element; for a quarter of the seeds for all
    /// of a node's elements, since of equal ones a device makes equal results: the largest of many
    /// that are drawn one by one has always the same error.
    double draw(std::uint64_t element) const;

private:
    std::uint64_t seed_;
    std::uint64_t node_ = 0;
    bool summed_on_ = false;
    Noise* outer_;
};

}  // namespace sinter::runtime::ref
