#pragma once
/// What a learned row keeps of a request: its terms and, where there is an encoder, its vector. docs/formats/learned-fit.md has the bytes.

#include <cstdint>
#include <string>
#include <string_view>

#include "retrieval/dense_index.h"
#include "retrieval/hashed_text.h"

namespace understudy::specialists {

struct RowInput {
  retrieval::Terms terms;             ///< sorted
  std::uint64_t encoder = 0;          ///< which encoder made the vector (its identity's key as a number); 0: there is none
  retrieval::PackedVector vector;
};

/// "" where there are no terms: such a text cannot be learnt from.
std::string pack_input(const RowInput& input);
/// False where the bytes are none of pack_input's.
bool unpack_input(std::string_view bytes, RowInput& out);

}  // namespace understudy::specialists
