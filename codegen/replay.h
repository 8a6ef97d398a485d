#pragma once
// Doing the steps of a schedule to a kernel, each checked first: a schedule may come from a file,
// or from somebody's hand.

#include <functional>
#include <optional>

#include <sinter/codegen/codegen.h>

#include "place.h"

namespace sinter::codegen {

/// Does the steps that come before a kernel is cut, and gives the cuts that follow. Throws
/// ValueError that quotes a step which is not possible, or would change the results.
std::vector<Step> replay_kernel(Form& form, std::span<const Step> steps, const Target& target);

/// Does the steps of a part and places what they leave open: ranges that all stores and reductions
/// have run in parallel, by the longest stride of what is stored, the others serially. `trips`,
/// where given, are the ranges that run in parallel whatever the steps say. Throws as the other.
Placed replay_part(Form& form, std::span<const Step> steps, const Target& target,
                   const std::optional<std::vector<Ref>>& trips);

/// The same for the steps that `next` gives until it gives none; those that are not possible are
/// left out.
Placed try_steps(Form& form, const std::function<std::optional<Step>()>& next, const Target& target,
                 const std::optional<std::vector<Ref>>& trips);

}  // namespace sinter::codegen
