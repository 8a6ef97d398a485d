#pragma once
// Just enough JSON for the headers of files of weights.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sinter::nn::json {

/// What is wrong, and at which byte.
class ParseError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Value;
using Array = std::vector<Value>;
/// In the order of the text; names are unique.
struct Member;
using Object = std::vector<Member>;

/// Numbers are integers where they are written as such and fit.
struct Value {
    std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> data;

    template <class T>
    const T* get() const {
        return std::get_if<T>(&data);
    }
};

struct Member {
    std::string first;
    Value second;
};

/// Parses one value and nothing after it but blanks. Throws ParseError; nesting deeper than 64 is
/// refused.
Value parse(std::string_view text);

/// `text` in quotes, escaped.
std::string quote(std::string_view text);

}  // namespace sinter::nn::json
