#include "json.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace sinter::nn::json {

namespace {

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    Value parse_all() {
        Value value = parse_value(0);
        skip_blanks();
        if (at_ != text_.size()) fail("text after the value");
        return value;
    }

private:
    static constexpr int kMaxDepth = 64;

    [[noreturn]] void fail(const std::string& what) const {
        throw ParseError(what + " at byte " + std::to_string(at_));
    }
    bool ends() const { return at_ == text_.size(); }
    char peek() const { return ends() ? '\0' : text_[at_]; }
    void skip_blanks() {
        while (!ends() && std::string_view(" \t\n\r").find(peek()) != std::string_view::npos) ++at_;
    }
    bool accept(char c) {
        skip_blanks();
        if (ends() || peek() != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!accept(c)) fail(std::string("expected '") + c + "'");
    }
    bool accept_word(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    Value parse_value(int depth) {
        if (depth > kMaxDepth) fail("nested too deeply");
        skip_blanks();
        switch (peek()) {
            case '{':
                return {parse_object(depth)};
            case '[':
                return {parse_array(depth)};
            case '"':
                return {parse_string()};
        }
        if (accept_word("true")) return {true};
        if (accept_word("false")) return {false};
        if (accept_word("null")) return {nullptr};
        return parse_number();
    }

    Object parse_object(int depth) {
        Object object;
        expect('{');
        if (accept('}')) return object;
        do {
            skip_blanks();
            std::string name = parse_string();
            expect(':');
            object.emplace_back(std::move(name), parse_value(depth + 1));
        } while (accept(','));
        expect('}');
        check_unique(object);
        return object;
    }

    void check_unique(const Object& object) const {
        std::vector<std::string_view> names;
        for (const auto& [name, value] : object) names.push_back(name);
        std::ranges::sort(names);
        const auto twice = std::ranges::adjacent_find(names);
        if (twice != names.end())
            fail("the name " + quote(*twice) + " stands twice in the object that ends");
    }

    Array parse_array(int depth) {
        Array array;
        expect('[');
        if (accept(']')) return array;
        do {
            array.push_back(parse_value(depth + 1));
        } while (accept(','));
        expect(']');
        return array;
    }

    Value parse_number() {
        const std::size_t end =
            std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
        const std::string_view digits = text_.substr(at_, end - at_);
        const char* const first = digits.data();
        const char* const last = first + digits.size();
        std::int64_t integer = 0;
        double real = 0;
        if (digits.empty()) fail("expected a value");
        if (const auto r = std::from_chars(first, last, integer);
            r.ec == std::errc() && r.ptr == last) {
            at_ = end;
            return {integer};
        }
        if (const auto r = std::from_chars(first, last, real);
            r.ec != std::errc() || r.ptr != last) {
            fail("not a number");
        }
        at_ = end;
        return {real};
    }

    std::uint32_t parse_hex4() {
        std::uint32_t code = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() != 4 || r.ec != std::errc() || r.ptr != digits.data() + 4) {
            fail("expected four hexadecimal digits");
        }
        at_ += 4;
        return code;
    }

    std::uint32_t parse_code_point() {
        const std::uint32_t code = parse_hex4();
        if (code < 0xD800 || code > 0xDFFF) return code;
        if (code > 0xDBFF || !accept_word("\\u")) fail("half of a surrogate pair");
        const std::uint32_t low = parse_hex4();
        if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair");
        return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }

    static void append_utf8(std::string& out, std::uint32_t code) {
        const auto tail = [&](int shift) {
            out += static_cast<char>(0x80 | (code >> shift & 0x3F));
        };
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xC0 | code >> 6);
            tail(0);
        } else if (code < 0x10000) {
            out += static_cast<char>(0xE0 | code >> 12);
            tail(6);
            tail(0);
        } else {
            out += static_cast<char>(0xF0 | code >> 18);
            tail(12);
            tail(6);
            tail(0);
        }
    }

    std::string parse_string() {
        std::string out;
        if (peek() != '"') fail("expected a string");
        for (++at_;; ++at_) {
            if (ends()) fail("a string without an end");
            const char c = peek();
            if (c == '"') break;
            if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
            if (c != '\\') {
                out += c;
                continue;
            }
            ++at_;
            constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
            if (peek() == 'u') {
                ++at_;
                append_utf8(out, parse_code_point());
                --at_;
            } else if (const std::size_t i = kEscapes.find(peek());
                       !ends() && i != std::string_view::npos) {
                out += kMeanings[i];
            } else {
                fail("an unknown escape");
            }
        }
        ++at_;
        return out;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

Value parse(std::string_view text) { return Parser(text).parse_all(); }

std::string quote(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            out += code;
        } else {
            out += c;
        }
    }
    return out + '"';
}

}  // namespace sinter::nn::json
