#pragma once
// All of the nn library.

#include <sinter/losses.h>
#include <sinter/nn/activations.h>
#include <sinter/nn/conv.h>
#include <sinter/nn/digits.h>
#include <sinter/nn/idx.h>
#include <sinter/nn/init.h>
#include <sinter/nn/layers.h>
#include <sinter/nn/loader.h>
#include <sinter/nn/module.h>
#include <sinter/nn/optim.h>
#include <sinter/nn/progress.h>
#include <sinter/nn/safetensors.h>
#include <sinter/nn/sequential.h>
