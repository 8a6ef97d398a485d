// What a user can get wrong around the binaries: flags, variables, files, the cache. Work that was
// not done is a message and a status that is not 0; a cache that does not work costs time alone.

#include <algorithm>
#include <csignal>
#include <regex>

#include <sinter/info.h>

#include "run.h"

namespace fs = std::filesystem;
using namespace sinter::test;

namespace {

// XOR is learned whatever happens to the cache; two runs of it print the same but for the counts.
const std::string kXor = binary("xor") + " --steps 150";

std::string with_cache(const fs::path& folder) {
    return "SINTER_CACHE_DIR=" + folder.string() + " ";
}

// The number before these words in what a binary tells of its kernels.
int count(const std::string& text, const std::string& words) {
    std::smatch match;
    REQUIRE(std::regex_search(text, match, std::regex("([0-9]+) " + words)));
    return std::stoi(match[1]);
}
int compiled(const std::string& text) { return count(text, "compiled"); }
int from_disk(const std::string& text) { return count(text, "from the cache on disk"); }

std::string answers(const std::string& text) { return text.substr(0, text.find("kernels: ")); }

void check_fails(const std::string& line, const std::string& part) {
    const Outcome outcome = shell(line);
    CAPTURE(line);
    CAPTURE(outcome.text);
    CHECK(outcome.status > 0);
    CHECK(outcome.status < 126);
    CHECK(has(outcome.text, part));
    CHECK_FALSE(has(outcome.text, "test accuracy"));
}

}  // namespace

TEST_CASE("every binary refuses flags and values that it does not know") {
    for (const char* name : {"mnist", "xor", "fuzz", "bench", "info"}) {
        check_fails(binary(name) + " --frobnicate", "--frobnicate");
        check_fails(binary(name) + " stray", "stray");
        const Outcome help = shell(binary(name) + " --help");
        CHECK(help.status == 0);
        CHECK_FALSE(help.text.empty());
    }
    check_fails(binary("fuzz") + " --seconds never", "--seconds");
    check_fails(binary("fuzz") + " --seconds 1 --seed one", "--seed");
    check_fails(binary("fuzz") + " --seconds 1 --device TPU", "the devices are CPU, CUDA and REF");
    check_fails(binary("fuzz") + " --seconds 1 --break nothing", "--break");
    check_fails(binary("bench") + " --seconds soon", "--seconds");
    check_fails(binary("bench") + " --seconds nan", "--seconds");
    check_fails(binary("bench") + " --only '['", "regular expression");
    check_fails(binary("xor") + " --steps 0", "--steps");
    check_fails(binary("mnist") + " --epochs", "--epochs");
}

TEST_CASE("a variable that makes no sense is an error that names it") {
    check_fails("DEVICE=TPU " + kXor, "TPU");
    check_fails("SINTER_TARGET=mips " + kXor, "mips");
    check_fails("SINTER_THREADS=many " + kXor, "SINTER_THREADS=many");
    check_fails("DEBUG=loud " + kXor, "DEBUG=loud");
    check_fails("SINTER_CACHE_SIZE_MB=big " + kXor, "SINTER_CACHE_SIZE_MB=big");
    check_fails("SINTER_LLVM=/nowhere/libLLVM.so " + kXor, "/nowhere/libLLVM.so");
}

TEST_CASE("a second run finds its programs on disk, and computes the same") {
    const Folder folder;
    const std::string line = with_cache(folder.path / "new" / "cache") + kXor;
    const Outcome first = shell(line), second = shell(line);
    INFO(first.text << second.text);
    CHECK(first.status == 0);
    CHECK(compiled(first.text) > 0);
    CHECK(second.status == 0);
    CHECK(compiled(second.text) == 0);
    CHECK(from_disk(second.text) == compiled(first.text) + from_disk(first.text));
    CHECK(answers(first.text) == answers(second.text));
}

TEST_CASE("programs that were damaged on disk are made again, and no result changes") {
    const Folder folder;
    const std::string line = with_cache(folder.path) + kXor;
    const Outcome good = shell(line);
    REQUIRE(good.status == 0);
    struct Damage {
        const char* what;
        void (*apply)(std::string& bytes);
    };
    const Damage kinds[] = {
        {"a flipped bit in the middle", [](std::string& b) { b[b.size() / 2] ^= 4; }},
        {"a flipped bit at the end", [](std::string& b) { b.back() ^= 1; }},
        {"a flipped bit at the start", [](std::string& b) { b[0] ^= 1; }},
        {"half of it gone", [](std::string& b) { b.resize(b.size() / 2); }},
        {"nothing left", [](std::string& b) { b.clear(); }},
        {"other bytes", [](std::string& b) { b.assign(b.size(), 'x'); }},
    };
    for (const Damage& damage : kinds) {
        CAPTURE(damage.what);
        for (const std::string& name : folder.names()) {
            std::string bytes = read_file(folder.path / name);
            damage.apply(bytes);
            std::ofstream(folder.path / name, std::ios::binary | std::ios::trunc) << bytes;
        }
        const Outcome again = shell(line);
        CAPTURE(again.text);
        CHECK(again.status == 0);
        CHECK(compiled(again.text) == compiled(good.text));
        CHECK(answers(again.text) == answers(good.text));
        const Outcome repaired = shell(line);
        CHECK(compiled(repaired.text) == 0);
        CHECK(answers(repaired.text) == answers(good.text));
    }
}

TEST_CASE("a cache folder that cannot be written costs time alone") {
    const Folder folder;
    std::ofstream(folder.path / "file") << "in the way";
    const Outcome good = shell("SINTER_CACHE_DIR=off " + kXor);
    REQUIRE(good.status == 0);
    for (const fs::path& where : {fs::path("/proc/sinter"), folder.path / "file" / "cache",
                                  fs::path("/dev/null"), folder.path / "file"}) {
        CAPTURE(where.string());
        const Outcome outcome = shell(with_cache(where) + kXor);
        CAPTURE(outcome.text);
        CHECK(outcome.status == 0);
        CHECK(answers(outcome.text) == answers(good.text));
    }
    CHECK(read_file(folder.path / "file") == "in the way");
}

TEST_CASE("a cache folder that is full costs time alone, and keeps no part of an entry") {
    // A limit on the size of files fails writes as a full disk does.
    const Folder folder;
    const Outcome outcome = shell("trap '' XFSZ; ulimit -f 1; " + with_cache(folder.path) + kXor);
    CAPTURE(outcome.text);
    CHECK(outcome.status == 0);
    CHECK(has(outcome.text, "0 xor 1"));
    // What did fit is whole: it is found again, and the rest is made again.
    const std::size_t kept = folder.names().size();
    for (const std::string& name : folder.names()) CHECK(name.ends_with(".kernel"));
    const Outcome next = shell(with_cache(folder.path) + kXor);
    CHECK(next.status == 0);
    CHECK(from_disk(next.text) == static_cast<int>(kept));
    CHECK(answers(next.text) == answers(outcome.text));
}

TEST_CASE("processes that share a cache from the start compute the same, and leave whole entries") {
    const Folder folder, logs;
    std::string line;
    for (int i = 0; i < 3; ++i)
        line += with_cache(folder.path) + kXor + " >" + (logs.path / std::to_string(i)).string() +
                " 2>&1 & p" + std::to_string(i) + "=$!; ";
    const Outcome outcome = shell(line + "wait $p0 && wait $p1 && wait $p2");
    CHECK(outcome.status == 0);
    const std::string first = answers(read_file(logs.path / "0"));
    CHECK(has(first, "1 xor 1"));
    for (const char* log : {"1", "2"}) CHECK(answers(read_file(logs.path / log)) == first);
    for (const std::string& name : folder.names()) CHECK(name.ends_with(".kernel"));
    const Outcome after = shell(with_cache(folder.path) + kXor);
    CHECK(compiled(after.text) == 0);
    CHECK(answers(after.text) == first);
}

TEST_CASE("the same graphs are the same kernels, source and cache keys in every process") {
    const Folder a, b;
    const auto keys = [](const Folder& folder) {
        REQUIRE(shell(with_cache(folder.path) + kXor).status == 0);
        return folder.names();
    };
    const std::set<std::string> first = keys(a);
    CHECK_FALSE(first.empty());
    CHECK(first == keys(b));

    // What DEBUG=4 prints of kernels, but for the lines about launches: times differ.
    const auto sources = [](int) {
        const Outcome outcome =
            shell("DEBUG=4 SINTER_CACHE_DIR=off " + binary("xor") + " --steps 2 2>&1 >/dev/null");
        const std::regex launch("^[a-z][a-z0-9_]* .* (ns|us|ms|s ) .*$");
        std::istringstream lines(outcome.text);
        std::string line, text;
        while (std::getline(lines, line))
            if (!std::regex_match(line, launch)) text += line + "\n";
        return text;
    };
    const std::string source = sources(1);
    CHECK(has(source, "--- source of "));
    CHECK(has(source, "define "));
    CHECK(source == sources(2));
}

TEST_CASE("the same seed trains the same network, to the last bit of its weights") {
    const Folder folder;
    const auto train = [&](const char* file, const std::string& seed) {
        const fs::path path = folder.path / file;
        const Outcome outcome =
            shell(binary("mnist") + " --model cnn --epochs 1 --batch 2000 --seed " + seed +
                  " --save " + path.string());
        CAPTURE(outcome.text);
        CHECK(outcome.status == 0);
        return read_file(path);
    };
    const std::string first = train("a", "5");
    CHECK(first.size() > 300000);
    CHECK((first == train("b", "5")));
    CHECK((first != train("c", "6")));
}

TEST_CASE("weights that cannot be saved are an error, and what was there before stays") {
    const Folder folder;
    const fs::path file = folder.path / "net.safetensors";
    std::ofstream(file) << "what was there";
    const std::string line = binary("mnist") + " --model mlp --epochs 1 --batch 5000 --save ";
    check_fails(line + folder.path.string(), "is a folder");
    check_fails(line + (folder.path / "absent" / "net").string(), "there is no folder");
    check_fails(line + "/proc/net", "/proc/net");
    check_fails("trap '' XFSZ; ulimit -f 100; " + line + file.string(), file.string());
    CHECK(read_file(file) == "what was there");
    CHECK(folder.names() == std::set<std::string>{"net.safetensors"});
}

TEST_CASE("data files that are truncated or damaged are refused by name") {
    const Folder folder;
    const auto fails = [&](const std::string& part) {
        check_fails(binary("mnist") + " --data " + folder.path.string(), part);
    };
    const auto put = [&](const char* name, const std::string& bytes) {
        std::ofstream(folder.path / name, std::ios::binary) << bytes;
    };
    using namespace std::string_literals;
    put("train-images-idx3-ubyte", "\0\0\x08\x03\0\0\0\x02\0\0\0\x1c\0\0\0\x1c"s + "half");
    put("train-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x02\1\2"s);
    put("t10k-images-idx3-ubyte", "\0\0\x08\x03\0\0\0\x02"s);
    put("t10k-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x02\1\2"s);
    fails("train-images-idx3-ubyte");
    fails("truncated");
    put("train-images-idx3-ubyte", "\x1f\x8b\x08 not really gzip"s);
    fails("train-images-idx3-ubyte");
}

TEST_CASE("sinter-info names the devices, LLVM, the cache and every variable") {
    const Folder folder;
    const Outcome outcome = shell(with_cache(folder.path) + binary("info"));
    CHECK(outcome.status == 0);
    for (const char* label : {"sinter ", "CPU ", "REF ", "LLVM ", "threads ", "cache "})
        CHECK(has("\n" + outcome.text, std::string("\n") + label));
    CHECK(has(outcome.text, folder.path.string()));
    for (const sinter::EnvironmentVariable& variable : sinter::environment()) {
        CAPTURE(variable.name);
        CHECK(has(outcome.text, "\n" + variable.name + " "));
        CHECK(has(outcome.text, variable.doc));
    }
    const Outcome without = shell("SINTER_LLVM=/nowhere/libLLVM.so " + binary("info"));
    CHECK(without.status == 0);
    CHECK(has(without.text, "unusable"));
}
