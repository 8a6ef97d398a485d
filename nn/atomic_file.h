#pragma once
// Files that appear whole or not at all.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace sinter::nn {

/// Bytes go to a temporary file beside the target; commit() flushes it to the disk and renames it.
/// Without a commit the temporary file is removed, and what stood under the name stays. All throw
/// FileError naming the target.
class AtomicFile {
public:
    explicit AtomicFile(const std::filesystem::path& target);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void commit();

private:
    [[noreturn]] void fail(const std::string& what) const;

    std::filesystem::path target_;
    std::string temporary_;
    int fd_ = -1;
};

}  // namespace sinter::nn
