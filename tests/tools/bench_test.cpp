#include <cmath>
#include <cstring>
#include <vector>

#include "run.h"

using namespace sinter::test;

TEST_CASE("sinter-bench answers a benchmark driver, line by line") {
    const Folder folder;
    const std::string out = (folder.path / "out").string();
    const std::string requests =
        R"({"cmd":"hello"})"
        "\n"
        R"({"cmd":"prepare","workload":"g","kind":"gemm","params":{"m":2,"n":3,"k":4},"dtype":"f32","seed":1,"out":")" +
        out +
        R"("})"
        "\n"
        R"({"cmd":"time","min_s":0.0001,"reps":3,"warm":1})"
        "\n"
        R"({"cmd":"prepare","workload":"x","kind":"no_such_kind","params":{},"dtype":"f32","seed":1,"out":null})"
        "\n"
        R"({"cmd":"drop"})"
        "\n"
        R"({"cmd":"time"})"
        "\nno json\n"
        R"({"cmd":"exit"})"
        "\n";
    std::ofstream(folder.path / "requests") << requests;
    const Outcome outcome =
        shell(binary("bench") + " --serve < " + (folder.path / "requests").string());
    CHECK(outcome.status == 0);
    std::istringstream lines(outcome.text);
    std::vector<std::string> replies;
    for (std::string line; std::getline(lines, line);) replies.push_back(line);
    REQUIRE(replies.size() == 7);
    CHECK(replies[0].find(R"("name":"sinter")") != std::string::npos);
    CHECK(replies[1].find(R"("first_s")") != std::string::npos);
    CHECK(replies[2].find(R"("s":[)") != std::string::npos);
    CHECK(replies[3].find(R"("unsupported":true)") != std::string::npos);
    CHECK(replies[4] == R"({"ok":true})");
    CHECK(replies[5].find(R"("ok":false)") != std::string::npos);
    CHECK(replies[6].find(R"("ok":false)") != std::string::npos);

    // The first numbers of the generator's first two tensors, as its description gives them.
    const std::string bytes = read_file(out);
    REQUIRE(bytes.size() == 6 * sizeof(float));
    float first = 0;
    std::memcpy(&first, bytes.data(), sizeof first);
    CHECK(std::isfinite(first));
    const std::string one = (folder.path / "one").string();
    std::ofstream(folder.path / "exp")
        << R"({"cmd":"prepare","kind":"exp","params":{"n":3},"dtype":"f32","seed":1,"out":")" << one
        << R"("})"
        << "\n";
    shell(binary("bench") + " --serve < " + (folder.path / "exp").string());
    const std::string values = read_file(one);
    REQUIRE(values.size() == 3 * sizeof(float));
    float x[3];
    std::memcpy(x, values.data(), sizeof x);
    CHECK(x[0] == doctest::Approx(std::exp(4 * 0.19325578212738037)).epsilon(1e-6));
    CHECK(x[1] == doctest::Approx(std::exp(4 * -0.010821342468261719)).epsilon(1e-6));
    CHECK(x[2] == doctest::Approx(std::exp(4 * -0.5924768447875977)).epsilon(1e-6));
}

TEST_CASE("rows of new kernels leave the user's cache alone") {
    const Folder folder;
    const Outcome outcome = shell("SINTER_CACHE_DIR=" + folder.path.string() + " " +
                                  binary("bench") + " --only '^new_elementwise$' --seconds 0.05");
    CHECK(outcome.status == 0);
    CHECK(outcome.text.find("new_elementwise") != std::string::npos);
    CHECK(std::filesystem::is_empty(folder.path));
    const Outcome unknown = shell(binary("bench") + " --new-kernel none");
    CHECK(unknown.status != 0);
    CHECK(unknown.text.find("none") != std::string::npos);
}
