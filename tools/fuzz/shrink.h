#pragma once
// Making a failing program small.

#include <functional>

#include "program.h"

namespace fuzz {

/// The smallest program found, by dropping and simplifying, for which `fails` still holds.
Program shrink(Program program, const std::function<bool(const Program&)>& fails);

}  // namespace fuzz
