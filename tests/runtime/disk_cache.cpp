#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <sinter/ir/env.h>
#include <sinter/runtime/disk_cache.h>

#include "folder.h"

using namespace sinter;
using namespace sinter::runtime;
namespace fs = std::filesystem;

namespace {

struct Folder : test::Folder {
    fs::path cache() const { return path / "cache"; }
    fs::path only_file() const {
        fs::path found;
        for (const auto& entry : fs::directory_iterator(cache())) found = entry.path();
        return found;
    }
};

std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

constexpr std::uint64_t kMega = std::uint64_t{1} << 20;
const std::string kValue = "machine code \0 with zeros";

}  // namespace

TEST_CASE("what is put is found again, by this cache and by the next") {
    const Folder folder;
    {
        DiskCache cache(folder.cache(), kMega);
        CHECK_FALSE(cache.get("key"));
        cache.put("key", kValue);
        cache.put("empty", "");
        CHECK(cache.get("key") == kValue);
    }
    DiskCache cache(folder.cache(), kMega);
    CHECK(cache.get("key") == kValue);
    CHECK(cache.get("empty") == "");
    CHECK_FALSE(cache.get("other"));
    cache.put("key", "newer");
    CHECK(cache.get("key") == "newer");
    CHECK(cache.size().entries == 2);
}

TEST_CASE("an entry with any bit flipped is not believed") {
    const Folder folder;
    DiskCache cache(folder.cache(), kMega);
    cache.put("key", kValue);
    const fs::path file = folder.only_file();
    const std::string good = read(file);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
        write(file, bad);
        if (cache.get("key")) FAIL("bit ", bit, " flipped goes unnoticed");
        if (fs::exists(file)) FAIL("bit ", bit, ": the damaged entry stays");
    }
    cache.put("key", kValue);
    CHECK(cache.get("key") == kValue);
}

TEST_CASE("a truncated or lengthened entry is not believed") {
    const Folder folder;
    DiskCache cache(folder.cache(), kMega);
    cache.put("key", kValue);
    const fs::path file = folder.only_file();
    const std::string good = read(file);
    for (std::size_t kept = 0; kept < good.size(); ++kept) {
        write(file, good.substr(0, kept));
        if (cache.get("key")) FAIL("truncation to ", kept, " bytes goes unnoticed");
    }
    write(file, good + "x");
    CHECK_FALSE(cache.get("key"));
}

TEST_CASE("an entry of another key is not taken for this one, even under its name") {
    const Folder folder;
    DiskCache cache(folder.cache(), kMega);
    cache.put("key", kValue);
    const fs::path first = folder.only_file();
    const std::string bytes = read(first);
    fs::remove(first);
    cache.put("other", "value");
    const fs::path second = folder.only_file();
    write(second, bytes);
    CHECK_FALSE(cache.get("other"));
}

TEST_CASE("a folder that cannot be made or written is a cache that forgets") {
    const Folder folder;
    write(folder.path / "file", "in the way");
    DiskCache blocked(folder.path / "file" / "cache", kMega);
    for (int i = 0; i < 5; ++i) blocked.put("key", kValue);
    CHECK_FALSE(blocked.get("key"));
    CHECK(blocked.size().entries == 0);

    // As root nothing is unwritable; /proc takes no files from anyone.
    DiskCache unwritable("/proc/sinter-cache", kMega);
    unwritable.put("key", kValue);
    CHECK_FALSE(unwritable.get("key"));

    DiskCache off({}, kMega);
    off.put("key", kValue);
    CHECK_FALSE(off.get("key"));
}

TEST_CASE("a full disk leaves no part of an entry behind") {
    // /dev/full is a device, not a folder; a file size limit fails writes in the same way.
    const Folder folder;
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{100, 100};
        setrlimit(RLIMIT_FSIZE, &limit);
        DiskCache cache(folder.cache(), kMega);
        cache.put("key", std::string(1000, 'x'));
        const bool clean = !cache.get("key") && fs::is_empty(folder.cache());
        _exit(clean ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("the folder stays under its cap, and loses what was used least lately") {
    const Folder folder;
    constexpr std::uint64_t kCap = 100000;
    DiskCache cache(folder.cache(), kCap);
    const std::string value(2000, 'v');
    const auto name = [](int i) { return "key" + std::to_string(i); };
    for (int i = 0; i < 44; ++i) cache.put(name(i), value);
    int hours = 2000;
    for (const auto& entry : fs::directory_iterator(folder.cache()))
        fs::last_write_time(entry.path(),
                            fs::file_time_type::clock::now() - std::chrono::hours(hours--));
    for (int i = 0; i < 20; ++i) CHECK(cache.get(name(i)) == value);  // young again
    for (int i = 44; i < 60; ++i) cache.put(name(i), value);
    CHECK(cache.size().bytes <= kCap);
    CHECK(cache.size().bytes > kCap / 2);
    for (int i = 0; i < 20; ++i) CHECK((cache.get(name(i)) == value));
    for (int i = 44; i < 60; ++i) CHECK((cache.get(name(i)) == value));
}

TEST_CASE("processes share a folder") {
    const Folder folder;
    constexpr int kProcesses = 3, kKeys = 60;
    const auto value_of = [](int key) {
        return std::string(static_cast<std::size_t>(100 + 37 * key), static_cast<char>(key));
    };
    pid_t children[kProcesses];
    for (pid_t& child : children) {
        child = fork();
        if (child != 0) continue;
        DiskCache cache(folder.cache(), 60000);  // small enough that sweeps run meanwhile
        bool right = true;
        for (int round = 0; round < 5; ++round)
            for (int key = 0; key < kKeys; ++key) {
                cache.put(std::to_string(key), value_of(key));
                const auto found = cache.get(std::to_string(key));
                if (found && *found != value_of(key)) right = false;
            }
        _exit(right ? 0 : 1);
    }
    for (const pid_t child : children) {
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    for (const auto& entry : fs::directory_iterator(folder.cache()))
        CHECK(entry.path().extension() == ".kernel");
}

TEST_CASE("the folder follows the environment") {
    {
        const ir::env::Override folder("SINTER_CACHE_DIR", "/some/where");
        CHECK(DiskCache::default_folder() == "/some/where");
        const ir::env::Override nothing("SINTER_CACHE_SIZE_MB", "0");
        CHECK_FALSE(DiskCache::instance().enabled());
    }
    const ir::env::Override off("SINTER_CACHE_DIR", "off");
    CHECK(DiskCache::default_folder().empty());
    CHECK_FALSE(DiskCache::instance().enabled());
}

TEST_CASE("hashes of near-equal bytes differ") {
    std::set<std::string> seen;
    for (std::size_t length = 0; length < 40; ++length) {
        const std::string zeros(length, '\0');
        CHECK(seen.insert(hash_bytes(zeros).hex()).second);
        for (std::size_t bit = 0; bit < 8 * length; ++bit) {
            std::string flipped = zeros;
            flipped[bit / 8] = static_cast<char>(1 << bit % 8);
            if (!seen.insert(hash_bytes(flipped).hex()).second)
                FAIL("length ", length, " bit ", bit);
        }
    }
}
