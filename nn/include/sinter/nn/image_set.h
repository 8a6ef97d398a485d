#pragma once
// Labelled grey images in host memory, as data sets give them.

#include <cstdint>
#include <vector>

namespace sinter::nn {

/// `count` images of height x width pixels (0 background, 255 full ink), row-major one after
/// another, and a label each.
struct ImageSet {
    std::int64_t count = 0, height = 0, width = 0;
    std::vector<std::uint8_t> pixels;
    std::vector<std::uint8_t> labels;
};

/// What a classifier learns from and what it is judged by.
struct ImageData {
    ImageSet train, test;
};

}  // namespace sinter::nn
