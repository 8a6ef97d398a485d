#pragma once
// How the binaries read their command lines: CLI11, compiled once for all of them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sinter::tool {

/// The options of a binary. Each is kept in a variable of the caller, whose value before is what
/// the help names as the default, where there is one (not zero, not empty). A value that does not
/// read, or is outside [least, most], ends in one line on standard error that names the option.
class CommandLine {
public:
    /// `purpose`: what the binary does, a sentence for the help.
    explicit CommandLine(const std::string& purpose);
    ~CommandLine();

    void flag(const std::string& name, bool& to, const std::string& help);
    /// With choices: one of them.
    void option(const std::string& name, std::string& to, const std::string& help,
                const std::vector<std::string>& choices = {});
    void option(const std::string& name, double& to, const std::string& help, double least,
                double most);
    void option(const std::string& name, std::int64_t& to, const std::string& help,
                std::int64_t least, std::int64_t most);
    void option(const std::string& name, std::optional<std::int64_t>& to, const std::string& help,
                std::int64_t least, std::int64_t most);
    void option(const std::string& name, std::uint64_t& to, const std::string& help);
    void option(const std::string& name, std::optional<std::uint64_t>& to, const std::string& help);

    /// Reads the arguments of main. The status to exit with where there is nothing to go on with:
    /// the help was asked for and printed, or an argument was refused.
    [[nodiscard]] std::optional<int> read(int argc, char** argv);

private:
    std::unique_ptr<CLI::App> app_;
};

}  // namespace sinter::tool
