#pragma once
// IDX files, the format of MNIST and its kin: two zero bytes, a type byte, the rank, big-endian
// 32-bit sizes, then the elements, big-endian, row-major. Plain or compressed by gzip, told by
// content.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <sinter/ir/dtype.h>
#include <sinter/nn/image_set.h>

namespace sinter::nn {

struct IdxArray {
    DType dtype = u8;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> data;  ///< in the byte order of this machine
};

/// Reads one IDX file. Throws FileError naming the file and what is wrong: missing or unreadable,
/// no IDX data, truncated, longer than its header says, or damaged compressed data (gzip's CRC).
IdxArray read_idx(const std::filesystem::path& file);

/// Reads a folder with the four files of MNIST (train-images-idx3-ubyte, train-labels-idx1-ubyte
/// and the same for t10k; each may end in .gz). Throws FileError for a missing folder or file, for
/// what read_idx refuses, and where images and labels do not go together.
ImageData load_mnist(const std::filesystem::path& folder);

}  // namespace sinter::nn
