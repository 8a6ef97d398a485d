#pragma once
// Graphs as text.

#include <span>
#include <string>

#include <sinter/ir/node.h>

namespace sinter::ir {

/// One line a node, sources before users, numbered from %0: "%3 = Add f32 %1 %2". The same graph
/// gives the same text.
std::string to_text(std::span<const Ref> roots);
std::string to_text(Ref root);

/// The graph for Graphviz's `dot`.
std::string to_dot(std::span<const Ref> roots, const std::string& title = "graph");

}  // namespace sinter::ir
