#pragma once
// How windows are gone through: short ones, and those that overlap.

#include "choose.h"

namespace sinter::codegen {

/// Short reductions inside others or alone, windows of a pooling, are code without loops: masks are
/// constants, and their values do not wait for one another.
void choose_windows(const Analysis& a, Plan& plan);

/// Windows that overlap, of an image of which nothing else is read twice (depthwise convolutions,
/// sliding sums): several rows of results at a time, so that a vector of the image is read once for
/// all windows of theirs that it is in. The window's rows are code without loops, and its columns
/// where both are few. Whether there are such windows.
bool choose_overlapping(const Analysis& a, const Target& target, Plan& plan);

}  // namespace sinter::codegen
