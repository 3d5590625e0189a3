#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace understudy {

/// One possible answerer in a cascade, in the order they are tried.
enum class Stage : std::uint8_t { kCache, kKnn, kSpecialist, kStudent, kTeacher };
inline constexpr std::size_t kStageCount = 5;
inline constexpr std::array<std::string_view, kStageCount> kStageNames{"cache", "knn", "specialist", "student", "teacher"};

constexpr std::string_view stage_name(Stage stage) { return kStageNames[static_cast<std::size_t>(stage)]; }

}  // namespace understudy
