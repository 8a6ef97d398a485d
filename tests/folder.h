#pragma once
// A folder that goes when its test does.

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

namespace sinter::test {

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "sinter-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    /// Also where its rights have been taken away.
    ~Folder() {
        std::error_code ignored;
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, ignored);
        std::filesystem::remove_all(path, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::set<std::string> names() const {
        std::set<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(path))
            all.insert(entry.path().filename().string());
        return all;
    }
};

}  // namespace sinter::test
