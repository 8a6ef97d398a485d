#pragma once
// Every op.

#include <sinter/activation.h>
#include <sinter/conv.h>
#include <sinter/create.h>
#include <sinter/einsum.h>
#include <sinter/elementwise.h>
#include <sinter/indexing.h>
#include <sinter/linalg.h>
#include <sinter/losses.h>
#include <sinter/movement.h>
#include <sinter/pool.h>
#include <sinter/reduce.h>
#include <sinter/sorting.h>
