#pragma once
/// The processor's instructions that an encoder's numbers depend on. Sums are added in another order, and 8-bit products saturate or
/// not, from one set to the next: a calibration made under one is not exact under another.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace understudy::neural {

enum class InstructionSet : std::uint8_t { kSse41, kAvx2, kAvx2Vnni, kAvx512, kAvx512Vnni, kAmx };

std::string_view instruction_set_name(InstructionSet set);  ///< "sse41", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "amx"
std::optional<InstructionSet> parse_instruction_set(std::string_view name);

/// The best that this processor and its system offer.
InstructionSet processor_instruction_set();

/// The one in force: the processor's, or less where it is capped, by cap_instruction_set or by the variable ONEDNN_MAX_CPU_ISA
/// (AVX2, AVX512_CORE, AVX512_CORE_VNNI, ...), which is the library's own and holds for the process.
InstructionSet instruction_set();

/// Lets encoders of this process use no more than `set`: for tests, and to serve what was calibrated on an older processor. Must come
/// before the first encoder of the process, else kConflict. A set that the processor lacks changes nothing.
/// kUnsupported: a set of narrower vectors. Only AMX and VNNI can be left out: OpenVINO's own kernels ask the processor and not the cap,
/// and an AVX-512 processor capped to AVX2 mixes the two and crashes (2026.4.1). Not thread-safe.
Result<void> cap_instruction_set(InstructionSet set);

namespace internal {

/// The set in force, from now on for good: the runtime reads the cap once. kUnsupported where the variable caps it so that it would crash.
Result<InstructionSet> settle_instruction_set();

/// The best of what both the processor and a cap by that name allow; a name that is not known caps nothing, as in the library.
InstructionSet capped(InstructionSet processor, std::string_view onednn_name);

}  // namespace internal

}  // namespace understudy::neural
