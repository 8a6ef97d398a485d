#pragma once
// A kernel's schedule as a value: the transformations that were done to it, as text that can be
// read, kept and done again.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sinter::codegen {

/// The vocabulary: each is one substitution on ranges, or says how what is there runs. `rN` is the
/// range of number N. Values are named by their place among the kernel's: `load 2`, `value 17`.
/// Roles are loop (not chosen yet), parallel, serial, unroll and vector; a range that is left as it
/// was runs in parallel where every store and reduction has it, else serially.
enum class StepKind : std::uint8_t {
    Split,         ///< split r by n into role r role r (outer, inner; `-`: there is one trip)
    SplitLined,    ///< the same, where the vectors of slot n's rows begin lines
    Divide,        ///< the same where the quotient and remainder by n index memory
    Bind,          ///< bind r to role
    Fuse,          ///< fuse r with r: one range, of the outer's number
    Dots,          ///< a sum of products over r, n narrow ones at a time: words of n steps
    Stage,         ///< stage v over r…: in the thread's scratch, the last running fastest
    StagePadded,   ///< the same, rows n elements further apart
    StageWhile,    ///< the same; the reductions named go on computing it themselves
    StageTurned,   ///< the same for rows that lie across: n … n of the ranges are walked as one
    RenameInCopy,  ///< the copy staged last goes through a range of its own
    Let,           ///< a free range is another one of its size
    Share,         ///< GPU: a tile in the team's memory
    Join,          ///< GPU: two ranges are the digits of another
    Expand,        ///< unrolled ranges become copies of the code; those along r lie side by side
    Trips,         ///< the parallel ranges, outermost first
    Order,         ///< the order of loops, outermost first
    Squares,       ///< loads whose lanes lie apart are read by rows and transposed in registers
    Stream,        ///< stores to slot n go past the caches, where a variable size is at least n
    Prefetch,      ///< the second pass over a row fetches the next one
    Fetch,         ///< memory of slots n… is fetched a page ahead of its walk
    Chunk,         ///< cut: reductions over r in chunks of n, a phase of their own
    Sums,          ///< cut: a sum of products in chunks of n of r's steps, which are added up after
    Blocks,        ///< cut: a sum in blocks; parts of ranges for a trip, then for a block;
                   ///< sums lie side by side along r, if that is not `-`
    Contract,      ///< cut: a sum of words by tiles; parts of ranges for a trip, then for a block
    Winograd,      ///< cut: a convolution whose windows move along r and r, in tiles of n and
                   ///< pieces of n; whether channels of the image, of the products lie side by
                   ///< side; parts for a trip, then for a block
    Chain,         ///< cut: steps that hand rows on, n rows at a time
};

struct Step {
    StepKind kind;
    /// The operands in the order of the text: numbers of ranges (-1: none), roles, numbers; a value
    /// as whether it is a load and its place; a list as its length and its elements.
    std::vector<std::int64_t> operands;
    friend bool operator==(const Step&, const Step&) = default;
};

/// One step as text, and steps with "; " between them ("as it is" for none).
std::string to_text(const Step& step);
std::string to_text(const std::vector<Step>& steps);

/// What was, or is to be, done to a kernel.
struct Schedule {
    std::vector<Step> kernel;  ///< before it is cut; then the cut, after Sums that of the chunks
    std::vector<std::vector<Step>> parts;  ///< of each function

    /// A line for the kernel and one a part, each with its label.
    std::string text() const;
    /// What text() gives; a single line without label is the one part of a kernel that is not cut.
    /// What stands in parentheses is skipped. Throws ValueError that quotes what cannot be read.
    static Schedule parse(std::string_view text);
    friend bool operator==(const Schedule&, const Schedule&) = default;
};

}  // namespace sinter::codegen
