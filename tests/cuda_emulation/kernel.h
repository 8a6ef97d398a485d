// Stands before the text of kernels: the words of CUDA that the prelude uses (docs/cuda.md), for
// the system's C++ compiler.
#include "machine.h"

#define SINTER_EMULATION 1
#define __device__
#define __global__
#define __shared__
#define __forceinline__ __attribute__((always_inline)) inline
#define __launch_bounds__(threads)

extern "C" EmulatedMachine* sinter_machine;
EmulatedMachine* sinter_machine;
#define threadIdx (sinter_machine->thread)
#define blockIdx (sinter_machine->block)
#define gridDim (sinter_machine->grid)

static inline void __syncthreads() { sinter_machine->barrier(); }
static inline void __syncwarp() { sinter_machine->warp_barrier(); }
template <class T>
static inline T __shfl_sync(unsigned, T value, int from) {
    return (T)sinter_machine->shuffle(value, from);
}
static inline unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                                           unsigned long long value) {
    const unsigned long long old = *at;
    if (old == expected) *at = value;
    return old;
}

static inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
static inline double __dsqrt_rn(double x) { return __builtin_sqrt(x); }
#define floorf __builtin_floorf
#define floor __builtin_floor
#define ceilf __builtin_ceilf
#define ceil __builtin_ceil
#define truncf __builtin_truncf
#define trunc __builtin_trunc
#define rintf __builtin_rintf
#define rint __builtin_rint
static inline float f16_to_f32(unsigned short x) { return sinter_machine->f16_to_f32(x); }
static inline unsigned short f32_to_f16(float x) { return sinter_machine->f32_to_f16(x); }

#define SINTER_KERNEL(name, threads, blocks_count, scalars_count)                           \
    static void name##_body(const Operands<blocks_count> blocks,                            \
                            const Operands<scalars_count> scalars, char* const shared,      \
                            i64* const check, const i64 trips);                             \
    extern "C" void name(void** parameters) {                                               \
        name##_body(*(const Operands<blocks_count>*)parameters[0],                          \
                    *(const Operands<scalars_count>*)parameters[1], *(char**)parameters[2], \
                    *(i64**)parameters[3], *(i64*)parameters[4]);                           \
    }                                                                                       \
    extern "C" const int name##_threads = threads;                                          \
    static void name##_body(const Operands<blocks_count> blocks,                            \
                            const Operands<scalars_count> scalars, char* const shared,      \
                            i64* const check, const i64 trips)
