#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/nn/idx.h>

#include "folder.h"

using namespace sinter;
using namespace sinter::nn;
namespace fs = std::filesystem;

namespace {

struct Folder : test::Folder {
    fs::path write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path / name, std::ios::binary) << bytes;
        return path / name;
    }
};

std::string header(unsigned char code, const std::vector<std::uint32_t>& shape) {
    std::string bytes{'\0', '\0', static_cast<char>(code), static_cast<char>(shape.size())};
    for (std::uint32_t size : shape) {
        for (int shift = 24; shift >= 0; shift -= 8)
            bytes += static_cast<char>(size >> shift & 255);
    }
    return bytes;
}

std::string gzip(const std::string& bytes) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string packed(deflateBound(&stream, bytes.size()) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

// The message of the FileError that reading throws; empty if it does not.
template <class F>
std::string refusal(const F& read) {
    try {
        read();
    } catch (const FileError& error) {
        return error.what();
    }
    return "";
}

bool mentions(const std::string& text, const std::string& part) {
    INFO(text);
    const bool found = text.find(part) != std::string::npos;
    CHECK(found);
    return found;
}

const std::string kImages =
    header(8, {3, 2, 2}) + std::string("\0\1\2\3\4\5\6\7\x08\x09\x0A\xFF", 12);
const std::string kLabels = header(8, {3}) + std::string("\0\x09\5", 3);

void write_mnist(const Folder& folder) {
    folder.write("train-images-idx3-ubyte", kImages);
    folder.write("train-labels-idx1-ubyte.gz", gzip(kLabels));
    folder.write("t10k-images-idx3-ubyte.gz", gzip(kImages));
    folder.write("t10k-labels-idx1-ubyte", kLabels);
}

}  // namespace

TEST_CASE("plain and gzip IDX files read the same") {
    const Folder folder;
    const IdxArray plain = read_idx(folder.write("a", kImages));
    const IdxArray packed = read_idx(folder.write("b.gz", gzip(kImages)));
    CHECK(plain.dtype == u8);
    CHECK(plain.shape == std::vector<std::int64_t>{3, 2, 2});
    CHECK(plain.data.size() == 12);
    CHECK(plain.data.back() == std::byte{0xFF});
    CHECK(packed.shape == plain.shape);
    CHECK(packed.data == plain.data);
    // Told by content, not by name; several gzip members are one file.
    CHECK(read_idx(folder.write("c", gzip(kImages.substr(0, 7)) + gzip(kImages.substr(7)))).data ==
          plain.data);
}

TEST_CASE("elements of several bytes come in the machine's order") {
    const Folder folder;
    const IdxArray array =
        read_idx(folder.write("a", header(0x0C, {2}) + std::string("\0\0\1\2\xFF\xFF\xFF\xFE", 8)));
    CHECK(array.dtype == i32);
    std::int32_t values[2];
    std::memcpy(values, array.data.data(), sizeof values);
    CHECK(values[0] == 258);
    CHECK(values[1] == -2);
}

TEST_CASE("sizes of 0 are a file without elements") {
    const Folder folder;
    CHECK(read_idx(folder.write("a", header(8, {0, 28, 28}))).data.empty());
}

TEST_CASE("every cut of a file is called truncated, plain and gzip") {
    const Folder folder;
    const std::string packed = gzip(kImages);
    for (std::size_t n = 0; n < kImages.size(); ++n) {
        mentions(refusal([&] { read_idx(folder.write("cut", kImages.substr(0, n))); }),
                 "truncated");
    }
    for (std::size_t n = 2; n < packed.size(); ++n) {
        const std::string what =
            refusal([&] { read_idx(folder.write("cut.gz", packed.substr(0, n))); });
        mentions(what, "truncated");
        mentions(what, "cut.gz");
    }
}

TEST_CASE("no flipped bit of gzip data changes what is read unseen") {
    const Folder folder;
    const std::string packed = gzip(kImages);
    const std::vector<std::byte> data = read_idx(folder.write("whole.gz", packed)).data;
    int refused = 0;
    for (std::size_t bit = 0; bit < 8 * packed.size(); ++bit) {
        std::string damaged = packed;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ 1 << bit % 8);
        const fs::path file = folder.write("flip.gz", damaged);
        try {
            const std::vector<std::byte> read = read_idx(file).data;
            INFO("bit " << bit);
            CHECK(read == data);
        } catch (const FileError&) {
            ++refused;
        }
    }
    // Times, names and the bits that fill up the last byte are no data.
    CHECK(refused > 8 * static_cast<int>(packed.size() - 10));
    std::string damaged = packed;
    damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);
    mentions(refusal([&] { read_idx(folder.write("crc.gz", damaged)); }), "incorrect data check");
}

TEST_CASE("files that are not what they should be say so") {
    const Folder folder;
    const std::string missing = refusal([&] { read_idx(folder.path / "nothing"); });
    mentions(missing, "no such file");
    mentions(missing, "nothing");
    mentions(refusal([&] { read_idx(folder.path); }), "not a regular file");
    mentions(refusal([&] { read_idx(folder.write("png", "\x89PNG....")); }), "magic");
    mentions(refusal([&] { read_idx(folder.write("long", kImages + "x")); }), "more data");
    mentions(refusal([&] { read_idx(folder.write("long.gz", gzip(kImages + "x"))); }), "more data");
    mentions(refusal([&] { read_idx(folder.write("huge", header(8, {~0u, ~0u, ~0u, ~0u}))); }),
             "header");
}

TEST_CASE("an MNIST folder may mix plain and gzip files") {
    const Folder folder;
    write_mnist(folder);
    const ImageData data = load_mnist(folder.path);
    CHECK(data.train.count == 3);
    CHECK(data.train.height == 2);
    CHECK(data.train.labels == std::vector<std::uint8_t>{0, 9, 5});
    CHECK(data.test.pixels == data.train.pixels);
}

TEST_CASE("an MNIST folder with something wrong names the file") {
    const Folder folder;
    mentions(refusal([&] { load_mnist(folder.path / "absent"); }), "no such folder");
    mentions(refusal([&] { load_mnist(folder.path); }), "train-images-idx3-ubyte: no such file");
    write_mnist(folder);
    folder.write("t10k-labels-idx1-ubyte", header(8, {2}) + std::string("\0\1", 2));
    mentions(refusal([&] { load_mnist(folder.path); }), "2 labels for the 3 images");
    folder.write("t10k-labels-idx1-ubyte", header(8, {3}) + std::string("\0\1\x0A", 3));
    mentions(refusal([&] { load_mnist(folder.path); }), "label 10 at 2");
    folder.write("t10k-labels-idx1-ubyte", kImages);
    mentions(refusal([&] { load_mnist(folder.path); }), "does not hold labels");
    folder.write("train-images-idx3-ubyte", kLabels);
    mentions(refusal([&] { load_mnist(folder.path); }), "does not hold images");
}
