#include <sinter/nn/safetensors.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include <sinter/create.h>
#include <sinter/ir/error.h>

#include "atomic_file.h"

namespace sinter::nn {

namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr std::uint64_t kMaxHeader = 100'000'000;  // as the format demands
constexpr std::string_view kMetadataName = "__metadata__";

struct DTypeName {
    DType dtype;
    std::string_view name;
};
constexpr std::array kDTypeNames = {
    DTypeName{boolean, "BOOL"}, DTypeName{i8, "I8"},     DTypeName{i16, "I16"},
    DTypeName{i32, "I32"},      DTypeName{i64, "I64"},   DTypeName{u8, "U8"},
    DTypeName{u16, "U16"},      DTypeName{u32, "U32"},   DTypeName{u64, "U64"},
    DTypeName{f16, "F16"},      DTypeName{bf16, "BF16"}, DTypeName{f32, "F32"},
    DTypeName{f64, "F64"},
};

std::string_view name_of(DType dtype) {
    return std::ranges::find(kDTypeNames, dtype, &DTypeName::dtype)->name;
}

// In the order of the text, as files of weights are written.
using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;

/// `text` in quotes, escaped; bytes that are no UTF-8 are replaced.
std::string quoted_name(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Parses a header. Throws what nlohmann::json does; names that stand twice and deep nesting, which
// it would take, are refused as well.
Json parse_header(const std::string& text) {
    std::vector<std::set<std::string>> names;
    const auto check = [&](int depth, Json::parse_event_t event, const Json& value) {
        if (depth > kMaxDepth) throw std::invalid_argument("nested too deeply");
        if (event == Json::parse_event_t::object_start) names.emplace_back();
        if (event == Json::parse_event_t::object_end) names.pop_back();
        if (event == Json::parse_event_t::key &&
            !names.back().insert(value.get<std::string>()).second)
            throw std::invalid_argument("the name " + value.dump() + " stands twice");
        return true;
    };
    return Json::parse(text, check);
}

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what) {
    throw FileError(file.string() + ": " + what);
}

// --- writing

struct Entry {
    const std::string* name;
    Tensor tensor;
    std::uint64_t bytes;
};

// In the order of the data: wide elements first, so that all lie aligned.
std::vector<Entry> entries_of(const StateDict& tensors) {
    std::vector<Entry> entries;
    std::vector<Tensor> values;
    std::set<std::string_view> names;
    for (const auto& [name, tensor] : tensors) {
        if (!names.insert(name).second) {
            throw ValueError("save_safetensors: the name " + quoted_name(name) + " stands twice");
        }
        if (name == kMetadataName)
            throw ValueError("save_safetensors: no tensor may be named __metadata__");
        values.push_back(tensor);
    }
    Tensor::realize(std::span<Tensor>(values));
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
        const Tensor& value = values[i++];
        entries.push_back(
            {&name, value, static_cast<std::uint64_t>(value.numel()) * size_of(value.dtype())});
    }
    std::ranges::stable_sort(entries, std::greater<>(),
                             [](const Entry& e) { return size_of(e.tensor.dtype()); });
    return entries;
}

std::string header_of(const std::vector<Entry>& entries, const Metadata& metadata) {
    std::string header = "{";
    const auto item = [&](std::string_view name) {
        if (header.size() > 1) header += ',';
        header += quoted_name(name) + ":{";
    };
    if (!metadata.empty()) {
        item(kMetadataName);
        bool first = true;
        for (const auto& [key, value] : metadata) {
            header += (first ? "" : ",") + quoted_name(key) + ":" + quoted_name(value);
            first = false;
        }
        header += "}";
    }
    std::uint64_t offset = 0;
    for (const Entry& entry : entries) {
        item(*entry.name);
        header += "\"dtype\":" + quoted_name(name_of(entry.tensor.dtype())) + ",\"shape\":[";
        const Shape shape = entry.tensor.shape();
        for (std::size_t d = 0; d < shape.size(); ++d)
            header += (d ? "," : "") + std::to_string(shape[d]);
        header += "],\"data_offsets\":[" + std::to_string(offset) + ",";
        offset += entry.bytes;
        header += std::to_string(offset) + "]}";
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return header;
}

// --- reading

struct Slot {
    std::string name;
    DType dtype;
    Shape shape;
    std::uint64_t begin, end;
};

class Reader {
public:
    explicit Reader(const std::filesystem::path& file) : file_(file) {
        std::error_code error;
        if (!std::filesystem::exists(file, error)) fail(file, "no such file");
        if (!std::filesystem::is_regular_file(file, error)) fail(file, "not a regular file");
        size_ = std::filesystem::file_size(file, error);
        in_.open(file, std::ios::binary);
        if (!in_) fail(file, std::string("cannot be opened: ") + std::strerror(errno));
    }

    StateDict read(Metadata* metadata) {
        std::vector<Slot> slots = read_header(metadata);
        std::ranges::sort(slots, {}, [](const Slot& s) { return std::pair(s.begin, s.end); });
        std::uint64_t offset = 0;
        for (const Slot& slot : slots) {
            if (slot.begin != offset)
                damaged("the data of " + quoted_name(slot.name) +
                        " overlap others, or leave a gap");
            offset = slot.end;
        }
        if (offset > data_size_) {
            fail(file_, "truncated: has " + std::to_string(data_size_) + " of the " +
                            std::to_string(offset) + " bytes of data that its header announces");
        }
        if (offset < data_size_) damaged("there is more data than its header announces");
        StateDict tensors;
        std::vector<std::byte> bytes;
        for (const Slot& slot : slots) {
            bytes.resize(slot.end - slot.begin);
            read_bytes(bytes.data(), bytes.size());
            // Any byte but 0 and 1 would be no bool to what computes with it.
            if (slot.dtype == boolean) {
                for (std::byte& b : bytes) b = std::byte{b != std::byte{0}};
            }
            tensors.emplace_back(slot.name, from_data(bytes.data(), slot.shape, slot.dtype));
        }
        return tensors;
    }

private:
    [[noreturn]] void damaged(const std::string& what) const { fail(file_, "damaged: " + what); }

    void read_bytes(void* out, std::size_t n) {
        in_.read(static_cast<char*>(out), static_cast<std::streamsize>(n));
        if (static_cast<std::size_t>(in_.gcount()) != n) fail(file_, "truncated while it was read");
    }

    std::vector<Slot> read_header(Metadata* metadata) {
        std::uint64_t length = 0;
        if (size_ < sizeof length) fail(file_, "truncated: no room for a header");
        read_bytes(&length, sizeof length);
        if (length > kMaxHeader)
            damaged("no safetensors file: a header of " + std::to_string(length) + " bytes");
        if (length > size_ - sizeof length) fail(file_, "truncated: it ends within its header");
        data_size_ = size_ - sizeof length - length;
        std::string text(length, '\0');
        read_bytes(text.data(), length);
        Json header;
        try {
            header = parse_header(text);
        } catch (const std::exception& error) {
            damaged(std::string("its header is no JSON: ") + error.what());
        }
        if (!header.is_object()) damaged("its header is no JSON object");
        std::vector<Slot> slots;
        for (const auto& [name, value] : header.items()) {
            if (name == kMetadataName) {
                read_metadata(value, metadata);
            } else {
                slots.push_back(read_slot(name, value));
            }
        }
        return slots;
    }

    void read_metadata(const Json& value, Metadata* metadata) const {
        if (!value.is_object()) damaged("its metadata are no JSON object");
        for (const auto& [key, text] : value.items()) {
            if (!text.is_string()) damaged("its metadata hold more than strings");
            if (metadata) (*metadata)[key] = text.get<std::string>();
        }
    }

    Slot read_slot(const std::string& name, const Json& value) const {
        const std::string quoted = quoted_name(name);
        const auto field = [&](const char* key) -> const Json* {
            const auto found = value.find(key);  // of what is no object: the end
            return found == value.end() ? nullptr : &*found;
        };
        const Json* dtype = field("dtype");
        if (!dtype || !dtype->is_string()) damaged("no dtype of " + quoted);
        const std::string dtype_name = dtype->get<std::string>();
        const auto known = std::ranges::find(kDTypeNames, dtype_name, &DTypeName::name);
        if (known == kDTypeNames.end())
            fail(file_, "the dtype " + dtype_name + " of " + quoted + " is not supported");

        Slot slot{name, known->dtype, {}, 0, 0};
        const auto shape = integers(field("shape"));
        const auto offsets = integers(field("data_offsets"));
        if (!shape) damaged("no valid shape of " + quoted);
        if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
            damaged("no valid data_offsets of " + quoted);
        }
        std::uint64_t bytes = size_of(slot.dtype);
        for (const std::uint64_t size : *shape) {
            if (size != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / 2 / size) {
                damaged("the shape of " + quoted + " is larger than any memory");
            }
            bytes *= size;
            slot.shape.push_back(static_cast<std::int64_t>(size));
        }
        slot.begin = (*offsets)[0];
        slot.end = (*offsets)[1];
        if (slot.end - slot.begin != bytes) {
            damaged(quoted + " has " + std::to_string(slot.end - slot.begin) +
                    " bytes, its shape and dtype need " + std::to_string(bytes));
        }
        return slot;
    }

    static std::optional<std::vector<std::uint64_t>> integers(const Json* value) {
        if (!value || !value->is_array()) return std::nullopt;
        std::vector<std::uint64_t> out;
        for (const Json& item : *value) {
            constexpr auto kMost =
                static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
            if (!item.is_number_unsigned() || item.get<std::uint64_t>() > kMost)
                return std::nullopt;
            out.push_back(item.get<std::uint64_t>());
        }
        return out;
    }

    std::filesystem::path file_;
    std::uint64_t size_ = 0, data_size_ = 0;
    std::ifstream in_;
};

}  // namespace

void save_safetensors(const std::filesystem::path& file, const StateDict& tensors,
                      const Metadata& metadata) {
    const std::vector<Entry> entries = entries_of(tensors);
    const std::string header = header_of(entries, metadata);
    const std::uint64_t length = header.size();
    AtomicFile out(file);
    out.write(std::as_bytes(std::span(&length, 1)));
    out.write(std::as_bytes(std::span(header)));
    std::vector<std::byte> bytes;
    for (const Entry& entry : entries) {
        bytes.resize(entry.bytes);
        entry.tensor.read_bytes(bytes);
        out.write(bytes);
    }
    out.commit();
}

StateDict load_safetensors(const std::filesystem::path& file, Metadata* metadata) {
    return Reader(file).read(metadata);
}

}  // namespace sinter::nn
