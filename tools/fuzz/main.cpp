// sinter-fuzz: random programs, a device against REF. See README.md.

#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>

#include "maker.h"
#include "print.h"
#include "shrink.h"
#include "worker.h"

namespace {

using namespace fuzz;

constexpr const char* kUsage = R"(sinter-fuzz [--seconds N] [--seed S] [--program N] [--programs N]
            [--device NAME] [--break OP] [--no-shrink] [--list]

Runs random tensor programs on a device (CPU) and on REF, and compares.
  --seconds N    how long (10)
  --seed S       which programs (the time)
  --program N    the N-th program of the seed alone, printed first
  --programs N   at most N programs
  --device NAME  the device to check
  --break OP     falsifies the results of one op, to see the fuzzer find it
  --no-shrink    prints a failing program as it is
  --list         names of the ops that programs are made of
)";

struct Options {
    double seconds = 10;
    std::optional<std::uint64_t> seed;
    std::optional<std::uint64_t> program;
    std::uint64_t programs = UINT64_MAX;
    Judge judge;
    bool shrink = true;
};

[[noreturn]] void usage(const std::string& complaint) {
    std::cerr << "sinter-fuzz: " << complaint << "\n" << kUsage;
    std::exit(2);
}

double number(const std::string& flag, const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= 0))
        usage(flag + " takes a number, got \"" + text + "\"");
    return value;
}

std::uint64_t count(const std::string& flag, const std::string& text) {
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || text[0] == '-' || *end != '\0')
        usage(flag + " takes a whole number, got \"" + text + "\"");
    return value;
}

std::string device(const std::string& name) {
    try {
        return std::string(sn::Device(name).name());
    } catch (const sn::DeviceError& error) {
        usage(error.what());
    }
}

std::string op(const std::string& name) {
    if (std::ranges::find(rows(), name, &Row::name) == rows().end())
        usage("--break takes an op of --list, got \"" + name + "\"");
    return name;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string flag = argv[i];
        if (flag == "--list") {
            for (const Row& row : rows()) std::cout << row.name << "\n";
            std::exit(0);
        }
        if (flag == "--help") {
            std::cout << kUsage;
            std::exit(0);
        }
        if (flag == "--no-shrink") {
            options.shrink = false;
            continue;
        }
        if (i + 1 == argc) usage(flag + " takes a value");
        const std::string value = argv[++i];
        if (flag == "--seconds")
            options.seconds = number(flag, value);
        else if (flag == "--seed")
            options.seed = count(flag, value);
        else if (flag == "--program")
            options.program = count(flag, value);
        else if (flag == "--programs")
            options.programs = count(flag, value);
        else if (flag == "--device")
            options.judge.device = device(value);
        else if (flag == "--break")
            options.judge.broken_row = op(value);
        else
            usage("there is no flag " + flag);
    }
    return options;
}

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
    for (std::uint64_t i = first; i < options.programs; ++i) {
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
        why += "\nCaptured by jit, its leaves as arguments, and replayed with other data in them.";
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
    try {
        return run(parse(argc, argv));
    } catch (const std::exception& error) {
        std::cerr << "sinter-fuzz: " << error.what() << "\n";
        return 2;
    }
}
