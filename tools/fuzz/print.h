#pragma once
// A program as C++ that reproduces it.

#include <string>

#include "program.h"

namespace fuzz {

/// A whole C++ program that prints the outputs on the CPU and on REF. `why` becomes a comment.
std::string to_cpp(const Program& program, const std::string& why);

}  // namespace fuzz
