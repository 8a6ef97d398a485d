#pragma once
// Walking through several arrays at once, each with its own stride an axis.

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace sinter::runtime::ref {

using Strides = std::vector<std::int64_t>;

/// Strides of a dense array in row-major order.
inline Strides dense_strides(std::span<const std::int64_t> shape) {
    Strides strides(shape.size());
    std::int64_t step = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
        strides[d] = step;
        step *= shape[d];
    }
    return strides;
}

/// One array of a walk: where it starts and how far it moves along each axis.
struct Track {
    std::int64_t start = 0;
    Strides strides;
};

template <std::size_t N>
using Offsets = std::array<std::int64_t, N>;

/// Goes through every index of `shape` in row-major order, a run of the last axis at a time:
/// `row(offsets, steps, n)` stands for the n elements offsets[k], offsets[k] + steps[k], … of each
/// array k.
template <std::size_t N>
void for_each_row(
    std::span<const std::int64_t> shape, const std::array<Track, N>& tracks,
    const std::function<void(const Offsets<N>&, const Offsets<N>&, std::int64_t)>& row) {
    for (const std::int64_t size : shape)
        if (size == 0) return;
    Offsets<N> offsets, steps{};
    for (std::size_t k = 0; k < N; ++k) offsets[k] = tracks[k].start;
    if (shape.empty()) {
        row(offsets, steps, std::int64_t{1});
        return;
    }
    const std::size_t last = shape.size() - 1;
    for (std::size_t k = 0; k < N; ++k) steps[k] = tracks[k].strides[last];
    std::vector<std::int64_t> index(last, 0);
    while (true) {
        row(offsets, steps, shape[last]);
        std::size_t d = last;
        for (; d > 0; --d) {  // the odometer: carry from the last outer axis to the first
            const std::size_t axis = d - 1;
            for (std::size_t k = 0; k < N; ++k) offsets[k] += tracks[k].strides[axis];
            if (++index[axis] < shape[axis]) break;
            for (std::size_t k = 0; k < N; ++k) offsets[k] -= tracks[k].strides[axis] * shape[axis];
            index[axis] = 0;
        }
        if (d == 0) return;
    }
}

}  // namespace sinter::runtime::ref
