#include "print.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "table.h"

namespace fuzz {
namespace {

std::string type_text(sn::DType dt) {
    return "sn::" + (dt == sn::boolean ? std::string("boolean") : std::string(sn::name(dt)));
}

std::string real_text(double value) {
    if (std::isnan(value)) return "NAN";
    if (std::isinf(value)) return value < 0 ? "-INFINITY" : "INFINITY";
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.9g", value);
    if (std::strtod(digits, nullptr) != value) std::snprintf(digits, sizeof digits, "%.17g", value);
    const std::string text = digits;
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string int_text(sn::DType dt, std::int64_t value) {
    if (dt == sn::u64) return std::to_string(static_cast<std::uint64_t>(value)) + "u";
    if (value == INT64_MIN) return "INT64_MIN";
    return std::to_string(value);
}

std::string leaf_text(const Leaf& leaf) {
    std::string elements, type, after;
    if (sn::is_float(leaf.dtype)) {
        type = leaf.dtype == sn::f64 ? "double" : "float";
        for (const double x : leaf.reals)
            elements += (elements.empty() ? "" : ", ") + real_text(x) +
                        (type == "float" && std::isfinite(x) ? "f" : "");
        if (sn::size_of(leaf.dtype) == 2) after = ".to(" + type_text(leaf.dtype) + ").realize()";
    } else {
        type = leaf.dtype == sn::boolean
                   ? "std::uint8_t"
                   : "std::" + std::string(sn::is_unsigned(leaf.dtype) ? "u" : "") + "int" +
                         std::to_string(8 * sn::size_of(leaf.dtype)) + "_t";
        for (const std::int64_t x : leaf.ints)
            elements += (elements.empty() ? "" : ", ") + int_text(leaf.dtype, x);
        if (leaf.dtype == sn::boolean) after = ".to(sn::boolean).realize()";
    }
    return "sn::Tensor(std::vector<" + type + ">{" + elements + "}, sn::Shape" +
           braces(leaf.shape) + ")" + after;
}

std::string variable(int step) { return "v" + std::to_string(step); }

std::string step_text(const Step& step) {
    const Row& row = rows()[static_cast<std::size_t>(step.row)];
    std::vector<std::string> in;
    for (const Operand& operand : step.in)
        in.push_back(operand.step >= 0 ? variable(operand.step) : text_of(operand.number));
    if (row.print) return row.print(in, step);
    std::string text = "sn::" + row.name + "(";
    bool first = true;
    const auto add = [&](const std::string& part) {
        text += (first ? "" : ", ") + part;
        first = false;
    };
    for (const std::string& operand : in) add(operand);
    for (const Param& param : step.params)
        if (param.kind != Param::Kind::None) add(text_of(param));
    return text + ")";
}

constexpr const char* kBefore = R"(#include <cmath>
#include <cstdint>
#include <iostream>
#include <vector>

#include <sinter/sinter.h>

namespace sn = sinter;

std::vector<sn::Tensor> program() {
)";

}  // namespace

std::string braces(const Ints& list) {
    std::string text = "{";
    for (std::size_t i = 0; i < list.size(); ++i)
        text += (i == 0 ? "" : ", ") + std::to_string(list[i]);
    return text + "}";
}

std::string text_of(const Param& param) {
    switch (param.kind) {
        case Param::Kind::Int:
            return std::to_string(param.integer);
        case Param::Kind::Real:
            return real_text(param.real);
        case Param::Kind::Flag:
            return param.integer != 0 ? "true" : "false";
        case Param::Kind::List:
            return braces(param.list);
        case Param::Kind::Type:
            return type_text(static_cast<sn::DType>(param.integer));
        case Param::Kind::Word:
            return param.word;
        case Param::Kind::None:
            break;
    }
    return "";
}

std::string to_cpp(const Program& program, const std::string& why) {
    std::string text;
    for (std::size_t begin = 0; begin < why.size();) {
        const std::size_t end = std::min(why.find('\n', begin), why.size());
        text += "// " + why.substr(begin, end - begin) + "\n";
        begin = end + 1;
    }
    text += kBefore;
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
        const Step& step = program.steps[i];
        const bool leaf = step.row == kLeaf;
        const bool statement = !leaf && rows()[static_cast<std::size_t>(step.row)].statement;
        text +=
            "    " +
            (statement ? std::string() : "sn::Tensor " + variable(static_cast<int>(i)) + " = ") +
            (leaf ? leaf_text(step.leaf) : step_text(step)) + ";\n";
    }
    std::string outputs;
    for (const int output : program.outputs)
        outputs += (outputs.empty() ? "" : ", ") + variable(output);
    if (program.together && !program.outputs.empty())
        text += "    sn::realize(" + outputs + ");  // all in one schedule\n";
    text += "    return {" + outputs +
            "};\n}\n\nint main() {\n    for (const char* device : {\"CPU\", \"REF\"}) {\n";
    text +=
        "        sn::set_default_device(sn::Device(device));\n        std::cout << device << "
        "\"\\n\";\n";
    text +=
        "        for (const sn::Tensor& output : program()) std::cout << output << \"\\n\";\n    "
        "}\n}\n";
    return text;
}

}  // namespace fuzz
