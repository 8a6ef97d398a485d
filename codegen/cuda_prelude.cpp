#include <sinter/codegen/codegen.h>

namespace sinter::codegen {
namespace {

// What it takes of CUDA is listed in docs/cuda.md: a compiler for another machine that defines
// those words and SINTER_EMULATION runs the same text.
constexpr const char* kPrelude = R"(
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef float f32;
typedef double f64;
static_assert(sizeof(i32) == 4 && sizeof(i64) == 8, "sizes");

#define SINTER_DEVICE static __device__ __forceinline__

template <int N>
struct Operands {
    u64 at[N];
};

#ifndef SINTER_KERNEL
#define SINTER_KERNEL(name, threads, blocks_count, scalars_count)                              \
    extern "C" __global__ void __launch_bounds__(threads)                                      \
        name(const Operands<blocks_count> blocks, const Operands<scalars_count> scalars,       \
             char* const shared, i64* const check, const i64 trips)
#endif

// --- bits

template <class To, class From>
SINTER_DEVICE To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "sizes");
    union {
        From from;
        To to;
    } both;
    both.from = from;
    return both.to;
}

template <class T>
SINTER_DEVICE T scalar(u64 slot) {
    return (T)slot;
}
template <>
__device__ __forceinline__ f64 scalar<f64>(u64 slot) {
    return bits<f64>(slot);
}
template <>
__device__ __forceinline__ f32 scalar<f32>(u64 slot) {
    return (f32)bits<f64>(slot);
}
template <>
__device__ __forceinline__ bool scalar<bool>(u64 slot) {
    return slot != 0;
}

// --- arithmetic

SINTER_DEVICE f32 fused_multiply_add(f32 a, f32 b, f32 c) { return __fmaf_rn(a, b, c); }
SINTER_DEVICE f64 fused_multiply_add(f64 a, f64 b, f64 c) { return __fma_rn(a, b, c); }
SINTER_DEVICE f32 square_root(f32 x) { return __fsqrt_rn(x); }
SINTER_DEVICE f64 square_root(f64 x) { return __dsqrt_rn(x); }
SINTER_DEVICE f32 absolute(f32 x) { return bits<f32>(bits<u32>(x) & 0x7fffffffu); }
SINTER_DEVICE f64 absolute(f64 x) { return bits<f64>(bits<u64>(x) & 0x7fffffffffffffffull); }
SINTER_DEVICE f32 round_down(f32 x) { return floorf(x); }
SINTER_DEVICE f64 round_down(f64 x) { return floor(x); }
SINTER_DEVICE f32 round_up(f32 x) { return ceilf(x); }
SINTER_DEVICE f64 round_up(f64 x) { return ceil(x); }
SINTER_DEVICE f32 round_to_zero(f32 x) { return truncf(x); }
SINTER_DEVICE f64 round_to_zero(f64 x) { return trunc(x); }
SINTER_DEVICE f32 round_even(f32 x) { return rintf(x); }
SINTER_DEVICE f64 round_even(f64 x) { return rint(x); }

#ifndef SINTER_EMULATION
SINTER_DEVICE f32 f16_to_f32(u16 x) {
    f32 y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}
SINTER_DEVICE u16 f32_to_f16(f32 x) {
    u16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
}
#endif

// Of numbers that are not negative; divisors of indices are positive. 64-bit division is slow.
SINTER_DEVICE i64 index_div(i64 a, i64 b) {
    if (((u64)(a | b) >> 32) == 0) return (i64)((u32)a / (u32)b);
    return (i64)((u64)a / (u64)b);
}
SINTER_DEVICE i64 index_mod(i64 a, i64 b) {
    if (((u64)(a | b) >> 32) == 0) return (i64)((u32)a % (u32)b);
    return (i64)((u64)a % (u64)b);
}
SINTER_DEVICE i64 floor_div(i64 a, i64 b) { return a / b - (a % b < 0 ? 1 : 0); }
SINTER_DEVICE i64 floor_mod(i64 a, i64 b) { return a % b + (a % b < 0 ? b : 0); }

// --- memory

template <class T, int N>
struct Pack {
    T at[N];
};
template <int Bytes>
struct Words;
template <>
struct Words<2> {
    u16 at[1];
};
template <>
struct Words<4> {
    u32 at[1];
};
template <>
struct Words<8> {
    u64 at[1];
};
template <>
struct alignas(16) Words<16> {
    u64 at[2];
};

// One access of up to 16 bytes; the address is a multiple of them.
template <class T, int N>
SINTER_DEVICE Pack<T, N> load_pack(const T* from) {
    union {
        Words<N * sizeof(T)> words;
        Pack<T, N> pack;
    } both;
    both.words = *(const Words<N * sizeof(T)>*)from;
    return both.pack;
}
template <class T, int N>
SINTER_DEVICE void store_pack(T* to, Pack<T, N> pack) {
    union {
        Words<N * sizeof(T)> words;
        Pack<T, N> pack;
    } both;
    both.pack = pack;
    *(Words<N * sizeof(T)>*)to = both.words;
}

// The index where it is in bounds, else 0; the first that is not is recorded.
SINTER_DEVICE i64 checked(i64 index, i64 bound, i64 id, i64* record) {
    if ((u64)index < (u64)bound) return index;
    if (atomicCAS((u64*)record, 0ull, (u64)(id + 1)) == 0) record[1] = index;
    return 0;
}

// --- teams: Lanes threads that run a trip together; 1, a warp of 32, or the block

extern __shared__ u64 sinter_scratch[];
__shared__ u64 sinter_exchange[256];

template <int Lanes, int Teams>
SINTER_DEVICE i64 first_trip() {
    return (i64)blockIdx.x * Teams + threadIdx.x / Lanes;
}
template <int Lanes, int Teams>
SINTER_DEVICE i64 trip_step() {
    return (i64)gridDim.x * Teams;
}
template <int Lanes>
SINTER_DEVICE i32 team_lane() {
    return (i32)(threadIdx.x % Lanes);
}
template <int Lanes>
SINTER_DEVICE char* team_scratch(i64 bytes) {
    return (char*)sinter_scratch + threadIdx.x / Lanes * bytes;
}
template <int Lanes>
SINTER_DEVICE void team_barrier() {
    static_assert(Lanes == 1 || Lanes % 32 == 0, "a team is a thread or whole warps");
    if (Lanes == 32)
        __syncwarp();
    else if (Lanes > 32)
        __syncthreads();
}

template <int Bytes>
struct Shuffled;
template <>
struct Shuffled<1> {
    static __device__ u8 get(u8 x, i32 from) { return (u8)__shfl_sync(0xffffffffu, (u32)x, from); }
};
template <>
struct Shuffled<2> {
    static __device__ u16 get(u16 x, i32 from) {
        return (u16)__shfl_sync(0xffffffffu, (u32)x, from);
    }
};
template <>
struct Shuffled<4> {
    static __device__ u32 get(u32 x, i32 from) { return __shfl_sync(0xffffffffu, x, from); }
};
template <>
struct Shuffled<8> {
    static __device__ u64 get(u64 x, i32 from) { return __shfl_sync(0xffffffffu, x, from); }
};
template <int Bytes>
struct Word {
    typedef u8 type;
};
template <>
struct Word<2> {
    typedef u16 type;
};
template <>
struct Word<4> {
    typedef u32 type;
};
template <>
struct Word<8> {
    typedef u64 type;
};

template <class T>
SINTER_DEVICE T of_warp_lane(T x, i32 from) {
    typedef typename Word<sizeof(T)>::type W;
    return bits<T>(Shuffled<sizeof(T)>::get(bits<W>(x), from));
}
template <class T>
SINTER_DEVICE T of_block_lane(T x, i32 from) {
    typedef typename Word<sizeof(T)>::type W;
    __syncthreads();
    sinter_exchange[threadIdx.x] = bits<W>(x);
    __syncthreads();
    return bits<T>((W)sinter_exchange[from]);
}

// The value of the lane `by` further on. Lanes are merged from far to near, so that when it comes to
// steps within a warp all warps hold the same.
template <int Lanes, class T>
SINTER_DEVICE T rotated(T x, i32 by) {
    if (by < 32) return of_warp_lane(x, (i32)((threadIdx.x + by) % 32));
    return of_block_lane(x, (i32)((threadIdx.x + by) % Lanes));
}
template <int Lanes, class T>
SINTER_DEVICE T of_first(T x) {
    return Lanes == 32 ? of_warp_lane(x, 0) : of_block_lane(x, 0);
}

)";

}  // namespace

const std::string& cuda_prelude() {
    static const std::string text = kPrelude;
    return text;
}

}  // namespace sinter::codegen
