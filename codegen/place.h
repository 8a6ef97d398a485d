#pragma once
// Where a transformed kernel's loops stand, and what else is said of them.

#include <vector>

#include "analysis.h"
#include "emitter.h"
#include "transform.h"

namespace sinter::codegen {

struct Placed {
    std::vector<std::int64_t> order;  ///< range numbers, outermost first
    std::vector<Ref> parallel;        ///< outermost first
    std::vector<Streamed> streamed;   ///< memory that is written past the caches
    std::vector<std::int64_t> far;    ///< slots that are fetched a page ahead of their walk
    bool squares = false;             ///< loads whose lanes lie apart come in squares
    bool prefetch = false;            ///< the second pass over a row fetches the next one
    int lanes = 1;                    ///< of its vectors
};

/// Appends the serial ranges that `order` lacks: those that masks depend on outside the others, by
/// the longest stride that memory is walked with, ordered ones innermost.
void order_serial(const Form& form, Placed& placed);

/// Memory that is written and not read, so that it may go past the caches.
std::vector<Streamed> streamable(const Analysis& analysis);

/// That which is so large that nothing of it would be in the caches when it is read again; of a
/// `contraction`, which uses what it reads several times, no smaller one.
std::vector<Streamed> large_results(const Analysis& analysis, bool contraction);

/// Bytes from which a result may be one that nobody reads from the caches afterwards.
inline constexpr double kLeastStreamed = 8 << 20;
/// Bytes written to the memory `slot`, as far as ranges of constant size go.
double result_bytes(const Analysis& analysis, std::int64_t slot);

/// Memory that is read about once, and is more than the near caches hold, if what is done with it
/// takes so long that the machine does not come to the next page while it waits for this one.
std::vector<std::int64_t> read_far(const Analysis& analysis);

/// Adds all of it to the steps of the form.
void record(Form& form, const Placed& placed);

}  // namespace sinter::codegen
