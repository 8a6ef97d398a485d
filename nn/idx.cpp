#include <sinter/nn/idx.h>

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include <sinter/ir/error.h>

namespace sinter::nn {

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<unsigned char>;

[[noreturn]] void fail(const fs::path& file, const std::string& what) {
    throw FileError(file.string() + ": " + what);
}

Bytes read_file(const fs::path& file) {
    std::error_code error;
    if (!fs::exists(file, error)) fail(file, "no such file");
    if (!fs::is_regular_file(file, error)) fail(file, "not a regular file");
    std::ifstream in(file, std::ios::binary);
    if (!in) fail(file, std::string("cannot be opened: ") + std::strerror(errno));
    Bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (in.bad()) fail(file, "reading failed");
    return bytes;
}

// What the header says: the element type, sizes, and where the data begins and ends.
struct Header {
    DType dtype;
    std::vector<std::int64_t> shape;
    std::size_t begin, end;
};

std::optional<DType> dtype_of_code(unsigned char code) {
    switch (code) {
        case 0x08:
            return u8;
        case 0x09:
            return i8;
        case 0x0B:
            return i16;
        case 0x0C:
            return i32;
        case 0x0D:
            return f32;
        case 0x0E:
            return f64;
    }
    return std::nullopt;
}

// None where `bytes` end before the header does.
std::optional<Header> parse_header(const fs::path& file, std::span<const unsigned char> bytes) {
    if (bytes.size() < 4) return std::nullopt;
    const std::optional<DType> dtype = dtype_of_code(bytes[2]);
    if (bytes[0] != 0 || bytes[1] != 0 || !dtype) {
        fail(file,
             "no IDX data: it does not begin with an IDX magic number (wrong file, or damaged)");
    }
    const std::size_t rank = bytes[3];
    Header header{*dtype, {}, 4 + 4 * rank, 0};
    if (bytes.size() < header.begin) return std::nullopt;
    std::uint64_t total = size_of(*dtype);
    for (std::size_t d = 0; d < rank; ++d) {
        std::uint32_t size = 0;
        for (std::size_t i = 0; i < 4; ++i) size = size << 8 | bytes[4 + 4 * d + i];
        if (size != 0 && total > std::numeric_limits<std::uint64_t>::max() / 2 / size) {
            fail(file, "the sizes in its header are damaged: no file could hold so much");
        }
        total *= size;
        header.shape.push_back(size);
    }
    header.end = header.begin + total;
    return header;
}

// The header, which announces this length.
const Header& checked(const fs::path& file, std::size_t length,
                      const std::optional<Header>& header) {
    if (!header) fail(file, "truncated: it ends within its IDX header");
    if (length < header->end) {
        fail(file, "truncated: has " + std::to_string(length) + " of the " +
                       std::to_string(header->end) + " bytes that its header announces");
    }
    if (length > header->end) {
        fail(file, "damaged: there is more data than the " + std::to_string(header->end) +
                       " bytes that its header announces");
    }
    return *header;
}

bool is_gzip(const Bytes& bytes) {
    return bytes.size() >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
}

// Inflates all members of a gzip file, but not more than its IDX header announces (and one chunk),
// so that a damaged file cannot fill the memory.
Bytes inflate_idx(const fs::path& file, const Bytes& packed) {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) fail(file, "zlib cannot start");
    struct End {
        z_stream& stream;
        ~End() { inflateEnd(&stream); }
    } end{stream};

    Bytes bytes;
    std::optional<Header> header;
    std::vector<unsigned char> chunk(1 << 16);
    std::size_t taken = 0;
    for (int status = Z_OK; status != Z_STREAM_END || taken < packed.size();) {
        if (status == Z_STREAM_END) inflateReset(&stream);  // another member follows
        const std::size_t window = std::min<std::size_t>(packed.size() - taken, 1u << 30);
        stream.next_in = const_cast<unsigned char*>(packed.data() + taken);
        stream.avail_in = static_cast<uInt>(window);
        stream.next_out = chunk.data();
        stream.avail_out = static_cast<uInt>(chunk.size());
        status = inflate(&stream, Z_NO_FLUSH);
        taken += window - stream.avail_in;
        const std::size_t made = chunk.size() - stream.avail_out;
        bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(made));
        if (!header) header = parse_header(file, bytes);
        if (header && bytes.size() > header->end) (void)checked(file, bytes.size(), header);
        if (status == Z_BUF_ERROR || (status == Z_OK && made == 0 && taken == packed.size())) {
            fail(file, "truncated: its gzip data end early");
        }
        if (status != Z_OK && status != Z_STREAM_END) {
            fail(file, std::string("damaged gzip data: ") + (stream.msg ? stream.msg : "unknown"));
        }
    }
    return bytes;
}

IdxArray array_of(const Header& header, const Bytes& bytes) {
    IdxArray array{header.dtype, header.shape, {}};
    const auto data = std::as_bytes(std::span(bytes)).subspan(header.begin);
    array.data.assign(data.begin(), data.end());
    const std::size_t size = size_of(header.dtype);
    if (size > 1 && std::endian::native == std::endian::little) {
        for (std::size_t i = 0; i < array.data.size(); i += size) {
            std::reverse(array.data.begin() + static_cast<std::ptrdiff_t>(i),
                         array.data.begin() + static_cast<std::ptrdiff_t>(i + size));
        }
    }
    return array;
}

fs::path find_part(const fs::path& folder, const std::string& name) {
    for (const char* ending : {"", ".gz"}) {
        const fs::path file = folder / (name + ending);
        std::error_code error;
        if (fs::exists(file, error)) return file;
    }
    fail(folder / name,
         "no such file, nor one with .gz at the end; the folder must hold the four files of MNIST");
}

std::vector<std::uint8_t> bytes_of(const IdxArray& array) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(array.data.size());
    for (const std::byte b : array.data) bytes.push_back(std::to_integer<std::uint8_t>(b));
    return bytes;
}

ImageSet load_part(const fs::path& folder, const std::string& part) {
    const fs::path image_file = find_part(folder, part + "-images-idx3-ubyte");
    const fs::path label_file = find_part(folder, part + "-labels-idx1-ubyte");
    const IdxArray images = read_idx(image_file), labels = read_idx(label_file);
    if (images.dtype != u8 || images.shape.size() != 3) {
        fail(image_file, "does not hold images: needs three axes of unsigned bytes");
    }
    if (labels.dtype != u8 || labels.shape.size() != 1) {
        fail(label_file, "does not hold labels: needs one axis of unsigned bytes");
    }
    if (images.shape[0] != labels.shape[0]) {
        fail(label_file, "has " + std::to_string(labels.shape[0]) + " labels for the " +
                             std::to_string(images.shape[0]) + " images of " +
                             image_file.filename().string());
    }
    ImageSet set{images.shape[0], images.shape[1], images.shape[2], bytes_of(images),
                 bytes_of(labels)};
    const auto wrong =
        std::ranges::find_if(set.labels, [](std::uint8_t label) { return label > 9; });
    if (wrong != set.labels.end()) {
        fail(label_file, "label " + std::to_string(*wrong) + " at " +
                             std::to_string(wrong - set.labels.begin()) + " is no digit");
    }
    return set;
}

}  // namespace

IdxArray read_idx(const fs::path& file) {
    Bytes bytes = read_file(file);
    if (is_gzip(bytes)) bytes = inflate_idx(file, bytes);
    return array_of(checked(file, bytes.size(), parse_header(file, bytes)), bytes);
}

ImageData load_mnist(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) fail(folder, "no such folder");
    ImageData data{load_part(folder, "train"), load_part(folder, "t10k")};
    if (data.train.height != data.test.height || data.train.width != data.test.width) {
        fail(folder, "its training and test images differ in size");
    }
    return data;
}

}  // namespace sinter::nn
