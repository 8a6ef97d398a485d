#pragma once
// Numbers and texts as bytes one after the other, as compiled programs lie in the disk cache.

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sinter::runtime {

inline void append(std::string& to, std::int64_t value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline void append(std::string& to, std::string_view text) {
    append(to, static_cast<std::int64_t>(text.size()));
    to += text;
}

/// Reads what the appends wrote; `good` turns false where the bytes end early.
struct Reader {
    std::string_view left;
    bool good = true;

    std::int64_t number() {
        std::int64_t value = 0;
        if (left.size() < sizeof value) return good = false, 0;
        std::memcpy(&value, left.data(), sizeof value);
        left.remove_prefix(sizeof value);
        return value;
    }
    std::string text() {
        const std::int64_t size = number();
        if (size < 0 || static_cast<std::uint64_t>(size) > left.size())
            return good = false, std::string();
        std::string value(left.substr(0, static_cast<std::size_t>(size)));
        left.remove_prefix(static_cast<std::size_t>(size));
        return value;
    }
};

}  // namespace sinter::runtime
