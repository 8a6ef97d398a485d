#include "worker.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <thread>

namespace fuzz {
namespace {

constexpr double kPatience = 60;  // seconds that one program may take

void set_text(char (&to)[2000], const std::string& text) {
    std::snprintf(to, sizeof to, "%s", text.c_str());
}

}  // namespace

Progress& shared_progress() {
    void* memory =
        mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
    return *new (memory) Progress;
}

bool run_worker(Progress& progress, double patience, const std::function<void(Progress&)>& work) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("no more processes");
    if (child == 0) {
        work(progress);
        std::fflush(nullptr);
        _exit(0);  // destructors of a library with threads are the parent's affair
    }
    using Clock = std::chrono::steady_clock;
    auto last_progress = Clock::now();
    std::uint64_t seen = 0;
    while (true) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
            progress.verdict = Verdict::Crashed;
            set_text(progress.why,
                     WIFSIGNALED(status)
                         ? "killed by signal " + std::to_string(WTERMSIG(status)) + " (" +
                               strsignal(WTERMSIG(status)) + ")"
                         : "ended with status " + std::to_string(WEXITSTATUS(status)));
            return false;
        }
        const std::uint64_t now_started = *const_cast<volatile std::uint64_t*>(&progress.started);
        if (now_started != seen) {
            seen = now_started;
            last_progress = Clock::now();
        }
        if (std::chrono::duration<double>(Clock::now() - last_progress).count() > patience) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            progress.verdict = Verdict::Hung;
            set_text(progress.why,
                     "no end after " + std::to_string(static_cast<int>(patience)) + " s");
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

Outcome check_apart(const Program& program, const Judge& judge) {
    static Progress& progress = shared_progress();
    progress = {};
    run_worker(progress, kPatience, [&](Progress& shared) {
        const Outcome outcome = check(program, judge);
        shared.verdict = outcome.verdict;
        set_text(shared.why, outcome.why);
    });
    return {progress.verdict, progress.why};
}

}  // namespace fuzz
