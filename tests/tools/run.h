#pragma once
// Runs Sinter's binaries as a user does.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "folder.h"

namespace sinter::test {

struct Outcome {
    int status;  ///< -1 where a signal ended it
    std::string text;
};

/// A line of the shell; both streams are the text.
inline Outcome shell(const std::string& line) {
    FILE* pipe = popen(("{ " + line + "; } 2>&1").c_str(), "r");
    REQUIRE(pipe != nullptr);
    Outcome outcome{-1, ""};
    char buffer[4096];
    while (const std::size_t n = fread(buffer, 1, sizeof buffer, pipe))
        outcome.text.append(buffer, n);
    const int status = pclose(pipe);
    if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
    return outcome;
}

/// The path of sinter-<name>.
inline std::string binary(const std::string& name) {
    return std::string(SINTER_BIN_DIR) + "/sinter-" + name;
}

inline std::string read_file(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace sinter::test
