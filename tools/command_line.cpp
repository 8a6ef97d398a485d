#include "command_line.h"

#include <CLI/CLI.hpp>

namespace sinter::tool {
namespace {

template <class T>
CLI::Option* add(CLI::App& app, const std::string& name, T& to, const std::string& help) {
    CLI::Option* option = app.add_option(name, to, help);
    if (to != T()) option->capture_default_str();
    return option;
}

/// NaN is in no range.
template <class T>
CLI::Validator within(T least, T most) {
    std::ostringstream range;
    range << "in [" << least << " - " << most << "]";
    return {[=, text = range.str()](std::string& input) {
                T value{};
                const bool reads = CLI::detail::lexical_cast(input, value);
                return reads && least <= value && value <= most
                           ? std::string()
                           : "\"" + input + "\" is no number " + text;
            },
            range.str()};
}

}  // namespace

CommandLine::CommandLine(const std::string& purpose) : app_(std::make_unique<CLI::App>(purpose)) {}
CommandLine::~CommandLine() = default;

void CommandLine::flag(const std::string& name, bool& to, const std::string& help) {
    app_->add_flag(name, to, help);
}

void CommandLine::option(const std::string& name, std::string& to, const std::string& help,
                         const std::vector<std::string>& choices) {
    CLI::Option* option = add(*app_, name, to, help);
    if (!choices.empty()) option->check(CLI::IsMember(choices));
}

void CommandLine::option(const std::string& name, double& to, const std::string& help, double least,
                         double most) {
    add(*app_, name, to, help)->check(within(least, most));
}

void CommandLine::option(const std::string& name, std::int64_t& to, const std::string& help,
                         std::int64_t least, std::int64_t most) {
    add(*app_, name, to, help)->check(within(least, most));
}

void CommandLine::option(const std::string& name, std::optional<std::int64_t>& to,
                         const std::string& help, std::int64_t least, std::int64_t most) {
    app_->add_option(name, to, help)->check(within(least, most));
}

void CommandLine::option(const std::string& name, std::uint64_t& to, const std::string& help) {
    add(*app_, name, to, help);
}

void CommandLine::option(const std::string& name, std::optional<std::uint64_t>& to,
                         const std::string& help) {
    app_->add_option(name, to, help);
}

std::optional<int> CommandLine::read(int argc, char** argv) {
    try {
        app_->parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::ParseError& error) {
        return app_->exit(error);
    }
}

}  // namespace sinter::tool
