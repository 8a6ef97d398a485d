#pragma once
// What emulated kernels and the emulated driver share. Kernels are compiled by the system's C++
// compiler with this header before their text.

extern "C" {

struct EmulatedIndex {
    unsigned x, y, z;
};

/// What a kernel asks of the machine; its module points to one.
struct EmulatedMachine {
    EmulatedIndex thread, block, grid;  // of the thread that runs
    void (*barrier)();                  // of the block
    void (*warp_barrier)();
    unsigned long long (*shuffle)(unsigned long long value, int from);  // within the warp
    float (*f16_to_f32)(unsigned short bits);
    unsigned short (*f32_to_f16)(float value);
};
}

inline constexpr int kEmulatedSharedBytes = 48 << 10;  // of a block, chosen at launch
