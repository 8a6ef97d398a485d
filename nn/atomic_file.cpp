#include "atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <sinter/ir/error.h>

namespace sinter::nn {

AtomicFile::AtomicFile(const std::filesystem::path& target)
    : target_(target), temporary_(target.string() + ".XXXXXX") {
    fd_ = mkostemp(temporary_.data(), O_CLOEXEC);
    if (fd_ < 0) fail("cannot be written");
}

AtomicFile::~AtomicFile() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(temporary_.c_str());
}

void AtomicFile::fail(const std::string& what) const {
    throw FileError(target_.string() + ": " + what + ": " + std::strerror(errno));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written =
            ::write(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 30));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("writing failed");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
}

void AtomicFile::commit() {
    // Temporary files are private; the result has the rights of any new file.
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(fd_, 0666 & ~mask) != 0 || fsync(fd_) != 0) fail("writing failed");
    if (rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be replaced");
    close(fd_);
    fd_ = -1;
    // The rename is on the disk once the folder is; a file system that cannot say so is no error.
    const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
    if (const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

}  // namespace sinter::nn
