#pragma once

#include <cstddef>
#include <cstdint>

namespace understudy::retrieval::internal {

/// Sum of a[i] * b[i], n numbers, in whole numbers: the same whatever the processor. About 25 ns for 384.
using Dot = std::int32_t (*)(const std::int8_t* a, const std::int8_t* b, std::size_t n);
/// The fastest that this processor has.
Dot dot_kernel();
std::int32_t dot_plain(const std::int8_t* a, const std::int8_t* b, std::size_t n);

}  // namespace understudy::retrieval::internal
