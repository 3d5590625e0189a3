// The scanner compiled for AVX2 (32 bytes a step); called only where the processor has it.
#if defined(__x86_64__)
#include <algorithm>
#include <bit>
#include <cstring>

#include "audit/fields.h"
#include "audit/plain_fast.h"

#include <immintrin.h>

namespace understudy::audit {
namespace {
#include "audit/plain_scan.inc"
}  // namespace

bool scan_plain_avx2(const char* begin, const char* end, CallRecord& out);
bool scan_plain_avx2(const char* begin, const char* end, CallRecord& out) { return scan(begin, end, out); }

}  // namespace understudy::audit
#endif
