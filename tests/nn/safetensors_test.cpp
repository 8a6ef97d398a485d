#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <sinter/create.h>
#include <sinter/nn/safetensors.h>

#include "folder.h"

using namespace sinter;
using namespace sinter::nn;
namespace fs = std::filesystem;

namespace {

struct Folder : test::Folder {
    fs::path file(const std::string& name = "w.safetensors") const { return path / name; }
    long entries() const {
        return std::distance(fs::directory_iterator(path), fs::directory_iterator());
    }
};

std::string slurp(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

fs::path put(const fs::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
}

// A file with this header and `data` bytes of data.
fs::path with_header(const fs::path& file, const std::string& header, std::size_t data) {
    const std::uint64_t length = header.size();
    std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
    return put(file, bytes + header + std::string(data, '\1'));
}

std::string refusal(const fs::path& file) {
    try {
        load_safetensors(file);
    } catch (const FileError& error) {
        return error.what();
    }
    return "";
}

void refuses(const fs::path& file, const std::string& part) {
    const std::string what = refusal(file);
    INFO(what);
    CHECK(what.find(part) != std::string::npos);
    CHECK(what.find(file.string()) != std::string::npos);
}

Tensor named(const StateDict& state, const std::string& name) {
    for (const auto& [key, tensor] : state) {
        if (key == name) return tensor;
    }
    FAIL("no tensor named " << name);
    return {};
}

std::vector<std::byte> bytes_of(const Tensor& x) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(x.numel()) * size_of(x.dtype()));
    x.read_bytes(bytes);
    return bytes;
}

}  // namespace

TEST_CASE("tensors of every dtype come back bit for bit") {
    const Folder folder;
    StateDict tensors;
    for (const DType dtype : {boolean, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
        std::vector<std::uint8_t> raw(6 * size_of(dtype));
        for (std::size_t i = 0; i < raw.size(); ++i) {
            raw[i] = dtype == boolean ? i % 2 : static_cast<std::uint8_t>(37 * i + 11);
        }
        tensors.emplace_back("x." + std::string(name(dtype)), from_data(raw.data(), {2, 3}, dtype));
    }
    const float special[] = {std::numeric_limits<float>::quiet_NaN(), -0.f,
                             std::numeric_limits<float>::infinity()};
    tensors.emplace_back("special", from_data(special, {3}, f32));
    tensors.emplace_back("scalar", Tensor(2.5));
    tensors.emplace_back("empty", from_data(nullptr, {4, 0}, f32));
    tensors.emplace_back("a \"quoted\" name, \\ and \x01, \xC3\xA9", Tensor({1.f, 2.f}));

    save_safetensors(folder.file(), tensors, {{"format", "pt"}, {"line", "a\nb"}});
    Metadata metadata;
    const StateDict loaded = load_safetensors(folder.file(), &metadata);
    CHECK(metadata == Metadata{{"format", "pt"}, {"line", "a\nb"}});
    REQUIRE(loaded.size() == tensors.size());
    for (const auto& [name, tensor] : tensors) {
        INFO(name);
        const Tensor& back = named(loaded, name);
        CHECK(back.dtype() == tensor.dtype());
        CHECK(back.shape() == tensor.shape());
        CHECK(bytes_of(back) == bytes_of(tensor));
    }
    CHECK(folder.entries() == 1);
}

TEST_CASE("a file is laid out as the format says") {
    const Folder folder;
    save_safetensors(folder.file(), {{"b", Tensor({1.f, 2.f})}, {"a", Tensor({std::uint8_t{7}})}});
    const std::string header = R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                               R"("a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}})";
    const std::string bytes = slurp(folder.file());
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    CHECK(length % 8 == 0);
    CHECK(bytes.substr(8, header.size()) == header);
    CHECK(bytes.size() == 8 + length + 9);
    CHECK(bytes.back() == 7);
}

TEST_CASE("names escaped by other writers are read") {
    const Folder folder;
    const StateDict loaded = load_safetensors(with_header(
        folder.file(),
        R"( {"\u00e9\ud83d\ude00\n" : {"shape":[], "data_offsets":[0,1], "dtype":"U8", "more":[1.5e3,null,{}]}} )",
        1));
    REQUIRE(loaded.size() == 1);
    CHECK(loaded.begin()->first == "\xC3\xA9\xF0\x9F\x98\x80\n");
}

TEST_CASE("an existing file is replaced whole, or stays when saving fails") {
    const Folder folder;
    save_safetensors(folder.file(), {{"x", Tensor({1.f})}});
    save_safetensors(folder.file(), {{"x", Tensor({2.f})}});
    CHECK(named(load_safetensors(folder.file()), "x").to_vector<float>() == std::vector<float>{2});

    const std::string before = slurp(folder.file());
    CHECK_THROWS_AS(save_safetensors(folder.file(), {{"__metadata__", Tensor({1.f})}}), ValueError);
    CHECK_THROWS_AS(save_safetensors(folder.file(), {{"x", Tensor()}}), ValueError);
    CHECK_THROWS_AS(save_safetensors(folder.file(), {{"x", Tensor(1)}, {"x", Tensor(2)}}),
                    ValueError);
    CHECK(slurp(folder.file()) == before);
    CHECK_THROWS_AS(save_safetensors(folder.path / "absent" / "w", {{"x", Tensor({1.f})}}),
                    FileError);
    fs::create_directory(folder.path / "taken");
    CHECK_THROWS_AS(save_safetensors(folder.path / "taken", {{"x", Tensor({1.f})}}), FileError);
    CHECK(folder.entries() == 2);  // no temporary file is left
}

TEST_CASE("every cut of a file is refused") {
    const Folder folder;
    save_safetensors(folder.file(), {{"x", Tensor({1.f, 2.f, 3.f})}});
    const std::string bytes = slurp(folder.file());
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        refuses(put(folder.file("cut"), bytes.substr(0, n)), "truncated");
    }
    refuses(put(folder.file("long"), bytes + "x"), "more data");
    refuses(folder.file("absent"), "no such file");
    refuses(folder.path, "not a regular file");
}

TEST_CASE("headers that describe no tensors are refused") {
    const Folder folder;
    const auto bad = [&](const std::string& header, const std::string& part, std::size_t data = 8) {
        INFO(header);
        refuses(with_header(folder.file("bad"), header, data), part);
    };
    const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
    CHECK(refusal(with_header(folder.file("good"), "{\"x\":" + good + "}", 8)).empty());
    bad("", "JSON");
    bad("[]", "no JSON object");
    bad("{\"x\":" + good, "JSON");
    bad("{\"x\":" + good + "}}", "expected end of input");
    bad("{\"x\":" + good + ",\"x\":" + good + "}", "stands twice");
    bad("{\"x\":" + good + ",\"y\":" + good + "}", "overlap");
    bad(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})", "gap", 16);
    bad(R"({"x":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}})", "F8");
    bad(R"({"x":{"shape":[2],"data_offsets":[0,8]}})", "dtype");
    bad(R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "need 12");
    bad(R"({"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "shape");
    bad(R"({"x":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", "shape");
    bad(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "data_offsets");
    bad(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "data_offsets");
    bad(R"({"x":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,8]}})", "larger");
    bad(R"({"x":7})", "dtype");
    bad(R"({"__metadata__":{"a":1}})", "strings", 0);
    bad(R"({"a\ud800":1})", "surrogate");
    bad(std::string(200, '['), "deeply");
    put(folder.file("wild"), std::string(16, '\xFF'));
    refuses(folder.file("wild"), "header of");
}
