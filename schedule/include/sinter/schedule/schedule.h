#pragma once
// From a tensor graph to kernels: which values are written to memory, which are fused, where each
// block of memory lies and when it may be reused.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sinter/ir/arena.h>
#include <sinter/ir/uop.h>

namespace sinter::schedule {

/// One operand of a schedule.
struct Block {
    enum class Kind : std::uint8_t {
        Input,   ///< a Buffer of the graph; `node` is its number in Schedule::inputs
        Output,  ///< memory that outlives the run; new, unless `reuses` names an input whose memory
                 ///< it takes
        Temporary,  ///< bytes [offset, offset + size) of the run's arena
        Kept,       ///< made of steady inputs by steady launches; outlives the run for the next one
    };
    Kind kind;
    DType dtype;
    std::int64_t numel;
    std::int64_t offset = 0;  ///< Temporary: bytes, a multiple of 64
    std::int32_t node =
        -1;  ///< Input: position among the inputs; Output: position among the outputs
    std::int32_t reuses =
        -1;  ///< Output: the Input block written in place, if it may be at run time (see Schedule)
};

/// A scalar given at launch: either the value of a Bind of the graph, or a constant of the schedule
/// (a size).
struct Scalar {
    std::int32_t bind = -1;  ///< position among Schedule::binds, or -1
    std::int64_t bits = 0;   ///< the constant where bind is -1
};

/// Operands of one run of a kernel: blocks by Param slot, scalars by Variable slot.
struct Segment {
    std::vector<std::uint32_t> blocks;
    std::vector<Scalar> scalars;
};

/// A kernel in the kernel form, before codegen's transformations; equal kernels are one entry.
struct Kernel {
    ir::Ref sink;
    std::string name;  ///< e.g. "r_4096_1024_softmax": short, deterministic
};

/// One launch: a kernel over one or more segments (a table of segments runs as one parallel
/// region).
struct Launch {
    std::uint32_t kernel;
    std::vector<Segment> segments;
    std::uint64_t flops = 0;  ///< of all segments, for DEBUG=2
    std::uint64_t bytes = 0;  ///< compulsory traffic of all segments
    bool steady = false;      ///< made of steady inputs alone, for blocks that are kept
};

/// Which node a Check (an index that may be out of range) came from, for the error text.
struct CheckSite {
    std::string what;  ///< e.g. "gather along axis 0"
    std::int64_t bound;
};

/// Everything a realize needs. Refers to no node of the tensor graph it was made from: a graph of
/// the same structure, with other buffers and binds in the same places, runs by the same schedule.
struct Schedule {
    std::unique_ptr<ir::Arena> arena;  ///< owns the kernels' nodes
    std::vector<Kernel> kernels;
    std::vector<Launch> launches;  ///< in order
    std::vector<Block> blocks;
    std::vector<CheckSite> checks;  ///< by check id
    std::int64_t arena_bytes = 0;
    /// How many leaves the graph has; blocks and scalars refer to them by position in Normalised.
    std::size_t input_count = 0, bind_count = 0;
    /// By root: the block that holds its value. A root that is a Buffer, or movement that does not
    /// change its bytes, is an Input block.
    std::vector<std::uint32_t> outputs;
};

/// What may be assumed of the inputs and the device.
struct Assumptions {
    /// For in-place writes: may_overwrite[i] says that nothing outside this graph needs input i
    /// after the run. Missing entries are false.
    std::vector<bool> may_overwrite;
    /// How much a thread may keep near, in a cache of its own, between kernels that are joined row
    /// by row; 0 if the device has no such memory.
    std::int64_t near_bytes = 0;
    /// They are joined however little there is to gain, for tests.
    bool chain_always = false;
    /// steady[i] says that input i seldom changes from run to run, and that whoever runs the
    /// schedule keeps what steady launches make until it does. Missing entries are false.
    std::vector<bool> steady = {};
    /// Columns of the panels that its instructions for products of narrow numbers read a matrix in;
    /// 0 if there are none.
    std::int64_t panel_columns = 0;
    /// Steady matrices are laid out anew however few rows and elements there are, for tests.
    bool pack_always = false;
};

/// A graph made independent of the nodes it came from. `key` holds its whole structure (ops,
/// dtypes, arguments, shapes, edges, roots) with the leaves numbered in order: graphs with equal
/// keys have the same schedule. Which Buffers they are and the values of Binds are not part of it;
/// Buffers that are equal to one another are.
struct Normalised {
    std::vector<std::int64_t> key;
    std::vector<ir::Ref> inputs;  ///< Buffers
    std::vector<ir::Ref> binds;   ///< Binds
};

/// Tells of nodes whose value is in memory already: the Buffer that holds it (of the same shape and
/// dtype), or null. Asked once a node, with no lock held; what it says then is what counts.
using RealizedBuffer = std::function<ir::Ref(ir::Ref)>;

Normalised normalise(std::span<const ir::Ref> roots, const RealizedBuffer& realized = {});

/// Makes the schedule of all roots of `graph` together; depends on `graph.key` and `assumptions`
/// alone. Throws IndexError for a gather from an axis of no elements and ValueError for graphs that
/// cannot run.
Schedule make_schedule(const Normalised& graph, const Assumptions& assumptions = {});

}  // namespace sinter::schedule
