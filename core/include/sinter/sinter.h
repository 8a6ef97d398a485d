#pragma once
// All of Sinter but the nn library: tensors, ops, devices, statistics.

#include <sinter/autograd.h>
#include <sinter/called.h>
#include <sinter/jit.h>
#include <sinter/ops.h>
#include <sinter/random.h>
#include <sinter/stats.h>
#include <sinter/tensor.h>
