// Chooses the scanner for this processor.
#include "audit/plain_fast.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "audit/fields.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace understudy::audit {
namespace {
#include "audit/plain_scan.inc"
}  // namespace

#if defined(__x86_64__)
bool scan_plain_avx2(const char* begin, const char* end, CallRecord& out);

bool scan_plain(const char* begin, const char* end, CallRecord& out) {
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt") &&
                           __builtin_cpu_supports("pclmul");
  return avx2 ? scan_plain_avx2(begin, end, out) : scan(begin, end, out);
}
#else
bool scan_plain(const char* begin, const char* end, CallRecord& out) { return scan(begin, end, out); }
#endif

bool scan_plain_portable(const char* begin, const char* end, CallRecord& out) { return scan(begin, end, out); }

}  // namespace understudy::audit
