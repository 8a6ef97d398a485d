#pragma once
// Named tensors in the safetensors format: 8 bytes of header length, a JSON header, the elements.
// Nothing in such a file is ever executed.

#include <filesystem>
#include <map>
#include <string>

#include <sinter/nn/state_dict.h>

namespace sinter::nn {

using Metadata = std::map<std::string, std::string>;

/// Computes all tensors in one schedule and writes them. The file appears whole or not at all: it
/// is written under a temporary name beside it, flushed to the disk and renamed, and what stood
/// there before stays until then. Throws FileError naming the file and the reason; ValueError for
/// the name "__metadata__", which the format keeps for itself.
void save_safetensors(const std::filesystem::path& file, const StateDict& tensors,
                      const Metadata& metadata = {});

/// Reads every tensor of a file, in the order of the data; `metadata`, if given, receives the
/// file's own. Throws FileError naming the file and what is wrong: missing, truncated, a header
/// that is no valid JSON or does not describe the bytes that follow.
StateDict load_safetensors(const std::filesystem::path& file, Metadata* metadata = nullptr);

}  // namespace sinter::nn
