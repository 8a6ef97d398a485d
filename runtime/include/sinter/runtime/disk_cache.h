#pragma once
// A folder of byte strings by key, shared by any number of processes.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace sinter::runtime {

/// 128 bits that differ for different bytes, with the usual odds; not for use against an adversary.
struct Hash128 {
    std::uint64_t low, high;
    std::string hex() const;
    friend bool operator==(const Hash128&, const Hash128&) = default;
};
Hash128 hash_bytes(std::string_view bytes);

/// One file an entry, named by the hash of its key and holding the whole key, so that no two keys
/// are mixed up. Entries are written beside their place and moved there; each has a checksum. An
/// entry that is damaged, truncated or of another format counts as absent and is removed. Nothing
/// here throws: a folder that cannot be written, or a full disk, makes a cache that forgets. Any
/// thread may call.
class DiskCache {
public:
    /// An empty folder, or a cap of 0 bytes: a cache that keeps nothing.
    DiskCache(std::filesystem::path folder, std::uint64_t cap_bytes);

    std::optional<std::string> get(std::string_view key);
    void put(std::string_view key, std::string_view value);

    bool enabled() const { return !folder_.empty() && cap_bytes_ != 0; }
    const std::filesystem::path& folder() const { return folder_; }
    std::uint64_t cap_bytes() const { return cap_bytes_; }
    /// Files and their bytes; reads the folder.
    struct Size {
        std::uint64_t entries = 0, bytes = 0;
    };
    Size size() const;

    /// Where the cache of this process lies, by SINTER_CACHE_DIR, XDG_CACHE_HOME and HOME; empty if
    /// it is off.
    static std::filesystem::path default_folder();
    /// The cache of this process, by SINTER_CACHE_DIR and SINTER_CACHE_SIZE_MB as they are now.
    /// Stays valid.
    static DiskCache& instance();
    /// The same for a folder within that one.
    static DiskCache& instance_within(std::string_view folder);

private:
    std::filesystem::path path_of(std::string_view key) const;
    void sweep();  // with the mutex held

    const std::filesystem::path folder_;
    const std::uint64_t cap_bytes_;
    std::mutex mutex_;
    std::uint64_t known_bytes_ = 0;  // of the folder, as far as this process has seen
    bool counted_ = false;
    std::atomic<int> failures_{0};
    std::atomic<std::uint64_t> temporaries_{0};
};

}  // namespace sinter::runtime
