#pragma once
// The linear program: what a kernel's phase becomes when every value has its place. Instructions in
// static single assignment, in blocks; loops carry their values as phis. Renderers print it;
// nothing is chosen after it.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sinter/ir/dtype.h>
#include <sinter/ir/op.h>

namespace sinter::codegen {

/// Number of an instruction, which is its value.
using Value = std::int32_t;
inline constexpr Value kNone = -1;

enum class Code : std::uint8_t {
    Arith,     ///< `op` on src
    Const,     ///< bits in imm; a vector when lanes > 1
    Argument,  ///< a value of the function's own: imm says which (see Arg)
    Block,     ///< pointer of Param slot imm
    Scalar,    ///< Variable slot imm, of dtype
    Splat,     ///< src[0] in every lane
    Lanes,     ///< 0, imm, 2·imm, …
    Rotate,    ///< lanes of src[0] moved down by imm: the step of a horizontal reduction
    First,     ///< lane 0 of src[0]
    Mix,  ///< lanes x without bit imm: of src[0] at x + fill; with it: of src[1] at x - imm + fill;
          ///< fill is 0 or imm. Steps of a transposition
    Alias,      ///< src[0], known only inside a branch
    LoopIndex,  ///< index of the loop it is given to
    Phi,        ///< value carried by a loop; of no dtype: a memory
    Address,    ///< memory src[0] from element src[1] of dtype on; without that from imm on
    Load,      ///< src: memory, index (or kNone), mask (or kNone); imm: constant part of the index;
               ///< fill: fill bits
    Prefetch,  ///< src: memory, index (or kNone); imm as Load: a line that is read some time later
    Store,     ///< src: memory, index (or kNone), mask (or kNone), value; imm as Load
    Lined,     ///< whether memory src[0] begins a cache line and src[1] (or kNone) is at least imm
    Barrier,   ///< between writes to the thread's scratch and reads of it, where a thread is a team
    Check,     ///< src[0] as an index below imm; else records check id `fill` and gives 0
};

/// Inst::imm of an IDiv or Mod of DType::Index whose dividend may be negative.
inline constexpr std::int64_t kSignedDividend = 1;

enum class Arg : std::int64_t { Begin, End, Shared, Thread };

/// How the lanes of a Load or Store lie in memory.
enum class Access : std::uint8_t {
    Scalar,      ///< one element
    Contiguous,  ///< lane i at index + i
    Reverse,     ///< lane i at index - i
    Strided,     ///< lane i at index + step * i
    Indexed,     ///< the index is a vector
};

struct Inst {
    Code code;
    ir::Op op = ir::Op::Const;
    DType dtype = DType::None;
    std::uint16_t lanes = 1;
    Access access = Access::Scalar;
    bool streaming = false;  ///< Store: past the caches where src[2] holds, a Lined; has no mask
    std::int64_t imm = 0;
    std::int64_t fill = 0;
    std::int64_t step = 0;   ///< of Access::Strided
    std::int64_t align = 1;  ///< Load, Store: divides the index (without imm, the lane's included)
    Value src[4] = {kNone, kNone, kNone, kNone};
};

/// Whether the lanes lie apart in memory, each to be reached by itself: those of a load by a small
/// step are read with what lies between.
inline bool is_scattered(const Inst& i) {
    return i.access == Access::Strided && (i.code == Code::Store || (i.step != 2 && i.step != 4));
}

struct Loop;
struct If;
using Item = std::variant<Value, std::unique_ptr<Loop>, std::unique_ptr<If>>;

struct Block {
    std::vector<Item> items;
};

/// Runs `body` for index = begin, begin + 1, … below end; at least once unless `may_be_empty`.
struct Loop {
    struct Carried {
        Value phi, init, next;
    };
    Value begin = kNone, end = kNone, index = kNone;
    bool may_be_empty = false;
    std::vector<Carried> carried;  ///< after the loop, `result` of each
    std::vector<Value> results;    ///< values of the carried after the loop; kNone where none is
    Value until = kNone;  ///< if set, nothing asks for the index, and it goes on while the value
                          ///< that is carried last comes before this in the next trip
    Block body;
};

struct If {
    Value condition = kNone;
    Block then, otherwise;
};

/// C += X · Y of matrices in the thread's scratch, by instructions that multiply tiles of 16 rows
/// by 16 columns. X has `steps` words in each of its rows, Y `columns` words in each of its `steps`
/// rows, C sums of as many bits. There is memory for whole tiles of rows and columns.
struct TileProduct {
    DType dtype = DType::None;  ///< of the sums: f32, of pairs of bf16; i32, of quads of bytes
    bool x_signed = true, y_signed = true;         ///< the bytes
    std::int64_t rows = 0, columns = 0;            ///< of C
    std::int64_t steps = 0;                        ///< words
    std::int64_t x = 0, y = 0, c = 0;              ///< where they begin, in bytes
    std::int64_t x_row = 0, y_row = 0, c_row = 0;  ///< bytes from a row to the next
    std::int64_t y_tile = 0;                       ///< and from a tile of columns
    std::int64_t blocks =
        1;  ///< trips that add to the same sums, which begin with the first of them
};

/// A phase: a function over trips [Arg::Begin, Arg::End).
struct Function {
    std::string symbol;
    /// Another function of the same program, called for `repeats` trips of its own in turn.
    struct Step {
        std::string symbol;
        std::int64_t repeats;
    };
    /// If not empty, the function is these, one after the other for each trip.
    std::vector<Step> each_trip;
    /// If set, the function is this, for each trip.
    std::optional<TileProduct> product;
    std::vector<Inst> insts;
    Block body;
};

}  // namespace sinter::codegen
