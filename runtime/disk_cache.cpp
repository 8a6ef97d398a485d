#include <sinter/runtime/disk_cache.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <sinter/ir/env.h>

namespace sinter::runtime {
namespace fs = std::filesystem;
namespace {

constexpr char kMagic[8] = {'S', 'I', 'N', 'T', 'E', 'R', 'C', '1'};
constexpr std::string_view kSuffix = ".kernel", kTemporary = ".part";

// What a file begins with; then come the key and the value.
struct Header {
    char magic[8];
    std::uint64_t key_bytes, value_bytes;
    std::uint64_t check_low, check_high;  // hash of key and value
};

Hash128 checksum(std::string_view key, std::string_view value) {
    const Hash128 a = hash_bytes(key), b = hash_bytes(value);
    const std::uint64_t words[] = {a.low, a.high, b.low, b.high, key.size(), value.size()};
    return hash_bytes({reinterpret_cast<const char*>(words), sizeof words});
}

class File {
public:
    explicit File(int descriptor) : descriptor_(descriptor) {}
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int get() const { return descriptor_; }
    // False where the system reports only now that the data could not be kept.
    bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }

private:
    int descriptor_;
};

bool read_all(int file, char* to, std::size_t bytes) {
    while (bytes != 0) {
        const ssize_t got = ::read(file, to, bytes);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got;
        bytes -= static_cast<std::size_t>(got);
    }
    return true;
}

bool write_all(int file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(file, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return true;
}

// In a folder with room for so much, one entry in kUncounted makes its process count what is there.
constexpr std::uint64_t kLargeCap = std::uint64_t{64} << 20, kUncounted = 64;

struct Entry {
    fs::path path;
    std::uint64_t bytes;
    fs::file_time_type used;
};

// The folder's entries. Unfinished files of processes that died are removed.
std::vector<Entry> list(const fs::path& folder) {
    std::vector<Entry> entries;
    std::error_code error;
    const auto now = fs::file_time_type::clock::now();
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        std::error_code gone;  // another process may remove files as we go
        const std::uint64_t bytes = it->file_size(gone);
        const fs::file_time_type used = gone ? fs::file_time_type{} : it->last_write_time(gone);
        if (gone) continue;
        const fs::path extension = it->path().extension();
        if (extension == kSuffix)
            entries.push_back({it->path(), bytes, used});
        else if (extension == kTemporary && now - used > std::chrono::hours(1))
            fs::remove(it->path(), gone);
    }
    return entries;
}

}  // namespace

Hash128 hash_bytes(std::string_view bytes) {
    __extension__ using Wide = unsigned __int128;
    const auto fold = [](std::uint64_t a, std::uint64_t b) {
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    // Odd constants: digits of the square roots of 2, 3, 5 and 7.
    constexpr std::uint64_t k0 = 0x6a09e667f3bcc909, k1 = 0xbb67ae8584caa73b,
                            k2 = 0x3c6ef372fe94f82b, k3 = 0xa54ff53a5f1d36f1;
    std::uint64_t a = k0 ^ bytes.size(), b = k1;
    const char* at = bytes.data();
    std::size_t left = bytes.size();
    while (left != 0) {
        std::uint64_t words[2] = {};
        const std::size_t take = std::min(left, sizeof words);
        std::memcpy(words, at, take);
        // Sums beside the products, so that a zero factor loses nothing.
        const std::uint64_t next = fold(a ^ words[0], k2 ^ words[1]) + words[1];
        b = fold(b ^ words[1], k3 ^ words[0]) + (words[0] ^ (a << 1 | a >> 63));
        a = next + k0;
        at += take;
        left -= take;
    }
    return {fold(a ^ k1, b ^ k2) + b, fold(b ^ k3, a ^ k0) + a};
}

std::string Hash128::hex() const {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint64_t half : {high, low})
        for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[half >> shift & 15];
    return text;
}

DiskCache::DiskCache(fs::path folder, std::uint64_t cap_bytes)
    : folder_(std::move(folder)), cap_bytes_(cap_bytes) {}

fs::path DiskCache::path_of(std::string_view key) const {
    return folder_ / (hash_bytes(key).hex() + std::string(kSuffix));
}

std::optional<std::string> DiskCache::get(std::string_view key) {
    if (!enabled()) return std::nullopt;
    const fs::path path = path_of(key);
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status;
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return std::nullopt;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    // Code is run: what somebody else put here is not ours to trust.
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) return std::nullopt;

    const auto damaged = [&]() -> std::optional<std::string> {
        ::unlink(path.c_str());
        return std::nullopt;
    };
    Header header;
    if (size < sizeof header) return damaged();
    if (!read_all(file.get(), reinterpret_cast<char*>(&header), sizeof header)) return std::nullopt;
    const std::uint64_t rest = size - sizeof header;
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.key_bytes > rest ||
        header.value_bytes != rest - header.key_bytes)
        return damaged();
    std::string content(rest, '\0');
    if (!read_all(file.get(), content.data(), content.size())) return std::nullopt;
    const std::string_view stored_key = std::string_view(content).substr(0, header.key_bytes);
    const std::string_view value = std::string_view(content).substr(header.key_bytes);
    if (checksum(stored_key, value) != Hash128{header.check_low, header.check_high})
        return damaged();
    if (stored_key != key) return std::nullopt;  // another key of the same hash

    // The sweep removes what was not used for longest. A stamp a day is enough, and costs nothing
    // in between.
    constexpr std::int64_t kDay = 24 * 60 * 60;
    if (::time(nullptr) - status.st_mtime > kDay) ::futimens(file.get(), nullptr);
    return std::string(value);
}

void DiskCache::put(std::string_view key, std::string_view value) {
    constexpr int kPatience = 3;  // failures after which the folder is left alone
    if (!enabled() || failures_.load(std::memory_order_relaxed) >= kPatience) return;
    const fs::path path = path_of(key);
    const fs::path temporary =
        folder_ / (path.stem().string() + "-" + std::to_string(::getpid()) + "-" +
                   std::to_string(temporaries_.fetch_add(1)) + std::string(kTemporary));
    const auto open = [&] {
        return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    };
    int descriptor = open();
    if (descriptor < 0 && errno == ENOENT) {
        std::error_code error;
        fs::create_directories(folder_.parent_path(), error);
        ::mkdir(folder_.c_str(), 0700);
        descriptor = open();
    }
    File file(descriptor);
    const Hash128 check = checksum(key, value);
    Header header{{}, key.size(), value.size(), check.low, check.high};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    const bool written =
        file.get() >= 0 &&
        write_all(file.get(), {reinterpret_cast<const char*>(&header), sizeof header}) &&
        write_all(file.get(), key) && write_all(file.get(), value) && file.close() &&
        ::rename(temporary.c_str(), path.c_str()) == 0;
    if (!written) {
        failures_.fetch_add(1, std::memory_order_relaxed);
        ::unlink(temporary.c_str());
        return;
    }
    const std::lock_guard lock(mutex_);
    known_bytes_ += sizeof header + key.size() + value.size();
    if (!counted_) {
        // Counting a large folder takes long. One entry in many has its process do so; what the
        // folder grows by in between is little beside its cap.
        const bool count = cap_bytes_ < kLargeCap || check.low % kUncounted == 0;
        if (!count) return;
        known_bytes_ = size().bytes;
        counted_ = true;
    }
    if (known_bytes_ > cap_bytes_) sweep();
}

void DiskCache::sweep() {
    std::vector<Entry> entries = list(folder_);
    known_bytes_ = 0;
    for (const Entry& entry : entries) known_bytes_ += entry.bytes;
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.used < b.used; });
    // A fifth more than needed goes, so that a full cache does not sweep at every entry.
    for (const Entry& entry : entries) {
        if (known_bytes_ <= cap_bytes_ / 5 * 4) break;
        std::error_code gone;
        fs::remove(entry.path, gone);
        known_bytes_ -= entry.bytes;
    }
}

DiskCache::Size DiskCache::size() const {
    Size total;
    if (folder_.empty()) return total;
    for (const Entry& entry : list(folder_)) {
        ++total.entries;
        total.bytes += entry.bytes;
    }
    return total;
}

fs::path DiskCache::default_folder() {
    const std::string chosen = ir::env::text("SINTER_CACHE_DIR");
    if (chosen == "off") return {};
    if (!chosen.empty()) return chosen;
    if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/')
        return fs::path(xdg) / "sinter";
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
        return fs::path(home) / ".cache" / "sinter";
    return {};
}

DiskCache& DiskCache::instance() { return instance_within({}); }

DiskCache& DiskCache::instance_within(std::string_view within) {
    static std::mutex mutex;
    static auto& caches =
        *new std::map<std::pair<std::string, std::uint64_t>, std::unique_ptr<DiskCache>>;
    fs::path folder = default_folder();
    if (!folder.empty() && !within.empty()) folder /= within;
    const std::int64_t megabytes =
        std::clamp<std::int64_t>(ir::env::number("SINTER_CACHE_SIZE_MB"), 0, 1 << 30);
    const std::uint64_t cap = static_cast<std::uint64_t>(megabytes) << 20;
    const std::lock_guard lock(mutex);
    auto& cache = caches[{folder.string(), cap}];
    if (!cache) cache = std::make_unique<DiskCache>(folder, cap);
    return *cache;
}

}  // namespace sinter::runtime
