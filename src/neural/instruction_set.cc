#include "neural/instruction_set.h"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

namespace understudy::neural {
namespace {

constexpr const char* kCapVariable = "ONEDNN_MAX_CPU_ISA";
std::atomic<bool> settled{false};

struct Row {
  InstructionSet set;
  std::string_view name, onednn;
};
constexpr std::array<Row, 6> kRows = {{{InstructionSet::kSse41, "sse41", "SSE41"},
                                       {InstructionSet::kAvx2, "avx2", "AVX2"},
                                       {InstructionSet::kAvx2Vnni, "avx2_vnni", "AVX2_VNNI"},
                                       {InstructionSet::kAvx512, "avx512", "AVX512_CORE"},
                                       {InstructionSet::kAvx512Vnni, "avx512_vnni", "AVX512_CORE_VNNI"},
                                       {InstructionSet::kAmx, "amx", "AVX512_CORE_AMX"}}};

// Neither contains the other: AVX-512 without VNNI, and AVX2 with it.
bool contains(InstructionSet more, InstructionSet less) {
  if (more == InstructionSet::kAvx512 && less == InstructionSet::kAvx2Vnni) return false;
  return more >= less;
}

bool same_width(InstructionSet a, InstructionSet b) {
  const auto bytes = [](InstructionSet set) { return set >= InstructionSet::kAvx512 ? 64 : set >= InstructionSet::kAvx2 ? 32 : 16; };
  return bytes(a) == bytes(b);
}

bool has_amx_int8() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & (1u << 24)) != 0 && (d & (1u << 25)) != 0;
}
bool has_avx2_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}

}  // namespace

std::string_view instruction_set_name(InstructionSet set) { return kRows[static_cast<std::size_t>(set)].name; }

std::optional<InstructionSet> parse_instruction_set(std::string_view name) {
  const auto* found = std::ranges::find(kRows, name, &Row::name);
  return found == kRows.end() ? std::nullopt : std::optional(found->set);
}

InstructionSet processor_instruction_set() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx512 && __builtin_cpu_supports("avx512vnni")) return has_amx_int8() ? InstructionSet::kAmx : InstructionSet::kAvx512Vnni;
  if (avx512) return InstructionSet::kAvx512;
  if (!avx2) return InstructionSet::kSse41;
  return has_avx2_vnni() ? InstructionSet::kAvx2Vnni : InstructionSet::kAvx2;
}

InstructionSet internal::capped(InstructionSet processor, std::string_view onednn_name) {
  std::string name(onednn_name);
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  // Sets between ours differ in nothing that is used here.
  if (name == "AVX") name = "SSE41";
  if (name == "AVX2_VNNI_2") name = "AVX2_VNNI";
  if (name == "AVX512_CORE_BF16" || name == "AVX512_CORE_FP16") name = "AVX512_CORE_VNNI";
  const auto* cap = std::ranges::find(kRows, name, &Row::onednn);
  if (cap == kRows.end() || contains(cap->set, processor)) return processor;
  InstructionSet best = InstructionSet::kSse41;
  for (const Row& row : kRows)
    if (contains(cap->set, row.set) && contains(processor, row.set)) best = row.set;
  return best;
}

InstructionSet instruction_set() {
  const char* cap = std::getenv(kCapVariable);
  return internal::capped(processor_instruction_set(), cap == nullptr ? "" : cap);
}

Result<InstructionSet> internal::settle_instruction_set() {
  const InstructionSet set = instruction_set();
  if (!same_width(set, processor_instruction_set()))
    return fail(ErrorKind::kUnsupported, fmt::format("{}={} caps the encoder below the vectors of this processor ({}), which makes it crash: unset it, or leave out "
                                                     "VNNI or AMX only",
                                                     kCapVariable, std::getenv(kCapVariable), instruction_set_name(processor_instruction_set())));
  settled = true;
  return set;
}

Result<void> cap_instruction_set(InstructionSet set) {
  const std::string name(kRows[static_cast<std::size_t>(set)].onednn);
  const InstructionSet result = internal::capped(processor_instruction_set(), name);
  if (!same_width(result, processor_instruction_set()))
    return fail(ErrorKind::kUnsupported, fmt::format("encoders cannot be capped to {} on a processor with {}: only AMX and VNNI can be left out",
                                                     instruction_set_name(set), instruction_set_name(processor_instruction_set())));
  if (settled && result != instruction_set())
    return fail(ErrorKind::kConflict, fmt::format("an encoder of this process already uses {}: the instruction set can be capped only before the first is opened",
                                                  instruction_set_name(instruction_set())));
  setenv(kCapVariable, name.c_str(), 1);
  return {};
}

}  // namespace understudy::neural
