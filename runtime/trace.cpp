#include "trace.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>

#include <sinter/ir/env.h>

namespace sinter::runtime::trace {
namespace {

// Chrome's JSON array form. Each event is written over the closing bracket, with a new one after
// it, so that a process that dies leaves a whole array too; into a pipe, the bracket is left out,
// which Chrome accepts.
class File {
public:
    static File* instance() {
        static File* file =
            ir::env::text("PROFILE").empty() ? nullptr : new File(ir::env::text("PROFILE"));
        return file;
    }

    void event(const std::string& json) {
        if (file_ == nullptr) return;
        const std::lock_guard lock(mutex_);
        constexpr std::string_view kClosing = "\n]\n";
        if (!first_ && seekable_) std::fseek(file_, -static_cast<long>(kClosing.size()), SEEK_CUR);
        std::fprintf(file_, "%s%s%s", first_ ? "[\n" : ",\n", json.c_str(),
                     seekable_ ? kClosing.data() : "");
        first_ = false;
        std::fflush(file_);
    }
    double microseconds(Clock::time_point at) const {
        return std::chrono::duration<double, std::micro>(at - start_).count();
    }

private:
    explicit File(const std::string& path) : file_(std::fopen(path.c_str(), "w")) {
        if (file_ == nullptr)
            std::fprintf(stderr, "sinter: PROFILE=%s cannot be written; there will be no trace\n",
                         path.c_str());
        else
            seekable_ = std::fseek(file_, 0, SEEK_CUR) == 0;
    }
    std::FILE* file_;
    bool seekable_ = false;
    std::mutex mutex_;
    bool first_ = true;
    const Clock::time_point start_ = Clock::now();
};

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + '"';
}

}  // namespace

bool enabled() { return File::instance() != nullptr; }

int thread_number() {
    static std::atomic<int> next{1};
    thread_local int mine = 0;
    if (mine == 0) {
        mine = next.fetch_add(1);
        char name[32] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        if (File* file = File::instance())
            file->event(
                "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":" + std::to_string(getpid()) +
                ",\"tid\":" + std::to_string(mine) + ",\"args\":{\"name\":" + quoted(name) + "}}");
    }
    return mine;
}

void write(std::string_view name, std::string_view category, int thread, Clock::time_point begin,
           Clock::time_point end, std::string_view args) {
    File* const file = File::instance();
    if (file == nullptr) return;
    char times[80];
    std::snprintf(times, sizeof times, "\"ts\":%.3f,\"dur\":%.3f", file->microseconds(begin),
                  std::chrono::duration<double, std::micro>(end - begin).count());
    file->event("{\"name\":" + quoted(name) + ",\"cat\":" + quoted(category) +
                ",\"ph\":\"X\",\"pid\":" + std::to_string(getpid()) + ",\"tid\":" +
                std::to_string(thread) + "," + times + ",\"args\":{" + std::string(args) + "}}");
}

}  // namespace sinter::runtime::trace
