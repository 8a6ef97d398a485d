#pragma once
// Running a program and judging what came out.

#include <optional>
#include <string>

#include "program.h"

namespace fuzz {

enum class Verdict : std::uint8_t { Same, Different, Threw, Crashed, Hung };

struct Outcome {
    Verdict verdict = Verdict::Same;
    std::string why;
};

/// How the program is judged.
struct Judge {
    std::string device = "CPU";
    /// The steps' values in place of the device's, for a test of the fuzzer itself: adds an error
    /// to every result of the row of this name.
    std::string broken_row;
};

/// Runs the program on the judge's device and on REF.
Outcome check(const Program& program, const Judge& judge);

/// The values of all steps on REF, as leaves; a statement's is empty.
std::vector<std::optional<Leaf>> values_on_ref(const Program& program);

}  // namespace fuzz
