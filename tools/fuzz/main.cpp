// sinter-fuzz: random programs, a device against REF. See README.md.

#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>

#include "command_line.h"
#include "maker.h"
#include "print.h"
#include "shrink.h"
#include "tool.h"
#include "worker.h"

namespace {

using namespace fuzz;

struct Options {
    double seconds = 10;
    std::optional<std::uint64_t> seed;
    std::optional<std::uint64_t> program;
    std::optional<std::uint64_t> programs;
    Judge judge;
    bool shrink = true;
};

std::uint64_t seed_of(std::uint64_t seed, std::uint64_t number) {
    return Random(seed * 0x9E3779B97F4A7C15u + number).next();
}

/// The program with this number. Made on REF: making must not touch the device that is checked.
Program make_program(std::uint64_t seed, std::uint64_t number) {
    const sn::DeviceGuard guard{sn::Device("REF")};
    return Maker(seed_of(seed, number)).make();
}

void work(const Options& options, std::uint64_t seed, std::uint64_t first, double seconds,
          Progress& progress) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = first; !options.programs || i < *options.programs; ++i) {
        if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >=
            seconds)
            return;
        progress.started = i + 1;
        Outcome outcome;
        try {
            const Program program = make_program(seed, i);
            progress.steps += program.steps.size();
            outcome = check(program, options.judge);
        } catch (const Refused& refused) {
            outcome = {Verdict::Threw, refused.why};
        }
        if (outcome.verdict != Verdict::Same) {
            progress.verdict = outcome.verdict;
            std::snprintf(progress.why, sizeof progress.why, "%s", outcome.why.c_str());
            return;
        }
        progress.finished = i + 1;
    }
}

const char* verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::Same:
            return "passed";
        case Verdict::Different:
            return "values differ";
        case Verdict::Threw:
            return "an error was thrown";
        case Verdict::Crashed:
            return "crashed";
        case Verdict::Hung:
            return "hung";
    }
    return "?";
}

/// Prints the program, small if it fails on its own too. Returns the exit status.
int report(const Options& options, std::uint64_t seed, std::uint64_t number,
           const Outcome& outcome) {
    std::cout << "\nFAILED: program " << number << " of seed " << seed << ": "
              << verdict_name(outcome.verdict) << "\n"
              << outcome.why << "\nAgain with: sinter-fuzz --seed " << seed << " --program "
              << number << "\n\n"
              << std::flush;
    Program program;
    std::string why;
    try {
        program = make_program(seed, number);
    } catch (const Refused& refused) {
        std::cout << to_cpp(refused.program,
                            "thrown while the last step was built: " + refused.why);
        return 1;
    }
    const Outcome alone = check_apart(program, options.judge);
    why = std::string(verdict_name(outcome.verdict)) + ": " + outcome.why;
    if (alone.verdict != outcome.verdict) {
        why += "\nNot in a process of its own: it takes the programs before it.";
    } else if (options.shrink) {
        std::cout << "Shrinking " << program.steps.size() << " steps ..." << std::endl;
        program = shrink(program, [&](const Program& candidate) {
            const Outcome smaller = check_apart(candidate, options.judge);
            // An error must stay the same error: taking steps away makes programs that are wrong.
            return smaller.verdict == outcome.verdict &&
                   (outcome.verdict != Verdict::Threw || smaller.why == outcome.why);
        });
        const Outcome last = check_apart(program, options.judge);
        why = std::string(verdict_name(last.verdict)) + ": " + last.why;
    }
    if (program.threads) why += "\nRun by two threads at once.";
    if (program.captured)
        why +=
            "\nCaptured by jit, every second leaf as an argument, and replayed with other data in "
            "them.";
    if (program.twice) why += "\nRun once more with other data in the leaves.";
    std::cout << "\n" << to_cpp(program, why) << std::flush;
    return 1;
}

int run(const Options& options) {
    const std::uint64_t seed = options.seed.value_or(
        static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) /
        1000 % 1000000000);
    if (options.program) {
        try {
            std::cout << to_cpp(make_program(seed, *options.program), "") << std::flush;
            const Outcome outcome =
                check_apart(make_program(seed, *options.program), options.judge);
            if (outcome.verdict == Verdict::Same) {
                std::cout << "\npassed\n";
                return 0;
            }
            return report(options, seed, *options.program, outcome);
        } catch (const Refused& refused) {
            return report(options, seed, *options.program, {Verdict::Threw, refused.why});
        }
    }
    std::cout << "seed " << seed << ", " << rows().size() << " ops, " << options.judge.device
              << " against REF" << std::endl;
    Progress& progress = shared_progress();
    const auto start = std::chrono::steady_clock::now();
    run_worker(progress, 120,
               [&](Progress& shared) { work(options, seed, 0, options.seconds, shared); });
    const double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%llu programs, %llu steps in %.1f s: %.1f programs/s\n",
                static_cast<unsigned long long>(progress.finished),
                static_cast<unsigned long long>(progress.steps), elapsed,
                static_cast<double>(progress.finished) / elapsed);
    if (progress.verdict == Verdict::Same) return 0;
    return report(options, seed, progress.started - 1, {progress.verdict, progress.why});
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    std::string& broken = options.judge.broken_row;
    bool keep = false, names = false;
    sinter::tool::CommandLine line(
        "Runs random tensor programs on a device and on REF, and compares.");
    line.option("--seconds", options.seconds, "how long", 0.0, 1e9);
    line.option("--seed", options.seed, "which programs (the time)");
    line.option("--program", options.program, "the N-th program of the seed alone, printed first");
    line.option("--programs", options.programs, "at most so many programs");
    line.option("--device", options.judge.device, "the device to check");
    line.option("--break", broken, "falsifies the results of one op, to see the fuzzer find it");
    line.flag("--no-shrink", keep, "prints a failing program as it is");
    line.flag("--list", names, "names of the ops that programs are made of");
    if (const auto status = line.read(argc, argv)) return *status;
    return sinter::tool::guarded("sinter-fuzz", [&] {
        if (names) {
            for (const Row& row : rows()) std::cout << row.name << "\n";
            return 0;
        }
        options.shrink = !keep;
        options.judge.device = sn::Device(options.judge.device).name();
        if (!broken.empty() && std::ranges::find(rows(), broken, &Row::name) == rows().end())
            throw sn::ValueError("--break takes an op of --list, got \"" + broken + "\"");
        return run(options);
    });
}
