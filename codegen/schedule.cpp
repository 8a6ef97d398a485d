#include <sinter/codegen/schedule.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>

namespace sinter::codegen {
namespace {

using ir::Role;
using Words = std::span<const std::string_view>;

// How each step reads. %r a range, %n a number, %o a role, %v a value; %p a range and a number,
// `r3:64`; %R, %V, %P, %N lists of these. Of steps with the same first word, the one that fits.
struct Pattern {
    StepKind kind;
    std::string_view text;
};
constexpr Pattern kPatterns[] = {
    {StepKind::Split, "split %r by %n into %o %r %o %r"},
    {StepKind::SplitLined, "split %r by %n into %o %r %o %r lined %n"},
    {StepKind::Divide, "divide %r by %n into %r %r"},
    {StepKind::Bind, "bind %r to %o"},
    {StepKind::Fuse, "fuse %r with %r"},
    {StepKind::Dots, "dots %r by %n into %r"},
    {StepKind::Stage, "stage %v over %R"},
    {StepKind::StagePadded, "stage %v over %R padded %n"},
    {StepKind::StageWhile, "stage %v over %R while %V"},
    {StepKind::StageTurned, "turn %v over %R from %n to %n by %n"},
    {StepKind::RenameInCopy, "copy along %r as %r"},
    {StepKind::Let, "let %r be %r"},
    {StepKind::Share, "share %v rows %r %r steps %r lanes %p"},
    {StepKind::Join, "join %r %r as %r"},
    {StepKind::Expand, "unroll %R"},
    {StepKind::Trips, "trips %R"},
    {StepKind::Order, "order %R"},
    {StepKind::Squares, "squares"},
    {StepKind::Stream, "stream %n from %n"},
    {StepKind::Prefetch, "prefetch"},
    {StepKind::Fetch, "fetch %N"},
    {StepKind::Chunk, "chunk %r by %n"},
    {StepKind::Sums, "sums over %r by %n"},
    {StepKind::Blocks, "blocks %P of %P columns %r"},
    {StepKind::Contract, "contract %P of %P"},
    {StepKind::Winograd, "winograd %r %r by %n of %n channels first %n %n trips %P blocks %P"},
    {StepKind::Chain, "chain %n rows"},
};

constexpr std::string_view kRoles[] = {"loop", "reduce", "parallel", "serial", "unroll", "vector"};
constexpr std::string_view kAsItIs = "as it is";

std::vector<std::string_view> words_of(std::string_view text) {
    constexpr std::string_view kSpace = " \t\n";
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t begin = text.find_first_not_of(kSpace);
        if (begin == std::string_view::npos) return words;
        const std::size_t end = std::min(text.find_first_of(kSpace, begin), text.size());
        words.push_back(text.substr(begin, end - begin));
        text.remove_prefix(end);
    }
}

bool is_number(std::string_view word, std::int64_t& value) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    return error == std::errc{} && end == word.data() + word.size();
}

// A word such as r12; `-` is -1.
bool is_range(std::string_view word, std::int64_t& value) {
    if (word == "-") {
        value = -1;
        return true;
    }
    return word.size() >= 2 && word[0] == 'r' && is_number(word.substr(1), value) && value >= 0 &&
           value < 64;
}

// One operand, read from the front of `words` onto `out`; false where they are none.
bool read(char kind, Words& words, std::vector<std::int64_t>& out) {
    if (words.empty()) return false;
    const std::string_view word = words[0];
    std::int64_t value = 0;
    std::size_t used = 1;
    switch (kind) {
        case 'r':
            if (!is_range(word, value)) return false;
            out.push_back(value);
            break;
        case 'n':
            if (!is_number(word, value)) return false;
            out.push_back(value);
            break;
        case 'o': {
            const auto role = std::ranges::find(kRoles, word);
            if (role == std::end(kRoles)) return false;
            out.push_back(role - std::begin(kRoles));
            break;
        }
        case 'v':
            if (words.size() < 2 || !is_number(words[1], value) || value < 0) return false;
            if (word != "load" && word != "value") return false;
            out.insert(out.end(), {word == "load" ? 1 : 0, value});
            used = 2;
            break;
        default: {  // 'p'
            const std::size_t colon = word.find(':');
            std::int64_t size = 0;
            if (colon == std::string_view::npos || !is_range(word.substr(0, colon), value) ||
                value < 0 || !is_number(word.substr(colon + 1), size))
                return false;
            out.insert(out.end(), {value, size});
        }
    }
    words = words.subspan(used);
    return true;
}

void write(char kind, std::span<const std::int64_t>& operands, std::string& out) {
    std::size_t used = 1;
    switch (kind) {
        case 'r':
            out += operands[0] < 0 ? "-" : "r" + std::to_string(operands[0]);
            break;
        case 'n':
            out += std::to_string(operands[0]);
            break;
        case 'o':
            out += kRoles[static_cast<std::size_t>(operands[0])];
            break;
        case 'v':
            out += (operands[0] != 0 ? "load " : "value ") + std::to_string(operands[1]);
            used = 2;
            break;
        default:  // 'p'
            out += "r" + std::to_string(operands[0]) + ":" + std::to_string(operands[1]);
            used = 2;
    }
    operands = operands.subspan(used);
}

bool is_list(std::string_view operand) { return operand[1] >= 'A' && operand[1] <= 'Z'; }
char element_of(std::string_view operand) {
    return static_cast<char>(is_list(operand) ? operand[1] - 'A' + 'a' : operand[1]);
}

std::optional<std::vector<std::int64_t>> match(std::string_view pattern, Words words) {
    std::vector<std::int64_t> operands;
    for (const std::string_view token : words_of(pattern)) {
        if (token[0] != '%') {
            if (words.empty() || words[0] != token) return std::nullopt;
            words = words.subspan(1);
        } else if (is_list(token)) {
            const std::size_t length_at = operands.size();
            operands.push_back(0);
            while (read(element_of(token), words, operands)) ++operands[length_at];
        } else if (!read(element_of(token), words, operands)) {
            return std::nullopt;
        }
    }
    if (!words.empty()) return std::nullopt;
    return operands;
}

Step parse_step(std::string_view text) {
    const std::vector<std::string_view> words = words_of(text);
    for (const Pattern& p : kPatterns)
        if (auto operands = match(p.text, words)) return {p.kind, std::move(*operands)};
    std::string forms;
    for (const Pattern& p : kPatterns)
        if (!words.empty() && words_of(p.text)[0] == words[0])
            forms += (forms.empty() ? "; it reads `" : "` or `") + std::string(p.text);
    throw ValueError("schedule: cannot read the step `" + std::string(text) + "`" +
                     (forms.empty() ? "" : forms + "`"));
}

std::vector<Step> parse_steps(std::string_view text) {
    std::vector<Step> steps;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(';'), text.size());
        const std::string_view step = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::vector<std::string_view> words = words_of(step);
        if (words.empty() || std::ranges::equal(words, words_of(kAsItIs))) continue;
        steps.push_back(parse_step(step));
    }
    return steps;
}

// Without what stands in parentheses.
std::string bare(std::string_view text) {
    std::string out;
    int depth = 0;
    for (const char c : text) {
        if (c == '(') ++depth;
        if (depth == 0) out += c;
        if (c == ')' && depth > 0) --depth;
    }
    return out;
}

}  // namespace

std::string to_text(const Step& step) {
    const auto pattern = std::ranges::find(kPatterns, step.kind, &Pattern::kind);
    std::span<const std::int64_t> operands = step.operands;
    std::string out;
    for (const std::string_view token : words_of(pattern->text)) {
        const char* between = out.empty() ? "" : " ";
        if (token[0] != '%') {
            out += between + std::string(token);
            continue;
        }
        std::int64_t count = 1;
        if (is_list(token)) {
            count = operands[0];
            operands = operands.subspan(1);
        }
        for (; count > 0; --count) {
            out += between;
            write(element_of(token), operands, out);
        }
    }
    return out;
}

std::string to_text(const std::vector<Step>& steps) {
    std::string out;
    for (const Step& step : steps) out += (out.empty() ? "" : "; ") + to_text(step);
    return out.empty() ? std::string(kAsItIs) : out;
}

std::string Schedule::text() const {
    std::string out = "kernel: " + to_text(kernel) + "\n";
    for (std::size_t i = 0; i < parts.size(); ++i)
        out += "part " + std::to_string(i) + ": " + to_text(parts[i]) + "\n";
    return out;
}

Schedule Schedule::parse(std::string_view text) {
    Schedule schedule;
    const std::string all = bare(text);
    std::string_view rest = all;
    const auto take_label = [](std::string_view& line) -> std::string_view {
        const std::size_t colon = line.find(": ");
        if (colon == std::string_view::npos) return {};
        const std::string_view label = line.substr(0, colon);
        line.remove_prefix(colon + 2);
        return label;
    };
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (words_of(line).empty()) continue;
        if (take_label(line) == "kernel")
            schedule.kernel = parse_steps(line);
        else
            schedule.parts.push_back(parse_steps(line));
    }
    return schedule;
}

}  // namespace sinter::codegen
