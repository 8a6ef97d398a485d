// What DEBUG=2 and PROFILE tell of a run.

#include <algorithm>
#include <regex>
#include <sstream>

#include "run.h"

using namespace sinter::test;

TEST_CASE("PROFILE writes compile phases, kernels and threads as a Chrome trace") {
    const Folder folder;
    const std::string file = (folder.path / "trace.json").string();
    REQUIRE(shell("SINTER_CACHE_DIR=off SINTER_THREADS=2 PROFILE=" + file + " " + binary("mnist") +
                  " --model mlp --epochs 1 --batch 5000")
                .status == 0);
    const std::string text = read_file(file);
    CHECK(text.starts_with("[\n{"));
    for (const char* part :
         {"\"name\":\"schedule\",\"cat\":\"compile\"", "\"name\":\"lower ", "\"name\":\"LLVM ",
          "\"name\":\"link ", "\"cat\":\"kernel\"", "\"name\":\"thread_name\"", "\"sinter-1\"",
          "\"tid\":2", "\"flops\":", "\"bytes\":", "\"dur\":"}) {
        CAPTURE(part);
        CHECK(has(text, part));
    }
    // A whole array, one object a line.
    CHECK(text.ends_with("}\n]\n"));
    CHECK(text.find(']') == text.size() - 2);
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line) && line != "]") {
        CHECK(line.front() == '{');
        CHECK((line.ends_with("},") || text.ends_with(line + "\n]\n")));
        CHECK(std::count(line.begin(), line.end(), '{') ==
              std::count(line.begin(), line.end(), '}'));
    }
}

TEST_CASE(
    "DEBUG=2 prints rates and the share of the machine's limit, of updates of many tensors too") {
    const Outcome outcome = shell("DEBUG=2 " + binary("mnist") +
                                  " --model mlp --epochs 1 --batch 5000 2>&1 >/dev/null");
    REQUIRE(outcome.status == 0);
    const std::regex row(
        "^[a-z][a-z0-9_]* +[0-9.]+ (ns|us|ms|s ) +[0-9.]+ GFLOP/s +[0-9.]+ GB/s +[0-9.]+%.*$");
    std::istringstream lines(outcome.text);
    std::string line;
    int rows = 0, updates = 0;
    while (std::getline(lines, line)) {
        if (!has(line, "GFLOP/s")) continue;
        ++rows;
        CAPTURE(line);
        CHECK(std::regex_match(line, row));
        if (!line.starts_with("e_n ") || has(line, "1 segment")) continue;
        ++updates;
        CHECK_FALSE(has(line, " 0.00 GB/s"));
    }
    CHECK(rows > 5);
    CHECK(updates > 0);
}
