#include "neural/internal/load_runtime.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include <fmt/format.h>
#include <fmt/ranges.h>

#ifdef __SANITIZE_ADDRESS__
/// What the library and its thread pool keep until the process ends, which they never free.
extern "C" const char* __lsan_default_suppressions() { return "leak:libopenvino\nleak:libtbb\n"; }
#endif

namespace understudy::neural::internal {
namespace {

// Its thread pool, TBB, loads a part of itself (tbbbind) with RTLD_DEEPBIND, which gives that part the C library's free() for memory
// of the program's own allocator (jemalloc, or a sanitizer's): the process aborts. This is TBB's switch against it. Before main, since
// the environment must not change while threads read it.
[[maybe_unused]] const int kNoDeepBind = setenv("TBB_ENABLE_SANITIZERS", "1", 0);

constexpr const char* kFileName = "libunderstudy_openvino.so";
constexpr const char* kRemedy = "`./dev deps encoder` fetches it and `./dev build` then builds it in; docs/guide/encoder.md";

Result<const RuntimeEntry*> open(const std::filesystem::path& path) {
  void* const object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    const char* reason = dlerror();
    return fail(ErrorKind::kUnsupported, fmt::format("the encoder's runtime cannot be loaded: {}: {}", path.string(), reason == nullptr ? "unknown reason" : reason));
  }
  // Never closed again: the library keeps threads.
  auto* const entry_function = reinterpret_cast<RuntimeEntryFunction*>(dlsym(object, kRuntimeEntrySymbol));
  if (entry_function == nullptr) return fail(ErrorKind::kUnsupported, fmt::format("{}: is no encoder runtime of understudy", path.string()));
  const RuntimeEntry* const entry = entry_function();
  if (entry->interface != kRuntimeInterface)
    return fail(ErrorKind::kUnsupported, fmt::format("{}: belongs to another version of understudy (interface {}, not {})", path.string(), entry->interface, kRuntimeInterface));
  return entry;
}

Result<const RuntimeEntry*> find_and_open() {
  std::vector<std::string> looked;
  for (const auto& candidate : runtime_candidates(program_folder())) {
    std::error_code ec;
    if (std::filesystem::exists(candidate, ec)) return open(candidate);
    looked.push_back(candidate.string());
  }
  return fail(ErrorKind::kUnsupported, fmt::format("there is no encoder runtime (looked for {}): {}", fmt::join(looked, ", "), kRemedy));
}

}  // namespace

std::filesystem::path program_folder() {
  std::error_code ec;
  return std::filesystem::read_symlink("/proc/self/exe", ec).parent_path();
}

std::vector<std::filesystem::path> runtime_candidates(const std::filesystem::path& folder) {
  if (const char* named = std::getenv("UNDERSTUDY_ENCODER_RUNTIME"); named != nullptr && *named != '\0') return {named};
  std::vector<std::filesystem::path> result{folder / kFileName, folder.parent_path() / "lib" / "understudy" / kFileName};
#ifdef UNDERSTUDY_BUILD_DIR
  result.push_back(std::filesystem::path(UNDERSTUDY_BUILD_DIR) / kFileName);
#endif
  return result;
}

Result<const RuntimeEntry*> load_runtime() {
  static std::mutex mutex;
  static const RuntimeEntry* entry = nullptr;
  const std::lock_guard lock(mutex);
  if (entry == nullptr) {
    const auto found = find_and_open();
    if (!found) return fail(found.error());
    entry = *found;
  }
  return entry;
}

}  // namespace understudy::neural::internal
